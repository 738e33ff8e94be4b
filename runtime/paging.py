"""Lists of any length and of objects of any size, a few of them in memory at a time."""

from collections.abc import AsyncGenerator
from dataclasses import replace
from functools import partial
from typing import Final

from runtime.answers import LARGEST, Json
from runtime.connection import Connection, Request
from runtime.errors import TooLarge
from runtime.resources import ListResult, Resource

PAGE_SIZE: Final = 500
"""Objects per page of a list: what client-go's pager asks for (tools/pager/pager.go)."""
LARGEST_PAGE: Final = 2**19
"""Bytes of a page: its objects take some six times as much for as long as they are looked at."""
LARGEST_LIST: Final = 2**24
"""Bytes of all pages of a list that is kept as a whole."""
METADATA: Final = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
"""Asks for what objects are called, and not for what is in them."""
_STEP: Final = 4
"""By how much pages become smaller where one was too large, and may grow again."""

Query = tuple[tuple[str, str], ...]


class Pager:
    """Reads lists page by page, and remembers how many objects of a kind make a page.

    That differs by a thousand times, and who writes the objects decides it. A page that is too
    large is given up before it is parsed, and asked for in parts. An object that is too large by
    itself comes without what is in it, so that no object keeps others from being known.

    Args:
        connection: sends the requests.

    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._counts: dict[Resource, int] = {}

    async def pages(
        self, resource: Resource, path: str, query: Query
    ) -> AsyncGenerator[ListResult, None]:
        """Yield all objects of a list, a few at a time; each page has a deadline of its own.

        Raises:
            Expired: the pages took longer than the server keeps their state.

        """
        token = ""
        while True:
            page, token, _ = await self._connection.within_deadline(
                partial(self._next, resource, path, query, token)
            )
            yield page
            del page  # or it would be there beside the next one
            if not token:
                return

    async def joined(self, resource: Resource, path: str, query: Query) -> ListResult:
        """Return all objects of a list, inside the caller's deadline.

        Raises:
            Expired: the pages took longer than the server keeps their state.
            TooLarge: they are more than `LARGEST_LIST`.

        """
        items: list[Json] = []
        token, size = "", 0
        while True:
            page, token, length = await self._next(resource, path, query, token)
            size += length
            if size > LARGEST_LIST:
                raise TooLarge(0, "TooLarge", f"a list of more than {LARGEST_LIST} bytes")
            items += page.items
            if not token:
                return ListResult(items, page.resource_version)

    async def unpaged(self, resource: Resource, path: str, query: Query) -> ListResult:
        """Return all objects of a list by one answer.

        Raises:
            TooLarge: they are more than `LARGEST_LIST`.

        """
        request = Request(method="GET", path=path, query=query, largest=LARGEST_LIST, most=0)
        return _page(resource, await self._connection.fetch(request))[0]

    async def _next(
        self, resource: Resource, path: str, query: Query, token: str
    ) -> tuple[ListResult, str, int]:
        """Return a page that is not too large, the token of the next, and the page's bytes."""
        while True:
            count = self._counts.get(resource, PAGE_SIZE)
            asked = (("limit", str(count)), *query, *((("continue", token),) if token else ()))
            request = Request(method="GET", path=path, query=asked, largest=LARGEST_PAGE, most=0)
            try:
                answer, length = await self._fetch(request, alone=count == 1)
            except TooLarge:
                if count == 1:
                    raise
                self._counts[resource] = max(1, count // _STEP)
                continue
            page, following = _page(resource, answer)
            if len(page.items) == count and length * _STEP * 2 < LARGEST_PAGE:
                self._counts[resource] = min(PAGE_SIZE, count * _STEP)
            return page, following, length

    async def _fetch(self, request: Request, *, alone: bool) -> tuple[Json, int]:
        if not alone:
            return await self._connection.fetch_sized(request)
        try:
            return await self._connection.fetch_sized(replace(request, largest=LARGEST))
        except TooLarge:
            bare = replace(request, largest=LARGEST, accept=METADATA)
            return await self._connection.fetch_sized(bare)


def typed(resource: Resource, obj: Json) -> Json:
    """Return an object with its type."""
    return {"apiVersion": resource.api_version, "kind": resource.kind, **obj}


def _page(resource: Resource, answer: Json) -> tuple[ListResult, str]:
    """Return a page of a list, and the token of the next."""
    # The items of a list carry no type of their own, or that of what was asked for of them.
    items = [{**item, **typed(resource, {})} for item in answer.get("items") or ()]
    metadata = answer.get("metadata") or {}
    return ListResult(items, metadata.get("resourceVersion", "")), metadata.get("continue", "")
