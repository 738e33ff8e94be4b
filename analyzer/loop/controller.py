"""From changes in the cluster to reconciles: informers, the work queue, and its workers."""

import asyncio
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Final, Never, Protocol, Self

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from analyzer.guards import guarded
from analyzer.loop.index import ClusterIndex, is_enabled, is_ending
from analyzer.loop.reconciler import Result
from analyzer.loop.workqueue import WorkQueue
from canary.model.values import Json, Key
from canary.objects.conditions import outlived
from canary.objects.ownership import canary_deployment_of
from canary.objects.parking import deployment_of, parked_with_pods
from canary.objects.superseded import newly_held
from canary.spec.made import Whose, whose
from runtime.errors import ApiError, LeadershipLost, patience_of
from runtime.informer import Handler

log = structlog.get_logger("analyzer")
DEFAULT_WORKERS: Final = 16
"""Reconciles at once: they wait for the network, not for a processor."""
HASTENERS: Final = 4
"""Reconciles of urgent targets at once, beside the others: a refusal waits for no worker, be all of
them at work on targets of which nothing is heard."""
REOPENERS: Final = 4
"""Targets of which that is taken off at once: two writes at most, a few milliseconds each."""
RECONCILE_DEADLINE: Final = 60.0
"""Seconds after which a reconcile is given up and tried again.

It asks nobody but the API server, whose every answer has a deadline of its own (10 s): room for a
few of them that are late in one reconcile.
"""


class Reconciles(Protocol):
    """What the workers call."""

    async def reconcile(self, key: Key) -> Result:
        """Look at one target and do what it needs."""

    async def reopen(self, target: Json) -> None:
        """Take what is said of the version before from a target and its Canary."""


@dataclass(frozen=True, slots=True)
class Metrics:
    """What the analyzer counts."""

    reconciles: Counter
    seconds: Histogram
    waiting: Gauge

    @classmethod
    def create(cls, registry: CollectorRegistry) -> Self:
        """Register the metrics."""
        return cls(
            reconciles=Counter(
                "headgate_reconciles",
                "Reconciles by result: success, requeue, error.",
                ["result"],
                registry=registry,
            ),
            seconds=Histogram(
                "headgate_reconcile_duration_seconds",
                "Time of one reconcile.",
                registry=registry,
            ),
            waiting=Gauge(
                "headgate_workqueue_depth", "Targets that wait for a worker.", registry=registry
            ),
        )


