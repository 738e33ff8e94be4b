"""Which kinds of routes there are: found by asking for them, and again a while later.

A kind that the cluster does not serve, or that nobody has granted to Headgate, has no routes. That
is an error where a Canary asks for that kind alone, and for nobody else.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable
from typing import Final

from canary.model.values import Json
from runtime.errors import Forbidden, NotFound
from runtime.heard import Readable, naming
from runtime.resources import (
    DESTINATIONRULES,
    GRPCROUTES,
    HTTPPROXIES,
    HTTPROUTES,
    INGRESSES,
    INGRESSROUTES,
    TRAEFIKSERVICES,
    VIRTUALSERVICES,
    Resource,
)

_SPLIT: Final = (
    HTTPROUTES,
    GRPCROUTES,
    HTTPPROXIES,
    VIRTUALSERVICES,
    INGRESSROUTES,
    TRAEFIKSERVICES,
)
RESOURCES: Final = {it.kind: it for it in _SPLIT}
"""Kinds of which a team's own objects are split, by a mark."""
WATCHED: Final = {**RESOURCES, INGRESSES.kind: INGRESSES}
"""All kinds: those too of which an object stands beside the team's own."""
BESIDE: Final = {it.kind: it for it in (DESTINATIONRULES,)}
"""What is made beside routes."""
RIGHTS: Final = {
    GRPCROUTES.kind: "grpcroutes",
    HTTPPROXIES.kind: "contour",
    VIRTUALSERVICES.kind: "istio",
    INGRESSROUTES.kind: "traefik",
    TRAEFIKSERVICES.kind: "traefik",
    INGRESSES.kind: "nginx",
}
"""The component of manifests/route-rights that grants a kind; the rest is granted to all."""
ASKED_AGAIN: Final = 15.0
"""Seconds after which a kind that was not there is asked for again: a CRD or a right may come."""


def loop_time() -> float:
    """Return the running loop's monotonic time, in seconds."""
    return asyncio.get_running_loop().time()


class Kinds:
    """Lists routes, and remembers for a while which kinds there are none of.

    Args:
        cluster: the API server.
        clock: a monotonic one, in seconds.
        reads: what is read where it need not be what is stored this very moment.

    """

    def __init__(
        self,
        cluster: Readable,
        clock: Callable[[], float] = loop_time,
        reads: Readable | None = None,
    ) -> None:
        self._cluster = cluster
        self._reads = reads or cluster
        self._clock = clock
        self._absent: dict[str, float] = {}
        self._denied: set[str] = set()

    async def routes(
        self, kind: str, namespace: str, *, afresh: bool, naming: Collection[str] = ()
    ) -> list[Json]:
        """Return all routes of a kind in a namespace, none where there is no such kind.

        Args:
            kind: one of `WATCHED`.
            namespace: which.
            afresh: whether to ask for what is stored this moment, though the kind was not there.
            naming: names of which one has to be on a route; others may be returned too.

        Raises:
            ApiError: it cannot be told.

        """
        return await self.of(WATCHED[kind], namespace, afresh=afresh, naming=naming)

    async def of(
        self,
        resource: Resource,
        namespace: str,
        *,
        afresh: bool = False,
        naming: Collection[str] = (),
    ) -> list[Json]:
        """Return all objects of a kind in a namespace, none where there is no such kind.

        Args:
            resource: the kind.
            namespace: which.
            afresh: whether to ask though the kind was not there a moment ago.
            naming: names of which one has to be on an object; others may be returned too.

        Raises:
            ApiError: it cannot be told.

        """
        if not afresh and self._clock() < self._absent.get(resource.kind, 0.0):
            return []
        denied = False
        try:
            reads = self._cluster if afresh else self._reads
            found = await _listed(reads, resource, namespace, naming)
        except NotFound:
            found = None
        except Forbidden:
            if not resource.optional:
                raise
            found, denied = None, True
        (self._denied.add if denied else self._denied.discard)(resource.kind)
        if found is None and resource.optional:
            self._absent[resource.kind] = self._clock() + ASKED_AGAIN
        return found or []

    async def is_denied(self, kind: str, namespace: str, *, afresh: bool) -> bool:
        """Tell whether nobody grants a kind to Headgate, or not any more.

        Args:
            kind: one of `WATCHED`.
            namespace: where it is asked for.
            afresh: whether to ask though the kind was not there a moment ago.

        Raises:
            ApiError: it cannot be told.

        """
        await self.routes(kind, namespace, afresh=afresh)
        return kind in self._denied

    async def lacking(self, kinds: Iterable[str], namespace: str) -> str:
        """Say why there can be no route of any of these kinds; "" where there can be one.

        Args:
            kinds: which are asked for.
            namespace: where.

        """
        found = []
        for kind in kinds:
            resource = WATCHED[kind]
            try:
                await _listed(self._reads, resource, namespace)
            except NotFound:
                why = f"the cluster has no {kind} ({resource.api_version}); install its CRD"
            except Forbidden:
                why = f"Headgate has no right to {resource.plural}; {granted_by(kind)}"
            else:
                return ""
            found.append(why)
        return "; ".join(found)


async def _listed(
    reads: Readable, resource: Resource, namespace: str, named: Collection[str] = ()
) -> list[Json]:
    if named:
        found = await naming(reads, resource, namespace, named)
    else:
        found = (await reads.list(resource, namespace)).items
    return [{"kind": resource.kind, **it} for it in found]


def granted_by(kind: str) -> str:
    """Say what grants a kind to Headgate."""
    if kind not in RIGHTS:
        return "apply its manifests again"
    return f"add manifests/route-rights/{RIGHTS[kind]} to its kustomization"
