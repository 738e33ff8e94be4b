"""Reads the world around one target into the values that `decide` works on."""

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

from analyzer.loop.course import course_of, goes_on, missing_service
from analyzer.loop.derived import counted, unworn
from analyzer.loop.references import References
from analyzer.loop.revisions import replica_sets
from analyzer.loop.sampling import Sampler
from analyzer.loop.standing import (
    StandingCanary,
    apart,
    left_over,
    misfit_of,
    standing_canary,
    strangers_of,
)
from analyzer.loop.surroundings import Abroad, Surroundings, labels_of, service_named
from analyzer.ports import ProviderError, Router, Weigher
from canary.contract import HOLD, PROMOTING, SHARE_BY_PODS
from canary.measuring.countable import (
    Comparable,
    Countable,
    Uncountable,
    asked_of,
    within_bounds,
)
from canary.measuring.pods import Newest
from canary.measuring.watch import Watch
from canary.measuring.windowed import own_counts
from canary.model.asking import Standing
from canary.model.canary_labels import CanaryLabels
from canary.model.former import Identities
from canary.model.hashing import template_hash
from canary.model.names import canary_name
from canary.model.selection import listed_by
from canary.model.state import Phase, State, current_state
from canary.model.strategy import Kind, Strategy
from canary.model.values import Json, Key
from canary.model.world import CanaryPresent, Split, Unsuitable
from canary.objects.endpoints import outdated, unserved
from canary.objects.status import is_edited
from canary.objects.workloads import (
    annotations,
    known_templates,
    read_revisions,
    read_target,
)
from canary.queries.metric import Query
from canary.queries.provider import ProviderSpec
from canary.rules.context import Observed
from canary.rules.former import may_answer, takes_over
from canary.spec.defaults import Defaults, recorded
from canary.spec.in_force import in_force
from runtime.heard import Reading, Surveyable
from runtime.resources import CANARIES, SERVICES

