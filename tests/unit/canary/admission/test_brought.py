"""What a change of the template brings along, and what it does not."""

import pytest

from canary.admission.creations import Creation, admit_creation
from canary.admission.facts import Allowances, Allowed, Write
from canary.admission.targets import admit
from canary.contract import (
    HOLD,
    OPT_OUT,
    PROMOTING,
    REFUSED,
    REFUSED_WHY,
    REQUESTED_BY,
    STABLE,
    Command,
)
from canary.model.hashing import template_hash
from tests.fakes.objects import Json, annotated, changed, deployment

V1, V2, V3 = (deployment(image=f"web:{n}") for n in (1, 2, 3))
H1, H2, H3 = (template_hash(obj["spec"]["template"]) for obj in (V1, V2, V3))
HELD = deployment(image="web:2", paused=True, annotations={HOLD: H2, STABLE: H1})
REFUSED_MARKS = {REFUSED: H2, REFUSED_WHY: "error-rate 20 > 1"}
ROLLING = deployment(image="web:2", annotations={PROMOTING: H2, STABLE: H1})


def write(old: Json, new: Json) -> Allowed:
    answer = admit(Write(old=old, new=new, user="alice"), Allowances(allow_opt_out=True))
    assert isinstance(answer, Allowed)
    return answer


REPLAYED = {
    "deployment.kubernetes.io/revision": "5",
    "kubernetes.io/change-cause": "web:1",
    HOLD: H1,
    PROMOTING: H1,
    REFUSED: H3,
    REFUSED_WHY: "long ago",
    REQUESTED_BY: "bob",
    Command.PROMOTE: "now",
    Command.ABORT: "now",
    OPT_OUT: "disabled",
}
"""What `kubectl rollout undo` puts in place of a Deployment's annotations: its ReplicaSet's."""


def test_an_undo_brings_a_version_back_and_nothing_else() -> None:
    old = annotated(V2, {"deployment.kubernetes.io/revision": "6"})
    undone = annotated(V1, dict(REPLAYED))
    answer = write(old, undone)
    assert (answer.outcome, answer.paused) == ("held", True)
    stored = annotated(undone, answer.annotations)["metadata"]["annotations"]
    ours = {key: value for key, value in stored.items() if key.startswith("headgate.dev/")}
    assert ours == {HOLD: H1, STABLE: H2}
    assert "kubernetes.io/change-cause" in stored
    for key in (Command.PROMOTE, Command.ABORT, OPT_OUT):
        assert key in answer.warnings[1]


@pytest.mark.parametrize("command", Command)
@pytest.mark.parametrize("old", [V1, HELD, ROLLING], ids=["idle", "held", "rolling"])
def test_a_command_that_comes_with_a_template_is_taken_off(command: Command, old: Json) -> None:
    new = annotated(changed(old, template=V3["spec"]["template"]), {command: "now"})
    answer = write(old, new)
    assert (answer.paused or new["spec"].get("paused")) is True
    assert answer.annotations[command] is None
    assert REQUESTED_BY not in answer.annotations
    assert command in answer.warnings[-1]


def test_a_command_for_the_candidate_before_does_not_count_for_the_next() -> None:
    old = annotated(HELD, {Command.PROMOTE: "now", REQUESTED_BY: "bob"})
    answer = write(old, changed(old, template=V3["spec"]["template"]))
    assert answer.annotations == {HOLD: H3, Command.PROMOTE: None, REQUESTED_BY: None}
    assert Command.PROMOTE in answer.warnings[1]


def test_what_a_restart_brings_along_is_taken_off_too() -> None:
    restart = {"kubectl.kubernetes.io/restartedAt": "2026-01-01T00:00:00Z"}
    new = annotated(deployment(template_annotations=restart), {Command.PROMOTE: "now"})
    answer = write(V1, new)
    assert (answer.outcome, answer.paused) == ("unchanged", None)
    assert answer.annotations == {Command.PROMOTE: None}


def test_a_command_that_stands_survives_a_restart() -> None:
    restart = {"kubectl.kubernetes.io/restartedAt": "2026-01-01T00:00:00Z"}
    marks = {PROMOTING: H1, STABLE: H2, Command.ABORT: "now", REQUESTED_BY: "bob"}
    new = annotated(deployment(template_annotations=restart), dict(marks))
    assert write(annotated(V1, dict(marks)), new).annotations == {}


def test_an_unknown_word_of_ours_that_comes_with_a_template_is_taken_off() -> None:
    answer = write(V1, annotated(V2, {"headgate.dev/whatever": "x", "other.dev/x": "x"}))
    assert answer.annotations == {HOLD: H2, STABLE: H1, "headgate.dev/whatever": None}


TYPO = "headgate.dev/promotee"
HINT = f"headgate: web: {TYPO} is not known; did you mean {Command.PROMOTE}?"


@pytest.mark.parametrize("new", [V1, V2], ids=["alone", "with a template"])
def test_an_annotation_that_nobody_reads_is_named_and_stops_nothing(new: Json) -> None:
    plain, marked = write(V1, new), write(V1, annotated(new, {TYPO: "now"}))
    assert HINT in marked.warnings
    assert (marked.outcome, marked.paused) == (plain.outcome, plain.paused)


def test_one_that_stands_is_named_with_the_next_version() -> None:
    answer = write(annotated(V1, {TYPO: "now"}), annotated(V2, {TYPO: "now"}))
    assert HINT in answer.warnings
    assert answer.outcome == "held"


def test_one_that_comes_with_a_creation_is_named() -> None:
    answer = admit_creation(Creation(new=annotated(V1, {TYPO: "now"})))
    assert answer == Allowed(outcome="created", warnings=(HINT,))
