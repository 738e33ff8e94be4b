"""Carries out the actions of a decision, in order; each can be repeated without effect."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, assert_never

import structlog

from analyzer.loop.forgotten import emptied
from analyzer.loop.observe import Scene
from analyzer.loop.parked import park, put_back
from analyzer.loop.records import Records, state_of
from analyzer.loop.revisions import replica_sets, scaled_to_0
from analyzer.loop.standing import canary_services, own_service
from analyzer.loop.unjudged import written
from analyzer.ports import Cluster, Router, SplitRefused
from canary.contract import NOTE, SEEN, Reason
from canary.model.former import outdated_marks
from canary.model.traffic import NOTHING, Traffic
from canary.model.values import Json
from canary.model.world import Place
from canary.objects.conditions import (
    carries,
    refused,
    reopened,
    reopening,
    verdict_in,
    with_condition,
)
from canary.objects.desired import (
    canary_service_of,
    canary_workload,
    keeps_selector,
    owner_reference,
    stable_service,
)
from canary.objects.events import event_of
from canary.objects.marks import decided_on, marked, refused_marks
from canary.objects.workloads import annotations, read_revisions
from canary.rules.actions import (
    Action,
    Decision,
    DeleteCanary,
    Emit,
    EmptyForgotten,
    EndProgress,
    EnsureCanary,
    EnsureRoute,
    MarkRefused,
    MarkTarget,
    ParkRevisions,
    PutBackRevisions,
    ReopenProgress,
    SaveState,
    ScaleDownRevision,
    SetTraffic,
)
from canary.spec.made import Whose, whose
from runtime.errors import AlreadyExists, Forbidden, Invalid
from runtime.resources import DEPLOYMENTS, EVENTS, SERVICES
from runtime.writes import Still, applied, deleted, swapped

log = structlog.get_logger("analyzer")
TAKEN_OVER: Final = (
    "what a team has written holds from now on; this Canary no longer goes with its Deployment"
)


@dataclass(frozen=True, slots=True)
class Actor:
    """Writes what a decision asks for.

    Args:
        cluster: the API server.
        router: the routes.
        records: the Canary objects.

    """

    cluster: Cluster
    router: Router
    records: Records

    async def run(self, scene: Scene, decision: Decision, now: datetime) -> None:
        """Carry out a decision.

        Args:
            scene: what the decision was made on.
            decision: what is to be done.
            now: the time of this reconcile.

        Raises:
            Overtaken: what was decided on is not so any more; reconcile again.

        """
        scene = replace(scene, state=decision.state)
        for action in decision.actions:
            scene = await self._act(scene, action, now)

    async def take_traffic(self, scene: Scene, decision: Decision, now: datetime) -> None:
        """Take the traffic from a version that is decided against, and do nothing else of it."""
        if (taken := decision.taken_at_once) is not None:
            await self._set_traffic(scene, taken.traffic, now)

    async def renew(self, scene: Scene, now: datetime) -> bool:
        """Write what an earlier release has stored as it is written today, once for each run.

        Args:
            scene: what was read.
            now: the time of this reconcile.

        Returns:
            Whether anything was written; what was read is not what is stored any more then.

        Raises:
            Overtaken: what was read is not so any more; reconcile again.

        """

        def marks(target: Json) -> dict[str, str | None]:
            return {**outdated_marks(annotations(target), scene.known)}

        state, target = state_of(scene.canary) != scene.state, bool(marks(scene.target))
        if state:
            # First of all: what a run goes by has to be in its status before it leaves the spec.
            saved = await self.records.save(scene.canary, scene.state, now)
            scene = replace(scene, canary=saved)
        if target:
            await self._update(scene, lambda target: marked(marks(target)))
        return await self.take_in(scene.canary, now) or state or target

    async def take_in(self, canary: Json, now: datetime) -> bool:
        """Leave a Canary as it should be, and say so where a team has taken it over.

        Args:
            canary: the object as it was read.
            now: the time of this reconcile.

        Returns:
            Whether anything was written.

        Raises:
            Overtaken: it is another one now, or has gone.

        """
        if whose(canary) is Whose.TAKEN:
            # Said first: after a death between the two it is said again, under the same name.
            await self.report(canary, Emit(str(Reason.TAKEN_OVER), TAKEN_OVER), now)
        return await self.records.renew(canary) is not None

    async def on_target(self, target: Json, actions: Sequence[Action], now: datetime) -> None:
        """Carry out what is decided of a target beside any run: events, marks, its condition.

        Args:
            target: the Deployment as it was read.
            actions: `Emit`, `MarkTarget` and `EndProgress`; nothing else can be done without a run.
            now: the time of this reconcile.

        Raises:
            Overtaken: it is another one meanwhile; it is to be looked at again.

        """
        for action in actions:
            match action:
                case Emit():
                    await self.report(target, action, now)
                case MarkTarget(marks, pause):
                    await self._write_target(target, marked(marks, pause))
                case EndProgress(message):
                    await self._end_progress(target, refused(message, now))
                case _:
                    raise AssertionError(f"{action} needs a run")

    async def _end_progress(self, target: Json, condition: Json) -> None:
        def patch_for(newer: Json) -> Json | None:
            return None if carries(newer, condition) else with_condition(newer, condition)

        await written(self.cluster, target, patch_for, subresource="status", still=_stands(target))

    async def _write_target(self, target: Json, patch: Json) -> None:
        """Write a patch to a target while it carries what was decided on."""
        await written(self.cluster, target, lambda _: patch, still=_stands(target))

    async def _act(self, scene: Scene, action: Action, now: datetime) -> Scene:  # noqa: C901, PLR0912 - one case per action
        """Carry out one action; return the scene with the objects as they are stored then."""
        match action:
            case SaveState():
                saved = await self.records.save(scene.canary, scene.state, now)
                return replace(scene, canary=saved)
            case SetTraffic(traffic):
                await self._set_traffic(scene, traffic, now)
            case EnsureRoute():
                await self._ensure_route(scene)
            case EnsureCanary(replicas):
                return await self._ensure_canary(scene, replicas, now)
            case DeleteCanary():
                await self._delete_canary(scene)
            case MarkTarget(marks, pause):
                return await self._patch_target(scene, marked(marks, pause))
            case ScaleDownRevision(wanted):
                await self._scale_down(scene, wanted)
            case EmptyForgotten():
                for one in scene.forgotten:
                    await emptied(self.cluster, one)
            case EndProgress(message):
                await self._write_progress(scene, refused(message, now))
            case ParkRevisions(stable):
                await park(self.cluster, scene.target, stable=stable)
            case PutBackRevisions(template):
                await put_back(self.cluster, scene.target, template)
            case MarkRefused(message):
                return await self._mark_refused(scene, message, now)
            case ReopenProgress():
                return await self._write_progress(scene, reopened(now))
            case Emit():
                await self.emit(scene, action, now)
            case _:
                assert_never(action)
        return scene

    async def emit(self, scene: Scene, event: Emit, now: datetime) -> None:
        """Write a Kubernetes event on the Canary and on the target, once per run and message.

        A step is told on the Canary alone: there are many, and who looks at the target wants to
        know of its update, not of its way.
        """
        subjects = (scene.canary, scene.target)
        for subject in subjects[:1] if event.reason == Reason.ADVANCED else subjects:
            await self.report(subject, event, now, run=str(scene.state.started_at))

    async def report(self, subject: Json, event: Emit, now: datetime, run: str = "") -> None:
        """Write a Kubernetes event on one object, once per run and message."""
        try:
            await self.cluster.create(EVENTS, event_of(subject, event, now, run))
        except AlreadyExists:
            return
        except (Invalid, Forbidden) as error:
            # What is only said must not keep from being done what it speaks of.
            log.info("event denied", reason=event.reason, why=error.message)

    async def _set_traffic(self, scene: Scene, traffic: Traffic, now: datetime) -> None:
        """Move the traffic wherever that can be done; a route that is refused is said, once."""
        try:
            await self.router.write_split(scene.key, scene.strategy, traffic)
        except SplitRefused as refused:
            await self.emit(scene, Emit(Reason.ROUTE_REFUSED, str(refused), warning=True), now)

    async def reopen(self, target: Json, now: datetime) -> Json:
        """Take an earlier candidate's verdict from a target that is held with another one.

        Whoever looks meanwhile takes it for the new version's.

        Args:
            target: the Deployment as it was read or heard of, with that verdict.
            now: the time of this reconcile.

        Returns:
            The Deployment as it is stored then.

        Raises:
            Overtaken: it is another one meanwhile; it is to be looked at again.

        """
        if (verdict := verdict_in(target)) is None:
            return target
        return await swapped(
            self.cluster,
            DEPLOYMENTS,
            target,
            lambda newer: reopening(newer, verdict, now),
            subresource="status",
            still=_stands(target),
        )

    async def mark_seen(self, target: Json, template: str | None) -> None:
        """Remember which template a target without a Canary has; None forgets it.

        Args:
            target: the Deployment as it was read.
            template: the hash of its template.

        Raises:
            Overtaken: it is another one meanwhile; it is to be looked at again.

        """
        await self._write_target(target, marked({SEEN: template}))

    async def take_note(self, target: Json) -> None:
        """Take what admission had to say from a target.

        Args:
            target: the Deployment as it was read.

        Raises:
            Overtaken: it is another one meanwhile; it is to be looked at again.

        """
        await self._write_target(target, marked({NOTE: None}))

    async def _ensure_route(self, scene: Scene) -> None:
        if scene.strategy.own_route is None:
            return
        if scene.service is None:
            wanted = stable_service(scene.target, strategy=scene.strategy)
            await applied(self.cluster, SERVICES, wanted, None)
        await self.router.ensure(scene.key, scene.strategy, owner_reference(scene.canary))

    async def _ensure_canary(self, scene: Scene, replicas: int, now: datetime) -> Scene:
        labels, standing = scene.labels, scene.canary_deployment
        if labels is None:
            raise AssertionError("a canary is decided on only where labels can tell it")
        service = canary_service_of(
            scene.target, labels=labels, strategy=scene.strategy, stable=scene.service
        )
        found = await own_service(self.cluster, scene.target, service["metadata"]["name"])
        await applied(self.cluster, SERVICES, service, found)
        if standing is not None and not keeps_selector(standing, labels):
            # Its selector can never be changed, and what goes may have no traffic.
            await self._set_traffic(scene, NOTHING, now)
            await deleted(self.cluster, DEPLOYMENTS, standing)
            standing = None
        deployment = canary_workload(
            scene.target, labels=labels, replicas=replicas, standing=standing
        )
        made = await applied(self.cluster, DEPLOYMENTS, deployment, standing)
        return replace(scene, canary_deployment=made)

    async def _delete_canary(self, scene: Scene) -> None:
        await self.router.clean(scene.key)
        for service in await canary_services(self.cluster, scene.target):
            await deleted(self.cluster, SERVICES, service)
        if scene.canary_deployment is not None:
            await deleted(self.cluster, DEPLOYMENTS, scene.canary_deployment)

    async def _patch_target(self, scene: Scene, patch: Json) -> Scene:
        return await self._update(scene, lambda _: patch)

    async def _update(
        self, scene: Scene, patch_for: Callable[[Json], Json], subresource: str = ""
    ) -> Scene:
        """Write to the target while it carries what was decided on, or what was written since."""
        target = await written(
            self.cluster,
            scene.target,
            patch_for,
            subresource=subresource,
            still=_stands(scene.target),
        )
        return replace(scene, target=target)

    async def _scale_down(self, scene: Scene, wanted: str) -> None:
        found = await replica_sets(self.cluster, scene.target)
        objects = {obj["metadata"]["name"]: obj for obj in found}
        revisions = read_revisions(found, scene.target)
        serves = scene.target["spec"].get("replicas", 1)
        if serves and not any(r.replicas for r in revisions if r.template_hash != wanted):
            return  # nothing else would serve: the rollout was faster than the undo
        others_ready = any(r.ready for r in revisions if r.template_hash != wanted)
        for revision in revisions:
            if revision.template_hash != wanted or not revision.replicas:
                continue
            # A parked one serves until the stable's pods are there: see canary.rules.parking.
            if revision.place is not Place.PARKED or not serves or others_ready:
                await scaled_to_0(self.cluster, objects[revision.name])

    async def _mark_refused(self, scene: Scene, message: str, now: datetime) -> Scene:
        """End the progress condition, so that `kubectl rollout status` fails, then remember."""
        scene = await self._write_progress(scene, refused(message, now))
        marks = refused_marks(scene.target, scene.state, message)
        return await self._patch_target(scene, marked(marks))

    async def _write_progress(self, scene: Scene, condition: Json) -> Scene:
        return await self._update(
            scene, lambda target: with_condition(target, condition), subresource="status"
        )


def _stands(target: Json) -> Still:
    """Take a newer target that asks for the same template and carries the same marks and pause.

    A leader that was stopped finds the marks of its successor: its decision is void.
    """
    before = decided_on(target)
    return lambda newer: decided_on(newer) == before
