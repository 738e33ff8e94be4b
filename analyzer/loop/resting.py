"""What a target needs, by what the informers know of it and of its Canary alone."""

from analyzer.loop.course import goes_on
from analyzer.loop.records import state_of
from canary.contract import (
    HOLD,
    MANAGED_BY,
    MANAGED_BY_LABEL,
    PROMOTING,
    REFUSED,
    SEEN,
    STABLE,
    Reason,
)
from canary.model.commands import given
from canary.model.former import Identities
from canary.model.hashing import template_hash
from canary.model.state import Phase, current_state
from canary.model.values import Json
from canary.objects.conditions import carries_verdict
from canary.objects.workloads import annotations
from canary.rules.context import IDLE_PHASES


def is_nobodys_update(target: Json) -> bool:
    """Tell whether a template is ours to write, or is not rolled out while its team pauses it."""
    labels = target["metadata"].get("labels") or {}
    return labels.get(MANAGED_BY_LABEL) == MANAGED_BY or bool(target["spec"].get("paused"))


def carries_anothers_verdict(target: Json, canary: Json) -> bool:
    """Tell whether a held target still shows the verdict on a candidate of before."""
    notes, template = annotations(target), target["spec"]["template"]
    if HOLD not in notes or not carries_verdict(target):
        return False
    known, candidate = Identities((template,)), template_hash(template)
    judged = current_state(state_of(canary), known).candidate
    return candidate not in {judged, known.current(notes.get(REFUSED, ""))}


def is_under_way(target: Json, canary: Json | None) -> bool:
    """Tell whether something of ours is under way at a target, which is brought to its end."""
    if PROMOTING in annotations(target):
        return True
    return canary is not None and goes_on(state_of(canary), target)


def rests(target: Json, canary: Json | None, *, enabled: bool) -> bool:
    """Tell whether a target needs nothing, by what the informers know; a doubt means no."""
    notes = annotations(target)
    marked = HOLD in notes or PROMOTING in notes or STABLE in notes
    # Where a Canary remembers what was seen, the mark goes.
    marked = marked or (SEEN in notes and canary is not None)
    if marked or given(notes):
        return False
    if canary is None:
        return True
    template = target["spec"]["template"]
    state = current_state(state_of(canary), Identities((template,)))
    if not enabled and state.changed_at is None:
        return True
    if state.target_uid not in {"", target["metadata"].get("uid")}:
        return False
    settled = state.phase is not Phase.SUCCEEDED or (state.post_rollout_called and not state.asked)
    return (
        state.phase in IDLE_PHASES
        and state.reason != Reason.NO_TARGET
        and settled
        and not state.alerts
        and not state.told
        and state.changed_at is not None
        and not target["spec"].get("paused")
        and state.stable == template_hash(template)
    )


def is_in_a_run(target: Json) -> bool:
    """Tell whether a target is held, or the version that was promoted is still the one it has.

    Args:
        target: the Deployment.

    """
    notes, template = annotations(target), target["spec"]["template"]
    promoted = Identities((template,)).current(notes.get(PROMOTING, ""))
    return HOLD in notes or promoted == template_hash(template)
