"""One place hears of the pods that all runs lose, and tells each how the cluster is doing."""

from dataclasses import replace
from datetime import timedelta

import pytest

from analyzer.loop.losses import Losses
from canary.model.fates import (
    Broken,
    Calm,
    Fate,
    Incident,
    Serving,
    Starting,
    Taken,
    Taking,
    Unheard,
    Weather,
)
from canary.model.state import Phase, State
from canary.model.values import Key
from canary.model.world import CanaryAbsent, CanaryPresent
from canary.rules.weather import WINDOW
from tests.fakes.world import START

RUN = State(phase=Phase.PROGRESSING, candidate="v2", step=0, weight=10, started_at=START)
KEYS = [Key(namespace=f"team-{number}", name="web") for number in range(300)]
SERVING = Serving(pod="a")


def canary(*fates: Fate, replicas: int = 1) -> CanaryPresent:
    return CanaryPresent(template_hash="v2", replicas=replicas, ready=1, fates=fates)


UP = canary(SERVING)


def told(losses: Losses, after: CanaryAbsent | CanaryPresent, runs: int) -> list[Weather]:
    """Have all runs serve, then so many of them look as said; return what each of those hears."""
    for key in KEYS:
        assert losses.look(key, RUN, UP, START) == Calm()
    return [losses.look(key, RUN, after, START) for key in KEYS[:runs]]


@pytest.mark.parametrize(
    "after",
    [
        canary(Unheard(pod="a")),
        canary(Taken(pod="a", how=Taking.EVICTED)),
        canary(Starting(pod="b")),
        canary(),
    ],
    ids=["node not heard of", "evicted", "replaced", "gone"],
)
def test_from_the_third_run_on_everybody_hears_of_an_incident(after: CanaryPresent) -> None:
    losses = Losses()
    heard = told(losses, after, 128)
    assert heard[:2] == [Calm(), Calm()]
    assert all(isinstance(one, Incident) for one in heard[2:])
    assert losses.look(KEYS[299], RUN, UP, START) == Incident(lost=128, running=300, latest=START)
    assert losses.look(KEYS[299], RUN, UP, START + WINDOW) == Calm()


@pytest.mark.parametrize(
    "after",
    [UP, canary(Broken(pod="a", why="OOMKilled")), CanaryAbsent()],
    ids=["serves", "broke by itself", "deleted by somebody"],
)
def test_what_is_no_loss_to_the_cluster_is_no_incident(after: CanaryPresent) -> None:
    assert set(told(Losses(), after, 128)) == {Calm()}


def test_a_canary_that_is_made_smaller_has_lost_nothing() -> None:
    losses = Losses()
    two = canary(SERVING, Serving(pod="b"), replicas=2)
    for key in KEYS[:5]:
        losses.look(key, RUN, two, START)
        assert losses.look(key, RUN, UP, START) == Calm()


def test_pods_of_another_run_are_not_compared() -> None:
    losses = Losses()
    after = canary(Starting(pod="b"))
    later = START + timedelta(seconds=5)
    again = replace(RUN, started_at=later)
    for key in KEYS[:5]:
        losses.look(key, RUN, UP, START)
        assert losses.look(key, again, after, later) == Calm()


def test_a_run_that_ended_is_not_among_those_under_way() -> None:
    losses = Losses()
    for key in KEYS[:4]:
        losses.look(key, RUN, UP, START)
    losses.forget(KEYS[3])
    losses.look(KEYS[2], replace(RUN, phase=Phase.FAILED), UP, START)
    gone = canary()
    assert losses.look(KEYS[0], RUN, gone, START) == Calm()
    assert losses.look(KEYS[1], RUN, gone, START) == Incident(lost=2, running=2, latest=START)


def test_a_process_that_starts_anew_tells_of_no_loss() -> None:
    losses = Losses()
    heard = [losses.look(key, RUN, canary(Unheard(pod="a")), START) for key in KEYS]
    assert set(heard) == {Calm()}


def waiting(since: timedelta) -> State:
    return replace(RUN, weight=0, withheld=10, lost_since=START - since)


def test_a_process_that_starts_anew_knows_of_what_runs_wait_for() -> None:
    losses, gone = Losses(), canary()
    heard = [losses.look(key, waiting(timedelta(seconds=20)), gone, START) for key in KEYS[:4]]
    assert [isinstance(one, Incident) for one in heard] == [False, True, True, True]
    assert losses.look(KEYS[0], waiting(timedelta(seconds=20)), gone, START) == Incident(
        lost=4, running=4, latest=START - timedelta(seconds=20)
    )


def test_what_runs_have_waited_for_since_long_is_no_incident() -> None:
    losses = Losses()
    heard = [losses.look(key, waiting(WINDOW), canary(), START) for key in KEYS[:9]]
    assert set(heard) == {Calm()}


def test_canaries_that_were_deleted_by_somebody_are_no_incident_when_they_are_made_again() -> None:
    losses = Losses()
    for key in KEYS[:5]:
        losses.look(key, RUN, UP, START)
    lost = waiting(timedelta(seconds=-1))
    for seconds in (1, 2, 3):
        now = START + timedelta(seconds=seconds)
        after = CanaryAbsent() if seconds < 3 else canary()
        assert {losses.look(key, lost, after, now) for key in KEYS[:5]} == {Calm()}


def test_it_is_told_since_when_anything_is_heard() -> None:
    losses = Losses()
    for seconds in (0, 5):
        found = losses.look(KEYS[0], RUN, UP, START + timedelta(seconds=seconds))
        assert isinstance(found, Calm)
        assert found.since == START
