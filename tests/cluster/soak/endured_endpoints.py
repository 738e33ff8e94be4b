"""Addresses to which requests are sent although nobody is there any more.

The gateway has more of them than are stored, or the stored ones are behind: who writes
EndpointSlices has lost its watches, too, where the API server was away.
"""

import asyncio
import re
import time
from collections import Counter
from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

import aiohttp

from canary.contract import SERVICE_OF_SLICE
from runtime.errors import ApiError
from runtime.kube import Cluster
from runtime.resources import ENDPOINTSLICES, PODS
from tests.cluster.kit import Json
from tests.cluster.soak.endured import Span

EVERY: Final = 3.0
BEFORE: Final = 2 * EVERY
"""Seconds around a look for which what it found may have been so."""
LONG: Final = 15.0
"""Seconds after which what the gateway has beside the stored is worth a line."""
_MEMBERS: Final = re.compile(
    r'^envoy_cluster_membership_total\{envoy_cluster_name="([^"]+)_([^"_]+)_\d+"\} (\d+)',
    re.MULTILINE,
)
_PAGE: Final = "http://{}:8002/stats/prometheus?filter=membership_total"
Place = tuple[str, str]
"""Namespace and name of a Service."""


@dataclass
class Endpoints:
    """Looks for Services of which the gateway has more addresses than are ready.

    `said` has a line for each time that was long, in seconds since `begin`. `late` is by namespace
    when the stored ones named a pod that was gone, or was asked to go, in seconds of
    `time.monotonic`.
    """

    cluster: Cluster
    namespaces: Collection[str]
    begin: float = field(default_factory=time.monotonic)
    said: list[str] = field(default_factory=list)
    late: dict[str, list[Span]] = field(default_factory=dict)
    _since: dict[Place, tuple[float, str]] = field(default_factory=dict)

    async def run(self) -> None:
        """Look until cancelled."""
        timeout = aiohttp.ClientTimeout(total=5)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            while True:
                with suppress(ApiError, aiohttp.ClientError, TimeoutError, OSError):
                    slices = (await self.cluster.list(ENDPOINTSLICES)).items
                    await self._look_behind(slices)
                    self._note(_ready(slices), await self._members(session))
                await asyncio.sleep(EVERY)

    def end(self) -> None:
        """Say what there is still."""
        self._note(Counter(), Counter())

    async def _look_behind(self, slices: Iterable[Json]) -> None:
        """Note which namespaces have slices with pods that take no requests any more."""
        pods = (await self.cluster.list(PODS)).items
        there = {_place(one["metadata"]) for one in pods if not _leaves(one)}
        now = time.monotonic()
        for one in slices:
            space = one["metadata"]["namespace"]
            ready = [
                it.get("targetRef") or {} for it in one.get("endpoints") or () if _is_ready(it)
            ]
            named = {(space, it["name"]) for it in ready if it.get("kind") == "Pod"}
            if space in self.namespaces and named - there:
                self.late.setdefault(space, []).append((now - BEFORE, now + BEFORE))

    async def _members(self, session: aiohttp.ClientSession) -> Counter[Place]:
        """Return how many addresses the gateway has, the most of any of its pods."""
        pods = await self.cluster.list(PODS, "projectcontour", label_selector="app=envoy")
        found = Counter[Place]()
        for address in filter(None, (it["status"].get("podIP") for it in pods.items)):
            async with session.get(_PAGE.format(address)) as page:
                for namespace, service, members in _MEMBERS.findall(await page.text()):
                    if namespace in self.namespaces:
                        found[namespace, service] = max(found[namespace, service], int(members))
        return found

    def _note(self, ready: Counter[Place], members: Counter[Place]) -> None:
        now = time.monotonic() - self.begin
        for place, (since, what) in tuple(self._since.items()):
            if members[place] <= ready[place]:
                del self._since[place]
                if now - since >= LONG:
                    self.said.append(f"{since:7.1f} to {now:.1f} s  {'/'.join(place)}: {what}")
        for place, count in members.items():
            if count > ready[place]:
                what = f"the gateway has {count} addresses, of which {ready[place]} are ready"
                self._since.setdefault(place, (now, what))


def _ready(slices: Iterable[Json]) -> Counter[Place]:
    found = Counter[Place]()
    for one in slices:
        metadata = one["metadata"]
        service = (metadata.get("labels") or {}).get(SERVICE_OF_SLICE, "")
        ready = [it for it in one.get("endpoints") or () if _is_ready(it)]
        found[metadata["namespace"], service] += len(ready)
    return found


def _place(metadata: Json) -> Place:
    return metadata["namespace"], metadata["name"]


def _leaves(pod: Json) -> bool:
    return "deletionTimestamp" in pod["metadata"]


def _is_ready(endpoint: Json) -> bool:
    return bool((endpoint.get("conditions") or {}).get("ready", True))
