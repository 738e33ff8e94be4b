"""Shares a Service's own requests by the number of pods: some of the canary's join it by a label.

Neither the Service nor a Deployment is written. A pod joins by the labels that the Service selects
by and leaves by losing them, before anything ends it: so its endpoint goes first.
"""

from collections.abc import Callable, Iterable

from analyzer.ports import Cluster
from canary.contract import JOINED, SERVICE_OF_SLICE, TARGET_LABEL
from canary.model.joining import Joining
from canary.model.names import target_label
from canary.model.selection import Selector, as_text, service_selector
from canary.model.strategy import Strategy
from canary.model.traffic import NOTHING, Traffic
from canary.model.values import FULL, Json, Key
from canary.model.world import Split
from canary.objects.joining import joining, joining_of, leaving
from canary.objects.ownership import told_apart
from runtime.errors import NotFound
from runtime.heard import Readable
from runtime.resources import ENDPOINTSLICES, PODS, SERVICES
from runtime.writes import Gone, patched, stored


class ByPods:
    """Reads and writes which of a canary's pods are in the stable Service.

    Three methods of `analyzer.ports.Router`, which says what they promise.

    Args:
        cluster: the API server.
        reads: what is read where it need not be what is stored this very moment.

    """

    def __init__(self, cluster: Cluster, reads: Readable | None = None) -> None:
        self._cluster = cluster
        self._reads = reads or cluster

    async def read_split(self, key: Key, strategy: Strategy) -> Split:
        """Return the share that the canary's pods really get; without a Service there is none."""
        service = await stored(self._reads, SERVICES, key.namespace, strategy.service_name)
        if service is None:
            return Split()
        own = await self._own(key)
        found = joining_of(service, await self._selected(service), own)
        return Split(
            traffic=Traffic(_percent(found)) if found.serving else NOTHING,
            routes=1,
            confirmed=await self._confirmed(service, found, own),
            joining=found,
        )

    async def write_split(self, key: Key, strategy: Strategy, traffic: Traffic) -> None:
        """Have as many pods in the Service as the share comes to; who is too many leaves first."""
        service = await stored(self._reads, SERVICES, key.namespace, strategy.service_name)
        if service is None:
            await self.clean(key)
            return
        own = await self._own(key)
        found = joining_of(service, await self._selected(service), own)
        wanted = found.wanted(traffic.weight)
        await self._write((pod for pod in own if _name(pod) not in wanted), leaving)
        name = strategy.service_name
        await self._write(
            (pod for pod in own if _name(pod) in wanted), lambda pod: joining(pod, name)
        )

    async def clean(self, key: Key) -> bool:
        """Take every pod of the target's canary out of whatever Service it has joined."""
        joined = await _own(self._cluster, key, f",{JOINED}")
        await self._write(joined, leaving)
        return bool(joined)

    async def _own(self, key: Key) -> list[Json]:
        return await _own(self._reads, key)

    async def _selected(self, service: Json) -> list[Json]:
        """Return all pods that a Service may select; one that selects nothing has none."""
        selection = service_selector(service)
        if not isinstance(selection, Selector):
            return []
        namespace, text = service["metadata"]["namespace"], as_text(selection)
        return (await self._reads.list(PODS, namespace, label_selector=text)).items

    async def _confirmed(self, service: Json, found: Joining, own: Iterable[Json]) -> bool:
        """Tell whether the Service's endpoints are those of the pods that are in, and no others."""
        metadata, names = service["metadata"], {_name(pod) for pod in own}
        selector = f"{SERVICE_OF_SLICE}={metadata['name']}"
        slices = await self._reads.list(
            ENDPOINTSLICES, metadata["namespace"], label_selector=selector
        )
        there = {
            (endpoint.get("targetRef") or {}).get("name")
            for one in slices.items
            for endpoint in one.get("endpoints") or ()
            if (endpoint.get("conditions") or {}).get("ready") is not False
        }
        serving = {one.name for one in found.members if one.joined and one.ready}
        return there & names == serving

    async def _write(self, pods: Iterable[Json], patch_for: Callable[[Json], Json | None]) -> None:
        for pod in pods:
            try:
                await patched(self._cluster, PODS, pod, patch_for)
            except (Gone, NotFound):
                continue  # with the pod its endpoint goes


async def _own(reads: Readable, key: Key, more: str = "") -> list[Json]:
    selector = f"{TARGET_LABEL}={target_label(key.name)}{more}"
    found = await reads.list(PODS, key.namespace, label_selector=selector)
    return told_apart(key.name, found.items)[0]


def _percent(found: Joining) -> int:
    """Return the share in whole percent: some requests are never none, nor all of them."""
    if not found.stable:
        return FULL
    return min(FULL - 1, max(1, round(found.share)))


def _name(pod: Json) -> str:
    return str(pod["metadata"]["name"])
