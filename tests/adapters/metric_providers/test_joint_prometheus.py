"""One query for many: as many requests as families, each answer as if it were asked alone."""

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest
from prometheus_client import CollectorRegistry

from analyzer.addresses import EVERYWHERE
from analyzer.metric_providers.prometheus.joint import BURST, JointPrometheus, open_joint
from analyzer.metric_providers.prometheus.provider import PrometheusProvider
from analyzer.ports import AtOnce, ProviderError
from canary.measuring.births import sampled
from canary.model.strategy import Builtin
from canary.queries.builtin import builtin_queries
from canary.queries.provider import ProviderSpec
from tests.adapters.metric_providers.joined_api import TIME, Evaluating
from tests.adapters.metric_providers.prometheus_api import MINUTE

RUNS = 300
Answer = tuple[float, ...] | str
TIMEOUT = timedelta(seconds=1)


@dataclass
class World:
    """The server, what asks it for many, and what asks it alone."""

    there: Evaluating
    spec: ProviderSpec
    joint: JointPrometheus
    alone: PrometheusProvider

    async def ask(self, *queries: str, alone: bool = False, asker: str = "") -> list[Answer]:
        """Return what each of some queries comes to, all asked at once; in words what is wrong."""
        provider = self.alone if alone else self.joint
        spec = replace(self.spec, asker=asker)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(told(provider, spec, query)) for query in queries]
        return [task.result() for task in tasks]

    def requests(self) -> list[str]:
        """Return what was asked since the last look."""
        found = list(self.there.asked)
        self.there.asked.clear()
        return found


async def told(
    provider: JointPrometheus | PrometheusProvider, spec: ProviderSpec, query: str
) -> Answer:
    try:
        return await provider.query(spec, query, MINUTE)
    except ProviderError as error:
        return str(error)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    there = Evaluating()
    async with AsyncExitStack() as stack:
        address = await stack.enter_async_context(there.serve())
        inner = PrometheusProvider(EVERYWHERE, timeout=TIMEOUT)
        stack.push_async_callback(inner.aclose)
        joint = await stack.enter_async_context(open_joint(inner, AtOnce(), CollectorRegistry()))
        yield World(there, ProviderSpec(type="prometheus", address=address), joint, inner)


def builtins(run: int) -> tuple[str, str]:
    """Return the two built-in metrics of one of many runs, by the pods' own counters."""
    found = []
    for metric in Builtin:
        queries = builtin_queries(
            metric,
            namespace=f"team-{run % 7}",
            service=f"web-{run}-canary",
            workload=f"web-{run}-canary",
            interval=MINUTE,
        )
        found.append(queries[1].query)
    return found[0], found[1]


def errors(name: str) -> str:
    return f'sum(rate(http_errors_total{{app="{name}"}}[1m]))'


# --- as many requests as families -------------------------------------------------------------


