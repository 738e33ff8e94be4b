"""Large answers share a few places, and a server that does not end its own takes no other's."""

import asyncio
import json

import pytest
from aiohttp import web

from analyzer.addresses import EVERYWHERE
from analyzer.metric_providers.prometheus.provider import PrometheusProvider
from analyzer.ports import ProviderError
from canary.queries.provider import ProviderSpec
from tests.adapters.metric_providers.prometheus_api import MINUTE, Prometheus

LARGE = json.dumps(
    {"data": {"result": [{"metric": {"pod": "x" * 1000}, "value": [1, "1"]}] * 1000}}
).encode()


def spec(url: str, asker: str) -> ProviderSpec:
    return ProviderSpec(type="prometheus", address=url, asker=asker)


async def test_large_answers_that_never_end_take_no_room_of_small_ones_or_the_admins() -> None:
    there, admins = Prometheus(), Prometheus()
    begun = asyncio.Semaphore(0)

    async def hanging(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(LARGE[:-1])
        begun.release()
        await asyncio.Event().wait()
        return response

    async def large(_: web.Request) -> web.StreamResponse:
        return web.Response(body=LARGE, content_type="application/json")

    there.replies["hangs"], there.replies["large"] = hanging, large
    admins.replies["large"] = large
    async with there.serve() as url, admins.serve() as admin:
        provider = PrometheusProvider(EVERYWHERE, trusted=admin)
        async with asyncio.TaskGroup() as group:
            asked = [
                group.create_task(refused(provider, spec(url, f"team-{number}")))
                for number in range(3)
            ]
            for _ in asked:
                await begun.acquire()
            assert len(await provider.series(spec(admin, "team-0"), "large")) == 1000
            assert await provider.query(spec(url, "team-0"), "vector(1)", MINUTE) == ()
            assert not any(task.done() for task in asked)
        assert len(await provider.series(spec(url, "team-0"), "large")) == 1000
        await provider.aclose()


async def refused(provider: PrometheusProvider, asked: ProviderSpec) -> None:
    with pytest.raises(ProviderError, match="has not answered within"):
        await provider.series(asked, "hangs")
