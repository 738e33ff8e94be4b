"""Reads the world around one target into the values that `decide` works on."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from analyzer.loop.records import state_of
from analyzer.loop.sampling import Sampler
from analyzer.ports import (
    Cluster,
    HookInquiry,
    Inquiry,
    MetricsInquiry,
    ProviderError,
    Router,
    Weigher,
)
from canary.contract import MANAGED_BY, MANAGED_BY_LABEL, PARKED, TARGET_LABEL
from canary.measuring.countable import Comparable, Countable, Uncountable, counted
from canary.measuring.pods import selector_text
from canary.measuring.watch import Watch
from canary.model.asking import HookAsk, MetricsAsk, Standing
from canary.model.former import Identities
from canary.model.state import Phase, State, current_state
from canary.model.strategy import InvalidStrategy, Strategy
from canary.model.values import Json, Key
from canary.model.world import CanaryAbsent, CanaryPresent
from canary.objects.desired import UnsuitableTarget, canary_name, selector_key
from canary.objects.workloads import (
    known_templates,
    read_canary,
    read_revisions,
    read_target,
    selects,
)
from canary.queries.metric import Query
from canary.queries.provider import ProviderSpec
from canary.rules.actions import Decision
from canary.rules.context import Observed
from canary.spec.canary import Defaults, parse_strategy
from canary.spec.steps import linear
from runtime.errors import NotFound
from runtime.resources import DEPLOYMENTS, PODS, REPLICASETS, SERVICES

NO_STRATEGY: Final = Strategy(interval=timedelta(minutes=1), threshold=1, steps=linear((100,)))
"""Stands in where a Canary is invalid, to find the routes and objects that may need cleaning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What was read, with the objects that actions are written against.

    `service` is None where there is no stable Service, `canary_deployment` where there is none of
    ours; `selector_key` is "" where none is usable.
    `known` are the templates that marks of an earlier release may speak of.
    """

    key: Key
    target: Json
    canary: Json
    state: State
    strategy: Strategy
    service: Json | None
    selector_key: str
    observed: Observed
    known: Identities = Identities()
    queries: tuple[Query, ...] = ()
    canary_deployment: Json | None = None


@dataclass(frozen=True, slots=True)
class Observer:
    """Reads targets. Nothing here writes.

    Args:
        cluster: the API server.
        router: the routes.
        sampler: prepares the queries of metrics.
        weigher: gathers evidence while a run is under way.
        defaults: the admin's settings.

    """

    cluster: Cluster
    router: Router
    sampler: Sampler
    weigher: Weigher
    defaults: Defaults

    async def look(
        self, key: Key, target: Json, canary: Json, standing: Standing, *, enabled: bool
    ) -> Scene:
        """Read everything that is there without asking metrics or hooks.

        Args:
            key: the target's key.
            target: the Deployment, just read.
            canary: its Canary object, just read.
            standing: what is known of the target's questions.
            enabled: whether the namespace carries the label.

        """
        parsed = parse_strategy(canary, self.defaults)
        strategy = _fallback(canary) if isinstance(parsed, InvalidStrategy) else parsed
        service = await self._service(key, strategy)
        if service is None and strategy.health_is_enough:
            service = await self._any_service(key, target)
            if service is not None:
                strategy = replace(strategy, service_name=service["metadata"]["name"])
        async with asyncio.TaskGroup() as group:
            revisions = group.create_task(replica_sets(self.cluster, target))
            present = group.create_task(self._canary(key, target))
            split = group.create_task(self.router.read_split(key, strategy))
            prepared = group.create_task(self.sampler.prepare(key, strategy))
        queries, problems = prepared.result()
        found, stranger, canary_deployment = present.result()
        label, unsuitable = _label(target, service)
        known = known_templates(target, revisions.result())
        observed = Observed(
            key=key,
            target=read_target(target, enabled=enabled, known=known),
            revisions=read_revisions(revisions.result(), target),
            strategy=parsed if isinstance(parsed, InvalidStrategy) else strategy,
            canary=found,
            split=split.result(),
            standing=standing,
            problems=(*_missing_service(key, strategy, service), *unsuitable, *stranger, *problems),
        )
        scene = Scene(
            key=key,
            target=target,
            canary=canary,
            state=current_state(state_of(canary), known),
            strategy=strategy,
            service=service,
            selector_key=label,
            observed=observed,
            known=known,
            queries=queries,
            canary_deployment=canary_deployment,
        )
        return replace(scene, observed=await self._weighed(scene))

    async def _weighed(self, scene: Scene) -> Observed:
        """Have evidence gathered while there is a canary to be judged, and read what there is."""
        observed = scene.observed
        if not _is_judged(scene):
            self.weigher.forget(scene.key)
            return observed
        watch = watch_of(scene)
        wanted = {one.metric.name for one in watch.metrics}
        wanted |= {one.metric.name for one in watch.scalars}
        specs = await self._specs(query for query in scene.queries if query.metric.name in wanted)
        return replace(observed, weighing=self.weigher.follow(watch, specs))

    async def _specs(self, queries: Iterable[Query]) -> dict[str, ProviderSpec]:
        """Return where metrics are asked for, as far as their Secrets can be read."""
        specs = {}
        for query in queries:
            with suppress(ProviderError):  # layer 1 asks the same server, and says why not
                specs[query.metric.name] = await self.sampler.spec_of(query)
        return specs

    async def _service(self, key: Key, strategy: Strategy) -> Json | None:
        try:
            return await self.cluster.get(SERVICES, key.namespace, strategy.service_name)
        except NotFound:
            return None

    async def _any_service(self, key: Key, target: Json) -> Json | None:
        """Find a Service of another name in front of the target's pods."""
        labels = target["spec"]["template"]["metadata"].get("labels") or {}
        for service in (await self.cluster.list(SERVICES, key.namespace)).items:
            if selects(service, labels):
                return dict(service)
        return None

    async def _canary(
        self, key: Key, target: Json
    ) -> tuple[CanaryAbsent | CanaryPresent, tuple[str, ...], Json | None]:
        name = canary_name(key.name)
        try:
            obj = await self.cluster.get(DEPLOYMENTS, key.namespace, name)
        except NotFound:
            return CanaryAbsent(), (), None
        if (obj["metadata"].get("labels") or {}).get(MANAGED_BY_LABEL) != MANAGED_BY:
            problem = f"deployment {name} exists and is not Headgate's; rename or delete it"
            return CanaryAbsent(), (problem,), None
        pods = await self.cluster.list(
            PODS, key.namespace, label_selector=f"{TARGET_LABEL}={key.name}"
        )
        # One of an earlier candidate is made anew, so that no other template needs to be known.
        made_from = Identities((target["spec"]["template"],))
        return read_canary(obj, list(pods.items), made_from), (), obj


