"""Which revisions are parked: the Deployment controller is left with no choice but the stable."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.model.state import Phase, State
from canary.model.world import Place, Revision
from canary.rules.context import Context
from canary.rules.decide import DEFAULT_TIMING
from canary.rules.parking import (
    away,
    parked,
    serving,
    to_copy,
    to_park,
    to_put_back_while_held,
    to_put_back_without_stable,
)
from tests.fakes.bench import START
from tests.fakes.deployment_controller import chosen, cleaned_up
from tests.fakes.world import World

STABLE, CANDIDATE = "stable", "candidate"


def revision(
    template: str, second: int, number: int, *, replicas: int = 0, place: Place = Place.OWNED
) -> Revision:
    return Revision(
        name=f"web-{template}",
        template_hash=template,
        replicas=replicas,
        ready=replicas,
        created=f"2026-01-01T00:00:0{second}Z",
        number=number,
        place=place,
    )


SERVING = revision(STABLE, 1, 3, replicas=2)


@pytest.mark.parametrize(
    ("others", "names"),
    [
        pytest.param([], [], id="nothing but the stable"),
        pytest.param([revision("older", 0, 1)], [], id="an older version is never preferred"),
        pytest.param([revision("newer", 2, 2)], ["newer"], id="1.0, 1.1, 1.0 again"),
        pytest.param([revision(CANDIDATE, 2, 4)], [CANDIDATE], id="half-way promotion undone"),
        pytest.param([revision(CANDIDATE, 0, 4)], [CANDIDATE], id="the candidate is an old one"),
        pytest.param([revision("zz", 1, 2)], ["zz"], id="same second, later by name"),
        pytest.param([revision("aa", 1, 2)], [], id="same second, earlier by name"),
        pytest.param([revision("undone", 0, 4)], ["undone"], id="would outlive the stable"),
        pytest.param([revision(CANDIDATE, 2, 4, replicas=1)], [], id="never one with pods"),
        pytest.param([revision("newer", 2, 2, place=Place.PARKED)], [], id="parked already"),
        pytest.param(
            [revision("newer", 2, 2, place=Place.ADRIFT)], ["newer"], id="about to be adopted"
        ),
    ],
)
def test_what_could_serve_in_the_stables_place_is_parked(
    others: list[Revision], names: list[str]
) -> None:
    found = to_park([SERVING, *others], candidate=CANDIDATE, stable=STABLE)
    assert [one.template_hash for one in found] == names


def test_without_anything_of_the_stable_only_the_candidate_is_kept_from_serving() -> None:
    others = [revision("older", 0, 1), revision(CANDIDATE, 2, 2)]
    found = to_park(others, candidate=CANDIDATE, stable=STABLE)
    assert [one.template_hash for one in found] == [CANDIDATE]


def test_a_stable_that_was_parked_in_an_earlier_run_is_put_back() -> None:
    lost = replace(SERVING, replicas=0, place=Place.PARKED)
    assert to_put_back_while_held([lost], stable=STABLE, replicas=2) == (lost,)
    other = replace(SERVING, name="web-restarted")
    assert to_put_back_while_held([lost, other], stable=STABLE, replicas=2) == ()


def test_without_anything_of_the_stable_all_else_comes_back_but_what_was_refused() -> None:
    kept = [replace(revision(name, 0, 1), place=Place.PARKED) for name in (CANDIDATE, "refused")]
    before = replace(revision("before", 0, 2), place=Place.PARKED)
    everyone = [before, *kept, revision("older", 0, 1)]
    spared = (CANDIDATE, "refused")
    for nobody_knows in ("", STABLE):
        back = to_put_back_without_stable(everyone, spared=spared, stable=nobody_knows)
        assert back == (before,)
    assert to_put_back_without_stable([*everyone, SERVING], spared=spared, stable=STABLE) == ()


def test_at_0_it_waits_for_without_pods_it_could_be_cleaned_up() -> None:
    lost = replace(SERVING, replicas=0, place=Place.PARKED)
    assert to_put_back_while_held([lost], stable=STABLE, replicas=0) == ()


def test_where_no_history_is_kept_a_copy_of_the_stable_is_parked_and_one_is_enough() -> None:
    copy = replace(SERVING, name="web-stablee", replicas=0, place=Place.PARKED)
    assert to_copy([SERVING], stable=STABLE, history_limit=1) == ()
    assert to_copy([SERVING], stable=STABLE, history_limit=0) == (SERVING,)
    assert to_copy([SERVING, copy], stable=STABLE, history_limit=0) == ()
    assert to_copy([replace(SERVING, replicas=0)], stable=STABLE, history_limit=0) == ()


def test_a_template_is_away_until_its_replica_set_is_adopted() -> None:
    present = revision(CANDIDATE, 2, 2)
    for place, is_away in ((Place.OWNED, False), (Place.ADRIFT, True), (Place.PARKED, True)):
        assert bool(away([replace(present, place=place)], CANDIDATE)) is is_away


UP, DOWN = revision("up", 1, 1, replicas=2), revision("down", 2, 2)


@pytest.mark.parametrize(
    ("revisions", "mark", "state", "serves"),
    [
        pytest.param([UP, DOWN], "up", State(), "up", id="the mark, with pods"),
        pytest.param([UP, DOWN], "down", State(), "up", id="a mark that nothing bears out"),
        pytest.param([UP, DOWN], "down", State(stable="down"), "down", id="a mark that is agreed"),
        pytest.param([UP], "down", State(stable="down"), "up", id="agreed, and gone"),
        pytest.param(
            [UP, revision("two", 2, 2, replicas=2)],
            "up",
            State(stable="two", phase=Phase.PROGRESSING),
            "two",
            id="a run knows better",
        ),
        pytest.param(
            [UP, revision("two", 2, 2, replicas=2)], "up", State(stable="two"), "up", id="idle"
        ),
        pytest.param([UP, revision("more", 2, 2, replicas=3)], "", State(), "more", id="most"),
        pytest.param(
            [UP, replace(revision("more", 2, 2, replicas=3), ready=1)],
            "",
            State(),
            "up",
            id="most that are ready",
        ),
        pytest.param([DOWN], "up", State(stable="x"), "up", id="at 0 the mark"),
        pytest.param([DOWN], "", State(stable="up"), "up", id="at 0 the state"),
        pytest.param([DOWN], "", State(), "down", id="at 0 the only one there is"),
        pytest.param(
            [DOWN, replace(DOWN, name="web-again")], "", State(), "down", id="the only one, twice"
        ),
        pytest.param(
            [replace(DOWN, place=Place.PARKED)], "", State(), "down", id="the only one, parked"
        ),
        pytest.param([DOWN, revision("x", 1, 1)], "", State(), "", id="one of two: nobody knows"),
        pytest.param([], "", State(), "", id="nothing at all"),
    ],
)
def test_what_serves_is_told_by_pods_then_marks_then_by_what_there_is(
    revisions: list[Revision], mark: str, state: State, serves: str
) -> None:
    observed = World().observe()
    target = replace(observed.target, stable_mark=mark)
    seen = replace(observed, target=target, revisions=tuple(revisions))
    assert serving(Context(state, seen, START, DEFAULT_TIMING)) == serves


@st.composite
def _histories(draw: st.DrawFn) -> list[Revision]:
    """Draw revisions in any order of creation and number, with what a hold can find of them."""
    templates = [STABLE, CANDIDATE, "a", "m", "zz"]
    numbers = draw(st.permutations(range(1, 1 + len(templates))))
    found = [
        revision(
            template,
            draw(st.integers(0, 3)),
            number,
            place=draw(st.sampled_from(Place)),
        )
        for template, number in zip(templates, numbers, strict=True)
        if template == STABLE or draw(st.booleans())
    ]
    return draw(st.permutations(found))


def _held(history: list[Revision]) -> list[Revision]:
    """Carry out what a hold asks for."""
    back = to_put_back_while_held(history, stable=STABLE, replicas=2)
    known = [replace(r, place=Place.ADRIFT) if r in back else r for r in history]
    gone = to_park(known, candidate=CANDIDATE, stable=STABLE)
    return [replace(r, place=Place.PARKED) if r in gone else r for r in known]


@given(history=_histories(), limit=st.integers(1, 3))
def test_scaled_up_from_0_the_stable_serves_whatever_the_history(
    history: list[Revision], limit: int
) -> None:
    left = cleaned_up(_held(history), CANDIDATE, limit)
    found = chosen(left, CANDIDATE)
    assert found is not None
    assert found.template_hash == STABLE


@given(history=_histories())
def test_parking_twice_is_parking_once(history: list[Revision]) -> None:
    once = _held(history)
    assert _held(once) == once


@given(history=_histories())
def test_no_revision_with_pods_and_none_of_the_stable_is_ever_parked(
    history: list[Revision],
) -> None:
    serving = [replace(r, replicas=1) for r in history]
    assert to_park(serving, candidate=CANDIDATE, stable=STABLE) == ()
    assert STABLE not in {r.template_hash for r in parked(_held(history))}
