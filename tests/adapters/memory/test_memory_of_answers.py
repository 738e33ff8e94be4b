"""Answers that are as large as they may be, or never end, and what the analyzer takes for them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from tests.adapters.memory.attacked import LIMIT, attack
from tests.fakes.listening import TestServer

MIB = 2**20
HEAD = b'{"status":"success","data":{"resultType":"vector","result":['
TAIL = b"]}}"
SERIES = b'{"metric":{},"value":[0,"1"]}'
POINTS = b'{"metric":{},"values":[[0,"1"]]}'


def filled(part: bytes, size: int) -> bytes:
    return HEAD + b",".join([part] * (size // (len(part) + 1))) + TAIL


def pairs(count: int) -> bytes:
    """Return one series of so many labels, none of which is like another."""
    labels = ",".join(f'"{n:06}":"{n:x}"' for n in range(count))
    return HEAD + b'{"metric":{' + labels.encode() + b'},"value":[0,"1"]}' + TAIL


@asynccontextmanager
async def prometheus(body: bytes, status: int = 200, *, ends: bool = True) -> AsyncIterator[str]:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=status, headers={"Content-Type": "application/json"})
        try:
            await response.prepare(request)
            await response.write(body)
            if not ends:
                await asyncio.sleep(30)
        except ConnectionError:
            pass
        return response

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    async with TestServer(app) as server:
        yield str(server.make_url("")).rstrip("/")


@pytest.mark.parametrize(
    ("count", "kind", "body", "status"),
    [
        pytest.param(1, "series", filled(SERIES, 32 * MIB), 200, id="one of 32 MiB"),
        pytest.param(4, "query", filled(SERIES, 4 * MIB - 99), 200, id="four of 4 MiB"),
        pytest.param(8, "series", filled(SERIES, 12 * MIB - 99), 200, id="eight of 12 MiB"),
        pytest.param(8, "series", filled(b"{}", 1 * MIB), 200, id="eight of empty objects"),
        pytest.param(4, "history", filled(POINTS, 12 * MIB - 99), 200, id="histories"),
        pytest.param(24, "query", filled(SERIES, 250 * 1024), 200, id="24 small ones"),
        pytest.param(3, "series", pairs(290_000), 200, id="as many values as are read"),
        pytest.param(4, "series", b"[" * (4 * MIB), 200, id="nested"),
        pytest.param(8, "series", filled(SERIES, 12 * MIB - 99), 500, id="refusals"),
        pytest.param(
            4, "query", filled('{"metric":{"a":"\U0001f600"}}'.encode(), 3 * MIB), 200, id="wide"
        ),
    ],
)
async def test_answers_of_any_form_stay_below_the_limit_of_the_pod(
    count: int, kind: str, body: bytes, status: int
) -> None:
    async with prometheus(body, status) as url:
        took = await attack("answers", url, str(count), kind)
    assert took.peak < LIMIT


async def test_answers_that_never_end_stay_below_the_limit_of_the_pod() -> None:
    async with prometheus(filled(SERIES, 12 * MIB - 99)[:-3], ends=False) as url:
        took = await attack("answers", url, "16", "series")
    assert took.peak < LIMIT
