"""The table of the design, "what each write to a target means", row by row."""

import pytest

from canary.admission.targets import Allowed, Answer, Denied, Policy, Write, admit, bare_hold
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


def write(old: Json, new: Json, *, allow_opt_out: bool = False) -> Answer:
    return admit(Write(old=old, new=new, user="alice"), Policy(allow_opt_out=allow_opt_out))


def allowed(answer: Answer) -> Allowed:
    assert isinstance(answer, Allowed)
    return answer


def test_a_changed_template_is_held_and_the_client_is_told() -> None:
    answer = allowed(write(V1, V2))
    assert answer.paused is True
    assert answer.annotations == {HOLD: H2, STABLE: H1}
    assert "kubectl get canary web -w" in answer.warnings[0]


@pytest.mark.parametrize(
    ("new", "why"),
    [
        (changed(V2, replicas=0), "no replicas"),
        (deployment(image="web:2", strategy="Recreate"), "Recreate"),
    ],
    ids=["no replicas", "Recreate"],
)
def test_what_no_canary_can_judge_passes_with_a_warning(new: Json, why: str) -> None:
    answer = allowed(write(V1, new))
    assert (answer.paused, answer.annotations) == (None, {})
    assert why in answer.warnings[0]


@pytest.mark.parametrize("allow", [True, False])
def test_the_opt_out_counts_only_where_the_admin_allows_it(*, allow: bool) -> None:
    answer = allowed(write(V1, annotated(V2, {OPT_OUT: "disabled"}), allow_opt_out=allow))
    assert (answer.paused is None) is allow


def test_the_same_object_again_changes_nothing() -> None:
    answer = allowed(write(HELD, HELD))
    assert (answer.paused, answer.annotations) == (None, {})


def test_a_replace_that_dropped_our_fields_gets_them_back() -> None:
    answer = allowed(write(HELD, V2))
    assert answer.paused is True
    assert answer.annotations == {HOLD: H2, STABLE: H1}


def test_a_third_template_stays_held_against_the_old_stable() -> None:
    answer = allowed(write(HELD, deployment(image="web:3", paused=True)))
    assert answer.annotations == {HOLD: H3, STABLE: H1}
    assert "starts again" in answer.warnings[0]


def test_a_third_template_while_a_promotion_rolls_is_held_against_the_old_stable() -> None:
    answer = allowed(write(ROLLING, annotated(V3, {PROMOTING: H2, STABLE: H1})))
    assert answer.paused is True
    assert answer.annotations == {HOLD: H3}


@pytest.mark.parametrize("marks", [{}, REFUSED_MARKS], ids=["during a run", "after a refusal"])
def test_the_stable_template_again_resumes_in_the_same_request(marks: dict[str, str]) -> None:
    held = annotated(HELD, dict(marks))
    answer = allowed(write(held, changed(held, template=V1["spec"]["template"])))
    assert answer.paused is False
    assert answer.annotations == {HOLD: None, STABLE: None}


def test_the_stable_template_again_while_it_rolls_passes() -> None:
    answer = allowed(write(ROLLING, changed(ROLLING, template=V1["spec"]["template"])))
    assert answer.paused is None
    assert answer.annotations == {STABLE: None, PROMOTING: None}


def test_the_refused_candidate_again_stays_refused_and_says_why() -> None:
    refused = annotated(HELD, dict(REFUSED_MARKS))
    answer = allowed(write(refused, refused))
    assert answer.outcome == "refused-again"
    assert "error-rate 20 > 1" in answer.warnings[0]


def test_the_refused_candidate_after_a_revert_is_held_at_once() -> None:
    back = annotated(V1, dict(REFUSED_MARKS))
    answer = allowed(write(back, annotated(V2, dict(REFUSED_MARKS))))
    assert (answer.outcome, answer.paused) == ("refused-again", True)
    assert answer.annotations == {HOLD: H2, STABLE: H1}


def test_a_restart_with_no_run_passes_natively() -> None:
    restart = {"kubectl.kubernetes.io/restartedAt": "2026-01-01T00:00:00Z"}
    answer = allowed(write(V1, deployment(template_annotations=restart)))
    assert (answer.paused, answer.annotations, answer.warnings) == (None, {}, ())


def test_a_resume_of_a_held_target_is_refused_with_the_two_ways() -> None:
    answer = write(HELD, changed(HELD, paused=False))
    assert isinstance(answer, Denied)
    assert str(Command.PROMOTE) in answer.message
    assert str(Command.ABORT) in answer.message


def test_a_manifest_that_says_paused_false_itself_is_no_resume() -> None:
    applied = changed(HELD, paused=False)
    owner = {
        "manager": "flux",
        "operation": "Apply",
        "fieldsV1": {"f:spec": {"f:paused": {}}},
    }
    applied["metadata"]["managedFields"] = [owner]
    answer = allowed(write(HELD, applied))
    assert answer.paused is True


def test_a_pause_of_the_team_is_theirs() -> None:
    assert allowed(write(V1, changed(V1, paused=True))).paused is None
    paused = changed(V1, paused=True)
    answer = allowed(write(paused, changed(V2, paused=True)))
    assert (answer.paused, answer.annotations) == (None, {})


def test_the_resume_of_a_team_s_pause_is_gated() -> None:
    answer = allowed(write(changed(V2, paused=True), V2))
    assert (answer.paused, answer.annotations) == (True, {HOLD: H2})


@pytest.mark.parametrize("field", [{"replicas": 9}, {"minReadySeconds": 5}])
def test_scale_and_the_like_pass_during_a_hold(field: dict[str, int]) -> None:
    answer = allowed(write(HELD, changed(HELD, **field)))
    assert (answer.paused, answer.annotations) == (None, {})


def test_a_command_is_signed_with_who_asked() -> None:
    answer = allowed(write(HELD, annotated(HELD, {Command.PROMOTE: "now"})))
    assert answer.annotations == {REQUESTED_BY: "alice"}


def test_a_signature_cannot_be_forged() -> None:
    forged = annotated(HELD, {Command.PROMOTE: "now", REQUESTED_BY: "bob"})
    assert allowed(write(HELD, forged)).annotations == {REQUESTED_BY: "alice"}


@pytest.mark.parametrize("mark", [HOLD, STABLE, PROMOTING, REFUSED, REFUSED_WHY])
def test_our_marks_cannot_be_edited(mark: str) -> None:
    answer = allowed(write(V1, annotated(V1, {mark: "x"})))
    assert answer.annotations == {mark: None}


def test_an_internal_error_holds() -> None:
    answer = bare_hold("web")
    assert answer.paused is True
    assert HOLD in answer.annotations
