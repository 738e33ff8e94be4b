"""Two Canaries of a team's on one target: the elder is in force, and both are told so."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime

from analyzer.loop.act import Actor
from analyzer.loop.records import state_of
from canary.model.state import RUNNING_PHASES
from canary.model.values import Json
from canary.rules.actions import Emit
from canary.spec.made import not_in_force
from runtime.errors import NotFound
from runtime.writes import Overtaken


async def tell_rivals(
    actor: Actor, rivals: Sequence[Json], canary: Json, target: Json | None, now: datetime
) -> None:
    """Say in each Canary that is not followed, and in events, which one is; once.

    Args:
        actor: writes.
        rivals: those that are not followed, as they were heard of.
        canary: the one that is.
        target: the Deployment of all of them, if it is there.
        now: the time of this reconcile.

    """
    for rival in rivals:
        told, before = not_in_force(rival, canary), state_of(rival)
        if (before.reason, before.message) == (told.reason, told.message):
            continue
        event = Emit(told.reason, told.message, warning=True)
        for subject in (one for one in (canary, rival, target) if one is not None):
            await actor.report(subject, event, now)
        if before.phase in RUNNING_PHASES:
            continue  # the record of a run is nobody's to write over
        with suppress(Overtaken, NotFound):  # the informer is about to tell what is stored now
            await actor.records.save(rival, told, now)
