"""Splits traffic on Gateway API HTTPRoutes: the team's own, or one made from the Canary.

The analyzer writes the mark; the route webhook turns it into weights, so that the fields the team
applied stay the team's. Where the webhook did not (it is down, or not called), the weights are
written here.
"""

import asyncio
from typing import Final

from analyzer.ports import Cluster
from canary.contract import MANAGED_BY, MANAGED_BY_LABEL, SPLIT
from canary.desired import canary_name, own_route
from canary.model.strategy import Strategy
from canary.model.values import Json, Key
from canary.model.world import Split
from canary.reading import annotations
from canary.split import Mark, carries, leads_to, load_mark, shares, with_split, without_split
from runtime.errors import Conflict, NotFound
from runtime.resources import HTTPROUTES

ATTEMPTS: Final = 5
"""How often a write that met another one is repeated on the newer object."""


class GatewayApiRouter:
    """Reads and writes splits on HTTPRoutes. See `analyzer.ports.Router`."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    async def read_split(self, key: Key, strategy: Strategy) -> Split:
        """Return the split as it stands on every route to the stable Service."""
        routes = await self._routes(key, strategy.service_name)
        weights: set[int] = set()
        for route in routes:
            mark = load_mark(annotations(route).get(SPLIT, ""))
            weights |= shares(_rules(route), mark) if mark else {0}
        return Split(
            weight=max(weights, default=0),
            routes=len(routes),
            even=len(weights) <= 1,
            confirmed=all(_is_accepted(route) for route in routes),
        )

    async def write_split(self, key: Key, strategy: Strategy, weight: int) -> None:
        """Give the canary `weight` percent on every route; repeat without effect."""
        mark = Mark(
            namespace=key.namespace,
            target=key.name,
            stable=strategy.service_name,
            canary=canary_name(strategy.service_name),
            weight=weight,
        )
        async with asyncio.TaskGroup() as group:
            for route in await self._routes(key, strategy.service_name):
                group.create_task(self._mark(route, mark))

    async def clean(self, key: Key) -> None:
        """Leave every route as the team wrote it, whatever a run had put there."""
        async with asyncio.TaskGroup() as group:
            for route in await self._list(key.namespace):
                mark = load_mark(annotations(route).get(SPLIT, "")) or _orphan(route, key)
                if mark is not None and mark.target == key.name:
                    group.create_task(self._unmark(route, mark))

    async def ensure(self, key: Key, strategy: Strategy, owner: Json) -> None:
        """Make the own route as the strategy asks for it now, where the team has none."""
        if strategy.own_route is None:
            return
        wanted = own_route(key, strategy, owner)
        found = await self._routes(key, strategy.service_name)
        if all(_is_ours(route, wanted) for route in found):
            await self._cluster.apply(HTTPROUTES, wanted)

    async def _routes(self, key: Key, service: str) -> list[Json]:
        routes = await self._list(key.namespace)
        return [route for route in routes if leads_to(_rules(route), service, key.namespace)]

    async def _list(self, namespace: str) -> list[Json]:
        try:
            return list((await self._cluster.list(HTTPROUTES, namespace)).items)
        except NotFound:  # the cluster has no Gateway API
            return []

    async def _mark(self, route: Json, mark: Mark) -> None:
        for attempt in range(ATTEMPTS):
            if annotations(route).get(SPLIT) == mark.dump() and carries(_rules(route), mark):
                return
            try:
                stored = await self._annotate(route, mark.dump())
                if not carries(_rules(stored), mark):
                    await self._write_rules(stored, with_split(_rules(stored), mark))
            except Conflict:
                if attempt == ATTEMPTS - 1:
                    raise
                route = await self._again(route)
            else:
                return

    async def _unmark(self, route: Json, mark: Mark) -> None:
        for attempt in range(ATTEMPTS):
            try:
                await self._take_out(route, mark)
            except Conflict:
                if attempt == ATTEMPTS - 1:
                    raise
                route = await self._again(route)
            else:
                return

    async def _take_out(self, route: Json, mark: Mark) -> None:
        """Take the canary out together with the mark, where the webhook does it, else before."""
        stored = await self._annotate(route, None)
        if leads_to(_rules(stored), mark.canary, mark.namespace):
            await self._write_rules(stored, without_split(_rules(stored), mark))

    async def _again(self, route: Json) -> Json:
        metadata = route["metadata"]
        return await self._cluster.get(HTTPROUTES, metadata["namespace"], metadata["name"])

    async def _annotate(self, route: Json, text: str | None) -> Json:
        return await self._patch(route, {"metadata": {"annotations": {SPLIT: text}}})

    async def _write_rules(self, route: Json, rules: list[Json]) -> Json:
        return await self._patch(route, {"spec": {"rules": rules}})

    async def _patch(self, route: Json, patch: Json) -> Json:
        metadata = route["metadata"]
        version = {"resourceVersion": metadata["resourceVersion"]}
        conditional = {**patch, "metadata": {**patch.get("metadata", {}), **version}}
        return await self._cluster.merge_patch(
            HTTPROUTES, metadata["namespace"], metadata["name"], conditional
        )


def _orphan(route: Json, key: Key) -> Mark | None:
    """Return the mark of a route whose mark was removed when its canary was not yet."""
    canary = canary_name(key.name)
    if not leads_to(_rules(route), canary, key.namespace):
        return None
    return Mark(namespace=key.namespace, target=key.name, stable=key.name, canary=canary, weight=0)


def _rules(route: Json) -> list[Json]:
    return list(route["spec"].get("rules") or ())


def _is_accepted(route: Json) -> bool:
    """Tell whether every gateway has seen the route as it is stored."""
    generation = route["metadata"].get("generation", 0)
    return all(
        condition.get("observedGeneration", 0) >= generation
        for parent in (route.get("status") or {}).get("parents") or ()
        for condition in parent.get("conditions") or ()
        if condition.get("type") == "Accepted"
    )


def _is_ours(route: Json, wanted: Json) -> bool:
    """Tell whether a route is the one that was made from the Canary, perhaps an older one."""
    found, made = route["metadata"], wanted["metadata"]
    label = (found.get("labels") or {}).get(MANAGED_BY_LABEL)
    return bool(found["name"] == made["name"] and label == MANAGED_BY)
