"""What an analyzer may lose in mid-run: a kind of route that is not served or not granted any more.

A definition takes its objects with it, and ends the watch. A right that goes leaves the objects,
refuses every call from then on, and leaves a watch until the API server ends it.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TypeVar

from canary.model.values import Json
from runtime.errors import ApiError, Forbidden, NotFound
from runtime.resources import ListResult, Resource, WatchEvent
from tests.harness.client import Client

T = TypeVar("T")


@dataclass
class Limits:
    """What is refused, by its kind; the same for all lives of the analyzer.

    `watched` are kinds whose watches go on though all else is refused.
    """

    refused: dict[Resource, ApiError] = field(default_factory=dict)
    watched: set[Resource] = field(default_factory=set)

    def undefine(self, resource: Resource) -> None:
        """Have a kind not served any more; its objects are to be deleted after that."""
        self.refused[resource] = NotFound(404, "NotFound", "no such kind")

    def forbid(self, resource: Resource, *, watched: bool = False) -> None:
        """Take the right to a kind away."""
        self.refused[resource] = Forbidden(403, "Forbidden", f"{resource.plural} is denied")
        if watched:
            self.watched.add(resource)

    def allow(self, resource: Resource) -> None:
        """Serve and grant a kind again."""
        self.refused.pop(resource, None)
        self.watched.discard(resource)

    def check(self, resource: Resource) -> None:
        """Refuse a call.

        Raises:
            ApiError: the kind is not there, or not granted.

        """
        if (error := self.refused.get(resource)) is not None:
            raise type(error)(error.status, error.reason, error.message)

    def check_watch(self, resource: Resource) -> None:
        """Refuse a watch, or end it after what it has just told."""
        if resource not in self.watched:
            self.check(resource)


@dataclass
class Limited(Client):
    """A way to the API server that has limits."""

    limits: Limits = field(default_factory=Limits)

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Json:
        self.limits.check(resource)
        return await super().get(resource, namespace, name)

    async def list(
        self, resource: Resource, namespace: str | None = None, *, label_selector: str = ""
    ) -> ListResult:
        self.limits.check(resource)
        return await super().list(resource, namespace, label_selector=label_selector)

    async def watch(
        self,
        resource: Resource,
        *,
        resource_version: str,
        namespace: str | None = None,
        label_selector: str = "",
    ) -> AsyncGenerator[WatchEvent, None]:
        """Yield the changes after a version while that is allowed."""
        self.limits.check_watch(resource)
        stream = super().watch(
            resource,
            resource_version=resource_version,
            namespace=namespace,
            label_selector=label_selector,
        )
        async with aclosing(stream) as events:
            async for event in events:
                yield event
                self.limits.check_watch(resource)

    async def _write(
        self,
        verb: str,
        resource: Resource,
        obj: Json,
        arrive: Callable[[], T],
        subresource: str = "",
        part: str = "",
    ) -> T:
        def allowed() -> T:
            self.limits.check(resource)
            return arrive()

        return await super()._write(verb, resource, obj, allowed, subresource, part)
