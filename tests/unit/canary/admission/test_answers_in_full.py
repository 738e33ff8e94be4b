"""What is answered, word for word: people read the texts, and dashboards count by the outcomes."""

from typing import Any

import pytest

from canary.admission.creations import Creation, admit_creation, bare_creation
from canary.admission.facts import Allowances, Allowed, Denied, Write
from canary.admission.targets import admit, bare_hold
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
from canary.model.hashing import template_hash
from tests.fakes.objects import Json, annotated, changed, deployment

V1, V2, V3 = (deployment(image=f"web:{n}") for n in (1, 2, 3))
H1, H2, H3 = (template_hash(obj["spec"]["template"]) for obj in (V1, V2, V3))
HELD = deployment(image="web:2", paused=True, annotations={HOLD: H2, STABLE: H1})
ROLLING = deployment(image="web:2", annotations={PROMOTING: H2, STABLE: H1})
WHY = "error-rate 20 > 1"
REFUSED_MARKS: dict[str, str | None] = {REFUSED: H2, REFUSED_WHY: WHY}
REFUSED_HELD = annotated(HELD, REFUSED_MARKS)
FLAGGERS = {"kind": "Canary", "apiVersion": "flagger.app/v1beta1", "name": "web"}


def owned(obj: Json, *owners: Json) -> Json:
    return {**obj, "metadata": {**obj["metadata"], "ownerReferences": list(owners)}}


def write(old: Json, new: Json, *, allow_opt_out: bool = False) -> Allowed | Denied:
    return admit(Write(old=old, new=new, user="alice"), Allowances(allow_opt_out=allow_opt_out))


FOLLOW = "headgate: held as a canary; follow it with: kubectl get canary web -w"
STAYS = (
    "headgate: web stays paused: its new version is held; kubectl get canary web says how far it is"
)
BACK = "headgate: web is back on its stable template; the canary ends"
NEWER = "headgate: a newer version of web: the canary starts again with it"
AGAIN = (
    "headgate: to try it once more: kubectl annotate deployment web headgate.dev/retry=now; "
    "to go back: set the previous image"
)
STAYS_HELD = f"headgate: this version of web was refused and stays held: {WHY}"
OUT: dict[str, str | None] = {OPT_OUT: "disabled"}

PASSES: dict[str, tuple[Json, Json, Allowed]] = {
    "a new template": (
        V1,
        V2,
        Allowed(
            outcome="held",
            paused=True,
            annotations={HOLD: H2, STABLE: H1},
            warnings=(FOLLOW,),
        ),
    ),
    "nothing that could be judged": (
        V1,
        changed(V1, replicas=9),
        Allowed(outcome="unchanged"),
    ),
    "a pause of the team": (
        changed(V1, paused=True),
        changed(V2, paused=True),
        Allowed(outcome="paused-by-team"),
    ),
    "Recreate": (
        V1,
        deployment(image="web:2", strategy="Recreate"),
        Allowed(
            outcome="ungated",
            warnings=("headgate: web is not gated, because its strategy is Recreate",),
        ),
    ),
    "Flagger's": (
        owned(V1, {"kind": "ReplicaSet", "apiVersion": "apps/v1"}, FLAGGERS),
        owned(V2, {"kind": "ReplicaSet", "apiVersion": "apps/v1"}, FLAGGERS),
        Allowed(outcome="flagger"),
    ),
    "Flagger's that is held": (
        owned(HELD, FLAGGERS),
        owned(HELD, FLAGGERS),
        Allowed(outcome="held-still"),
    ),
    "back to the stable one": (
        HELD,
        changed(HELD, template=V1["spec"]["template"]),
        Allowed(
            outcome="reverted",
            paused=False,
            annotations={HOLD: None, STABLE: None},
            warnings=(BACK,),
        ),
    ),
    "back while it rolls": (
        ROLLING,
        changed(ROLLING, template=V1["spec"]["template"]),
        Allowed(
            outcome="reverted",
            annotations={STABLE: None, PROMOTING: None},
            warnings=(BACK,),
        ),
    ),
    "a third one": (
        HELD,
        changed(HELD, template=V3["spec"]["template"]),
        Allowed(outcome="superseded", annotations={HOLD: H3}, warnings=(NEWER,)),
    ),
    "the refused one again": (
        REFUSED_HELD,
        REFUSED_HELD,
        Allowed(outcome="refused-again", warnings=(STAYS_HELD, AGAIN)),
    ),
    "a refused one whose reason is lost": (
        annotated(V1, {REFUSED: H2}),
        annotated(V2, {REFUSED: H2}),
        Allowed(
            outcome="refused-again",
            paused=True,
            annotations={HOLD: H2, STABLE: H1},
            warnings=(STAYS_HELD.replace(WHY, "it was refused"), AGAIN),
        ),
    ),
    "a resume with something else": (
        HELD,
        changed(HELD, paused=False, replicas=9),
        Allowed(outcome="held-still", paused=True, warnings=(STAYS,)),
    ),
    "a replace without our fields": (
        HELD,
        V2,
        Allowed(outcome="held-still", paused=True, annotations={HOLD: H2, STABLE: H1}),
    ),
    "two things that come with a template": (
        V1,
        annotated(V2, {**OUT, Command.PROMOTE: "now"}),
        Allowed(
            outcome="held",
            paused=True,
            annotations={HOLD: H2, STABLE: H1, OPT_OUT: None, Command.PROMOTE: None},
            warnings=(
                FOLLOW,
                (
                    "headgate: taken off web, because nothing but a version comes with a change of "
                    "the template: headgate.dev/canary, headgate.dev/promote"
                ),
            ),
        ),
    ),
}


