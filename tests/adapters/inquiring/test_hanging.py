"""Questions to real servers, some of which take a connection and never answer."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry

from analyzer.addresses import EVERYWHERE
from analyzer.hooks.http import HttpHookCaller
from analyzer.http import open_session
from analyzer.inquiring.inquirer import PER_NAMESPACE, Inquirer
from analyzer.loop.sampling import Sampler
from analyzer.metric_providers.prometheus.provider import PrometheusProvider
from analyzer.pod_pages.scraper import PodScraper
from analyzer.ports import HookInquiry, Inquiry, MetricsInquiry
from canary.counting.series import Series
from canary.model.asking import Answer, HookAnswer, HookAsk, MetricsAnswer, MetricsAsk
from canary.model.strategy import Hook, HookType, Metric
from canary.model.values import Key
from canary.queries.builtin import SourceQuery
from canary.queries.metric import Query
from canary.queries.provider import ProviderSpec
from tests.adapters.metric_providers.prometheus_api import Prometheus
from tests.fakes.cluster import Untouched
from tests.fakes.listening import TestServer
from tests.fakes.receiver import silent

DEADLINE = 20.0
HOUR = timedelta(hours=1)
TIMEOUT = timedelta(seconds=1)
"""Of the metrics provider here."""


def key(namespace: str, number: int = 0) -> Key:
    return Key(namespace=namespace, name=f"app-{number}")


def hook(url: str, *, number: int = 1, retries: int = 0) -> HookInquiry:
    return HookInquiry(
        ask=HookAsk(run="r1", step=1, round=number, hook="gate", type=HookType.ROLLOUT),
        hook=Hook(name="gate", type=HookType.ROLLOUT, url=url, timeout=HOUR, retries=retries),
        payload={"name": "web"},
    )


def check(address: str) -> MetricsInquiry:
    metric = Metric(name="errors", source="vector(1)")
    spec = ProviderSpec(type="prometheus", address=address)
    texts = (SourceQuery(source="query", query="vector(1)"),)
    query = Query(metric, spec, texts, texts)
    return MetricsInquiry(ask=MetricsAsk(run="r1", step=1, round=1), queries=(query,))


@dataclass
class Scene:
    """An Inquirer with the real adapters."""

    inquirer: Inquirer
    answered: dict[Key, asyncio.Event] = field(default_factory=dict)

    def wake(self, key: Key) -> None:
        self.answered.setdefault(key, asyncio.Event()).set()

    async def answer(self, key: Key, inquiry: Inquiry) -> Answer:
        """Put a question and return its answer."""
        self.inquirer.put(key, [inquiry])
        return await self.answer_to(key)

    async def answer_to(self, key: Key) -> Answer:
        async with asyncio.timeout(DEADLINE):
            await self.answered.setdefault(key, asyncio.Event()).wait()
        (answer,) = self.inquirer.standing(key).answers
        return answer

    def out(self, keys: Iterable[Key]) -> int:
        """Count the questions of these targets that have a place and no answer."""
        pending = [one for key in keys for one in self.inquirer.standing(key).pending]
        return sum(not one.queued for one in pending)


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    provider = PrometheusProvider(EVERYWHERE, timeout=TIMEOUT)
    sampler = Sampler(Untouched(), {"prometheus": provider}, "http://nowhere")
    hooks = HttpHookCaller(EVERYWHERE, first_delay=0.0)
    scene = Scene(Inquirer(hooks, sampler, registry=CollectorRegistry()))
    try:
        async with asyncio.TaskGroup() as group:
            run = group.create_task(scene.inquirer.run(scene.wake))
            yield scene
            run.cancel()
    finally:
        await provider.aclose()


@dataclass
class Receiver:
    """Answers POSTs with these statuses, the last again and again, once it may."""

    statuses: list[int] = field(default_factory=lambda: [200])
    may: asyncio.Event = field(default_factory=asyncio.Event)
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    asked: int = 0

    async def receive(self, request: web.Request) -> web.Response:
        await request.read()
        self.asked += 1
        self.reached.set()
        await self.may.wait()
        return web.Response(status=self.statuses.pop(0) if self.statuses[1:] else self.statuses[0])

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[str]:
        app = web.Application()
        app.router.add_post("/", self.receive)
        server = TestServer(app)
        await server.start_server()
        try:
            yield str(server.make_url("/"))
        finally:
            await server.close()


@pytest.fixture
async def receiver() -> AsyncIterator[tuple[Receiver, str]]:
    receiver = Receiver()
    receiver.may.set()
    async with receiver.serve() as url:
        yield receiver, url


def passed(answer: Answer) -> bool:
    return isinstance(answer, HookAnswer) and answer.ok


# --- hooks ------------------------------------------------------------------------------------


async def test_an_answer_that_takes_its_time_counts(
    scene: Scene, receiver: tuple[Receiver, str]
) -> None:
    other_side, url = receiver
    other_side.may.clear()
    scene.inquirer.put(key("prod"), [hook(url)])
    async with asyncio.timeout(DEADLINE):
        await other_side.reached.wait()
    for _ in range(3):
        scene.inquirer.put(key("prod"), [hook(url)])
    assert scene.out([key("prod")]) == 1

    other_side.may.set()

    assert passed(await scene.answer_to(key("prod")))
    assert other_side.asked == 1


async def test_a_fault_of_the_server_is_tried_again(
    scene: Scene, receiver: tuple[Receiver, str]
) -> None:
    other_side, url = receiver
    other_side.statuses = [503, 500, 200]

    assert passed(await scene.answer(key("prod"), hook(url, retries=2)))
    assert other_side.asked == 3


async def test_a_question_that_is_superseded_closes_its_connection(scene: Scene) -> None:
    async with silent() as server:
        scene.inquirer.put(key("prod"), [hook(server.url)])
        await server.until(lambda it: it.open == 1)

        scene.inquirer.put(key("prod"), [hook(server.url, number=2)])

        await server.until(lambda it: (it.ended, it.open) == (1, 1))


async def test_all_connections_end_when_leading_ends() -> None:
    inquirer = Inquirer(HttpHookCaller(EVERYWHERE), Untasked(), registry=CollectorRegistry())
    async with silent() as server, asyncio.TaskGroup() as group:
        run = group.create_task(inquirer.run(lambda key: None))  # noqa: ARG005
        for number in range(10):
            inquirer.put(key("prod", number), [hook(server.url)])
        await server.until(lambda it: it.open == 10)

        run.cancel()

        await server.until(lambda it: it.ended == 10)


class Untasked:
    """Asks nothing: no metric is judged here."""

    async def ask(self, queries: tuple[Query, ...], *, baselines: bool = False) -> tuple[()]:
        raise AssertionError(f"{queries} are asked, {baselines=}")


async def test_a_hundred_hooks_of_a_namespace_that_hang_delay_no_other_namespace(
    scene: Scene, receiver: tuple[Receiver, str]
) -> None:
    async with silent() as server:
        hanging = [key("prod", number) for number in range(100)]
        for one in hanging:
            scene.inquirer.put(one, [hook(server.url)])
        await server.until(lambda it: it.open == PER_NAMESPACE)

        assert passed(await scene.answer(key("shop"), hook(receiver[1])))

        assert scene.out(hanging) == PER_NAMESPACE
        queued = [p.queued for one in hanging for p in scene.inquirer.standing(one).pending]
        assert queued.count(True) == 100 - PER_NAMESPACE


async def test_a_place_that_is_given_back_goes_to_the_next_of_the_namespace(
    scene: Scene, receiver: tuple[Receiver, str]
) -> None:
    async with silent() as server:
        for number in range(PER_NAMESPACE):
            scene.inquirer.put(key("prod", number), [hook(server.url)])
        await server.until(lambda it: it.open == PER_NAMESPACE)
        waits = key("prod", 100)
        scene.inquirer.put(waits, [hook(receiver[1])])

        scene.inquirer.forget(key("prod", 3))

        assert passed(await scene.answer_to(waits))


async def test_hooks_that_hang_in_many_namespaces_delay_no_other(
    scene: Scene, receiver: tuple[Receiver, str]
) -> None:
    async with silent() as server:
        for number in range(16):
            scene.inquirer.put(key(f"team-{number}"), [hook(server.url)])
        await server.until(lambda it: it.open == 16)

        assert passed(await scene.answer(key("shop"), hook(receiver[1])))


async def test_a_pods_page_is_read_while_a_hundred_hooks_hang(scene: Scene) -> None:
    async def page(_request: web.Request) -> web.Response:
        return web.Response(text="up 1\n", content_type="text/plain")

    app = web.Application()
    app.router.add_get("/metrics", page)
    pod = TestServer(app)
    await pod.start_server()
    try:
        async with silent() as server, open_session(connections=0) as session:
            for number in range(100):
                scene.inquirer.put(key(f"team-{number}"), [hook(server.url)])
            await server.until(lambda it: it.open == 100)

            scraper = PodScraper(session)
            series = await scraper.scrape(str(pod.make_url("/metrics")), frozenset({"up"}))

            assert series == (Series({"__name__": "up"}, 1.0),)
            assert server.open == 100
    finally:
        await pod.close()


# --- metrics ----------------------------------------------------------------------------------


async def test_a_metrics_server_that_hangs_is_given_up_and_delays_its_own_users_only(
    scene: Scene,
) -> None:
    async with silent() as server, Prometheus().serve() as address:
        hanging = [key("prod", number) for number in range(100)]
        for one in hanging:
            scene.inquirer.put(one, [check(server.url)])
        await server.until(lambda it: it.open >= 1)

        answer = await scene.answer(key("shop"), check(address))
        still_out = scene.out(hanging)
        given_up = await scene.answer_to(hanging[0])
        for one in hanging:
            scene.inquirer.forget(one)
        # Threads that ask end with their deadline: a server that ended first would leave them open.
        await server.until(lambda it: it.open == 0)

    assert isinstance(answer, MetricsAnswer)
    assert [sample.problem for sample in answer.samples] == [""]
    assert still_out == PER_NAMESPACE
    assert isinstance(given_up, MetricsAnswer)
    assert "has not answered within" in given_up.samples[0].problem


async def test_a_metrics_server_that_hangs_holds_no_hook_up(
    scene: Scene, receiver: tuple[Receiver, str]
) -> None:
    async with silent() as server:
        scene.inquirer.put(key("prod"), [check(server.url), hook(receiver[1])])

        answer = await scene.answer_to(key("prod"))

        assert passed(answer)
        assert scene.out([key("prod")]) == 1
