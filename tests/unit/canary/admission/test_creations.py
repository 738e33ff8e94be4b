"""What the creation of a target means: copies of others lose what was the others'."""

from typing import Any

import pytest

from canary.admission.creations import Creation, admit_creation, bare_creation
from canary.contract import (
    HOLD,
    NOTE,
    OPT_OUT,
    PROMOTING,
    REFUSED,
    REFUSED_WHY,
    REQUESTED_BY,
    SEEN,
    STABLE,
    Command,
)
from canary.model.hashing import short_hash, template_hash
from tests.fakes.objects import Json, annotated, changed, deployment

V1, V2 = deployment(image="web:1"), deployment(image="web:2")
H1, H2 = (template_hash(obj["spec"]["template"]) for obj in (V1, V2))
HELD = annotated(changed(V2, paused=True), {HOLD: H2, STABLE: H1})
REFUSED_COPY = annotated(HELD, {REFUSED: H2, REFUSED_WHY: "error-rate 20 > 1"})


def create(new: Json) -> Any:
    return admit_creation(Creation(new=new))


@pytest.mark.parametrize(
    "new",
    [V1, changed(V1, paused=True), annotated(V1, {OPT_OUT: "disabled"}), changed(V1, replicas=0)],
    ids=["plain", "paused by its team", "opted out", "0 replicas"],
)
def test_what_the_team_wrote_stays(new: Json) -> None:
    answer = create(new)
    assert (answer.paused, answer.annotations, answer.warnings) == (None, {}, ())


def test_a_copy_of_a_held_target_starts_and_the_client_is_told_with_what() -> None:
    answer = create(HELD)
    assert answer.paused is False
    assert {key: answer.annotations[key] for key in (HOLD, STABLE)} == {HOLD: None, STABLE: None}
    assert "web:2" in answer.warnings[0]
    assert "held" in answer.warnings[0]
    assert answer.annotations[NOTE] in answer.warnings[0]


@pytest.mark.parametrize("identity", [template_hash, short_hash], ids=["today's", "former"])
def test_a_copy_of_a_refused_version_says_why_it_was_refused(identity: Any) -> None:
    answer = create(annotated(REFUSED_COPY, {REFUSED: identity(V2["spec"]["template"])}))
    assert answer.paused is False
    assert "web:2, which was refused: error-rate 20 > 1" in answer.warnings[0]
    assert "error-rate 20 > 1" in answer.annotations[NOTE]
    assert answer.annotations[REFUSED] is None


def test_a_copy_that_remembers_another_refused_version_starts_without_a_word_on_it() -> None:
    answer = create(annotated(V1, {REFUSED: H2, REFUSED_WHY: "error-rate 20 > 1"}))
    assert (answer.paused, answer.annotations) == (None, {REFUSED: None, REFUSED_WHY: None})
    assert REFUSED in answer.warnings[0]


def test_what_was_seen_elsewhere_goes_without_a_word() -> None:
    answer = create(annotated(V1, {SEEN: H1}))
    assert (answer.annotations, answer.warnings) == ({SEEN: None}, ())


def test_a_copy_of_a_rolling_target_rolls_no_more() -> None:
    answer = create(annotated(V2, {PROMOTING: H2, STABLE: H1}))
    assert (answer.paused, answer.annotations) == (None, {PROMOTING: None, STABLE: None})


@pytest.mark.parametrize("command", Command)
def test_a_command_was_for_another_one(command: Command) -> None:
    answer = create(annotated(V1, {command: "now", REQUESTED_BY: "bob"}))
    assert answer.annotations == {command: None, REQUESTED_BY: None}
    assert command in answer.warnings[0]


def test_a_clone_has_no_name_yet() -> None:
    clone = annotated(HELD, {})
    clone["metadata"] |= {"generateName": "web-copy-"}
    del clone["metadata"]["name"]
    assert create(clone).warnings[0].startswith("headgate: web-copy-... is made from a copy")


def test_what_was_said_stays_when_it_is_asked_about_again() -> None:
    again = annotated(V2, {NOTE: "said"})
    answer = create(again)
    assert (answer.paused, answer.annotations) == (None, {})


@pytest.mark.parametrize("template", ["not a template", {"spec": {}}, None], ids=str)
def test_a_copy_that_cannot_be_read_is_not_paused_either(template: Any) -> None:
    answer = bare_creation(changed(HELD, template=template))
    assert (answer.paused, answer.annotations) == (False, {HOLD: None, STABLE: None})


def test_a_creation_that_cannot_be_read_is_left_alone() -> None:
    answer = bare_creation({"metadata": {}, "spec": {"paused": True}})
    assert (answer.paused, answer.annotations) == (None, {})
