"""Notes when objects of a namespace change, to the millisecond, beside the code that acts."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from runtime.kube import Cluster
from runtime.resources import CANARIES, DEPLOYMENTS, HTTPROUTES, PODS, Resource
from tests.cluster.kit import Json, wait_for

WATCHED: Final = (CANARIES, DEPLOYMENTS, PODS)
"""Beside the kind of route."""
START_SECONDS: Final = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One event of a watch: `at` is monotonic, `time` is the clock's."""

    at: float
    time: float
    type: str
    kind: str
    object: Json

    @property
    def name(self) -> str:
        """Name of the object."""
        return str(self.object["metadata"]["name"])


@dataclass(slots=True)
class Watches:
    """Everything that has changed since the watches began."""

    changes: list[Change] = field(default_factory=list)
    open: int = 0
    failure: str = ""

    def all(
        self, resource: Resource, when: Callable[[Change], object], since: float = 0.0
    ) -> list[Change]:
        """Return the changes of a kind that fit."""
        return [
            change
            for change in list(self.changes)
            if change.kind == resource.kind and change.at >= since and when(change)
        ]

    def first(
        self,
        what: str,
        resource: Resource,
        when: Callable[[Change], object],
        *,
        since: float,
        deadline: float,
    ) -> Change:
        """Wait for the first change that fits.

        Raises:
            AssertionError: there is none before the deadline, or a watch was lost.

        """

        def look() -> Change | None:
            assert not self.failure, self.failure
            return next(iter(self.all(resource, when, since)), None)

        return wait_for(what, look, deadline, every=0.05)


@contextmanager
def watching(kubeconfig: Path, namespace: str, routes: Resource = HTTPROUTES) -> Iterator[Watches]:
    """Watch a namespace, with its routes of a kind, while the context lasts."""
    seen, stop, kinds = Watches(), threading.Event(), (*WATCHED, routes)
    thread = threading.Thread(
        target=lambda: asyncio.run(_watch_all(kubeconfig, namespace, kinds, seen, stop)),
        daemon=True,
    )
    thread.start()
    try:
        wait_for("the watches", lambda: seen.open == len(kinds) or seen.failure, START_SECONDS)
        yield seen
    finally:
        stop.set()
        thread.join(timeout=10)


async def _watch_all(
    kubeconfig: Path,
    namespace: str,
    kinds: tuple[Resource, ...],
    seen: Watches,
    stop: threading.Event,
) -> None:
    try:
        async with Cluster.connect(kubeconfig) as cluster, asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(_watch(cluster, resource, namespace, seen)) for resource in kinds
            ]
            await asyncio.to_thread(stop.wait)
            for task in tasks:
                task.cancel()
    except* Exception as group_of_errors:  # noqa: BLE001 - told to the thread that waits
        seen.failure = f"a watch was lost: {group_of_errors.exceptions[0]!r}"


async def _watch(cluster: Cluster, resource: Resource, namespace: str, seen: Watches) -> None:
    version = (await cluster.list(resource, namespace)).resource_version
    seen.open += 1
    while True:
        events = cluster.watch(resource, resource_version=version, namespace=namespace)
        async with aclosing(events) as changes:
            async for event in changes:
                version = event.object["metadata"]["resourceVersion"]
                if event.type != "BOOKMARK":
                    seen.changes.append(
                        Change(
                            at=time.monotonic(),
                            time=time.time(),
                            type=event.type,
                            kind=resource.kind,
                            object=event.object,
                        )
                    )
