"""How an informer hears: watches that end, repeat, come late, or come from an older server."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from enum import Enum
from typing import Final

from runtime.errors import Expired
from runtime.resources import ListResult, Resource, WatchEvent
from tests.harness.client import Client

LATE: Final = 4.0
"""Seconds that a late watch is behind."""
BEHIND: Final = 6
"""Writes that the older of two API servers has not heard of."""


class Hearing(Enum):
    """What a watch does."""

    ENDS = "it ends after every event"
    REPEATS = "it tells every event twice"
    LATE = "it tells of everything later"
    EXPIRES = "it is too old after every event"
    TWO_AGES = "it goes on at a server that is behind"


@dataclass
class Ears(Client):
    """A way to the API server on which watches do as is to be tried."""

    hearing: Hearing = Hearing.ENDS

    async def list(
        self, resource: Resource, namespace: str | None = None, *, label_selector: str = ""
    ) -> ListResult:
        if self.hearing is not Hearing.TWO_AGES:
            return await super().list(resource, namespace, label_selector=label_selector)
        await self._reached()
        version = max(0, self.api.version - BEHIND)
        items = self.api.at(resource, version)
        return ListResult(items, str(version))

    async def watch(
        self,
        resource: Resource,
        *,
        resource_version: str,
        namespace: str | None = None,
        label_selector: str = "",
    ) -> AsyncGenerator[WatchEvent, None]:
        """Yield the changes after a version, as is to be tried."""
        stream = super().watch(
            resource,
            resource_version=resource_version,
            namespace=namespace,
            label_selector=label_selector,
        )
        told = 0
        async for event in stream:
            match self.hearing:
                case Hearing.ENDS:
                    yield event
                    return
                case Hearing.EXPIRES:
                    yield event
                    raise Expired(410, "Expired", "too old resource version")
                case Hearing.REPEATS:
                    yield event
                    yield event
                case Hearing.LATE:
                    await asyncio.sleep(LATE)
                    yield event
                case Hearing.TWO_AGES:
                    yield event
                    told += 1
                    if told % 3 == 0:
                        raise Expired(410, "Expired", "another server answers")
