"""Pods that hang, on a real server, cost no other run's evidence its interval."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta

from aiohttp import web
from prometheus_client import CollectorRegistry

from analyzer.gathering.calibrator import Calibrator
from analyzer.gathering.gatherer import Gatherer
from analyzer.gathering.limits import SCRAPES_OF_A_RUN
from analyzer.gathering.pace import Pace
from analyzer.pod_pages.scraper import PodScraper, open_scraper
from canary.counting.series import Series
from canary.model.values import Key
from runtime.resources import ListResult, Resource
from tests.fakes.cluster import Untouched
from tests.fakes.evidence import BEGAN, SUCCESS, counted, pod, watch
from tests.fakes.listening import TestServer

WELL = Key(namespace="prod", name="web")
SICK = Key(namespace="blue", name="api")
HANGING = 200
TEXT = "text/plain; version=0.0.4; charset=utf-8"
INTERVAL = 2.0


@dataclass
class World(Untouched):
    """200 pods of one run that hang, and two of another that answer; `read` is when they were."""

    scraper: PodScraper
    url: str
    read: list[float] = field(default_factory=list)
    answered: asyncio.Event = field(default_factory=asyncio.Event)
    hanging: int = 0
    all_hang: asyncio.Event = field(default_factory=asyncio.Event)

    async def list(
        self, resource: Resource, namespace: str | None = None, *, label_selector: str = ""
    ) -> ListResult:
        assert resource.plural == "pods"
        canary = "web-canary-b" if namespace == WELL.namespace else "api-canary-b"
        owner = canary if label_selector.startswith("headgate.dev/target") else "web-a"
        count = HANGING // 2 if namespace == SICK.namespace else 1
        items = [
            pod(f"{namespace}-{owner}-{n}", owner, BEGAN + 1, scraped=True, address=f"10.0.0.{n}")
            for n in range(count)
        ]
        return ListResult(items=items, resource_version="1")

    async def scrape(self, url: str, names: frozenset[str], owner: str = "") -> tuple[Series, ...]:
        del url
        return await self.scraper.scrape(f"{self.url}/{owner}", names, owner)

    async def page(self, request: web.Request) -> web.StreamResponse:
        if request.path.endswith(SICK.namespace):
            self.hanging += 1
            if self.hanging == SCRAPES_OF_A_RUN:
                self.all_hang.set()
            await asyncio.sleep(60)
        self.read.append(asyncio.get_running_loop().time())
        self.answered.set()
        return web.Response(text="http_requests_total 1\n", headers={"Content-Type": TEXT})


@asynccontextmanager
async def serving() -> AsyncIterator[World]:
    app = web.Application()
    async with open_scraper() as scraper:
        world = World(scraper, "")
        app.router.add_get("/{path:.*}", world.page)
        async with TestServer(app) as server:
            world.url = str(server.make_url("")).rstrip("/")
            yield world


async def test_two_hundred_pods_that_hang_cost_another_run_no_reading() -> None:
    async with serving() as world, asyncio.TaskGroup() as group:
        loop = asyncio.get_running_loop()
        gatherer = Gatherer(
            world,
            world,
            {},
            Calibrator({}, loop.time),
            pace=Pace(pods=timedelta(seconds=INTERVAL), hurried=timedelta(seconds=INTERVAL)),
            clock=lambda: BEGAN + 10 + loop.time(),
            registry=CollectorRegistry(),
        )
        task = group.create_task(gatherer.run(lambda _: None))
        gatherer.follow(watch(counted(SUCCESS, key=SICK), key=SICK), {})
        async with asyncio.timeout(20):
            await world.all_hang.wait()
            began = loop.time()
            gatherer.follow(watch(counted(SUCCESS, key=WELL), key=WELL), {})
            while len(world.read) < 4:
                world.answered.clear()
                await world.answered.wait()
        assert world.read[0] - began < INTERVAL
        assert world.read[3] - world.read[0] < 2 * INTERVAL
        task.cancel()
