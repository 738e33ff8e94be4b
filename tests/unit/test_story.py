"""The oracle of releases on top of each other: what it lets pass, and what it finds wrong."""

from dataclasses import replace
from itertools import pairwise

import pytest

from tests.cluster.plans import What, When, planned
from tests.cluster.story import (
    Answer,
    Look,
    Push,
    Record,
    Verdict,
    Version,
    figures,
    has_ended,
    has_reached,
    told,
    verdict_of,
    wrongs,
)

FIRST = Version(name="1.0", good=True, hash="h0")
GOOD = Version(name="good-1", good=True, hash="h1")
BAD = Version(name="bad-2", good=False, hash="h2")
FIX = Version(name="good-3", good=True, hash="h3")


def push(version: Version, order: int, *, changed: bool = True) -> Push:
    return Push(version=version, order=order, at=float(order), changed=changed)


def look(
    order: int, phase: str, candidate: Version | None, *, stable: Version = FIRST, weight: int = 0
) -> Look:
    return Look(
        order=order,
        at=float(order),
        phase=phase,
        candidate=candidate.hash if candidate else "",
        stable=stable.hash,
        weight=weight,
        reason="Refused" if phase == "Failed" else "Whatever",
        message=f"{phase} said",
    )


def ran(
    version: Version, begins: int, *phases: str, stable: Version = FIRST, weight: int = 30
) -> tuple[Look, ...]:
    """Return a run's looks, ten apart; what is final serves."""
    return tuple(
        look(
            begins + 10 * number,
            phase,
            version,
            stable=version if phase in {"Finalising", "Succeeded"} else stable,
            weight=weight if phase in {"Progressing", "Promoting"} else 0,
        )
        for number, phase in enumerate(phases)
    )


IDLE = look(1, "Initialized", FIRST)
PROMOTED = ("Progressing", "Promoting", "Finalising", "Succeeded")
REFUSED = ("Progressing", "Failed")


def record(pushes: list[Push], looks: tuple[Look, ...], answers: tuple[Answer, ...] = ()) -> Record:
    return Record(pushes=tuple(pushes), looks=(IDLE, *looks), answers=answers, first=FIRST)


@pytest.mark.parametrize(
    ("pushes", "looks", "verdict"),
    [
        ([push(GOOD, 10)], (), Verdict.OPEN),
        ([push(GOOD, 10)], ran(GOOD, 11, "Progressing"), Verdict.OPEN),
        ([push(GOOD, 10)], ran(GOOD, 11, *PROMOTED), Verdict.PROMOTED),
        ([push(GOOD, 10)], ran(GOOD, 11, "Progressing", "Promoting"), Verdict.OPEN),
        ([push(BAD, 10)], ran(BAD, 11, *REFUSED), Verdict.REFUSED),
        ([push(GOOD, 10), push(FIX, 15)], ran(GOOD, 11, "Progressing"), Verdict.SUPERSEDED),
        # It was promoted when the next one came, and serves.
        ([push(GOOD, 10), push(FIX, 35)], ran(GOOD, 11, *PROMOTED[:3]), Verdict.PROMOTED),
        # Its verdict was on its way when the next one came.
        ([push(BAD, 10), push(FIX, 20)], ran(BAD, 11, *REFUSED), Verdict.REFUSED),
        # The one before had failed already: that says nothing of this one.
        ([push(GOOD, 30)], ran(BAD, 11, *REFUSED), Verdict.OPEN),
        ([push(FIRST, 30)], (look(31, "Initialized", None),), Verdict.REVERTED),
        ([push(FIRST, 30)], ran(BAD, 11, "Progressing"), Verdict.OPEN),
    ],
    ids=[
        "not seen yet",
        "running",
        "promoted",
        "rolls",
        "refused",
        "superseded",
        "superseded while it finalises",
        "refused just before",
        "another one's",
        "back",
        "not back yet",
    ],
)
def test_what_became_of_a_push(
    pushes: list[Push], looks: tuple[Look, ...], verdict: Verdict
) -> None:
    found = record(pushes, looks)
    assert verdict_of(0, found) is verdict
    ends = {Verdict.PROMOTED, Verdict.REFUSED, Verdict.REVERTED}
    assert len(pushes) > 1 or has_ended(0, found) is (verdict in ends)


def test_a_promotion_has_not_ended_while_it_finalises() -> None:
    found = record([push(GOOD, 10)], ran(GOOD, 11, *PROMOTED[:3]))
    assert has_reached(0, found, "Finalising")
    assert not has_ended(0, found)


def test_a_push_that_changes_nothing_ends_with_the_one_before() -> None:
    pushes = [push(BAD, 10), push(BAD, 12, changed=False)]
    assert not has_ended(1, record(pushes, ran(BAD, 11, "Progressing")))
    ended = record(pushes, ran(BAD, 11, *REFUSED))
    assert has_ended(1, ended)
    assert wrongs(ended) == []


def test_weights_are_reached_by_the_candidate_alone() -> None:
    pushes = [push(GOOD, 10), push(FIX, 40)]
    found = record(pushes, ran(GOOD, 11, "Progressing", weight=60))
    assert has_reached(0, found, "Progressing", 30)
    assert not has_reached(1, found, "Progressing")


