"""Lists and watches of objects in memory: each write that is stored is told, as it is stored."""

import asyncio
import copy
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field

from canary.model.values import Json
from runtime.resources import Resource, WatchEvent
from tests.fakes.stored import Stored


@dataclass
class Watched(Stored):
    """Objects that informers can follow, also those that are stored before they do."""

    _told: dict[str, asyncio.Queue[Json]] = field(default_factory=dict)

    def put(self, resource: Resource, obj: Json) -> Json:
        """Store an object, and tell who watches."""
        stored = super().put(resource, obj)
        if resource.plural in self._told:
            self._told[resource.plural].put_nowait(copy.deepcopy(stored))
        return stored

    async def watch(
        self,
        resource: Resource,
        *,
        resource_version: str,
        namespace: str | None = None,
        label_selector: str = "",
    ) -> AsyncGenerator[WatchEvent, None]:
        """Yield what is stored from now on; a watch from an older version is not known here."""
        assert (resource_version, namespace, label_selector) == (str(self._version), None, "")
        told = self._told[resource.plural] = asyncio.Queue()
        while True:
            yield WatchEvent("MODIFIED", await told.get())


async def seen(what: str, look: Callable[[], bool]) -> None:
    """Let the loop go on until there is something to see.

    Args:
        what: its name, for who reads the failure.
        look: tells whether it is there.

    Raises:
        AssertionError: it does not come.

    """
    for _ in range(10_000):
        if look():
            return
        await asyncio.sleep(0)
    raise AssertionError(f"{what}: never")
