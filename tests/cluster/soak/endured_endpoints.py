"""Addresses to which the gateway sends requests although they are not ready any more."""

import asyncio
import re
import time
from collections import Counter
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

import aiohttp

from canary.contract import SERVICE_OF_SLICE
from runtime.errors import ApiError
from runtime.kube import Cluster
from runtime.resources import ENDPOINTSLICES, PODS
from tests.cluster.kit import Json

EVERY: Final = 5.0
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

    `said` has a line for each time that was long, in seconds since `begin`.
    """

    cluster: Cluster
    namespaces: Collection[str]
    begin: float = field(default_factory=time.monotonic)
    said: list[str] = field(default_factory=list)
    _since: dict[Place, tuple[float, str]] = field(default_factory=dict)

    async def run(self) -> None:
        """Look until cancelled."""
        timeout = aiohttp.ClientTimeout(total=5)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            while True:
                with suppress(ApiError, aiohttp.ClientError, TimeoutError, OSError):
                    self._note(await self._ready(), await self._members(session))
                await asyncio.sleep(EVERY)

    def end(self) -> None:
        """Say what there is still."""
        self._note(Counter(), Counter())

    async def _ready(self) -> Counter[Place]:
        found = Counter[Place]()
        for one in (await self.cluster.list(ENDPOINTSLICES)).items:
            metadata = one["metadata"]
            service = (metadata.get("labels") or {}).get(SERVICE_OF_SLICE, "")
            ready = [it for it in one.get("endpoints") or () if _is_ready(it)]
            found[metadata["namespace"], service] += len(ready)
        return found

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


def _is_ready(endpoint: Json) -> bool:
    return bool((endpoint.get("conditions") or {}).get("ready", True))
