"""Which ReplicaSets of a held target are kept out of its Deployment controller's choice.

A paused Deployment whose ReplicaSets are all at 0 gives its pods, when it is scaled up, to the
ReplicaSet of its template if there is one, else to the one created last; of those created in the
same second, to the one whose name sorts last. Numbers in `kubectl rollout history` count for
nothing there. They do count when old ones are cleaned up: beyond `revisionHistoryLimit` the
lowest numbers without pods go first.

Where nothing of the stable is left, or nobody knows which version it was, only the held version's
own is parked: whatever an earlier hold has parked is put back, unless it was refused.

A Deployment that keeps no history at all loses the stable's own too, as soon as it is at 0. A copy
of it is parked then, and put back with its pods when there are to be any.

So nothing may be left that would be preferred to the stable, or that would outlive it: such ones
are *parked*. What carries the stable's template never is. One with pods is parked only where none
of the stable's are left: the controller then makes those, and the parked one serves until as many
of them are ready, and is scaled down. One that a person has given pods to is scaled down likewise.
"""

from collections.abc import Collection, Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Final

from canary.model.state import RUNNING_PHASES, Phase
from canary.model.world import Hold, Place, Revision
from canary.rules.actions import (
    Decision,
    MarkTarget,
    ParkRevisions,
    Pause,
    PutBackRevisions,
    ScaleDownRevision,
    SetTraffic,
)
from canary.rules.context import Context

_ADOPTION: Final = timedelta(milliseconds=200)
"""When to look whether the controller has adopted what was put back: it takes some 10 ms."""


def serving(ctx: Context) -> str:
    """Return the hash of what serves, or is to serve: the mark if it is borne out, else most ready.

    A mark is borne out by pods, or, where others have them, by the state that says the same and a
    ReplicaSet that can serve again. Where none has pods and nobody says what served, it is the only
    version that there ever was: nothing else could serve in its place.
    """
    observed, state = ctx.observed, ctx.state
    alive = [revision for revision in observed.revisions if revision.replicas]
    mark = observed.target.stable_mark
    for known in (state.stable if state.phase in RUNNING_PHASES else "", mark):
        if known and any(revision.template_hash == known for revision in alive):
            return known
    if not alive:
        return mark or state.stable or _the_only(observed.revisions)
    present = any(revision.template_hash == mark for revision in observed.revisions)
    if mark and mark == state.stable and present:
        return mark
    return max(alive, key=lambda revision: (revision.ready, revision.replicas)).template_hash


def _the_only(revisions: Iterable[Revision]) -> str:
    """Return the template of all revisions, parked ones with them; "" where there are several."""
    templates = {revision.template_hash for revision in revisions}
    return templates.pop() if len(templates) == 1 else ""


def kept_apart(ctx: Context, decision: Decision) -> Decision:
    """Return a decision with the writes that keep the controller from another choice.

    While a target is held, what could be preferred to the stable is parked, before anything else.
    What is released is put back first, and released once it is adopted. All is put back where
    nothing is held any more.
    """
    revisions, target = ctx.observed.revisions, ctx.observed.target
    pauses = {action.pause for action in decision.actions if isinstance(action, MarkTarget)}
    if Pause.CLEARED in pauses:
        gone = away(revisions, ctx.candidate)
        return _adopted_first(decision, ctx.candidate) if gone else decision
    if target.enabled and (target.hold is Hold.OURS or Pause.SET in pauses):
        return _parked_first(ctx, decision)
    rolls = decision.state.phase is Phase.PROMOTING
    if not any(not rolls or one.template_hash == ctx.candidate for one in parked(revisions)):
        return decision
    back = PutBackRevisions(ctx.candidate if rolls else None)
    return replace(decision, actions=(back, *decision.actions))


def _parked_first(ctx: Context, decision: Decision) -> Decision:
    """Park before all else, but after what takes traffic, or pods from one that is to be parked."""
    if decision.state.phase is Phase.PROMOTING:
        return decision  # it is about to be released
    revisions, state = ctx.observed.revisions, decision.state
    stable = state.stable if state.phase in RUNNING_PHASES else serving(ctx)
    target = ctx.observed.target
    wanted = (
        *to_park(revisions, candidate=ctx.candidate, stable=stable),
        *to_put_back_while_held(revisions, stable=stable, replicas=target.replicas),
        *to_put_back_without_stable(
            revisions, spared=(ctx.candidate, target.refused_mark), stable=stable
        ),
        *to_copy(revisions, stable=stable, history_limit=target.history_limit),
    )
    first = [isinstance(one, SetTraffic | ScaleDownRevision) for one in decision.actions]
    undoes = any(isinstance(one, ScaleDownRevision) for one in decision.actions)
    strays = any(revision.replicas for revision in parked(revisions))
    if not (wanted or undoes or strays):
        return decision
    at = len(first) - first[::-1].index(True) if undoes else _leading(first)
    park = (ParkRevisions(stable),) if wanted or undoes else ()
    added = (*park, *_relieved(ctx, stable))
    return replace(
        decision,
        actions=(*decision.actions[:at], *added, *decision.actions[at:]),
        requeue_after=_sooner(decision.requeue_after, ctx.timing.poll),
    )


