"""What the creation of a target means: it passes, without what a copy of another one brings.

A saved copy of a held Deployment (`replace --force`, a restore, a clone) asks for a pause that
nobody would end: no ReplicaSet serves, so that no run can end either.
"""

from dataclasses import dataclass, replace

from canary.admission.facts import Allowed, marks_of, name_of
from canary.contract import COMMANDS, HOLD, INTERNAL_ANNOTATIONS, NOTE, REFUSED, REFUSED_WHY, SEEN
from canary.model.former import Identities
from canary.model.hashing import template_hash
from canary.model.keys import unknown_on_target
from canary.model.values import Json

_NOT_LEFT = (*(mark for mark in INTERNAL_ANNOTATIONS if mark != NOTE), *sorted(COMMANDS))


@dataclass(frozen=True, slots=True, kw_only=True)
class Creation:
    """One CREATE of a Deployment, as the API server sends it for review."""

    new: Json


def admit_creation(creation: Creation) -> Allowed:
    """Answer one creation.

    A pause without a hold mark is the team's own and stays. What was said already stays too, since
    the API server asks again when another webhook changes the object after this one.

    Args:
        creation: the new object, defaulted. Its name may not be given yet.

    """
    answer = _admit(creation.new)
    unknown = unknown_on_target(marks_of(creation.new))
    said = (f"headgate: {name_of(creation.new)}: {text}" for text in unknown)
    return replace(answer, warnings=(*answer.warnings, *said))


def _admit(new: Json) -> Allowed:
    marks = marks_of(new)
    brought = [key for key in _NOT_LEFT if key in marks]
    if not brought:
        return Allowed(outcome="created")
    paused, gone = _without(new, brought)
    said = _said(new, marks)
    if not said and brought == [SEEN]:
        return Allowed(outcome="created", annotations=gone)
    if not said:
        why = f"because they are another Deployment's: {', '.join(brought)}"
        warning = f"headgate: taken off {name_of(new)}, {why}"
        return Allowed(outcome="copied", annotations=gone, warnings=(warning,))
    return Allowed(
        outcome="copied-held",
        paused=paused,
        annotations={**gone, NOTE: said},
        warnings=(f"headgate: {said}",),
    )


def bare_creation(new: Json) -> Allowed:
    """Let a creation pass that could not be judged, without our marks and a pause of ours."""
    metadata = new.get("metadata")
    annotations = metadata.get("annotations") if isinstance(metadata, dict) else None
    found = annotations if isinstance(annotations, dict) else {}
    paused, gone = _without(new, [key for key in _NOT_LEFT if key in found])
    return Allowed(outcome="error", paused=paused, annotations=gone)


def _without(new: Json, brought: list[str]) -> tuple[bool | None, dict[str, str | None]]:
    """Return what becomes of the pause, and the annotations that go."""
    ours = HOLD in brought and bool(new["spec"].get("paused"))
    return False if ours else None, dict.fromkeys(brought)


def _said(new: Json, marks: dict[str, str]) -> str:
    """Say what starts, if Headgate kept it from starting where the copy was made; else nothing."""
    template = new["spec"]["template"]
    images = ", ".join(each["image"] for each in template["spec"]["containers"])
    starts = f"{name_of(new)} is made from a copy and starts with {images}"
    if Identities((template,)).current(marks.get(REFUSED, "")) == template_hash(template):
        return f"{starts}, which was refused: {marks.get(REFUSED_WHY, 'no reason is left')}"
    if HOLD in marks and new["spec"].get("paused"):
        return f"{starts}, which was held there and not judged to its end"
    return ""
