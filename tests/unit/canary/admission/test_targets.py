"""The table of the design, "what each write to a target means", row by row."""

import pytest

from canary.admission.facts import Allowances, Allowed, Answer, Denied, Write
from canary.admission.targets import admit, bare_hold
from canary.contract import (
    HOLD,
    NOTE,
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
RECREATED = deployment(image="web:2", strategy="Recreate")


def owned_by(obj: Json, kind: str, version: str, *, controller: bool = True) -> Json:
    owner = {"kind": kind, "apiVersion": version, "name": "web", "controller": controller}
    return {**obj, "metadata": {**obj["metadata"], "ownerReferences": [owner]}}


def owned(obj: Json, *, controller: bool) -> Json:
    return owned_by(obj, "Canary", "flagger.app/v1beta1", controller=controller)


def write(old: Json, new: Json, *, allow_opt_out: bool = False) -> Answer:
    return admit(Write(old=old, new=new, user="alice"), Allowances(allow_opt_out=allow_opt_out))


def allowed(answer: Answer) -> Allowed:
    assert isinstance(answer, Allowed)
    return answer


def test_a_changed_template_is_held_and_the_client_is_told() -> None:
    answer = allowed(write(V1, V2))
    assert answer.paused is True
    assert answer.annotations == {HOLD: H2, STABLE: H1}
    assert "kubectl get canary web -w" in answer.warnings[0]


def test_what_no_canary_can_judge_passes_with_a_warning() -> None:
    answer = allowed(write(V1, RECREATED))
    assert (answer.paused, answer.annotations) == (None, {})
    assert "Recreate" in answer.warnings[0]


@pytest.mark.parametrize("old", [V1, changed(V1, replicas=0)], ids=["scaled down", "at 0"])
def test_a_changed_template_at_0_replicas_is_held_like_any_other(old: Json) -> None:
    answer = allowed(write(old, changed(V2, replicas=0)))
    assert (answer.outcome, answer.paused) == ("held", True)
    assert answer.annotations == {HOLD: H2, STABLE: H1}


@pytest.mark.parametrize("allow", [True, False])
def test_the_opt_out_counts_only_where_the_admin_allows_it(*, allow: bool) -> None:
    out: dict[str, str | None] = {OPT_OUT: "disabled"}
    answer = allowed(write(annotated(V1, out), annotated(V2, out), allow_opt_out=allow))
    assert (answer.paused is None) is allow
    assert OPT_OUT not in answer.annotations


def test_an_opt_out_that_comes_with_a_template_does_not_count() -> None:
    answer = allowed(write(V1, annotated(V2, {OPT_OUT: "disabled"}), allow_opt_out=True))
    assert answer.paused is True
    assert answer.annotations == {HOLD: H2, STABLE: H1, OPT_OUT: None}
    assert OPT_OUT in answer.warnings[1]


@pytest.mark.parametrize(("before", "after"), [("enabled", "disabled"), ("disabled", "enabled")])
def test_an_opt_out_that_is_changed_with_a_template_is_taken_off(before: str, after: str) -> None:
    old, new = annotated(V1, {OPT_OUT: before}), annotated(V2, {OPT_OUT: after})
    answer = allowed(write(old, new, allow_opt_out=True))
    assert (answer.paused, answer.annotations[OPT_OUT]) == (True, None)


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
    assert answer.annotations == {HOLD: H3, PROMOTING: None}, "nothing rolls any more"


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


WAYS_AROUND = {
    "at 0 replicas": changed(V2, replicas=0),
    "with Recreate": deployment(image="web:2", strategy="Recreate"),
    "opted out": annotated(V2, {OPT_OUT: "disabled"}),
}


@pytest.mark.parametrize("way", WAYS_AROUND)
def test_no_way_around_lets_a_refused_version_through(way: str) -> None:
    old = annotated(V1, {**REFUSED_MARKS, OPT_OUT: "disabled"})
    new = annotated(WAYS_AROUND[way], {**REFUSED_MARKS, OPT_OUT: "disabled"})
    answer = allowed(write(old, new, allow_opt_out=True))
    assert (answer.outcome, answer.paused) == ("refused-again", True)
    assert answer.annotations == {HOLD: H2, STABLE: H1}
    assert "error-rate 20 > 1" in answer.warnings[0]


@pytest.mark.parametrize("way", WAYS_AROUND)
def test_a_refused_version_that_is_held_stays_so_by_every_way_around(way: str) -> None:
    marks = {HOLD: H2, STABLE: H1, **REFUSED_MARKS, OPT_OUT: "disabled"}
    old = annotated(HELD, dict(marks))
    new = annotated(changed(WAYS_AROUND[way], paused=True), dict(marks))
    answer = allowed(write(old, new, allow_opt_out=True))
    assert (answer.outcome, answer.paused, answer.annotations) == ("refused-again", None, {})


def test_a_refused_version_is_gated_when_its_team_resumes() -> None:
    old = annotated(changed(V2, paused=True), dict(REFUSED_MARKS))
    answer = allowed(write(old, annotated(V2, dict(REFUSED_MARKS))))
    assert (answer.outcome, answer.paused) == ("refused-again", True)


def test_a_restart_with_no_run_passes_natively() -> None:
    restart = {"kubectl.kubernetes.io/restartedAt": "2026-01-01T00:00:00Z"}
    answer = allowed(write(V1, deployment(template_annotations=restart)))
    assert (answer.paused, answer.annotations, answer.warnings) == (None, {}, ())


def test_a_resume_of_a_held_target_is_refused_with_the_two_ways() -> None:
    answer = write(HELD, changed(HELD, paused=False))
    assert isinstance(answer, Denied)
    assert str(Command.PROMOTE) in answer.message
    assert str(Command.ABORT) in answer.message


def test_the_denial_of_a_refused_version_says_so_and_what_there_is_to_do() -> None:
    refused = annotated(HELD, dict(REFUSED_MARKS))
    answer = write(refused, changed(refused, paused=False))
    assert isinstance(answer, Denied)
    assert "is judged" not in answer.message
    assert "was refused: error-rate 20 > 1" in answer.message
    assert str(Command.RETRY) in answer.message
    assert str(Command.PROMOTE) in answer.message
    assert str(Command.ABORT) not in answer.message, "it has ended already"
    assert "kubectl set image" in answer.message


def test_only_a_write_whose_sole_change_is_the_pause_is_denied() -> None:
    resumed = changed(HELD, paused=False)
    resumed["metadata"] |= {"resourceVersion": "9", "generation": 7, "managedFields": [{}]}
    assert isinstance(write(HELD, resumed), Denied)


@pytest.mark.parametrize(
    "new",
    [
        changed(HELD, paused=False, replicas=9),
        changed(annotated(HELD, {"operator/loop": "4"}), paused=False),
        {**HELD, "metadata": {**HELD["metadata"], "labels": {"a": "b"}}}
        | {"spec": {k: v for k, v in HELD["spec"].items() if k != "paused"}},
    ],
    ids=["replicas", "annotation", "label, pause left out"],
)
def test_an_operator_that_puts_back_what_it_read_keeps_the_pause(new: Json) -> None:
    answer = allowed(write(HELD, new))
    assert (answer.outcome, answer.paused, answer.annotations) == ("held-still", True, {})
    assert "stays paused" in answer.warnings[0]


def test_an_operator_that_puts_a_third_version_keeps_the_pause() -> None:
    new = changed(HELD, paused=False, template=V3["spec"]["template"])
    answer = allowed(write(HELD, new))
    assert (answer.outcome, answer.paused, answer.annotations) == ("superseded", True, {HOLD: H3})
    assert answer.warnings


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


@pytest.mark.parametrize(
    "status",
    [
        {"observedGeneration": 1, "replicas": 5, "updatedReplicas": 2},
        {"observedGeneration": 1, "replicas": 4},
    ],
    ids=["half-way", "not begun"],
)
def test_what_serves_is_left_open_while_an_ungated_rollout_is_half_way(status: Json) -> None:
    answer = allowed(write({**V2, "status": status}, {**V3, "status": status}))
    assert (answer.outcome, answer.paused, answer.annotations) == ("held", True, {HOLD: H3})


@pytest.mark.parametrize(
    "status",
    [
        {},
        {"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2},
        {"observedGeneration": 1},
        {"observedGeneration": 0, "replicas": 4, "updatedReplicas": 4},
    ],
    ids=["nothing known", "scaling up", "0 replicas", "behind, after an annotation"],
)
def test_what_serves_is_the_old_template_where_all_pods_are_of_it(status: Json) -> None:
    answer = allowed(write({**V1, "status": status}, V2))
    assert answer.annotations == {HOLD: H2, STABLE: H1}


def test_a_half_way_rollout_goes_on_while_nothing_else_changes() -> None:
    half = {**V2, "status": {"observedGeneration": 1, "replicas": 5, "updatedReplicas": 2}}
    answer = allowed(write(half, annotated(half, {Command.PAUSE: "now"})))
    assert (answer.outcome, answer.paused) == ("unchanged", None)


@pytest.mark.parametrize("controller", [True, False])
def test_what_a_flagger_owns_passes(*, controller: bool) -> None:
    primary, newer = owned(V1, controller=controller), owned(V2, controller=controller)
    answer = allowed(write(primary, newer))
    assert (answer.outcome, answer.paused, answer.annotations) == ("flagger", None, {})


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (V1, {"kind": "Canary", "apiVersion": "flagger.app/v1beta1"}),
        (
            owned_by(V1, "Canary", "example.com/v1"),
            {"kind": "Canary", "apiVersion": "example.com/v1"},
        ),
        (
            owned_by(V1, "Thing", "flagger.app/v1"),
            {"kind": "Thing", "apiVersion": "flagger.app/v1"},
        ),
        (
            owned_by(V1, "Canary", "flagger.app.x/v1"),
            {"kind": "Canary", "apiVersion": "flagger.app.x/v1"},
        ),
    ],
    ids=["an owner that the write brings", "another group", "another kind", "a longer group"],
)
def test_no_other_owner_gets_past_the_gate(old: Json, new: Json) -> None:
    answer = allowed(write(old, owned_by(V2, new["kind"], new["apiVersion"])))
    assert (answer.outcome, answer.paused) == ("held", True)


