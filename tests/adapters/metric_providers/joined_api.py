"""A local Prometheus in miniature: it knows what each query comes to, asked alone or among others.

What it refuses or is slow at, it refuses or is slow at whatever else is asked with it.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import web

from canary.counting.dealing import Dealer
from canary.counting.joining import PART
from canary.counting.reads import reads_of
from canary.counting.series import SeriesSelector
from tests.fakes.listening import TestServer

_PARTS: Final = re.compile(r'label_replace\((.*?),"' + PART + r'","(\d+)","",""\)', re.DOTALL)
_VECTOR: Final = re.compile(r"vector\((scalar\(.*\))\)")
TIME: Final = 1767268800.25


@dataclass
class Evaluating:
    """The other side.

    `values` are by query; one that is not there has no value. `samples` are the series that there
    are, with their points. `longest` is the longest query that it takes.
    """

    values: dict[str, str | list[str]] = field(default_factory=dict)
    samples: list[tuple[Mapping[str, str], list[tuple[float, str]]]] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)
    hanging: set[str] = field(default_factory=set)
    slow: dict[str, float] = field(default_factory=dict)
    longest: int = 1 << 20
    hangs: bool = False
    status: int = 200
    asked: list[str] = field(default_factory=list)
    askers: list[str] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.Response:
        form = await request.post() if request.method == "POST" else request.query
        query = str(form["query"])
        self.asked.append(query)
        self.askers.append(request.headers.get("Authorization", ""))
        if self.hangs or any(one in query for one in self.hanging):
            await asyncio.Event().wait()
        await asyncio.sleep(max((it for one, it in self.slow.items() if one in query), default=0))
        if len(query) > self.longest:
            return _refusal(422, "too long query")
        if self.status != 200:
            return _refusal(self.status, "not now")
        if any(one in query for one in self.refused):
            return _refusal(422, "many-to-many matching not allowed")
        if query.endswith("ms]"):
            return _result("matrix", list(self._samples(query)))
        return _result("vector", list(self._numbers(query)))

    def _numbers(self, query: str) -> Iterator[Any]:
        parts = _PARTS.findall(query)
        for text, at in parts:
            scalar = _VECTOR.fullmatch(text)
            yield from self._of(scalar[1] if scalar else text[1:-1], {PART: at})
        if not parts:
            yield from self._of(query, {})

    def _of(self, query: str, labels: Mapping[str, str]) -> Iterator[Any]:
        values = self.values.get(query, [])
        for value in [values] if isinstance(values, str) else values:
            yield {"metric": labels, "value": [TIME, value]}

    def _samples(self, query: str) -> Iterator[Any]:
        (read,) = reads_of(query)
        dealer = Dealer([SeriesSelector(matchers=read.matchers)], exact=True)
        for labels, points in self.samples:
            if any(True for _ in dealer.whose(labels)):
                yield {"metric": labels, "values": points}

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[str]:
        app = web.Application(client_max_size=1 << 24)
        app.router.add_get("/api/v1/query", self.answer)
        app.router.add_post("/api/v1/query", self.answer)
        server = TestServer(app)
        await server.start_server()
        try:
            yield str(server.make_url("")).rstrip("/")
        finally:
            await server.close()


def _result(kind: str, value: Any) -> web.Response:
    return web.json_response({"status": "success", "data": {"resultType": kind, "result": value}})


def _refusal(status: int, text: str) -> web.Response:
    body = {"status": "error", "errorType": "execution", "error": text}
    return web.json_response(body, status=status)
