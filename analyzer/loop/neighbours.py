"""Learns the addresses of the API server and of Headgate's own processes, which no team may name.

They change: pods come and go. So they are read before the first question is put, and every half
minute. What is read with one failure stays as it was.
"""

import asyncio
import random
from collections.abc import Iterator
from typing import Final, Never

from analyzer.addresses import Guard, Socket
from analyzer.guards import guarded, told
from analyzer.ports import Cluster
from canary.contract import SERVICE_OF_SLICE
from canary.model.values import Json
from runtime.backoff import Backoff
from runtime.errors import patience_of
from runtime.resources import ENDPOINTSLICES, PODS, SERVICES

EVERY: Final = 30.0
"""Seconds between two looks: four short lists."""
_DEFAULT: Final = "default"
_API_SERVER: Final = "kubernetes"
"""The Service of the API server, and its namespace: the same in every cluster."""


class Neighbours:
    """Keeps a guard informed.

    Args:
        cluster: the API server.
        guard: what is told.
        namespace: Headgate's own.

    """

    def __init__(self, cluster: Cluster, guard: Guard, namespace: str) -> None:
        self._cluster = cluster
        self._guard = guard
        self._namespace = namespace
        self._backoff = Backoff(first=0.5, cap=EVERY)
        self.known = asyncio.Event()
        """Set once they have been read."""

    async def run(self) -> Never:
        """Look until cancelled; failures of the API server are waited out."""
        while True:  # noqa: ASYNC110 - a clock is what is waited for
            await asyncio.sleep(await self._look())

    async def _look(self) -> float:
        """Look once, and return after how many seconds to look again."""
        failed: list[BaseException] = []
        with guarded(failed.append):
            await self.look()
            self._backoff.reset()
            # Jitter is no secret.
            return EVERY * random.uniform(0.8, 1.2)  # noqa: S311
        for error in failed:
            told("own addresses cannot be read", error)
        return max(self._backoff.next(), *map(patience_of, failed))

    async def look(self) -> None:
        """Read them once.

        Raises:
            HeadgateError: the API server does not say.

        """
        services = await self._cluster.list(SERVICES, self._namespace)
        pods = await self._cluster.list(PODS, self._namespace)
        api = await self._cluster.get(SERVICES, _DEFAULT, _API_SERVER)
        slices = await self._cluster.list(
            ENDPOINTSLICES, _DEFAULT, label_selector=f"{SERVICE_OF_SLICE}={_API_SERVER}"
        )
        self._guard.own = frozenset(
            (
                *(it for service in (*services.items, api) for it in _of_service(service)),
                *(it for pod in pods.items for it in _of_pod(pod)),
                *(it for found in slices.items for it in _of_slice(found)),
            )
        )
        self.known.set()


def _of_service(service: Json) -> Iterator[Socket]:
    addresses = service["spec"].get("clusterIPs") or ()
    yield from ((address, None) for address in addresses if address != "None")


def _of_pod(pod: Json) -> Iterator[Socket]:
    status = pod.get("status", {})
    # That of the node, where teams may have ports of their own, or one that another pod has by now.
    if pod["spec"].get("hostNetwork") or status.get("phase") in {"Succeeded", "Failed"}:
        return
    yield from ((it["ip"], None) for it in status.get("podIPs") or ())


def _of_slice(found: Json) -> Iterator[Socket]:
    # By port: a control plane on a node shares the node's address with the NodePorts of teams.
    ports = [it["port"] for it in found.get("ports") or () if it.get("port")]
    for endpoint in found.get("endpoints") or ():
        yield from ((address, port) for address in endpoint["addresses"] for port in ports)
