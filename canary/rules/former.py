"""What a run has to know of the canary before it: whose samples may still be found by a query."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

from canary.contract import Reason
from canary.model.state import RUNNING_PHASES, Phase, State
from canary.model.world import CanaryAbsent, CanaryPod, CanaryPresent
from canary.rules.actions import (
    Action,
    Decision,
    DeleteCanary,
    Emit,
    EmptyForgotten,
    SaveState,
)
from canary.rules.context import Context

_MOST_GONE: Final = 200
"""Names of a run's pods that are remembered when the API server has forgotten them."""
_STORED_EVERY: Final = timedelta(seconds=5)
"""How old what is stored of pods that are still there may be."""
UNLEARNED: Final = timedelta(seconds=15)
"""How long after a pod was asked to go a gateway may still send to it; those who stay for longer
finish what they have. Contour had endpoints up to 12 s late (ADR 55)."""
COLLECTED: Final = timedelta(seconds=5)
"""How long the cluster may take to delete what a canary owned, before anybody else does."""
_LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)


def own_pods(canary: CanaryPresent, state: State) -> tuple[CanaryPod, ...]:
    """Return the pods of the present run's canary; one of before may have the same template."""
    began = state.started_at
    if began is None or canary.template_hash != state.candidate:
        return ()
    return tuple(pod for pod in canary.pods if pod.newest and pod.since(began))


def takes_over(canary: CanaryPresent, state: State) -> bool:
    """Tell whether pods of an earlier run serve in this one: it was of the same template."""
    own = own_pods(canary, state)
    return any(pod.newest and pod.stays and pod not in own for pod in canary.pods)


def ending(canary: CanaryAbsent | CanaryPresent, now: datetime) -> str:
    """Name a pod of another version that may answer still, as gateways learn late that it goes.

    Args:
        canary: with the pods that have the canary's labels.
        now: the time.

    """
    pods = canary.pods if isinstance(canary, CanaryPresent) else ()
    late = (
        pod.name
        for pod in pods
        if pod.left_at and not (pod.newest or pod.ended) and now - pod.left_at < UNLEARNED
    )
    return next(late, "")


def elsewhere(ctx: Context) -> str:
    """Say who answers in the canary's place, so that its share is not its own; "" for nobody."""
    return astray(ctx.observed.canary) or ctx.observed.outdated


def may_answer(canary: CanaryAbsent | CanaryPresent) -> frozenset[str]:
    """Return the names of the pods that a Service has reason to send requests to."""
    pods = canary.pods if isinstance(canary, CanaryPresent) else ()
    return frozenset(pod.name for pod in pods if pod.stays)


def astray(canary: CanaryAbsent | CanaryPresent) -> str:
    """Say which pod of a canary that has gone answers in this one's place; "" for none."""
    pods = canary.pods if isinstance(canary, CanaryPresent) else ()
    name = next((pod.name for pod in pods if pod.astray), "")
    return name and f"pod {name} of a canary before, which has gone, has not been taken away yet"


def without_forgotten(ctx: Context, decision: Decision) -> Decision:
    """Return a decision that takes away what a canary before has left, first of all and loudly."""
    canary = ctx.observed.canary
    if not isinstance(canary, CanaryPresent) or not astray(canary):
        return decision
    if canary.made_at is not None and ctx.now - canary.made_at < COLLECTED:
        return decision
    named = ", ".join(canary.forgotten)
    said = (
        f"{ctx.observed.key}: the cluster has not deleted ReplicaSet {named} with the canary that "
        "it was made for, and its pods answer in the place of this one's; they are taken away"
    )
    told = Emit(str(Reason.LEFTOVERS), said, warning=True)
    return replace(decision, actions=(EmptyForgotten(), told, *decision.actions))


def remembered(ctx: Context, decision: Decision) -> Decision:
    """Keep in the state which pods the run has had, and until when there were others.

    A canary that goes is remembered before it goes, and pods as soon as they are seen.
    """
    before, state, canary = ctx.state, decision.state, ctx.observed.canary
    goes = DeleteCanary() in decision.actions and before.phase in {*RUNNING_PHASES, Phase.FAILED}
    former, pods = state.former_until or before.former_until, state.pods
    if isinstance(canary, CanaryPresent):
        goes = DeleteCanary() in decision.actions
        if goes or _is_former(canary, before, state):
            former = ctx.now
        pods = _known(canary, state)
    elif goes and before.begun:
        former = ctx.now
    running = state.phase in RUNNING_PHASES
    late = former is not None and former - (before.former_until or _LONG_AGO) > _STORED_EVERY
    news = goes or (running and (late or (state.begun and pods != state.pods)))
    kept = replace(decision, state=replace(state, former_until=former, pods=pods))
    return _saved(kept) if news and kept.state != before else kept


def _is_former(canary: CanaryPresent, before: State, after: State) -> bool:
    """Tell whether pods are there that are not, or not any more, of the run that goes on."""
    if after.phase not in RUNNING_PHASES or after.run != before.run:
        return True
    others = any(not (pod.newest or pod.ended) for pod in canary.pods)
    return others or canary.template_hash != after.candidate or (before.begun and not after.begun)


def _known(canary: CanaryPresent, state: State) -> tuple[str, ...]:
    # Until the new template's first pod is there, the newest ones are those of before.
    settled = state.begun or canary.current
    if state.phase not in RUNNING_PHASES or not settled:
        return state.pods
    present = tuple(pod.name for pod in own_pods(canary, state))
    if {*present} <= {*state.pods}:
        return state.pods
    gone = tuple(name for name in state.pods if name not in present)
    return (*gone[-_MOST_GONE:], *present)


def _saved(decision: Decision) -> Decision:
    if SaveState() in decision.actions:
        return decision
    actions: list[Action] = list(decision.actions)
    at = actions.index(DeleteCanary()) if DeleteCanary() in actions else len(actions)
    return replace(decision, actions=(*actions[:at], SaveState(), *actions[at:]))
