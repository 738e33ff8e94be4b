"""One reconcile of one target: observe, decide, act."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import structlog

from analyzer.loop.act import Actor
from analyzer.loop.first import First
from analyzer.loop.known import Index, beside, heard_of
from analyzer.loop.leftovers import Leftovers, canary_stands, has_no_run, is_marked
from analyzer.loop.losses import Losses
from analyzer.loop.notices import Notices
from analyzer.loop.observe import Observer, Scene
from analyzer.loop.parked import keep_apart
from analyzer.loop.polls import Polls
from analyzer.loop.questions import Questions
from analyzer.loop.records import Records, state_of
from analyzer.loop.resting import (
    carries_anothers_verdict,
    is_in_a_run,
    is_nobodys_update,
    is_under_way,
    rests,
)
from analyzer.loop.sight import Sight
from analyzer.loop.telemetry import RunMetrics
from analyzer.ports import Announcer, Cluster, Inquirer, Reporter, Router, Silence
from canary.contract import NOTE, SEEN, Reason
from canary.model.former import Identities
from canary.model.hashing import template_hash
from canary.model.state import current_state
from canary.model.values import Json, Key
from canary.model.world import Timing
from canary.objects.ownership import Ownership, ownership
from canary.objects.status import is_edited
from canary.objects.workloads import annotations, read_target
from canary.rules.actions import Emit
from canary.rules.beside_flagger import left_alone
from canary.rules.context import RECHECK
from canary.rules.denied import ask_again_in, denied
from canary.spec.made import Whose, whose
from runtime.errors import ApiError, Forbidden, Invalid, NamespaceEnding, NotFound, TooLarge
from runtime.resources import CANARIES, DEPLOYMENTS
from runtime.writes import Overtaken, stored

log = structlog.get_logger("analyzer")


@dataclass(frozen=True, slots=True)
class Result:
    """What a reconcile says of the next one; None where only a change calls for it."""

    requeue_after: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Reconciler:
    """Brings one target to where it should be.

    Args:
        cluster: the API server.
        index: what the informers know, so that idle targets cost no call.
        router: the routes.
        records: the Canary objects.
        observer: reads the world.
        inquirer: carries out what decisions ask of metrics and hooks.
        actor: writes to it.
        timing: the admin's times.
        clock: the time.
        metrics: where events are counted.
        losses: what all runs tell of pods they lost.
        draining: until when a canary that has lost its run answers its last requests.
        questions: makes the decisions' questions ready to be put.
        announcer: has announcements sent.
        reporter: has event hooks told of events.
        polls: how soon what is waited for is looked at again.

    """

    cluster: Cluster
    index: Index
    router: Router
    records: Records
    observer: Observer
    inquirer: Inquirer
    actor: Actor
    timing: Timing
    clock: Callable[[], datetime]
    metrics: RunMetrics
    losses: Losses = field(default_factory=Losses)
    draining: dict[Key, datetime] = field(default_factory=dict)
    questions: Questions = Questions()
    announcer: Announcer = field(default_factory=Silence)
    reporter: Reporter = field(default_factory=Silence)
    polls: Polls = field(default_factory=Polls)

    @property
    def _first(self) -> First:
        return First(self.records, self.announcer, self.reporter, self.observer.defaults)

    @property
    def _leftovers(self) -> Leftovers:
        return Leftovers(self.cluster, self.router, self.actor, self.timing, self.draining)

    @property
    def _notices(self) -> Notices:
        return Notices(self.actor, self.observer, self.index, self.records)

    async def reconcile(self, key: Key) -> Result:
        """Look at one target and do what it needs.

        Args:
            key: the target.

        Raises:
            ApiError: the API server could not do its part; the key is to be tried again.

        """
        if self.index.ending(key.namespace) or self.index.unmanaged(key.namespace):
            self._forget(key)
            return Result()
        try:
            return await self._look(key)
        except NamespaceEnding:
            # The informer is about to tell of it; then nothing is done there any more.
            log.info("the namespace is being deleted")
            return Result(requeue_after=RECHECK)
        except ApiError as error:
            if self.index.ending(key.namespace):
                log.info("the namespace is being deleted", why=error.message)
                return Result()
            if isinstance(error, Invalid | Forbidden | TooLarge):
                await self._notices.of_denial(key, error, self.clock())
            raise

    async def reopen(self, target: Json) -> None:
        """Take what is said of the version before from a target that is held with another one.

        From its Canary, and from itself. By what was heard alone: nothing is read first, and no
        other work on the target is waited for, as the writes rest on nothing but what they test.

        Args:
            target: the Deployment as it was heard of.

        Raises:
            ApiError: the API server could not do its part. The next reconcile does it then.

        """
        metadata = target["metadata"]
        key = Key(namespace=metadata["namespace"], name=metadata["name"])
        if self.index.ending(key.namespace) or self.index.unmanaged(key.namespace):
            return
        now, canary = self.clock(), self.index.canary(key)
        ours = self.index.enabled(key.namespace) and not self.index.flagger(key.namespace)
        # What Flux and `kubectl rollout status` look at comes first.
        with suppress(Overtaken, NotFound):
            await self.actor.reopen(target, now)
        if canary is not None and ours:
            with suppress(Overtaken, NotFound):
                await self.records.supersede(canary, target, now)

    def _forget(self, key: Key) -> None:
        by_look = (self.observer.weigher, self.observer.references)
        for remembering in (*by_look, self.losses, self.inquirer, self.polls):
            remembering.forget(key)

    async def _look(self, key: Key) -> Result:
        doubted = self.index.doubted(key)
        try:
            return await self._looked(key, doubted=doubted)
        except (ApiError, Overtaken):
            if doubted:  # what was not looked at is still doubtful
                self.index.doubt(key)
            raise

    async def _looked(self, key: Key, *, doubted: bool) -> Result:
        known, canary = await heard_of(self.index, self.cluster, key), self.index.canary(key)
        if canary is not None:
            await self._notices.of_rivals(key, canary, self.clock())
        if known is not None:
            done = await self._by_what_is_known(key, known, canary, doubted=doubted)
            if done is not None:
                return done
        target = await self._read(key)
        if target is None or "deletionTimestamp" in target["metadata"]:
            return await self._ended(key, canary, doubted=doubted)
        return await self._see(key, target, canary, doubted=doubted)

    async def _read(self, key: Key) -> Json | None:
        """Return a target by what was heard, where that is all; that there is none is asked for."""
        heard, place = self.observer.heard, (key.namespace, key.name)
        found = None if heard is None else await stored(heard, DEPLOYMENTS, *place)
        return found or await stored(self.cluster, DEPLOYMENTS, *place)

    async def _see(self, key: Key, target: Json, canary: Json | None, *, doubted: bool) -> Result:
        """Look at a target that is there, and was just read."""
        enabled = self.index.enabled(key.namespace)
        if canary is None:
            if not enabled or not is_in_a_run(target):
                self.inquirer.forget(key)
                return await self._without_run(key, target, doubted=doubted)
            if left := self.index.made_in(key):
                await keep_apart(self.cluster, target)
                return Result(requeue_after=left)
            canary = await self.records.create(target)
        return await self._look_with(key, target, canary, enabled=enabled)

    async def _look_with(self, key: Key, target: Json, canary: Json, *, enabled: bool) -> Result:
        try:
            canary = await self._record(key, canary)
            if carries_anothers_verdict(target, canary):
                target = await self.actor.reopen(target, self.clock())
        except (NotFound, Overtaken):
            return Result(requeue_after=timedelta(0))
        return await self._reconcile(key, target, canary, enabled=enabled)

    async def _ended(self, key: Key, canary: Json | None, *, doubted: bool) -> Result:
        """Leave nothing of a target that is going: a route has no such owner as its canary has."""
        self._forget(key)
        if not doubted and not self.index.has_target(beside(key)):
            await self.router.clean(key)
        else:
            result = await self._taken_back(key, None)
            # What is deleted now is told of in a moment; what has gone meanwhile, never again.
            if result.requeue_after is not None or self.index.has_target(beside(key)):
                return result
        left = await self._notices.without_target(key, canary, self.clock())
        return Result(requeue_after=left or None)

    async def _without_run(self, key: Key, target: Json, *, doubted: bool) -> Result:
        """Take back what is there of a target that no Canary speaks of, if anything may be."""
        found = await heard_of(self.index, self.cluster, beside(key))
        stands = found is not None and ownership(found, target) is not Ownership.STRANGERS
        if doubted or stands or is_marked(target) or self.index.split(key):
            return await self._taken_back(key, target)
        return Result()

    async def _taken_back(self, key: Key, target: Json | None) -> Result:
        try:
            after = await self._leftovers.take_back(key, target, self.clock())
        except (NotFound, Overtaken):
            after = self.timing.poll
        if after is not None:  # whatever the informers tell, there is more
            self.index.doubt(key)
        return Result(requeue_after=after)

    async def _record(self, key: Key, canary: Json) -> Json:
        """Return a target's Canary, with what is known of the target."""
        metadata, made = canary["metadata"], self.index.outdone(key)
        reads = self.observer.heard or self.cluster
        canary = await reads.get(CANARIES, metadata["namespace"], metadata["name"])
        if made is None or "run" not in (made.get("status") or {}):
            return canary
        return await self.records.hand_over(made, canary, self.clock())

    async def _by_what_is_known(
        self, key: Key, known: Json, canary: Json | None, *, doubted: bool
    ) -> Result | None:
        """Do what can be done by what the informers tell; None where more is to be read."""
        if NOTE in annotations(known):
            return await self._pass_on(known)
        enabled = self.index.enabled(key.namespace)
        if not self.index.has_target(beside(key)):
            if not doubted and rests(known, canary, enabled=enabled):
                self.inquirer.forget(key)
                return await self._rest(key, known, canary, enabled=enabled)
            flagger = self.index.flagger(key.namespace) if enabled else ""
            if flagger and not is_under_way(known, canary):
                return await self._leave(key, known, flagger)
        return None

    async def _pass_on(self, target: Json) -> Result:
        """Write what admission had to say of a creation into an event, and take its note off.

        The event comes first: after a death between the two it is written again under its name.
        """
        event = Emit(str(Reason.COPIED), annotations(target)[NOTE], warning=True)
        await self.actor.report(target, event, self.clock())
        try:
            await self.actor.take_note(target)
        except (NotFound, Overtaken):
            return Result(requeue_after=self.timing.poll)
        return Result(requeue_after=timedelta(0))

    async def _leave(self, key: Key, target: Json, flagger: str) -> Result:
        """Make nothing where a Flagger works: it would take it up. A hold is said, or ended."""
        self._forget(key)
        found = read_target(target, enabled=True, known=Identities())
        actions = left_alone(key, found, flagger, self.observer.defaults.on_unsuitable)
        if not actions:
            return Result()
        try:
            await self.actor.on_target(target, actions, self.clock())
        except (NotFound, Overtaken):
            return Result(requeue_after=self.timing.poll)
        return Result(requeue_after=RECHECK)

    async def _rest(self, key: Key, target: Json, canary: Json | None, *, enabled: bool) -> Result:
        """Do the little that is wanted of a target at rest; nothing is read for it."""
        if self.index.split(key):
            # Heard of later than a run's own end, perhaps, which says what it does.
            await self._leftovers.take_off(key, target, self.clock())
        if canary is None:
            return await self._look_at_resting(key, target, enabled=enabled)
        before = state_of(canary)
        state = current_state(before, Identities((target["spec"]["template"],)))
        edited = False
        if enabled and not self.index.flagger(key.namespace):
            state = await self._notices.at_rest(target, canary, state, self.clock())
            edited = is_edited(canary)
        with suppress(Overtaken, NotFound):  # the informer is about to tell what is stored now
            if edited or state != before:
                canary = await self.records.save(canary, state, self.clock())
            # A team's own is no more ours to let go with its target, label or not.
            if enabled or whose(canary) is Whose.TAKEN:
                await self.actor.take_in(canary, self.clock())
        return Result(requeue_after=RECHECK if self.observer.references.wrong(key) else None)

    async def _look_at_resting(self, key: Key, target: Json, *, enabled: bool) -> Result:
        """Say aloud that an update came past the webhook to a target that has no Canary.

        Which template it had is a mark on it, so that a restart forgets nothing. The event comes
        first: after a death between the two it is written again, under the same name.
        """
        mark = annotations(target).get(SEEN)
        now = template_hash(target["spec"]["template"]) if enabled else None
        if mark == now or is_nobodys_update(target):
            return Result()
        # A copy of another target brings its mark, and was never updated.
        if mark is not None and now is not None and target["metadata"].get("generation") != 1:
            event = Emit(str(Reason.UNGATED), f"{key} was updated without a canary", warning=True)
            await self.actor.report(target, event, self.clock(), run=now)
            self.metrics.say(event)
        try:
            await self.actor.mark_seen(target, now)
        except (NotFound, Overtaken):
            return Result(requeue_after=self.timing.poll)
        return Result()

    async def _reconcile(self, key: Key, target: Json, canary: Json, *, enabled: bool) -> Result:
        sight = Sight(self.observer, self.cluster, self.losses, self.timing, self.clock)
        scene = await sight.look(key, target, canary, self.inquirer.standing(key), enabled=enabled)
        if canary_stands(scene):  # no watch would tell of a Service that is left alone
            self.index.doubt(key)
        now = self.clock()
        try:
            if await self.actor.renew(scene, now) or await self._first.written(scene, now):
                return Result(requeue_after=timedelta(0))
            scene, decision = await sight.decided(scene, now, self.actor.take_traffic)
            await self.actor.run(scene, decision, now)
            if self.index.split(key) and has_no_run(scene, decision):
                await self._leftovers.take_off(key, target, now)
        except Overtaken as overtaken:
            # Its questions are about another template; the next look, at once, says which stand.
            log.info("overtaken", why=str(overtaken))
            return Result(requeue_after=timedelta(0))
        except NamespaceEnding:
            raise
        except (Invalid, Forbidden) as error:
            return await self._denied(scene, error, now)
        # Only now: that a hook is called is stored before it is called.
        self.inquirer.put(key, await self.questions.of(scene, decision, now))
        self.metrics.record(decision)
        log.info(
            "reconciled",
            phase=str(decision.state.phase),
            weight=decision.state.weight,
            reason=decision.reason,
            message=decision.message,
            actions=[type(action).__name__ for action in decision.actions],
            asks=len(decision.asks),
        )
        return Result(requeue_after=self.polls.after(key, decision, self.timing.poll))

    async def _denied(self, scene: Scene, error: ApiError, now: datetime) -> Result:
        """Say what the API server denies, once per message, and ask again ever more rarely.

        The questions of the decision are not put; those that are out stay out.
        """
        try:
            canary = await self.records.read(scene.canary)
            before = state_of(canary)
            state = denied(before, scene.key, error.message, now)
            event = Emit(str(Reason.WRITE_DENIED), state.denied_why, warning=True)
            await self.actor.emit(replace(scene, canary=canary, state=state), event, now)
            if state != before:
                await self.records.save(canary, state, now)
        except (NotFound, Overtaken) as overtaken:
            log.info("overtaken", why=str(overtaken))
            return Result(requeue_after=timedelta(0))
        log.info("denied", why=state.denied_why)
        return Result(requeue_after=ask_again_in(state, now))
