"""Opens a gate for the version that a person has seen waiting at it: the one thing it writes."""

from typing import Final

from canary.contract import HOLD, Command
from canary.model.strategy import GATES
from canary.model.values import Json
from canary.objects.status import state_from_status
from kubectl_headgate.faults import Unreadable
from runtime.errors import NotFound
from runtime.resources import DEPLOYMENTS
from runtime.writes import Overtaken, Swappable, patched

ANY: Final = "*"


async def approve(cluster: Swappable, canary: Json, gate: str) -> str:
    """Write the approval and return what was done, in words.

    Args:
        cluster: the API server, with the rights of the person.
        canary: of the target.
        gate: name of the hook, "" for the gate that the run waits at.

    Raises:
        Unreadable: there is no such gate, or the version is another one by now.
        ApiError: the API server does not let it be written.

    """
    namespace, name = canary["metadata"]["namespace"], canary["spec"]["targetRef"]["name"]
    wanted = _wanted(canary, gate)
    try:
        target = await cluster.get(DEPLOYMENTS, namespace, name)
        held = _hold(target)
        if not held:
            raise Unreadable(f"no version of {namespace}/{name} is held: nothing is to be approved")
        patch = {"metadata": {"annotations": {str(Command.APPROVE): wanted}}}
        await patched(
            cluster,
            DEPLOYMENTS,
            target,
            lambda _: patch,
            still=lambda newer: _hold(newer) == held,
        )
    except NotFound:
        raise Unreadable(f"Deployment {namespace}/{name} does not exist") from None
    except Overtaken:
        raise Unreadable(
            f"{namespace}/{name} was changed meanwhile: look at its version and approve again"
        ) from None
    which = "the gate that it waits at" if wanted == ANY else f"gate {wanted}"
    return f"{namespace}/{name}: {which} is approved for version {held}"


def _wanted(canary: Json, gate: str) -> str:
    """Return what the annotation is to say, where that is a gate at all."""
    known = [
        hook["name"]
        for hook in (canary["spec"].get("analysis") or {}).get("webhooks") or ()
        if hook.get("type") in GATES
    ]
    listed = f"its gates are {', '.join(known)}" if known else "it has no gates"
    if gate and gate != ANY:
        if gate not in known:
            raise Unreadable(f"{gate} is no gate; {listed}")
        return gate
    if state_from_status(canary.get("status") or {}).gate is None:
        raise Unreadable(f"no gate waits; {listed}, and one that is named can be opened before")
    return ANY


def _hold(target: Json) -> str:
    return str((target["metadata"].get("annotations") or {}).get(HOLD, ""))
