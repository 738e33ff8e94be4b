"""Losses in one run and in many: properties of the counting, and the rows that matter."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.model.fates import (
    Broken,
    Calm,
    Fate,
    Incident,
    Loss,
    Serving,
    Starting,
    Taken,
    Taking,
    Unheard,
    Unready,
)
from canary.model.values import Key
from canary.rules.weather import MANY, WINDOW, lost_pods, still_counting, weather

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
SERVING = Serving(pod="a")

LOSSES = st.lists(
    st.builds(
        Loss,
        key=st.builds(Key, namespace=st.sampled_from(["x", "y"]), name=st.sampled_from("abcde")),
        at=st.integers(-150, 30).map(lambda seconds: NOW + timedelta(seconds=seconds)),
    ),
    max_size=12,
)


def losses(*names: str, ago: float = 0) -> list[Loss]:
    at = NOW - timedelta(seconds=ago)
    return [Loss(key=Key(namespace="prod", name=name), at=at) for name in names]


@pytest.mark.parametrize(
    ("after", "lost"),
    [
        ((SERVING,), False),
        ((), True),
        ((Taken(pod="a", how=Taking.EVICTED),), True),
        ((Unheard(pod="a"),), True),
        ((Unready(pod="a"),), True),
        ((Starting(pod="b"),), True),
        ((Broken(pod="a", why="OOMKilled"),), False),
    ],
    ids=str,
)
def test_a_pod_that_served_is_lost_unless_it_broke_by_itself(
    after: tuple[Fate, ...], *, lost: bool
) -> None:
    assert lost_pods((SERVING,), after) == (frozenset({"a"}) if lost else frozenset())


def test_a_pod_that_did_not_serve_is_not_lost() -> None:
    assert lost_pods((Starting(pod="a"), Unheard(pod="b")), ()) == frozenset()


@pytest.mark.parametrize(
    ("lost", "running", "incident"),
    [
        (losses(), 1, False),
        (losses("a"), 1, False),
        (losses("a", "b"), 2, True),
        (losses("a", "b"), 3, True),
        (losses("a", "b"), 4, False),
        (losses("a", "b", "c"), 300, True),
        (losses("a", "a", "a"), 300, False),
        (losses("a", "b") + losses("c", ago=59), 300, True),
        (losses("a", "b") + losses("c", ago=60), 300, False),
    ],
)
def test_how_many_runs_make_an_incident(lost: list[Loss], running: int, *, incident: bool) -> None:
    assert isinstance(weather(lost, running, NOW), Incident) is incident


def test_an_incident_says_how_many_of_how_many_and_since_when() -> None:
    found = weather(losses("a", "b", ago=20) + losses("c", ago=5), 300, NOW)
    assert found == Incident(lost=3, running=300, latest=NOW - timedelta(seconds=5))


@given(LOSSES, st.integers(0, 10))
def test_one_run_alone_is_never_an_incident(found: list[Loss], running: int) -> None:
    one = [loss for loss in found if loss.key.name == "a" and loss.key.namespace == "x"]
    assert weather(one, running, NOW) == Calm()


@given(LOSSES, st.integers(0, 10))
def test_the_order_and_repetition_of_losses_do_not_matter(found: list[Loss], running: int) -> None:
    assert weather(found * 2, running, NOW) == weather(found[::-1], running, NOW)


@given(LOSSES, LOSSES, st.integers(0, 10))
def test_more_losses_never_end_an_incident(
    found: list[Loss], more: list[Loss], running: int
) -> None:
    if isinstance(weather(found, running, NOW), Incident):
        assert isinstance(weather(found + more, running, NOW), Incident)


@given(LOSSES, st.integers(0, 10))
def test_an_incident_passes_by_itself(found: list[Loss], running: int) -> None:
    last = max((loss.at for loss in found), default=NOW)
    assert weather(found, running, last + WINDOW) == Calm()


@given(LOSSES, st.integers(0, 10), st.integers(0, 100))
def test_what_is_forgotten_changes_no_later_look(
    found: list[Loss], running: int, seconds: int
) -> None:
    later = NOW + timedelta(seconds=seconds)
    assert weather(still_counting(found, NOW), running, later) == weather(found, running, later)


@given(LOSSES, st.integers(MANY * 4, 1000))
def test_in_a_large_fleet_fewer_than_three_runs_are_no_incident(
    found: list[Loss], running: int
) -> None:
    runs = {loss.key for loss in found if NOW - WINDOW < loss.at <= NOW}
    assert isinstance(weather(found, running, NOW), Incident) is (len(runs) >= MANY)
