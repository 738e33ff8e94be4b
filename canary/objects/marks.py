"""Patches of a target's marks and pause, and what of a target a decision rests on."""

from collections.abc import Mapping

from canary.contract import INTERNAL_ANNOTATIONS, REFUSED, REFUSED_WHY
from canary.model.hashing import template_hash
from canary.model.state import State
from canary.model.values import Json
from canary.objects.workloads import annotations
from canary.rules.actions import MAX_WHY, Pause


def marked(marks: Mapping[str, str | None], pause: Pause = Pause.STANDS) -> Json:
    """Return the patch that sets annotations, removes those that are None, and settles the pause.

    Args:
        marks: by annotation.
        pause: what becomes of `spec.paused`.

    """
    patch: Json = {"metadata": {"annotations": dict(marks)}}
    if pause is Pause.STANDS:
        return patch
    return {**patch, "spec": {"paused": True if pause is Pause.SET else None}}


def refused_marks(target: Json, state: State, message: str) -> dict[str, str | None]:
    """Return what a target is to remember of the candidate that was refused last.

    Why it was refused is what its own run has shown: that it comes again is no other reason.

    Args:
        target: the Deployment as it is stored.
        state: of the run that has ended.
        message: its verdict.

    """
    notes = annotations(target)
    known = notes.get(REFUSED) == state.candidate and REFUSED_WHY in notes
    why = notes[REFUSED_WHY] if known else message[:MAX_WHY]
    return {REFUSED: state.candidate, REFUSED_WHY: why}


def decided_on(target: Json) -> tuple[str | None, ...]:
    """Return what a decision about a target rests on: template, pause, marks."""
    notes, spec = annotations(target), target["spec"]
    marks = (notes.get(mark) for mark in INTERNAL_ANNOTATIONS)
    return (template_hash(spec["template"]), str(bool(spec.get("paused"))), *marks)
