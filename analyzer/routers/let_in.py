"""Routes of other namespaces that may lead to a target's Service, and be split.

Its own namespace lets them in by a ReferenceGrant, for the stable's Service and the canary's, and
theirs carries the label, so that the route webhook keeps what is written. Who lets nobody in costs
one list a look.
"""

from collections.abc import Callable, Iterable
from typing import Final

from analyzer.ports import Cluster
from analyzer.routers.kinds import RESOURCES, Kinds, loop_time
from canary.contract import NAMESPACE_ENABLED, NAMESPACE_LABEL
from canary.model.names import canary_name
from canary.model.values import Json, Key
from canary.routes.grants import granted, let_in
from runtime.errors import Forbidden, NotFound
from runtime.resources import GRPCROUTES, HTTPROUTES, NAMESPACES, REFERENCEGRANTS

Place = tuple[str, str, str]
"""Kind, namespace and name of a route."""
Places = Callable[[Key], Iterable[Place]]
GRANTED: Final = frozenset({HTTPROUTES.kind, GRPCROUTES.kind})
"""Kinds that a ReferenceGrant is about."""
ASIDE: Final = 60.0
"""Seconds for which a route of another namespace that refuses its split counts for nothing."""
_LABELLED: Final = f"{NAMESPACE_LABEL}={NAMESPACE_ENABLED}"


def nowhere(key: Key) -> Iterable[Place]:
    """Know of no route that is marked."""
    del key
    return ()


class LetIn:
    """Finds them.

    Args:
        cluster: the API server.
        kinds: lists routes.
        marked: tells which routes carry a target's split, as far as it is heard of.
        clock: a monotonic one, in seconds.

    """

    def __init__(
        self,
        cluster: Cluster,
        kinds: Kinds,
        marked: Places = nowhere,
        clock: Callable[[], float] = loop_time,
    ) -> None:
        self._cluster = cluster
        self._kinds = kinds
        self._marked = marked
        self._clock = clock
        self._aside: dict[tuple[Key, Place], float] = {}

    def set_aside(self, key: Key, route: Json) -> None:
        """Count a route for nothing for a while: it could not be written."""
        now = self._clock()
        self._aside = {place: until for place, until in self._aside.items() if until > now}
        self._aside[key, _place(route)] = now + ASIDE

    def is_aside(self, key: Key, route: Json) -> bool:
        """Tell whether a route counts for nothing now."""
        return self._clock() < self._aside.get((key, _place(route)), 0.0)

    async def routes(self, key: Key, service: str) -> list[Json]:
        """Return all routes of the namespaces that may lead to a Service and are labelled.

        Args:
            key: the target.
            service: name of its stable's Service, "" for all that may have been let in.

        """
        spaces = await self._spaces(key, service)
        return [
            route
            for kind, found in spaces.items()
            for space in found
            for route in await self._kinds.routes(kind, space, afresh=not service)
        ]

    async def lost(self, key: Key, known: Iterable[Json]) -> list[Json]:
        """Return the routes of other namespaces that are marked, and not among the known ones.

        Their namespace has lost the label, or the grant has gone.
        """
        there = {_place(route) for route in known}
        return [
            route
            for place in self._marked(key)
            if place[0] in GRANTED and place[1] != key.namespace and place not in there
            if (route := await self._stored(place)) is not None
        ]

    async def _spaces(self, key: Key, service: str) -> dict[str, list[str]]:
        grants = await self._kinds.of(REFERENCEGRANTS, key.namespace)
        both = (service, canary_name(service)) if service else ()
        allowed = {kind: granted(grants, kind, both) - {key.namespace} for kind in sorted(GRANTED)}
        if not any(allowed.values()):
            return {}
        if not service:
            return {kind: sorted(spaces) for kind, spaces in allowed.items()}
        found = await self._cluster.list(NAMESPACES, label_selector=_LABELLED)
        labelled = {it["metadata"]["name"] for it in found.items}
        others = labelled - {key.namespace}
        return {kind: let_in(grants, kind, both, others) for kind in sorted(GRANTED)}

    async def _stored(self, place: Place) -> Json | None:
        kind, namespace, name = place
        try:
            found = await self._cluster.get(RESOURCES[kind], namespace, name)
        except (NotFound, Forbidden):
            return None
        return {"kind": kind, **found}


def _place(route: Json) -> Place:
    metadata = route["metadata"]
    return route["kind"], metadata["namespace"], metadata["name"]