_UNDER_WAY: Final = frozenset({Phase.PROGRESSING, Phase.PROMOTING})


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What was read, with the objects that actions are written against.

    `service` is None where there is no stable Service, `canary_deployment` where there is none of
    ours, `labels` where nothing can tell its pods from the target's.
    `known` are the templates that marks of an earlier release may speak of, `forgotten` the
    ReplicaSets of a canary before that are there still.
    """

    key: Key
    target: Json
    canary: Json
    state: State
    strategy: Strategy
    service: Json | None
    labels: CanaryLabels | None
    observed: Observed
    known: Identities = Identities()
    queries: tuple[Query, ...] = ()
    canary_deployment: Json | None = None
    forgotten: tuple[Json, ...] = ()


@dataclass(frozen=True, slots=True)
class Observer:
    """Reads targets. Nothing here writes.

    Args:
        cluster: the API server.
        router: the routes.
        sampler: prepares the queries of metrics.
        weigher: gathers evidence while a run is under way.
        defaults: the admin's settings.
        references: what was found of Canaries whose targets rest.
        heard: reads by what the watches have told; None to ask the API server for everything.
        abroad: tells which routes lead to a Service from other namespaces; None to read them all.

    """

    cluster: Surveyable
    router: Router
    sampler: Sampler
    weigher: Weigher
    defaults: Defaults
    references: References = field(default_factory=References)
    heard: Reading | None = None
    abroad: Abroad | None = None

    async def look(
        self,
        key: Key,
        target: Json,
        canary: Json,
        standing: Standing,
        *,
        enabled: bool,
        afresh: bool = False,
    ) -> Scene:
        """Read everything that is there without asking metrics or hooks.

        Args:
            key: the target's key.
            target: the Deployment.
            canary: its Canary object.
            standing: what is known of the target's questions.
            enabled: whether the namespace carries the label.
            afresh: whether nothing is to be taken for true that was only heard.

        """
        reads = self.cluster if self.heard is None else replace(self.heard, afresh=afresh)
        by = replace(self, cluster=reads)
        return await by.look_by_what_it_reads(key, target, canary, standing, enabled=enabled)

    async def look_by_what_it_reads(
        self, key: Key, target: Json, canary: Json, standing: Standing, *, enabled: bool
    ) -> Scene:
        """Read everything that is there; see `look`."""
        services = list((await self.cluster.list(SERVICES, key.namespace)).items)
        course = course_of(canary, target, services, self.defaults)
        strategy = course.strategy
        service = service_named(services, strategy.service_name)
        async with asyncio.TaskGroup() as group:
            revisions = group.create_task(replica_sets(self.cluster, target))
            present = group.create_task(standing_canary(self.cluster, key, target))
            split = group.create_task(self.router.read_split(key, strategy))
            prepared = group.create_task(self.sampler.prepare(key, strategy))
        course = course.on_routes(split.result().routes, in_front=service is not None)
        strategy, stands = course.strategy, present.result()
        shared = await self._shared(key, strategy, split.result(), stands)
        queries, problems = prepared.result()
        own = canary_name(strategy.service_name)
        others = apart(services, target, own)
        labels, unsuitable, unshared = self._labels(target, others, service, stands, strategy)
        known = known_templates(target, revisions.result())
        observed = Observed(
            key=key,
            target=read_target(target, enabled=enabled, known=known),
            revisions=read_revisions(revisions.result(), target),
            strategy=course.followed,
            defaults=recorded(self.defaults),
            in_force=in_force(course.followed),
            accepted=course.accepted,
            not_followed=course.not_followed,
            edited=is_edited(canary),
            canary=stands.canary,
            split=shared,
            standing=standing,
            problems=(
                *missing_service(key, strategy, service),
                *unshared,
                *problems,
                *await unworn(self.sampler.deriver, key.namespace, queries, labels),
            ),
            unclear=tuple(f"metric {it.metric.name}: {it.note}" for it in queries if it.note),
            unsuitable=unsuitable,
            taken=strangers_of(target, services, stands, own),
            left_over=left_over(target, services, stands),
            misfit=misfit_of(others, stands, labels, strategy),
        )
        scene = Scene(
            key=key,
            target=target,
            canary=canary,
            state=current_state(course.state, known),
            strategy=strategy,
            service=service,
            labels=labels,
            observed=observed,
            known=known,
            queries=queries,
            canary_deployment=stands.ours,
            forgotten=stands.forgotten,
        )
        scene = replace(scene, observed=replace(observed, gone=self._gone(scene, services)))
        scene = replace(scene, observed=await self._surrounded(scene))
        return replace(scene, observed=await self._weighed(scene))

    def _labels(
        self,
        target: Json,
        services: list[Json],
        service: Json | None,
        standing: StandingCanary,
        strategy: Strategy,
    ) -> tuple[CanaryLabels | None, Unsuitable | None, tuple[str, ...]]:
        """Choose what tells the canary from the target; a canary that stands keeps its labels.

        Returns:
            The labels, or why there are none, and why its pods cannot share the traffic as asked.

        """
        choose = partial(
            labels_of,
            target,
            services,
            stable="" if service is None else service["metadata"]["name"],
            own=canary_name(strategy.service_name),
            worn=standing.worn(template_hash(target["spec"]["template"])),
        )
        labels = choose()
        if not isinstance(labels, CanaryLabels):
            return None, Unsuitable(why=labels, then=self.defaults.on_unsuitable), ()
        if strategy.kind is not Kind.PODS:
            return labels, None, ()
        joining = choose(joins=True)
        if isinstance(joining, CanaryLabels):
            return joining, None, ()
        return labels, None, (f"{joining}, or {SHARE_BY_PODS}: off on the Canary",)

    async def _shared(
        self, key: Key, strategy: Strategy, routed: Split, standing: StandingCanary
    ) -> Split:
        """Return the split by the strategy's way; pods that are in by a former one lack its own."""
        if strategy.kind is Kind.PODS:
            return await self.router.read_split(key, strategy)
        if standing.has_joined:
            return replace(routed, routes=max(1, routed.routes), even=False)
        return routed

    async def _surrounded(self, scene: Scene) -> Observed:
        """Read what stands beside the target, where a rule may ask for it."""
        key, observed, strategy = scene.key, scene.observed, scene.strategy
        beside = Surroundings(self.cluster, self.abroad)
        strange = await self._strange(scene, beside)
        observed = replace(observed, taken=(*observed.taken, *strange))
        held, own = HOLD in annotations(scene.target), canary_name(strategy.service_name)
        if held or PROMOTING in annotations(scene.target):
            observed = replace(observed, exclusive=await beside.exclusive(scene.target))
        if held and scene.labels is not None and not goes_on(scene.state, scene.target):
            said = await beside.forewarned(key.namespace, scene.labels)
            if observed.split.routes:
                said += await beside.left_out(key.namespace, strategy.service_name)
            observed = replace(observed, forewarned=said)
        present = isinstance(observed.canary, CanaryPresent)
        made_later = strategy.own_route is not None or strategy.is_unrouted
        if held and scene.service is not None and not observed.split.routes and not made_later:
            service = strategy.service_name
            found = await beside.unrouted(
                key.namespace,
                service,
                strategy.routed_by,
                port=strategy.service_port,
                target=scene.target,
            )
            observed = replace(observed, unrouted=found)
        if present and observed.split.routes:
            slices = await beside.endpoints(key.namespace, own)
            left = outdated(own, slices, may_answer(observed.canary))
            observed = replace(observed, unserved=unserved(own, slices), outdated=left)
        return observed

    async def _strange(self, scene: Scene, beside: Surroundings) -> tuple[str, ...]:
        """Name what is not this target's and would be split, or stands in the own route's place."""
        target, service, strategy = scene.target, scene.service, scene.strategy
        found = () if service is None else await beside.not_in_front(target, service)
        split = scene.observed.split
        asks = strategy.own_route is not None or strategy.routed_by or split.problem
        if not asks or split.routes:
            return found
        owner = {"kind": CANARIES.kind, **scene.canary}
        return (*found, *await self.router.in_the_way(scene.key, strategy, owner))

    def _gone(self, scene: Scene, services: list[Json]) -> tuple[str, ...]:
        """Name what belongs to the run that is under way and is not there."""
        strategy, split = scene.strategy, scene.observed.split
        if scene.state.phase not in _UNDER_WAY or not scene.observed.target.enabled:
            return ()
        own = canary_name(strategy.service_name)
        found = [] if service_named(services, own) is not None else [f"Service {own}"]
        if strategy.own_route is not None and scene.service is None:
            found.append(f"Service {strategy.service_name}")
        if strategy.own_route is not None and not split.routes:
            found.append(f"{strategy.own_route.kind} {strategy.service_name}")
        return tuple(found)

    async def _weighed(self, scene: Scene) -> Observed:
        """Have evidence gathered while there is a canary to be judged, and read what there is."""
        observed = scene.observed
        if not _is_judged(scene):
            self.weigher.forget(scene.key)
            return observed
        found = [
            await counted(self.sampler.deriver, scene.key.namespace, query, scene.strategy)
            for query in scene.queries
        ]
        watch = watch_of(scene, within_bounds(found))
        wanted = {one.metric.name for one in watch.metrics}
        wanted |= {one.metric.name for one in watch.scalars}
        specs = await self._specs(query for query in scene.queries if query.metric.name in wanted)
        weighing = self.weigher.follow(watch, specs)
        counts = own_counts(scene.queries, self.weigher.counts(scene.key))
        return replace(observed, weighing=weighing, counts=counts)

    async def _specs(self, queries: Iterable[Query]) -> dict[str, ProviderSpec]:
        """Return where metrics are asked for, as far as their Secrets can be read."""
        specs = {}
        for query in queries:
            with suppress(ProviderError):  # layer 1 asks the same server, and says why not
                specs[query.metric.name] = await self.sampler.spec_of(query)
        return specs


