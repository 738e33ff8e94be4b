"""What is written on a target: the reason of a refusal outlives the candidate's coming again."""

from canary.contract import REFUSED, REFUSED_WHY
from canary.model.state import Phase, State
from canary.objects.marks import refused_marks
from canary.rules.actions import MAX_WHY
from tests.fakes.objects import annotated, deployment

STATE = State(phase=Phase.FAILED, candidate="new")


def test_a_refusal_is_remembered_with_its_reason() -> None:
    marks = refused_marks(deployment(), STATE, "20 % failed" + "!" * MAX_WHY)
    assert marks[REFUSED] == "new"
    assert str(marks[REFUSED_WHY]).startswith("20 % failed!")
    assert len(str(marks[REFUSED_WHY])) == MAX_WHY


def test_the_same_candidate_again_keeps_what_its_own_run_has_shown() -> None:
    target = annotated(deployment(), {REFUSED: "new", REFUSED_WHY: "20 % failed"})
    marks = refused_marks(target, STATE, "new was refused before")
    assert marks == {REFUSED: "new", REFUSED_WHY: "20 % failed"}


def test_another_candidates_reason_is_not_taken_for_this_ones() -> None:
    target = annotated(deployment(), {REFUSED: "old", REFUSED_WHY: "20 % failed"})
    assert refused_marks(target, STATE, "too slow") == {REFUSED: "new", REFUSED_WHY: "too slow"}