@pytest.mark.parametrize("field", [{"replicas": 9}, {"minReadySeconds": 5}])
def test_scale_and_the_like_pass_during_a_hold(field: dict[str, int]) -> None:
    answer = allowed(write(HELD, changed(HELD, **field)))
    assert (answer.paused, answer.annotations) == (None, {})


def test_a_command_is_signed_with_who_asked() -> None:
    answer = allowed(write(HELD, annotated(HELD, {Command.PROMOTE: "now"})))
    assert answer.annotations == {REQUESTED_BY: "alice"}


@pytest.mark.parametrize("command", [Command.PROMOTE, Command.ABORT, Command.RETRY])
def test_a_command_that_says_no_is_nobodys_and_its_author_is_told(command: Command) -> None:
    answer = allowed(write(HELD, annotated(HELD, {command: "false"})))
    assert answer.annotations == {}
    why = f"{command}=false asks for nothing; what does is {command}=now"
    assert answer.warnings == (f"headgate: web: {why}",)


def test_a_signature_cannot_be_forged() -> None:
    forged = annotated(HELD, {Command.PROMOTE: "now", REQUESTED_BY: "bob"})
    assert allowed(write(HELD, forged)).annotations == {REQUESTED_BY: "alice"}


@pytest.mark.parametrize("mark", [NOTE, HOLD, STABLE, PROMOTING, REFUSED, REFUSED_WHY])
def test_our_marks_cannot_be_edited(mark: str) -> None:
    answer = allowed(write(V1, annotated(V1, {mark: "x"})))
    assert answer.annotations == {mark: None}


def test_an_internal_error_holds() -> None:
    answer = bare_hold("web")
    assert answer.paused is True
    assert HOLD in answer.annotations