def test_the_right_verdicts_in_a_row_are_right() -> None:
    pushes = [push(BAD, 10), push(FIX, 30), push(BAD, 80)]
    looks = (
        *ran(BAD, 11, *REFUSED),
        *ran(FIX, 31, *PROMOTED),
        # Another one was promoted meanwhile: what was refused before that is judged anew.
        *ran(BAD, 81, *REFUSED, stable=FIX),
    )
    answers = (
        Answer(at=5, status=200, version="1.0"),
        Answer(at=15, status=500, version="bad-2"),
        Answer(at=40, status=200, version="good-3"),
        Answer(at=85, status=500, version="bad-2"),
        Answer(at=900, status=200, version="good-3"),
    )
    found = record(pushes, looks, answers)
    assert wrongs(found) == []
    assert figures(found) == (
        "3 pushes: 2 bad refused, 1 good promoted; 5 requests, 2 failed on bad versions, "
        "0 on others"
    )


@pytest.mark.parametrize(
    ("pushes", "looks", "said"),
    [
        ([push(GOOD, 10)], ran(GOOD, 11, *REFUSED), "push 1: good-1 is refused Failed said"),
        ([push(BAD, 10)], ran(BAD, 11, *PROMOTED), "push 1: bad-2 is promoted"),
        ([push(BAD, 10)], ran(BAD, 11, *PROMOTED), "at 31.0 s: bad-2 became what serves"),
        ([push(GOOD, 10)], ran(GOOD, 11, "Progressing"), "push 1: good-1 is open"),
        (
            [push(BAD, 10)],
            (replace(look(11, "Failed", BAD), reason="ProgressDeadlineExceeded"),),
            "push 1: bad-2 failed for ProgressDeadlineExceeded",
        ),
        (
            [push(BAD, 10), push(FIRST, 25), push(BAD, 30)],
            (
                *ran(BAD, 11, *REFUSED),
                look(26, "Initialized", None),
                *ran(BAD, 31, *REFUSED),
            ),
            "push 3: bad-2 was refused before and got a share",
        ),
        ([], (look(20, "Succeeded", None, stable=BAD),), "at 20.0 s: h2 became what serves"),
    ],
    ids=[
        "good refused",
        "bad promoted",
        "bad serves",
        "no verdict",
        "no judgement",
        "refused again",
        "unknown serves",
    ],
)
def test_a_wrong_verdict_is_found(pushes: list[Push], looks: tuple[Look, ...], said: str) -> None:
    assert said in wrongs(record(pushes, looks))


def test_only_the_version_refused_last_is_remembered() -> None:
    worse = Version(name="bad-4", good=False, hash="h4")
    pushes = [push(BAD, 10), push(worse, 30), push(BAD, 50)]
    looks = (*ran(BAD, 11, *REFUSED), *ran(worse, 31, *REFUSED), *ran(BAD, 51, *REFUSED))
    assert wrongs(record(pushes, looks)) == []


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Answer(at=40, status=503, version="good-3"), "status 503 by good-3"),
        (Answer(at=40, status=500, version="good-3"), "status 500 by good-3"),
        (Answer(at=40, status=0, version="reset"), "status 0 by reset"),
        # A bad version fails its own requests, and in no other way.
        (Answer(at=15, status=503, version="bad-2"), "status 503 by bad-2"),
        (Answer(at=28, status=200, version="bad-2"), "bad-2 outside of its time"),
        (Answer(at=5, status=200, version="good-3"), "good-3 outside of its time"),
        (Answer(at=200, status=200, version="1.0"), "1.0 outside of its time"),
        (Answer(at=5, status=200, version="other"), "other which nobody pushed"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_wrong_answer_is_found(answer: Answer, said: str) -> None:
    pushes = [push(BAD, 10), push(FIX, 30)]
    looks = (*ran(BAD, 11, *REFUSED), *ran(FIX, 31, *PROMOTED))
    (found,) = wrongs(record(pushes, looks, (answer,)))
    assert said in found


def test_a_story_tells_pushes_and_looks_in_the_order_of_the_api_server() -> None:
    pushes = [push(BAD, 10), push(BAD, 12, changed=False)]
    lines = told(record(pushes, ran(BAD, 11, *REFUSED))).splitlines()
    assert [line.split()[2] for line in lines] == [
        "Initialized",
        "push",
        "Progressing",
        "push",
        "Failed",
    ]
    assert "which is there already" in lines[3]


@pytest.mark.parametrize("seed", range(20))
def test_every_ten_pushes_have_each_kind(seed: int) -> None:
    moves = planned(seed, 10, (30, 60))
    assert len(moves) == 10
    assert {move.what for move in moves} == set(What)
    assert {move.when for move in moves} == set(When)
    assert {move.weight for move in moves if move.when is When.WEIGHT} == {30, 60}
    fixes = [after for move, after in pairwise(moves) if 1 <= move.pause <= 2]
    assert What.GOOD in {fix.what for fix in fixes}


def test_a_plan_is_its_seeds_and_other_seeds_have_others() -> None:
    assert planned(3, 100, (50,)) == planned(3, 100, (50,))
    assert planned(3, 100, (50,))[:10] == planned(3, 10, (50,))
    assert planned(3, 100, (50,)) != planned(4, 100, (50,))
    assert any(move.scale for move in planned(3, 100, (50,)))