@pytest.mark.parametrize("case", PASSES)
def test_a_write_that_passes(case: str) -> None:
    old, new, answer = PASSES[case]
    assert write(old, new) == answer


def test_the_opt_out_where_the_admin_allows_it() -> None:
    answer = write(annotated(V1, OUT), annotated(V2, OUT), allow_opt_out=True)
    assert answer == Allowed(outcome="opted-out")


def test_unless_it_is_allowed_the_opt_out_counts_for_nothing() -> None:
    answer = admit(Write(old=annotated(V1, OUT), new=annotated(V2, OUT)), Allowances())
    assert isinstance(answer, Allowed)
    assert answer.outcome == "held"


def test_a_resume_that_is_denied_says_each_way_on() -> None:
    assert write(HELD, changed(HELD, paused=False)) == Denied(
        message=(
            "deployment web is held by Headgate while its new version is judged. "
            "To release it without waiting: kubectl annotate deployment web "
            "headgate.dev/promote=now. To give it up: kubectl annotate deployment web "
            "headgate.dev/abort=now, or set the previous image again "
            "(kubectl set image deployment/web ..., in place of kubectl rollout undo)"
        ),
        outcome="denied",
    )


def test_the_resume_of_a_refused_version_says_each_way_on() -> None:
    assert write(REFUSED_HELD, changed(REFUSED_HELD, paused=False)) == Denied(
        message=(
            "deployment web is held by Headgate because its new version was refused: "
            "error-rate 20 > 1. The version before it serves. To go back to that one: set its "
            "image again (kubectl set image deployment/web ..., in place of kubectl rollout "
            "undo). To try the refused one once more: kubectl annotate deployment web "
            "headgate.dev/retry=now. To release it all the same: kubectl annotate deployment "
            "web headgate.dev/promote=now. To restart the pods that serve (in place of "
            "kubectl rollout restart): delete them one after the other"
        ),
        outcome="denied",
    )


def test_what_could_not_be_judged() -> None:
    assert bare_hold("web") == Allowed(
        outcome="error-held",
        paused=True,
        annotations={HOLD: "unknown"},
        warnings=("headgate: an internal error; deployment web is held to be safe",),
    )


STARTS = "web is made from a copy and starts with web:2"
LOST: dict[str, str | None] = {HOLD: None, STABLE: None}
CREATED: dict[str, tuple[Json, Allowed]] = {
    "plain": (V1, Allowed(outcome="created")),
    "seen": (
        annotated(V1, {SEEN: H1}),
        Allowed(outcome="created", annotations={SEEN: None}),
    ),
    "with others' marks": (
        annotated(V1, {STABLE: H2, PROMOTING: H2}),
        Allowed(
            outcome="copied",
            annotations={STABLE: None, PROMOTING: None},
            warnings=(
                (
                    "headgate: taken off web, because they are another Deployment's: "
                    f"{STABLE}, {PROMOTING}"
                ),
            ),
        ),
    ),
    "with a hold and no pause": (
        annotated(V2, {HOLD: H2}),
        Allowed(
            outcome="copied",
            annotations={HOLD: None},
            warnings=(f"headgate: taken off web, because they are another Deployment's: {HOLD}",),
        ),
    ),
    "of a held one": (
        HELD,
        Allowed(
            outcome="copied-held",
            paused=False,
            annotations={
                **LOST,
                NOTE: f"{STARTS}, which was held there and not judged to its end",
            },
            warnings=(f"headgate: {STARTS}, which was held there and not judged to its end",),
        ),
    ),
    "of a refused one": (
        REFUSED_HELD,
        Allowed(
            outcome="copied-held",
            paused=False,
            annotations={
                **LOST,
                REFUSED: None,
                REFUSED_WHY: None,
                NOTE: f"{STARTS}, which was refused: {WHY}",
            },
            warnings=(f"headgate: {STARTS}, which was refused: {WHY}",),
        ),
    ),
    "of a refused one whose reason is lost": (
        annotated(V2, {REFUSED: H2}),
        Allowed(
            outcome="copied-held",
            annotations={
                REFUSED: None,
                NOTE: f"{STARTS}, which was refused: no reason is left",
            },
            warnings=(f"headgate: {STARTS}, which was refused: no reason is left",),
        ),
    ),
}


@pytest.mark.parametrize("case", CREATED)
def test_a_creation(case: str) -> None:
    new, answer = CREATED[case]
    assert admit_creation(Creation(new=new)) == answer