def _leading(first: list[bool]) -> int:
    """Return how many actions at the beginning are to come first."""
    return first.index(False) if False in first else len(first)


def _sooner(one: timedelta | None, other: timedelta) -> timedelta:
    return other if one is None else min(one, other)


def _relieved(ctx: Context, stable: str) -> tuple[ScaleDownRevision, ...]:
    """Scale parked revisions that have pods down, once the stable has as many ready, or all."""
    revisions = ctx.observed.revisions
    ready = sum(revision.ready for revision in revisions if revision.template_hash == stable)
    strays = [revision for revision in parked(revisions) if revision.replicas]
    if ready < min(ctx.observed.target.replicas, sum(one.replicas for one in strays)):
        return ()
    templates = {one.template_hash for one in strays}
    return tuple(ScaleDownRevision(template) for template in sorted(templates))


def _adopted_first(decision: Decision, template: str) -> Decision:
    """Put a template's own ReplicaSet back instead of releasing it; that is decided again then."""
    actions = tuple(
        PutBackRevisions(template)
        if isinstance(action, MarkTarget) and action.pause is Pause.CLEARED
        else action
        for action in decision.actions
    )
    return replace(decision, actions=actions, requeue_after=_ADOPTION)


def to_park(revisions: Iterable[Revision], *, candidate: str, stable: str) -> tuple[Revision, ...]:
    """Return the revisions that could serve, or be kept, in the stable's place.

    Args:
        revisions: all of the target's, also those parked already.
        candidate: hash of the template that the target carries.
        stable: hash of what serves.

    """
    everyone = tuple(revisions)
    keeper = _keeper(everyone, stable)
    stands = keeper is None or bool(keeper.replicas)
    return tuple(
        revision
        for revision in everyone
        if revision.place is not Place.PARKED
        and not (revision.replicas and stands)
        and revision.template_hash != stable
        and (revision.template_hash == candidate or _is_preferred(revision, keeper))
    )


def to_put_back_while_held(
    revisions: Iterable[Revision], *, stable: str, replicas: int
) -> tuple[Revision, ...]:
    """Return the one that a hold cannot do without: the stable's, if there is only a parked one.

    Args:
        revisions: all of the target's.
        stable: hash of what serves.
        replicas: how many pods the target is to have; at 0 it could be cleaned up at once.

    """
    own = [revision for revision in revisions if revision.template_hash == stable]
    if not replicas or any(revision.place is not Place.PARKED for revision in own):
        return ()
    return tuple(own[:1])


def to_put_back_without_stable(
    revisions: Iterable[Revision], *, spared: Collection[str], stable: str
) -> tuple[Revision, ...]:
    """Return the parked ones that are to be put back as there is no stable to be preferred to.

    They were parked for a hold of before. Parked still, they leave a target that is scaled up
    without any pods until the run is over.

    Args:
        revisions: all of the target's.
        spared: hashes of the templates that stay parked: what is held, and what was refused.
        stable: hash of what serves, "" if nobody knows.

    """
    everyone = tuple(revisions)
    if _keeper(everyone, stable) is not None:
        return ()
    return tuple(one for one in parked(everyone) if one.template_hash not in spared)


def to_copy(
    revisions: Iterable[Revision], *, stable: str, history_limit: int
) -> tuple[Revision, ...]:
    """Return the one of which a parked copy is needed: the stable's, if no history is kept.

    Args:
        revisions: all of the target's.
        stable: hash of what serves.
        history_limit: the Deployment's `revisionHistoryLimit`.

    """
    own = [revision for revision in revisions if revision.template_hash == stable]
    if history_limit or any(revision.place is Place.PARKED for revision in own):
        return ()
    return tuple(revision for revision in own if revision.replicas)[:1]


def away(revisions: Iterable[Revision], template_hash: str) -> tuple[Revision, ...]:
    """Return the revisions of a template that the Deployment controller does not count with.

    Released while they are away, the target would get a second ReplicaSet of the same template.
    """
    return tuple(
        revision
        for revision in revisions
        if revision.template_hash == template_hash and revision.place is not Place.OWNED
    )


def parked(revisions: Iterable[Revision]) -> tuple[Revision, ...]:
    """Return all parked revisions."""
    return tuple(revision for revision in revisions if revision.place is Place.PARKED)


def _keeper(revisions: Iterable[Revision], stable: str) -> Revision | None:
    """Return the stable's own: one with pods, else the one that the controller would prefer."""
    own = [revision for revision in revisions if revision.template_hash == stable]
    return max(own, key=lambda r: (bool(r.replicas), r.created, r.name), default=None)


def _is_preferred(revision: Revision, keeper: Revision | None) -> bool:
    """Tell whether one would be chosen before the stable's, or outlive it in a clean-up."""
    if keeper is None:  # nothing of the stable is left: parking all would leave nothing at all
        return False
    younger = (revision.created, revision.name) > (keeper.created, keeper.name)
    return younger or revision.number > keeper.number
