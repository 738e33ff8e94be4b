"""Says what of a Canary nobody follows, where no run does: its target rests, or is not there.

Of a run whose target has gone its Canary says so. And which of two of one target is in force.
"""

from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

import structlog

from analyzer.loop.act import Actor
from analyzer.loop.known import Index
from analyzer.loop.observe import Observer
from analyzer.loop.records import Records, state_of, target_of
from analyzer.loop.rivals import tell_rivals
from canary.contract import Reason
from canary.model.state import Phase, State
from canary.model.values import Json, Key
from canary.objects.status import is_edited
from canary.rules.actions import Emit
from canary.rules.denied import denied
from canary.rules.notices import noticed_at_rest, untargeted
from canary.spec.canary import parse_strategy
from canary.spec.made import is_ours
from runtime.errors import ApiError, NotFound
from runtime.writes import Overtaken

log = structlog.get_logger("analyzer")
COMES_WITHIN: Final = timedelta(seconds=10)
"""How much later than its Canary a target may be created, as by one apply of both."""
_NO_TIME: Final = timedelta(0)


@dataclass(frozen=True, slots=True)
class Notices:
    """Says it in events.

    Args:
        actor: writes them.
        observer: knows the admin's settings, and what queries come to.
        index: what was heard last.
        records: the Canary objects.

    """

    actor: Actor
    observer: Observer
    index: Index
    records: Records

    async def at_rest(self, target: Json, canary: Json, state: State, now: datetime) -> State:
        """Say what of a resting target's Canary nobody follows, once each time it changes.

        Said before it is stored: after a death in between it is said again, under the same name.

        Args:
            target: the Deployment.
            canary: its Canary, as the informer has heard of it.
            state: what is stored in that one.
            now: the time of this reconcile.

        Returns:
            The state with what was said; to be stored where it is another one.

        """
        key, observer = target_of(canary), self.observer
        strategy = await observer.references.followed(
            observer.sampler, key, parse_strategy(canary, observer.defaults), now
        )
        state, events = noticed_at_rest(key, state, strategy)
        version = str(canary["metadata"].get("resourceVersion"))
        for event in events:
            for subject in (canary, target):
                await self.actor.report(subject, event, now, run=version)
        return state

    async def of_rivals(self, key: Key, canary: Json, now: datetime) -> None:
        """Say which Canary is in force where there are two; where Flagger works, it is its say.

        Args:
            key: the target.
            canary: the one that is in force.
            now: the time of this reconcile.

        """
        rivals = self.index.rivals(key)
        if rivals and self.index.enabled(key.namespace) and not self.index.flagger(key.namespace):
            try:
                await tell_rivals(self.actor, rivals, canary, self.index.target(key), now)
            except ApiError as error:
                # What is said of one must not keep the other's run from going on.
                log.info("rivals not told", key=str(key), why=error.message)

    async def of_denial(self, key: Key, error: ApiError, now: datetime) -> None:
        """Say on the target alone what the API server denies before a run is stored, or of it.

        Args:
            key: the target.
            error: what it answered.
            now: the time of this reconcile.

        """
        subject = self.index.target(key) or self.index.canary(key)
        if subject is not None:
            why = denied(State(), key, error.message, now).denied_why
            await self.actor.report(subject, Emit(str(Reason.WRITE_DENIED), why, warning=True), now)

    async def without_target(self, key: Key, canary: Json | None, now: datetime) -> timedelta:
        """Say of a team's Canary that there is no such target, which may be a typo.

        Args:
            key: the target.
            canary: its Canary, if there is one.
            now: the time of this reconcile.

        Returns:
            After what time to look again: the target may be about to be created. Zero for never.

        """
        beside = not self.index.enabled(key.namespace) or self.index.flagger(key.namespace)
        if canary is None or beside or self.index.has_target(key):
            return _NO_TIME
        return self.index.missed_in(key) or await self._missing(canary, now)

    async def _missing(self, canary: Json, now: datetime) -> timedelta:
        metadata = canary["metadata"]
        if is_ours(canary) or "deletionTimestamp" in metadata:
            return _NO_TIME
        said = f"there is no Deployment {target_of(canary)}, which spec.targetRef names"
        await self._remember_missing(canary, said, now)
        made = metadata.get("creationTimestamp")
        age = COMES_WITHIN if made is None else now - datetime.fromisoformat(made)
        if age < COMES_WITHIN:
            return COMES_WITHIN - max(age, _NO_TIME)
        await self.actor.report(canary, Emit(str(Reason.NO_TARGET), said, warning=True), now)
        with suppress(NotFound, Overtaken):  # another look follows what has overtaken this one
            canary = await self.records.read(canary)
            before = state_of(canary)
            if (state := untargeted(before, said, now)) != before:
                await self.records.save(canary, state, now)
        return _NO_TIME

    async def _remember_missing(self, canary: Json, said: str, now: datetime) -> None:
        """Say it in the status at once; a target that comes is taken up anew."""
        state = state_of(canary)
        if state.phase is not Phase.INITIALIZED:
            return  # a run is told of once its target is known to be gone, and a verdict stands
        told = replace(state, reason=str(Reason.NO_TARGET), message=said, changed_at=None)
        if told == state and not is_edited(canary):
            return
        with suppress(Overtaken, NotFound):  # the informer is about to tell what is stored now
            await self.records.save(canary, told, now)
