"""Leases in memory, with the API server's optimistic concurrency; the same tests run on both."""

import asyncio
import copy
from typing import Any

from runtime.errors import AlreadyExists, ApiError, Conflict, NotFound
from runtime.resources import Resource

Json = dict[str, Any]


class MemoryLeases:
    """A store of one lease. While `fault` is set, every call fails with it.

    Where `unanswered` is set, the next write is stored and never answered; it tells when.
    """

    def __init__(self) -> None:
        self.stored: Json | None = None
        self.fault: ApiError | None = None
        self.unanswered: asyncio.Event | None = None
        self.holders: list[str] = []

    async def get(self, _resource: Resource, _namespace: str | None, name: str) -> Json:
        self._fail()
        if self.stored is None:
            raise NotFound(404, "NotFound", name)
        return copy.deepcopy(self.stored)

    async def create(self, _resource: Resource, obj: Json) -> Json:
        self._fail()
        if self.stored is not None:
            raise AlreadyExists(409, "AlreadyExists", "lease")
        return self._store(obj, 1)

    async def replace(self, _resource: Resource, obj: Json) -> Json:
        self._fail()
        if self.stored is None:
            raise NotFound(404, "NotFound", "lease")
        version = self.stored["metadata"]["resourceVersion"]
        if obj["metadata"]["resourceVersion"] != version:
            raise Conflict(409, "Conflict", "lease")
        stored = self._store(obj, int(version) + 1)
        if self.unanswered is not None:
            told, self.unanswered = self.unanswered, None
            told.set()
            await asyncio.Event().wait()
        return stored

    def _fail(self) -> None:
        if self.fault:
            raise self.fault

    def _store(self, obj: Json, version: int) -> Json:
        self.stored = copy.deepcopy(obj)
        self.stored["metadata"]["resourceVersion"] = str(version)
        holder = obj["spec"]["holderIdentity"]
        if not self.holders or self.holders[-1] != holder:
            self.holders.append(holder)
        return copy.deepcopy(self.stored)
