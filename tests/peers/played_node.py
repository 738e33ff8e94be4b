"""A node that is played: its pods are servers of this process, each at an address of its own.

`python -m tests.peers.played_node KUBECONFIG KUBECTL` runs what is bound to the node until it is
ended. A pod is the demo app, with the faults of its image: it is ready once it listens, and told to
end it answers on for as long as the app does. Afterwards its address takes no connection.
"""

import asyncio
import contextlib
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from ipaddress import IPv4Network
from pathlib import Path
from typing import Final

from canary.model.values import Json
from runtime.errors import NotFound
from runtime.kube import Cluster
from runtime.resources import PODS
from sandbox import images, shell
from sandbox.demoapp.app import PORT, App, Behaviour
from tests.bench.machine import ROOT
from tests.cluster.kit import Kubectl
from tests.cluster.own_api_server import running

NODE: Final = "played"
NETWORK: Final = IPv4Network("198.18.13.0/24")
"""Of those that are kept for measurements: nobody else has them. A test takes few of them."""


@contextmanager
def played_node(kubectl: Kubectl, folder: Path) -> Iterator[None]:
    """Play one in a process of its own; it takes root.

    Args:
        kubectl: of one who may do everything.
        folder: for its log.

    """
    with ExitStack() as stack:
        _route("replace")  # one that was killed may have left it
        stack.callback(_route, "delete")
        kubectl.apply({"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}})
        command: list[str | Path] = [
            *(sys.executable, "-m", "tests.peers.played_node"),
            kubectl.kubeconfig,
            kubectl.program,
        ]
        stack.enter_context(running(folder / "node.log", command, cwd=ROOT))
        yield


def _route(what: str) -> None:
    """Have this machine answer at all addresses of the network, or no more."""
    words = ["ip", "route", what, "local", str(NETWORK), "dev", "lo"]
    shell.output(words, what="the addresses of a played node")


@dataclass(slots=True)
class _Pod:
    """A running pod: the app, its address, and the connections to it."""

    app: App
    drain_s: float
    address: str
    server: asyncio.Server | None = None
    open: set[asyncio.StreamWriter] = field(default_factory=set)

    async def start(self) -> None:
        self.server = await asyncio.start_server(self._serve, self.address, PORT)

    async def end(self) -> None:
        """Answer for as long as the app does that is told to end, and then no more."""
        self.app.drain()
        await asyncio.sleep(self.drain_s)
        assert self.server is not None
        self.server.close()
        for writer in self.open:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open.add(writer)
        try:
            await self.app.serve(reader, writer)
        finally:
            self.open.discard(writer)


@dataclass(slots=True)
class _Node:
    """What runs, by the pods' uids."""

    cluster: Cluster
    kubectl: Kubectl
    pods: dict[str, _Pod] = field(default_factory=dict)
    _ends: set[str] = field(default_factory=set)
    _addresses: Iterator[object] = field(default_factory=NETWORK.hosts)

    async def run(self) -> None:
        """Run what is bound to the node, for ever."""
        found = await self.cluster.list(PODS)
        version = found.resource_version
        async with asyncio.TaskGroup() as group:
            for pod in found.items:
                self._see(pod, group)
            while True:
                async with contextlib.aclosing(
                    self.cluster.watch(PODS, resource_version=version)
                ) as events:
                    async for event in events:
                        version = event.object["metadata"]["resourceVersion"]
                        if event.type in {"ADDED", "MODIFIED"}:
                            self._see(event.object, group)

    def _see(self, pod: Json, group: asyncio.TaskGroup) -> None:
        metadata = pod["metadata"]
        uid, ends = metadata["uid"], "deletionTimestamp" in metadata
        if uid not in self.pods and not ends:
            behaviour = _behaviour(pod["spec"]["containers"][0]["image"])
            address = str(next(self._addresses))
            self.pods[uid] = _Pod(App(behaviour), behaviour.drain_s, address)
            group.create_task(self._start(pod, self.pods[uid]))
        elif ends and uid not in self._ends:
            self._ends.add(uid)
            group.create_task(self._end(metadata["namespace"], metadata["name"], uid))

    async def _start(self, pod: Json, made: _Pod) -> None:
        await made.start()
        metadata, status = pod["metadata"], _status(pod, made.address)
        # Nobody is told of a pod that has gone meanwhile.
        with contextlib.suppress(NotFound):
            await self.cluster.merge_patch(
                PODS,
                metadata["namespace"],
                metadata["name"],
                {"status": status},
                subresource="status",
            )

    async def _end(self, namespace: str, name: str, uid: str) -> None:
        if uid in self.pods:
            await self.pods[uid].end()
        words = ("delete", "pod", name, "--grace-period=0", "--force", "--wait=false")
        await asyncio.to_thread(self.kubectl.within(namespace).run, *words)


def _behaviour(image: str) -> Behaviour:
    version = image.rpartition(":")[2]
    return Behaviour.of({"VERSION": version, **images.DEMOS[version]})


def _status(pod: Json, address: str) -> Json:
    """Return what a kubelet says of a pod whose one container is ready."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    container = pod["spec"]["containers"][0]
    kinds = ("PodScheduled", "Initialized", "ContainersReady", "Ready")
    return {
        "phase": "Running",
        "podIP": address,
        "podIPs": [{"ip": address}],
        "startTime": now,
        "conditions": [{"type": it, "status": "True", "lastTransitionTime": now} for it in kinds],
        "containerStatuses": [
            {
                "name": container["name"],
                "image": container["image"],
                "imageID": container["image"],
                "ready": True,
                "started": True,
                "restartCount": 0,
                "state": {"running": {"startedAt": now}},
            }
        ],
    }


async def _main(kubeconfig: str, kubectl: str) -> None:
    async with Cluster.connect(Path(kubeconfig)) as cluster:
        await _Node(cluster, Kubectl(Path(kubeconfig), kubectl)).run()


if __name__ == "__main__":
    asyncio.run(_main(*sys.argv[1:]))
