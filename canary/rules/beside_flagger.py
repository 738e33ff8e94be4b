"""What becomes of a hold where a Flagger works on the namespace: there is no run, and no Canary.

Flagger takes up every Canary that it meets: it would scale the target to 0 for a copy of its own.
"""

from canary.contract import HOLD, NAMESPACE_LABEL, REQUESTED_BY, STABLE, Command, Reason
from canary.model.signatures import giver_of
from canary.model.values import Key
from canary.model.world import Hold, OnUnsuitable, Target
from canary.rules.actions import Action, Emit, EndProgress, MarkTarget, Pause


def left_alone(key: Key, target: Target, flagger: str, then: OnUnsuitable) -> tuple[Action, ...]:
    """Return what is done with a target of which no run goes on; nothing where it is not held.

    Args:
        key: the target.
        target: as it is.
        flagger: what tells of the Flagger.
        then: what the admin wants for targets that can have no canary.

    """
    if target.hold is not Hold.OURS:
        return ()
    promoted = Command.PROMOTE in target.commands
    if promoted or then is OnUnsuitable.RELEASE:
        who = f" (promoted by {giver_of(target.requested_by, Command.PROMOTE)})" if promoted else ""
        message = f"{key} rolls out without analysis{who}: {flagger}"
        gone = (HOLD, STABLE, REQUESTED_BY, *sorted(map(str, target.commands)))
        return (
            Emit(str(Reason.FLAGGER), message, warning=True),
            MarkTarget(dict.fromkeys(gone), Pause.CLEARED),
        )
    message = (
        f"{key} stays held, and nothing is made for it: {flagger}, and Flagger would take it up. "
        f"Keep Flagger from this namespace, or take the label {NAMESPACE_LABEL} off it and resume "
        f"the Deployment. To release it unjudged: kubectl -n {key.namespace} annotate deployment "
        f"{key.name} {Command.PROMOTE}=now"
    )
    return (Emit(str(Reason.FLAGGER), message, warning=True), EndProgress(message))
