"""Lists of objects of any size: pages are given up before they are parsed, and none is left out."""

import json
from typing import Any

import pytest
from aiohttp import web

from runtime.errors import TooLarge
from runtime.paging import LARGEST_PAGE, METADATA
from runtime.resources import PODS
from tests.unit.runtime.scripted_api import ScriptedApi


def pods(api: ScriptedApi, *sizes: int, bare: bool = False) -> None:
    """Have the API server list pods of so many bytes."""

    async def answer(request: web.Request) -> web.StreamResponse:
        api.answers.append(answer)
        limit = int(request.query.get("limit", len(sizes)))
        begin = int(request.query.get("continue", "0"))
        end = min(len(sizes), begin + limit)
        full = not bare or request.headers["Accept"] != METADATA
        items: list[dict[str, Any]] = [
            {"metadata": {"name": str(number)}, **({"spec": "x" * sizes[number]} if full else {})}
            for number in range(begin, end)
        ]
        metadata = {"resourceVersion": "9", "continue": str(end) if end < len(sizes) else ""}
        body = json.dumps({"metadata": metadata, "items": items}).encode()
        return web.Response(body=body, content_type="application/json")

    api.answers = [answer]


async def listed(api: ScriptedApi) -> list[list[str]]:
    async with api.cluster() as cluster:
        return [
            [item["metadata"]["name"] for item in page.items] async for page in cluster.pages(PODS)
        ]


async def test_pages_are_as_small_as_their_objects_are_large(api: ScriptedApi) -> None:
    pods(api, *[LARGEST_PAGE // 50] * 200)
    pages = await listed(api)
    assert [name for page in pages for name in page] == [str(number) for number in range(200)]
    assert max(len(page) for page in pages) == 31
    asked = [int(request.query["limit"]) for request in api.requests]
    assert asked == [500, 125, *[31] * 7]


async def test_an_object_that_is_larger_than_a_page_comes_by_itself(api: ScriptedApi) -> None:
    pods(api, 10, LARGEST_PAGE * 2, 10)
    assert await listed(api) == [["0"], ["1"], ["2"]]


async def test_pages_grow_again_where_objects_are_small(api: ScriptedApi) -> None:
    pods(api, LARGEST_PAGE * 2, *[10] * 1000)
    pages = await listed(api)
    assert sum(len(page) for page in pages) == 1001
    assert len(pages) < 20


async def test_an_object_that_is_too_large_comes_without_what_is_in_it(api: ScriptedApi) -> None:
    pods(api, 10, 2**24, 10, bare=True)
    assert await listed(api) == [["0"], ["1"], ["2"]]


async def test_an_object_with_too_many_values_is_not_parsed(api: ScriptedApi) -> None:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.json_response({"spec": [{}] * 50_000})

    api.answers = [answer]
    async with api.cluster() as cluster:
        with pytest.raises(TooLarge, match="more than 100000 values"):
            await cluster.get(PODS, "shop", "web")


async def test_a_list_that_is_kept_as_a_whole_has_a_bound(api: ScriptedApi) -> None:
    pods(api, *[LARGEST_PAGE - 1000] * 40)
    async with api.cluster() as cluster:
        with pytest.raises(TooLarge):
            await cluster.list(PODS)
