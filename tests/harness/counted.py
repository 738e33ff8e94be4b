"""What an analyzer asks the API server for, reconcile by reconcile, and what it writes."""

import logging
from collections import Counter
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import structlog

from canary.model.values import Json
from runtime.resources import ListResult, Resource
from tests.harness.api import ApiServer, Writer
from tests.harness.client import Client, Gate, Write

T = TypeVar("T")


@dataclass
class Calls:
    """One reconcile of a run: what was read, what was written, and the actions of its decision.

    `order` is both, as it came.
    """

    reads: Counter[str] = field(default_factory=Counter)
    writes: Counter[str] = field(default_factory=Counter)
    order: list[str] = field(default_factory=list)
    phase: str = ""
    actions: tuple[str, ...] = ()

    def read(self, what: str) -> None:
        """Count a read."""
        self.reads[what] += 1
        self.order.append(what)

    def write(self, what: str) -> None:
        """Count a write."""
        self.writes[what] += 1
        self.order.append(what)


@dataclass
class Count:
    """All reconciles that came to a decision, in order."""

    done: list[Calls] = field(default_factory=list)
    present: Calls = field(default_factory=Calls)

    def way(self, api: ApiServer, writer: Writer, gate: Gate) -> Client:
        """Return a way to the API server on which everything is counted."""
        return _Counting(api, writer, _Counted(gate, self), count=self)

    def hear(self, _: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """Take what the analyzer logs: a reconcile that is over."""
        if event["event"] == "reconciled":
            self.present.phase, self.present.actions = event["phase"], tuple(event["actions"])
            self.done.append(self.present)
            self.present = Calls()
        raise structlog.DropEvent

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Hear of reconciles while the context lasts."""
        structlog.configure(
            processors=[self.hear],
            wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
            cache_logger_on_first_use=False,
        )
        try:
            yield
        finally:
            structlog.reset_defaults()


@dataclass
class _Counted:
    """Counts the writes on their way to another gate."""

    gate: Gate
    count: Count

    async def passes(self, write: Write, arrive: Callable[[], T]) -> T:
        """Let the other gate decide."""
        self.count.present.write(write.kind)
        return await self.gate.passes(write, arrive)


@dataclass
class _Counting(Client):
    """Counts the reads; watches and the lists that they begin with are none."""

    count: Count = field(default_factory=Count)

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Json:
        self.count.present.read(f"get {resource.plural}")
        return await super().get(resource, namespace, name)

    async def list(
        self, resource: Resource, namespace: str | None = None, *, label_selector: str = ""
    ) -> ListResult:
        if namespace is not None:
            self.count.present.read(f"list {resource.plural}")
        return await super().list(resource, namespace, label_selector=label_selector)