async def replica_sets(cluster: Cluster, target: Json) -> list[Json]:
    """Return the ReplicaSets that a target's labels match, and those that are parked for it."""
    metadata = target["metadata"]
    own = selector_text(selected_by(target))
    aside = selector_text({PARKED: metadata["uid"]})
    async with asyncio.TaskGroup() as group:
        lists = [
            group.create_task(
                cluster.list(REPLICASETS, metadata["namespace"], label_selector=selector)
            )
            for selector in (own, aside)
        ]
    found = [obj for task in lists for obj in task.result().items]
    # Where only expressions select, the first list is everything, with the second in it.
    return list({obj["metadata"]["name"]: obj for obj in found}.values())


def _is_judged(scene: Scene) -> bool:
    """Tell whether there is a canary of the present candidate whose run is under way."""
    state, observed = scene.state, scene.observed
    canary = observed.canary
    return (
        state.phase in {Phase.PROGRESSING, Phase.PROMOTING}
        and state.candidate == observed.target.template_hash
        and isinstance(canary, CanaryPresent)
        and canary.template_hash == state.candidate
        and isinstance(observed.strategy, Strategy)
        and observed.strategy.policy.enabled
        and observed.target.enabled
        and not state.forced
        and not state.is_without_share
    )


def watch_of(scene: Scene) -> Watch:
    """Return what the judge has to know of a run."""
    state, strategy = scene.state, scene.strategy
    found = [counted(query, strategy) for query in scene.queries]
    return Watch(
        key=scene.key,
        candidate=state.candidate,
        stable=state.stable,
        began=state.started_at.timestamp() if state.started_at else 0.0,
        policy=strategy.policy,
        metrics=tuple(one for one in found if isinstance(one, Countable)),
        scalars=tuple(one for one in found if isinstance(one, Comparable)),
        uncounted=tuple(one for one in found if isinstance(one, Uncountable)),
        selector=selected_by(scene.target),
        revisions=scene.observed.revisions,
        record=state.evidence,
    )


def selected_by(target: Json) -> dict[str, str]:
    """Return the labels by which a Deployment selects."""
    return dict(target["spec"]["selector"].get("matchLabels") or {})


def inquiries(scene: Scene, decision: Decision) -> tuple[Inquiry, ...]:
    """Return a decision's questions with what it takes to carry them out.

    A hook that the Canary does not name any more is not called.

    Args:
        scene: what the decision was made on.
        decision: its `asks` are to stand.

    """
    hooks = {(hook.name, hook.type): hook for hook in scene.strategy.hooks}
    payload = hook_payload(scene.key, decision.state)
    found: list[Inquiry] = []
    for ask in decision.asks:
        match ask:
            case MetricsAsk():
                found.append(MetricsInquiry(ask=ask, queries=scene.queries))
            case HookAsk() if (ask.hook, ask.type) in hooks:
                hook = hooks[ask.hook, ask.type]
                found.append(HookInquiry(ask=ask, hook=hook, payload=payload))
            case _:
                pass
    return tuple(found)


def hook_payload(key: Key, state: State) -> Json:
    """Return what hooks are told, in Flagger's fields."""
    return {
        "name": key.name,
        "namespace": key.namespace,
        "phase": str(state.phase),
        "checksum": state.candidate,
    }


def _fallback(canary: Json) -> Strategy:
    spec = canary["spec"]
    name = (spec.get("service") or {}).get("name") or spec["targetRef"]["name"]
    return replace(NO_STRATEGY, service_name=name)


def _label(target: Json, service: Json | None) -> tuple[str, tuple[str, ...]]:
    selector = None if service is None else service["spec"].get("selector") or {}
    try:
        return selector_key(target, selector), ()
    except UnsuitableTarget as problem:
        return "", (str(problem),)


def _missing_service(key: Key, strategy: Strategy, service: Json | None) -> tuple[str, ...]:
    if service is not None or strategy.own_route is not None or strategy.health_is_enough:
        return ()
    problem = (
        f"Service {key.namespace}/{strategy.service_name} does not exist; create it, or name "
        "the Service of this deployment in spec.service.name of the Canary"
    )
    return (problem,)
