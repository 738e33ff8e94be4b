"""The mark by which an ungated update is told: nobody else writes it, nothing brings it back."""

import pytest

from canary.admission.targets import Allowances, Allowed, Write, admit
from canary.contract import HOLD, SEEN, STABLE
from canary.model.hashing import template_hash
from tests.fakes.objects import Json, annotated, deployment

V1, V2 = deployment(image="web:1"), deployment(image="web:2")
H1, H2 = (template_hash(obj["spec"]["template"]) for obj in (V1, V2))
SEEN_V1 = annotated(V1, {SEEN: H1})


def marks(old: Json, new: Json) -> dict[str, str | None]:
    answer = admit(Write(old=old, new=new, user="alice"), Allowances())
    assert isinstance(answer, Allowed)
    return answer.annotations


@pytest.mark.parametrize(
    "new",
    [V1, annotated(V1, {SEEN: "another"}), annotated(V1, {SEEN: None})],
    ids=["a full replace drops it", "somebody edits it", "somebody takes it off"],
)
def test_the_mark_is_put_back(new: Json) -> None:
    assert marks(SEEN_V1, new) == {SEEN: H1}


def test_a_rollout_undo_brings_no_old_mark_back() -> None:
    now = annotated(V2, {SEEN: H2})
    assert marks(now, SEEN_V1) == {HOLD: H1, STABLE: H2, SEEN: H2}


def test_nobody_gives_himself_a_mark() -> None:
    assert marks(V1, SEEN_V1) == {SEEN: None}