class Controller:
    """Runs reconciles for whatever changes.

    Args:
        index: the informers' store; its informers are run elsewhere.
        reconciler: does one target.
        metrics: where reconciles are counted.
        workers: reconciles at once.

    """

    def __init__(
        self,
        index: ClusterIndex,
        reconciler: Reconciles,
        metrics: Metrics,
        *,
        workers: int = DEFAULT_WORKERS,
    ) -> None:
        self._index = index
        self._reconciler = reconciler
        self._metrics = metrics
        self._workers = workers
        self._queue: WorkQueue[Key] | None = None
        self._outlived: asyncio.Queue[Json] | None = None
        index.targets.add_handler(_guarded(self._on_target))
        index.canaries.add_handler(_guarded(self._on_canary))
        index.namespaces.add_handler(_guarded(self._on_namespace))
        for routes in index.routes:
            routes.add_handler(_guarded(self._on_route))
        if index.replica_sets is not None:
            index.replica_sets.add_handler(_guarded(self._on_replica_set))

    async def run(self) -> Never:
        """Work until cancelled. At the start everything is looked at: nothing is remembered."""
        await self._index.synced()
        # A quarter of the workers is there for other namespaces, whatever one of them hangs at.
        at_once = self._workers - self._workers // 4
        self._queue, self._outlived = WorkQueue(_namespace_of, at_once), asyncio.Queue()
        found = (*self._index.concerned(), *self._index.canary_targets())
        for key in (*found, *self._index.split_targets()):
            self.enqueue(key)
        try:
            async with asyncio.TaskGroup() as group:
                for number in range(self._workers):
                    group.create_task(self._work(self._queue), name=f"worker-{number}")
                for number in range(HASTENERS):
                    urgent = self._work(self._queue, urgent_only=True)
                    group.create_task(urgent, name=f"hastener-{number}")
                for number in range(REOPENERS):
                    group.create_task(self._reopen(self._outlived), name=f"reopener-{number}")
        finally:
            self._queue.close()
            self._queue = self._outlived = None
        raise AssertionError("workers never return")

    async def _work(self, queue: WorkQueue[Key], *, urgent_only: bool = False) -> Never:
        while True:
            key = await queue.get(urgent_only=urgent_only)
            try:
                await self._reconcile(queue, key)
            finally:
                queue.done(key)
            self._metrics.waiting.set(len(queue))

    async def _reconcile(self, queue: WorkQueue[Key], key: Key) -> None:
        """Map one reconcile's outcome to queue, metric and log: the guard per reconcile."""
        started = time.monotonic()
        with structlog.contextvars.bound_contextvars(
            reconcile_id=uuid.uuid4().hex[:8], namespace=key.namespace, name=key.name
        ):
            failed: list[BaseException] = []
            with guarded(failed.append):
                async with asyncio.timeout(RECONCILE_DEADLINE):
                    result = await self._reconciler.reconcile(key)
                queue.forget(key)
                if result.requeue_after is not None:
                    queue.add_after(key, result.requeue_after)
                outcome = "success" if result.requeue_after is None else "requeue"
                self._metrics.reconciles.labels(outcome).inc()
            for error in failed:
                delay = queue.add_rate_limited(key, at_least=patience_of(error))
                shown = None if isinstance(error, ApiError | LeadershipLost) else error
                log.warning("reconcile failed", retry_in=delay, error=repr(error), exc_info=shown)
                self._metrics.reconciles.labels("error").inc()
        self._metrics.seconds.observe(time.monotonic() - started)

    async def _reopen(self, targets: asyncio.Queue[Json]) -> Never:
        """Take what is said of the one before off, then have the targets looked at.

        A lane beside the work queue, where a target waits while all workers are busy, and while it
        is worked on itself. Where it fails, the look does it.
        """
        while True:
            target = await targets.get()
            key, failed = _key_of(target), list[BaseException]()
            with structlog.contextvars.bound_contextvars(namespace=key.namespace, name=key.name):
                with guarded(failed.append):
                    await self._reconciler.reopen(target)
                for error in failed:
                    shown = None if isinstance(error, ApiError | LeadershipLost) else error
                    log.warning("reopening failed", error=repr(error), exc_info=shown)
            patience = max(map(patience_of, failed), default=0.0)
            if patience and self._queue is not None:
                self._queue.add_after(key, timedelta(seconds=patience))
            else:
                self.enqueue(key)

    # --- what changes concern which target ---------------------------------------------------

    def enqueue(self, key: Key) -> None:
        """Have a target looked at as soon as a worker is free; nothing while none works."""
        if self._queue is not None:
            self._queue.add(key)

    def hasten(self, key: Key) -> None:
        """Have a target looked at before all others: what was judged of it has changed."""
        if self._queue is not None:
            self._queue.add(key, urgent=True)

    def _on_target(self, namespace: str, name: str, old: Json | None, new: Json | None) -> None:
        self._index.learn_target(Key(namespace=namespace, name=name), new)
        owner = canary_deployment_of(new or old or {"metadata": {}})
        if owner:
            self.enqueue(Key(namespace=namespace, name=owner))
            return
        key = Key(namespace=namespace, name=name)
        if not self._index.concerns(key):
            return
        if self._outlived is not None and old and new and _is_outlived(old, new):
            self._outlived.put_nowait(new)
        else:
            self.enqueue(key)

    def _on_canary(self, namespace: str, name: str, old: Json | None, new: Json | None) -> None:
        del namespace, name
        for key in self._index.learn_canary(old, new):
            # Our own status writes come back here and concern nobody.
            if old is None or new is None or _intent(old) != _intent(new):
                self.enqueue(key)

    def _on_route(self, namespace: str, name: str, old: Json | None, new: Json | None) -> None:
        del namespace, name
        keys = self._index.learn_route(old, new)
        if self._queue is None:
            return
        # Whether the target's own worker has written it is known when that has the answer.
        is_own = None if new is None else partial(self._index.echoes.is_one, new)
        for key in keys if is_own is None or not is_own() else ():
            self._queue.add(key, unless=is_own)

    def _on_replica_set(
        self, namespace: str, name: str, old: Json | None, new: Json | None
    ) -> None:
        """What is parked has no owner whose status would tell that it has been given pods."""
        del name, old
        target = "" if new is None or not parked_with_pods(new) else deployment_of(new)
        if target:
            self.enqueue(Key(namespace=namespace, name=target))

    def _on_namespace(self, namespace: str, name: str, old: Json | None, new: Json | None) -> None:
        del namespace
        before, after = is_enabled(old), is_enabled(new)
        if (before, is_ending(old)) == (after, is_ending(new)):
            return
        for key in self._index.of_namespace(name, was_enabled=before):
            self.enqueue(key)


def _guarded(handler: Handler) -> Handler:
    """Return a handler that ends no watch: what it is told of was written by anybody."""

    def handle(namespace: str, name: str, old: Json | None, new: Json | None) -> None:
        def tell(error: BaseException) -> None:
            log.error("change not understood", namespace=namespace, name=name, exc_info=error)

        with guarded(tell):
            handler(namespace, name, old, new)

    return handle


def _is_outlived(old: Json, new: Json) -> bool:
    """Tell whether something may be said of a version that is not the one that is held any more."""
    return newly_held(old, new) or outlived(old, new)


def _namespace_of(key: Key) -> str:
    return key.namespace


def _key_of(target: Json) -> Key:
    metadata = target["metadata"]
    return Key(namespace=metadata["namespace"], name=metadata["name"])


def _intent(canary: Json) -> tuple[object, Mapping[str, str], Whose]:
    metadata = canary["metadata"]
    return canary.get("spec"), metadata.get("annotations") or {}, whose(canary)
