"""A version that is taken back while some of its pods run in the target already."""

from collections.abc import Iterable

from canary.contract import HOLD, PROMOTING, STABLE
from canary.model.state import Phase, State
from canary.model.world import Place, Revision
from canary.rules.actions import Action, MarkTarget, Pause, ScaleDownRevision
from canary.rules.context import Context


def to_undo(ctx: Context, stable: str) -> str:
    """Return the hash of the version whose half-way promotion is to be undone; "" for none.

    It is of the run as it was stored: what is held by now may be another version. What serves
    alone is not taken back: there was nothing before it to go back to.

    Args:
        ctx: the world.
        stable: the hash of what the run goes back to.

    """
    state = ctx.state
    rolling = state.candidate if state.phase is Phase.PROMOTING else state.undoing
    return "" if rolling == stable else rolling


def beside_stable(revisions: Iterable[Revision], template: str, stable: str) -> bool:
    """Tell whether pods of a version serve in the target beside those of its stable.

    A team's own rollout may have left them half-way, or a promotion of which nothing is remembered.
    They are the team's while they are judged; refused, the version is to serve nowhere. A parked
    ReplicaSet serves in the place of stable pods that are not there yet.

    Args:
        revisions: all of the target's.
        template: hash of the version.
        stable: hash of what is to serve alone.

    """
    everyone = tuple(revisions)
    stands = any(one.template_hash == stable and one.replicas for one in everyone)
    return stands and any(
        one.template_hash == template and one.replicas and one.place is not Place.PARKED
        for one in everyone
    )


def undo_promotion(state: State, rolling: str) -> tuple[Action, ...]:
    """Return the writes that make the old ReplicaSet grow back to its full size.

    Args:
        state: the run, with what is held from now on and what it goes back to.
        rolling: the hash of what is to be undone, which may be another than the one held; "" for
            nothing.

    """
    marks = {HOLD: state.candidate, STABLE: state.stable, PROMOTING: None}
    taken_back = (ScaleDownRevision(rolling),) if rolling else ()
    return (MarkTarget(marks, Pause.SET), *taken_back)