def _is_judged(scene: Scene) -> bool:
    """Tell whether there is a canary of the present candidate whose run is under way."""
    state, observed = scene.state, scene.observed
    canary = observed.canary
    return (
        state.phase in _UNDER_WAY
        and state.candidate == observed.target.template_hash
        and isinstance(canary, CanaryPresent)
        and canary.template_hash == state.candidate
        and isinstance(observed.strategy, Strategy)
        and observed.strategy.policy.enabled
        and observed.target.enabled
        and not state.forced
        and not state.is_without_share
    )


def watch_of(scene: Scene, found: Sequence[Countable | Comparable | Uncountable]) -> Watch:
    """Return what the judge has to know of a run.

    Args:
        scene: what was read.
        found: how its metrics are read.

    """
    state, strategy = scene.state, scene.strategy
    return Watch(
        key=scene.key,
        candidate=state.candidate,
        stable=state.stable,
        began=state.started_at.timestamp() if state.started_at else 0.0,
        policy=strategy.policy,
        metrics=tuple(one for one in found if isinstance(one, Countable)),
        scalars=tuple(one for one in found if isinstance(one, Comparable)),
        uncounted=tuple(one for one in found if isinstance(one, Uncountable)),
        selector=listed_by(scene.target),
        revisions=scene.observed.revisions,
        record=state.evidence,
        asked=asked_of(strategy),
        traffic_since=state.traffic_since.timestamp() if state.traffic_since else None,
        former_until=state.former_until.timestamp() if state.former_until else None,
        weight=scene.observed.share(state),
        newest=_newest(scene),
    )


def _newest(scene: Scene) -> Newest:
    """Tell whose the canary's newest pods are."""
    canary, state = scene.observed.canary, scene.state
    if not (isinstance(canary, CanaryPresent) and (state.begun or canary.current)):
        return Newest.FORMER
    return Newest.TAKEN_OVER if takes_over(canary, state) else Newest.OWN
