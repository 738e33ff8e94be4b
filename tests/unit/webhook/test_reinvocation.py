"""The same write again, because another webhook changed the object after ours."""

import base64
import json
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass

import jsonpatch
from hypothesis import assume, given
from hypothesis import strategies as st

from canary.admission.creations import Creation, admit_creation
from canary.admission.facts import Allowances, Allowed, Answer, Write
from canary.admission.targets import admit
from canary.contract import (
    HOLD,
    INTERNAL_ANNOTATIONS,
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
from webhook.review import answer_write

V1, V2, V3 = (deployment(image=f"web:{n}") for n in (1, 2, 3))
H1, H2, H3 = (template_hash(obj["spec"]["template"]) for obj in (V1, V2, V3))
HELD = deployment(image="web:2", paused=True, annotations={HOLD: H2, STABLE: H1})
REFUSED_MARKS = {REFUSED: H2, REFUSED_WHY: "error-rate 20 > 1"}
ROLLING = deployment(image="web:2", annotations={PROMOTING: H2, STABLE: H1})


def write(old: Json, new: Json) -> Allowed:
    answer = admit(Write(old=old, new=new, user="alice"), Allowances(allow_opt_out=True))
    assert isinstance(answer, Allowed)
    return answer


def test_our_own_pause_is_not_taken_for_the_team_s() -> None:
    again = annotated(changed(V2, paused=True), {HOLD: H2, STABLE: H1})
    again["metadata"]["labels"] = {"owner": "shop"}
    answer = write(V1, again)
    assert (answer.outcome, answer.paused, answer.annotations) == ("held", None, {})


def test_a_template_that_was_changed_after_us_is_the_one_that_is_held() -> None:
    again = annotated(changed(V3, paused=True), {HOLD: H2, STABLE: H1})
    answer = write(V1, again)
    assert (answer.outcome, answer.paused, answer.annotations) == ("held", None, {HOLD: H3})


def test_a_template_that_was_put_back_after_us_is_held_no_more() -> None:
    again = annotated(changed(V1, paused=True), {HOLD: H2, STABLE: H1})
    answer = write(V1, again)
    assert answer.paused is False
    assert answer.annotations == {HOLD: None, STABLE: None}


def test_a_refused_version_stays_held_when_it_is_asked_about_again() -> None:
    old = annotated(V1, dict(REFUSED_MARKS))
    again = annotated(changed(V2, paused=True), {HOLD: H2, STABLE: H1, **REFUSED_MARKS})
    answer = write(old, again)
    assert (answer.outcome, answer.paused, answer.annotations) == ("refused-again", None, {})


def test_a_resume_that_we_have_held_is_no_pause_of_the_team() -> None:
    old = changed(V2, paused=True)
    answer = write(old, annotated(old, {HOLD: H2}))
    assert (answer.outcome, answer.paused, answer.annotations) == ("held", None, {})


def test_a_pause_that_comes_with_a_hold_of_somebody_s_making_is_no_pause_of_the_team() -> None:
    forged = annotated(changed(V1, paused=True), {HOLD: "x"})
    answer = write(V1, forged)
    assert answer.paused is False
    assert answer.annotations == {HOLD: None}


# --- over the whole table -----------------------------------------------------------------------


@dataclass(frozen=True)
class Wire:
    """One admission: the API server's object in, the object as it is patched out."""

    old: Json | None

    def __call__(self, new: Json) -> Json | None:
        """Return the new object with our patch, None if the write is denied."""
        if self.old is None:
            answer: Answer = admit_creation(Creation(new=new))
        else:
            policy = Allowances(allow_opt_out=True)
            answer = admit(Write(old=self.old, new=new, user="alice"), policy)
        response = json.loads(answer_write("u", new, answer))["response"]
        if not response["allowed"]:
            return None
        patch = base64.b64decode(response.get("patch", base64.b64encode(b"[]"))).decode()
        patched: Json = jsonpatch.apply_patch(new, patch)
        return patched


def gated(obj: Json) -> tuple[bool, dict[str, str]]:
    """Return the pause and the marks that say whose it is and what they speak of."""
    ours = set(INTERNAL_ANNOTATIONS) - {REQUESTED_BY, NOTE}
    notes = obj["metadata"].get("annotations") or {}
    return bool(obj["spec"].get("paused")), {k: v for k, v in notes.items() if k in ours}


templates = st.builds(
    lambda image, restart: deployment(
        image=image,
        template_annotations={"kubectl.kubernetes.io/restartedAt": restart} if restart else None,
    )["spec"]["template"],
    st.sampled_from(["web:1", "web:2", "web:3"]),
    st.sampled_from(["", "2026-01-01T00:00:00Z"]),
)
STANDING: dict[str, Json] = {
    "serving": V1,
    "paused by its team": changed(V2, paused=True),
    "held": HELD,
    "held, what serves is not known": annotated(HELD, {STABLE: None}),
    "held by an error": annotated(HELD, {HOLD: "unknown", STABLE: None}),
    "rolling": ROLLING,
    "half-way": {**V2, "status": {"observedGeneration": 1, "replicas": 5, "updatedReplicas": 2}},
}
REMEMBERED: dict[str, dict[str, str]] = {
    "nothing": {},
    "the held one refused": REFUSED_MARKS,
    "another refused": {REFUSED: H3, REFUSED_WHY: "slow"},
    "opted out": {OPT_OUT: "disabled"},
    "a command": {Command.PROMOTE: "now", REQUESTED_BY: "bob"},
}
olds = st.builds(
    lambda standing, remembered: annotated(STANDING[standing], {**REMEMBERED[remembered]}),
    st.sampled_from(list(STANDING)),
    st.sampled_from(list(REMEMBERED)),
)
brought = st.dictionaries(
    st.sampled_from([*INTERNAL_ANNOTATIONS, *Command, OPT_OUT, "other.dev/note"]),
    st.sampled_from([H1, H2, H3, "now", "disabled"]),
    max_size=3,
)


@st.composite
def writes(draw: st.DrawFn, old: Json) -> Json:
    """Change an object as somebody might who is not Headgate."""
    kept = draw(st.booleans())
    new = annotated(old if kept else {**old, "metadata": {**V1["metadata"]}}, {**draw(brought)})
    spec: Json = {}
    if draw(st.booleans()):
        spec["template"] = draw(templates)
    spec["replicas"] = draw(st.sampled_from([0, 4]))
    spec["strategy"] = {"type": draw(st.sampled_from(["RollingUpdate", "Recreate"]))}
    new = changed(new, **spec)
    paused = draw(st.sampled_from(["as it is", "left out", True, False]))
    if paused == "left out":
        new["spec"].pop("paused", None)
    elif paused != "as it is":
        new["spec"]["paused"] = paused
    return new


def labelled(obj: Json) -> Json:
    return {**obj, "metadata": {**obj["metadata"], "labels": {"owner": "shop"}}}


def pinned(obj: Json) -> Json:
    template = deepcopy(obj["spec"]["template"])
    for container in template["spec"]["containers"]:
        container["image"] = f"{container['image'].split('@')[0]}@sha256:0"
    return changed(obj, template=template)


OTHERS: dict[str, Callable[[Json], Json]] = {
    "labels the object": labelled,
    "annotates it": lambda obj: annotated(obj, {"owner.example/team": "shop"}),
    "pins the digest": pinned,
    "scales it": lambda obj: changed(obj, replicas=1),
    "asks for the first version": lambda obj: changed(obj, template=V1["spec"]["template"]),
    "asks for the second version": lambda obj: changed(obj, template=V2["spec"]["template"]),
    "changes the strategy": lambda obj: changed(obj, strategy={"type": "Recreate"}),
}


@given(st.data(), olds)
def test_our_own_answer_is_answered_with_no_change(data: st.DataObject, old: Json) -> None:
    admitted = Wire(old)
    first = admitted(data.draw(writes(old)))
    assume(first is not None)
    assert first is not None
    assert admitted(first) == first


@given(st.data(), olds, st.sampled_from(list(OTHERS)))
def test_what_another_webhook_did_is_judged_as_if_the_author_had_written_it(
    data: st.DataObject, old: Json, other: str
) -> None:
    admitted, asked = Wire(old), data.draw(writes(old))
    first, direct = admitted(asked), admitted(OTHERS[other](asked))
    assume(first is not None and direct is not None)
    assert first is not None
    assert direct is not None
    # Where the other webhook takes the change of the template back, a word that came with it and
    # was taken off would have counted by itself.
    touched = asked["spec"]["template"] != old["spec"]["template"]
    back = OTHERS[other](asked)["spec"]["template"] == old["spec"]["template"]
    assume(not (touched and back))
    again = admitted(OTHERS[other](first))
    assert again is not None
    assert gated(again) == gated(direct)


@given(st.data(), olds, st.sampled_from(list(OTHERS)))
def test_a_pause_that_is_stored_has_an_owner(data: st.DataObject, old: Json, other: str) -> None:
    """Ours has the mark of what it holds, and what is nobody's is not stored by us."""
    admitted, asked = Wire(old), data.draw(writes(old))
    first = admitted(asked)
    assume(first is not None)
    assert first is not None
    stored = admitted(OTHERS[other](first))
    assert stored is not None, "what has passed once is never denied"
    paused, marks = gated(stored)
    current = template_hash(stored["spec"]["template"])
    if HOLD in marks:
        assert paused
        same = current == template_hash(old["spec"]["template"])
        assert marks[HOLD] in {current, gated(old)[1].get(HOLD) if same else current}
    elif paused:
        assert asked["spec"]["paused"], "a pause without a hold is one that its team has written"


@given(st.data(), st.sampled_from(list(OTHERS)))
def test_a_creation_is_never_left_with_a_pause_of_ours(data: st.DataObject, other: str) -> None:
    admitted, asked = Wire(None), data.draw(olds.flatmap(writes))
    first = admitted(asked)
    assert first is not None
    assert admitted(first) == first
    again = admitted(OTHERS[other](first))
    assert again is not None
    paused, marks = gated(again)
    assert marks == {}
    assert not (paused and HOLD in (asked["metadata"].get("annotations") or {}))
    assert not set(Command) & set(again["metadata"].get("annotations") or {})
    assert again["metadata"].get("annotations", {}).get(NOTE) == (
        first["metadata"].get("annotations", {}).get(NOTE)
    )