async def test_hundreds_of_runs_ask_as_often_as_there_are_families(world: World) -> None:
    queries = [query for run in range(RUNS) for query in builtins(run)]
    world.there.values = {query: str(at) for at, query in enumerate(queries)}

    alone = await world.ask(*queries[: RUNS // 10], alone=True)
    assert len(world.requests()) == RUNS // 10
    answers = await world.ask(*queries)
    requests = world.requests()

    assert answers == [(float(at),) for at in range(len(queries))]
    assert answers[: len(alone)] == alone
    assert len(requests) <= 2 * math.ceil(RUNS / 256)
    assert max(map(len, requests)) <= 196_608


async def test_those_who_come_while_a_round_is_asked_are_the_next(world: World) -> None:
    names = [f"web-{number}" for number in range(20)]
    world.there.values = {errors(name): "1" for name in names}
    async with asyncio.TaskGroup() as group:
        for name in names:
            group.create_task(world.ask(errors(name)))
            await asyncio.sleep(0.03)

    assert len(world.requests()) <= 4


async def test_the_same_query_is_asked_once_and_answers_all(world: World) -> None:
    world.there.values = {errors("web"): "3", errors("api"): "4"}

    answers = await world.ask(errors("web"), errors("web"), errors("api"))

    assert answers == [(3.0,), (3.0,), (4.0,)]
    (asked,) = world.requests()
    assert asked.count("rate(") == 2


# --- as if asked alone ------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["0", "98.75", "-1e300", "+Inf", "NaN", None, "0.1"])
async def test_the_answer_is_that_of_the_query_alone(world: World, value: str | None) -> None:
    scalar = 'scalar(sum(rate(http_errors_total{app="x"}[1m])))'
    queries = [errors("other"), errors("web"), scalar]
    world.there.values = {errors("other"): "7"}
    if value is not None:
        world.there.values |= {errors("web"): value, scalar: value}

    assert await world.ask(*queries) == await world.ask(*queries, alone=True)
    assert len(world.requests()) == 1 + len(queries)


@pytest.mark.parametrize(
    "query",
    [
        'up{job="web"}',
        "sum(rate(http_errors_total[1m]))",
        'sum(rate(http_errors_total{app="web"}[1h]))',
        'sum(rate(http_errors_total{app="web"}[1m])) # all',
        'max_over_time(sum(rate(http_errors_total{app="web"}[1m]))[5m:])',
        "no PromQL(",
    ],
)
async def test_what_cannot_stand_beside_others_is_asked_alone(world: World, query: str) -> None:
    world.there.values = {query: ["1", "2"], errors("web"): "3", errors("api"): "4"}

    assert await world.ask(query, errors("web"), errors("api")) == [(1.0, 2.0), (3.0,), (4.0,)]
    assert sorted(len(one) > len(query) + 50 for one in world.requests()) == [False, True]


# --- what fails -------------------------------------------------------------------------------


async def test_one_that_the_server_refuses_harms_no_other(world: World) -> None:
    names = [f"web-{number}" for number in range(64)]
    world.there.values = {errors(name): str(at) for at, name in enumerate(names)}
    world.there.refused = {errors("web-17")}
    queries = [errors(name) for name in names]

    answers = await world.ask(*queries)

    alone = await world.ask(queries[17], alone=True)
    assert answers == [(float(at),) if at != 17 else alone[0] for at in range(64)]
    assert "many-to-many" in str(alone[0])
    assert len(world.requests()) <= 2 * math.log2(64) + 3
    # It is known from then on: everybody else is one request.
    assert (await world.ask(*queries))[:3] == answers[:3]
    assert len(world.requests()) == 2


async def test_one_that_takes_too_long_keeps_others_waiting_once(world: World) -> None:
    names = [f"web-{number}" for number in range(20)]
    world.there.values = {errors(name): str(at) for at, name in enumerate(names)}
    world.there.hanging = {errors("web-3")}
    queries = [errors(name) for name in names]

    answers = await world.ask(*queries)
    assert [answer for at, answer in enumerate(answers) if at != 3] == [
        (float(at),) for at in range(20) if at != 3
    ]
    assert "has not answered within" in str(answers[3])

    world.requests()
    began = asyncio.get_running_loop().time()
    async with asyncio.TaskGroup() as group:
        group.create_task(world.ask(queries[3]))
        others = await world.ask(*queries[:3], *queries[4:])
        took = asyncio.get_running_loop().time() - began
    assert others == [answer for at, answer in enumerate(answers) if at != 3]
    assert len(world.requests()) == 2
    assert took < TIMEOUT.total_seconds()


async def test_a_server_that_takes_no_long_query_is_asked_shorter_ones(world: World) -> None:
    names = [f"web-{number}" for number in range(64)]
    world.there.values = {errors(name): str(at) for at, name in enumerate(names)}
    world.there.longest = 2000
    queries = [errors(name) for name in names]

    expected = [(float(at),) for at in range(64)]
    assert await world.ask(*queries) == expected
    world.requests()
    assert await world.ask(*queries) == expected
    requests = world.requests()
    assert max(map(len, requests)) <= 2000
    assert len(requests) <= 10


@pytest.mark.parametrize("status", [401, 404, 429, 500, 503])
async def test_what_a_server_says_to_all_is_said_to_all(world: World, status: int) -> None:
    world.there.status = status
    queries = [errors(f"web-{number}") for number in range(8)]

    answers = await world.ask(*queries)

    assert all(f"answers {status}" in str(answer) for answer in answers)
    assert len(world.requests()) <= (2 if status < 500 else 2 * len(queries))
    world.there.status = 200
    world.there.values = dict.fromkeys(queries, "1")
    assert await world.ask(*queries) == [(1.0,)] * 8
    assert len(world.requests()) == 1  # nobody was found at fault


@pytest.mark.parametrize("status", [401, 500])
async def test_what_a_server_says_to_all_after_it_answered_is_nobodys_fault(
    world: World, status: int
) -> None:
    queries = [errors(f"web-{number}") for number in range(8)]
    world.there.values = dict.fromkeys([*queries, "up"], "1")
    expected = [(1.0,)] * 8
    assert await world.ask("up", *queries) == [(1.0,), *expected]
    world.there.status = status
    assert all(f"answers {status}" in str(answer) for answer in await world.ask(*queries))
    world.there.status = 200
    world.requests()
    assert await world.ask(*queries) == expected
    assert len(world.requests()) == 1


async def test_a_server_that_hangs_holds_up_its_own_users_only(world: World) -> None:
    elsewhere = Evaluating(values={errors("web"): "1", errors("api"): "2"})
    world.there.hangs = True
    async with elsewhere.serve() as address, asyncio.TaskGroup() as group:
        hang = group.create_task(world.ask(*(errors(f"web-{number}") for number in range(40))))
        await asyncio.sleep(0.1)
        there = replace(world.spec, address=address)
        began = asyncio.get_running_loop().time()
        for name, value in (("web", 1.0), ("api", 2.0)):
            assert await told(world.joint, there, errors(name)) == (value,)
        assert asyncio.get_running_loop().time() - began < TIMEOUT.total_seconds()
    assert all("has not answered" in str(answer) for answer in hang.result())


async def test_an_answer_of_another_form_is_said_of_each(world: World) -> None:
    world.there.values = {errors("web"): "text", errors("api"): "4"}

    web, api = await world.ask(errors("web"), errors("api"))

    assert api == (4.0,)
    assert [web] == await world.ask(errors("web"), alone=True)


async def test_who_gives_up_takes_nobodys_answer_along(world: World) -> None:
    world.there.values = {errors("web"): "1", errors("api"): "2"}
    world.there.slow = {errors("web"): 0.3}
    async with asyncio.TaskGroup() as group:
        gives_up = group.create_task(world.ask(errors("web")))
        stays = group.create_task(world.ask(errors("web"), errors("api")))
        await asyncio.sleep(0.15)
        gives_up.cancel()
    assert stays.result() == [(1.0,), (2.0,)]


# --- whose it is ------------------------------------------------------------------------------


async def test_other_credentials_are_another_servers(world: World) -> None:
    world.there.values = {errors(f"web-{number}"): "1" for number in range(8)}
    with_secret = [
        replace(world.spec, secret={"token": f"secret-{number % 2}"}, asker=f"team-{number % 2}")
        for number in range(4)
    ]
    async with asyncio.TaskGroup() as group:
        for number, spec in enumerate([*with_secret, *[world.spec] * 4]):
            group.create_task(told(world.joint, spec, errors(f"web-{number}")))

    assert sorted(world.there.askers) == ["", "Bearer secret-0", "Bearer secret-1"]


async def test_namespaces_with_the_same_secret_stay_apart(world: World) -> None:
    world.there.values = {errors(f"web-{number}"): "1" for number in range(4)}
    async with asyncio.TaskGroup() as group:
        for number in range(4):
            spec = replace(world.spec, secret={"token": "same"}, asker=f"team-{number % 2}")
            group.create_task(told(world.joint, spec, errors(f"web-{number}")))

    assert len(world.requests()) == 2


async def test_what_is_asked_alone_is_asked_evenly(world: World) -> None:
    queries = [f'up{{job="web-{number}"}}' for number in range(BURST + 10)]
    world.there.values = dict.fromkeys(queries, "1")
    began = asyncio.get_running_loop().time()

    answers = await world.ask(*queries)

    assert answers == [(1.0,)] * len(queries)
    assert asyncio.get_running_loop().time() - began >= 10 / 50


# --- samples ----------------------------------------------------------------------------------


async def test_samples_of_many_are_dealt_out_by_their_labels(world: World) -> None:
    asked = [query for run in range(60) for query in selectors(run)]
    for run in range(60):
        world.there.samples += pods_of(run)

    alone = [await world.alone.samples(world.spec, it) for it in asked]
    assert len(world.requests()) == len(asked)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(world.joint.samples(world.spec, it)) for it in asked]

    assert [list(task.result()) for task in tasks] == [list(own) for own in alone]
    assert len(world.requests()) <= 6
    assert all(len(own) == 4 for own in alone)


def selectors(run: int) -> tuple[str, ...]:
    found = [sampled(query) for query in builtins(run)]
    return tuple(query for one in found if one is not None for query in one.queries)


def pods_of(run: int) -> list[tuple[dict[str, str], list[tuple[float, str]]]]:
    """Return the series of two pods of a run's canary, and of one of its stable."""
    found = []
    for pod in (f"web-{run}-canary-5d9f-a", f"web-{run}-canary-5d9f-b", f"web-{run}-5d9f-c"):
        labels = {"namespace": f"team-{run % 7}", "kubernetes_pod_name": pod}
        for code in ("200", "500"):
            own = {**labels, "__name__": "http_requests_total", "status": code}
            found.append((own, [(TIME, str(run)), (TIME + 5, "7")]))
        for bound in ("0.1", "+Inf"):
            own = {**labels, "__name__": "http_request_duration_seconds_bucket", "le": bound}
            found.append((own, [(TIME, str(run))]))
    return found
