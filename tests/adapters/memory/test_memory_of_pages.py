"""Pages of pods that are as large as they may be, and what the analyzer takes for them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from tests.adapters.memory.attacked import LIMIT, attack
from tests.fakes.listening import TestServer

MIB = 2**20
TEXT = "text/plain; version=0.0.4; charset=utf-8"


@asynccontextmanager
async def pod(body: bytes) -> AsyncIterator[str]:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(body=body, headers={"Content-Type": TEXT})

    app = web.Application()
    app.router.add_get("/metrics", answer)
    async with TestServer(app) as server:
        yield str(server.make_url("/metrics"))


def filled(line: bytes, size: int = 4 * MIB) -> bytes:
    return line * (size // len(line))


@pytest.mark.parametrize(
    ("count", "body"),
    [
        pytest.param(24, filled(b'b{x="some value"} 17.5\n'), id="of nothing that is wanted"),
        pytest.param(64, filled(b"\n"), id="of empty lines"),
        pytest.param(64, b"#" * (4 * MIB), id="of one line"),
        pytest.param(16, "# \U0001f600".encode() * (MIB // 2), id="of wide characters"),
        pytest.param(64, filled(b"a 1\n", 100_000), id="of short samples"),
        pytest.param(
            6,
            b"".join(b'a{x="%05d",y="%090d"} 1\n' % (n, n) for n in range(9000)),
            id="of as much as is read",
        ),
        pytest.param(
            3,
            filled(b"a{" + b",".join(b'l%d="%d"' % (n, n) for n in range(350)) + b"} 1\n", MIB),
            id="of many labels",
        ),
    ],
)
async def test_pages_of_any_form_stay_below_the_limit_of_the_pod(count: int, body: bytes) -> None:
    async with pod(body) as url:
        took = await attack("pages", str(count), url)
    assert took.peak < LIMIT
