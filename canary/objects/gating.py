"""Gates and approvals as the status of a Canary keeps them."""

from datetime import timedelta
from typing import Any, Final

from canary.model.gating import Approval, Gate
from canary.model.state import State
from canary.model.strategy import GATES, HookType
from canary.model.values import Json
from canary.objects import recorded

_LONGEST: Final = timedelta(days=36_500)
"""What is added to a moment leaves the calendar beyond it."""


def gating_of(run: Json) -> dict[str, Any]:
    """Return the fields of a state that are about gates; what cannot be read is left out.

    Args:
        run: `Canary.status.run`.

    """
    seconds = recorded.number(run.get("gatesTook")) or 0.0
    return {
        "gate": _gate(recorded.mapping(run.get("gate"))),
        "gates_took": timedelta(seconds=min(max(0.0, seconds), _LONGEST.total_seconds())),
        "approved": tuple(
            Approval(hook=hook, by=recorded.text(entry.get("by")))
            for entry in recorded.mappings(run.get("approved"))
            if (hook := recorded.text(entry.get("hook")))
        ),
    }


def dumped(state: State) -> Json:
    """Return the same fields as they are stored, None where one is to be taken away."""
    approved = [{"hook": one.hook, "by": one.by} for one in state.approved]
    return {
        "gate": _dump(state.gate),
        "gatesTook": state.gates_took.total_seconds() or None,
        "approved": approved or None,
    }


def _gate(entry: Json) -> Gate | None:
    kind, since = recorded.text(entry.get("kind")), recorded.moment(entry.get("since"))
    if kind not in GATES or since is None:
        return None
    return Gate(
        kind=HookType(kind),
        since=since,
        told=bool(entry.get("told")),
        ready=bool(entry.get("ready")),
        faults=recorded.texts(entry.get("faults")),
    )


def _dump(gate: Gate | None) -> Json | None:
    if gate is None:
        return None
    return {
        "kind": str(gate.kind),
        "since": gate.since.isoformat(),
        "told": gate.told,
        "ready": gate.ready,
        "faults": list(gate.faults),
    }