def test_every_image_of_a_copy_is_named() -> None:
    two = changed(HELD)
    two["spec"]["template"]["spec"]["containers"].append({"name": "side", "image": "proxy:7"})
    answer = admit_creation(Creation(new=two))
    assert "starts with web:2, proxy:7, which was held" in answer.warnings[0]


def test_a_thing_without_a_name_is_called_by_what_generates_it() -> None:
    clone = changed(HELD)
    del clone["metadata"]["name"]
    assert "headgate: ... is made from a copy" in admit_creation(Creation(new=clone)).warnings[0]


@pytest.mark.parametrize("metadata", ["no object", None, {}, {"annotations": "none"}], ids=str)
def test_a_creation_whose_marks_cannot_be_read_is_left_alone(metadata: Any) -> None:
    answer = bare_creation({"metadata": metadata, "spec": {"paused": True}})
    assert answer == Allowed(outcome="error")


def test_a_creation_that_cannot_be_judged_loses_our_marks() -> None:
    answer = bare_creation(changed(HELD, template=None))
    assert answer == Allowed(outcome="error", paused=False, annotations=LOST)


KUBECTL = "kubectl-client-side-apply"
PAUSED: Json = {"f:spec": {"f:paused": {}}}
MANAGERS: dict[str, tuple[list[Json], bool]] = {
    "none": ([], False),
    "an apply that says it": ([{"operation": "Apply", "manager": "x", "fieldsV1": PAUSED}], True),
    "kubectl's apply": ([{"operation": "Update", "manager": KUBECTL, "fieldsV1": PAUSED}], True),
    "an edit": ([{"operation": "Update", "manager": "kubectl-edit", "fieldsV1": PAUSED}], False),
    "an apply of others": (
        [{"operation": "Apply", "manager": "x", "fieldsV1": {"f:spec": {"f:replicas": {}}}}],
        False,
    ),
    "an apply of metadata": (
        [{"operation": "Apply", "manager": "x", "fieldsV1": {"f:metadata": {}}}],
        False,
    ),
    "an apply of nothing": ([{"operation": "Apply", "manager": "x"}], False),
    "an edit before it": (
        [
            {"operation": "Update", "manager": "kubectl-edit", "fieldsV1": {}},
            {"operation": "Apply", "manager": "x", "fieldsV1": PAUSED},
        ],
        True,
    ),
}


@pytest.mark.parametrize("case", MANAGERS)
def test_a_bare_resume_is_denied_unless_a_manifest_says_it_each_time(case: str) -> None:
    managers, by_a_manifest = MANAGERS[case]
    new = changed(HELD, paused=False)
    new["metadata"]["managedFields"] = managers
    answer = write(HELD, new)
    assert isinstance(answer, Allowed if by_a_manifest else Denied)
    if isinstance(answer, Allowed):
        assert (answer.outcome, answer.paused) == ("held-still", True)


@pytest.mark.parametrize("command", Command)
def test_a_command_that_is_taken_back_takes_its_signature_with_it(command: Command) -> None:
    old = annotated(HELD, {command: "now", REQUESTED_BY: "bob"})
    answer = write(old, annotated(old, {command: None}))
    assert isinstance(answer, Allowed)
    assert answer.annotations == {REQUESTED_BY: None}


def test_a_command_that_is_given_with_another_value_is_signed_anew() -> None:
    old = annotated(HELD, {Command.PROMOTE: "now", REQUESTED_BY: "bob"})
    answer = write(old, annotated(old, {Command.PROMOTE: "please"}))
    assert isinstance(answer, Allowed)
    assert answer.annotations == {REQUESTED_BY: "alice"}


def test_a_target_without_a_strategy_or_a_status_is_gated_like_others() -> None:
    bare = {key: value for key, value in V2["spec"].items() if key != "strategy"}
    answer = write({**V1, "status": None}, {**V2, "spec": bare})
    assert isinstance(answer, Allowed)
    assert answer.annotations == {HOLD: H2, STABLE: H1}


def test_of_a_half_way_rollout_that_has_begun_with_nothing() -> None:
    """One pod, and none of the new ones: what serves is not known."""
    status = {"observedGeneration": 1, "replicas": 1}
    answer = write({**V2, "status": status}, V3)
    assert isinstance(answer, Allowed)
    assert answer.annotations == {HOLD: H3}


def test_a_promotion_that_has_ended_at_the_stable_template_is_no_revert() -> None:
    """The marks of a promotion stand a moment longer: no write but a change of version ends one."""
    rolled = annotated(V1, {PROMOTING: H2, STABLE: H1})
    assert write(rolled, changed(rolled, replicas=9)) == Allowed(outcome="unchanged")


def test_a_refused_version_that_rolls_out_all_the_same_is_not_held_by_any_write() -> None:
    running = annotated(V2, REFUSED_MARKS)
    assert write(running, changed(running, replicas=9)) == Allowed(outcome="unchanged")
    paused = changed(running, paused=True)
    assert write(running, paused) == Allowed(outcome="unchanged")
