"""What only the real Inquirer meets: adapters that fail, places, its own beginning and end."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from analyzer.inquiring.carrying import Deadlines
from analyzer.inquiring.inquirer import Inquirer
from analyzer.inquiring.telemetry import Kind
from analyzer.places import Places
from analyzer.ports import HookInquiry, MetricsInquiry
from canary.model.asking import (
    HookAnswer,
    HookAsk,
    MetricsAnswer,
    MetricsAsk,
    Pending,
    Sample,
    Standing,
)
from canary.model.strategy import Hook, HookType, Metric
from canary.model.values import Key
from canary.model.world import HookResult
from canary.queries.metric import Query
from canary.queries.provider import ProviderSpec
from runtime.errors import Unavailable

DEADLINE = 10.0
WEB = Key(namespace="prod", name="web")
API = Key(namespace="prod", name="api")
SHOP = Key(namespace="shop", name="shop")
METRICS = tuple(Metric(name=name, source="vector(1)") for name in ("errors", "latency"))
SPEC = ProviderSpec(type="prometheus", address="http://nowhere")
CHECK = MetricsInquiry(
    ask=MetricsAsk(run="r1", step=1, round=1),
    queries=tuple(Query(metric, SPEC, (), ()) for metric in METRICS),
)


def gate(
    number: int = 1, *, retries: int = 0, timeout: timedelta = timedelta(hours=1)
) -> HookInquiry:
    return HookInquiry(
        ask=HookAsk(run="r1", step=1, round=number, hook="gate", type=HookType.ROLLOUT),
        hook=Hook(
            name="gate",
            type=HookType.ROLLOUT,
            url="http://nowhere",
            timeout=timeout,
            retries=retries,
        ),
        payload={},
    )


@dataclass
class Outside:
    """The adapters: what they do is a function, else they answer at once."""

    hook: Callable[[], Any] = lambda: None
    metrics: Callable[[], Any] = lambda: None
    calls: int = 0
    given_up: int = 0

    async def call(self, hook: Hook, payload: Mapping[str, Any]) -> HookResult:
        del payload
        self.calls += 1
        await self._do(self.hook)
        return HookResult(hook=hook, ok=True)

    async def ask(
        self, queries: tuple[Query, ...], *, baselines: bool = False
    ) -> tuple[Sample, ...]:
        del baselines
        self.calls += 1
        await self._do(self.metrics)
        return tuple(Sample(metric=query.metric, value=1.0) for query in queries)

    async def _do(self, what: Callable[[], Any]) -> None:
        try:
            if (done := what()) is not None:
                await done
        except asyncio.CancelledError:
            self.given_up += 1
            raise


@dataclass
class Scene:
    """An Inquirer that runs, and whom it wakes."""

    inquirer: Inquirer
    registry: CollectorRegistry
    run: asyncio.Task[Any] | None = None
    woken: list[Key] = field(default_factory=list)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def wake(self, key: Key) -> None:
        self.woken.append(key)
        self._changed.set()

    async def wakes(self, times: int) -> None:
        async with asyncio.timeout(DEADLINE):
            while len(self.woken) < times:
                self._changed.clear()
                await self._changed.wait()

    def number(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"headgate_{name}", labels)


def made(outside: Outside, **settings: Any) -> Scene:
    registry = CollectorRegistry()
    return Scene(Inquirer(outside, outside, registry=registry, **settings), registry)


@asynccontextmanager
async def running(outside: Outside, **settings: Any) -> AsyncIterator[Scene]:
    scene = made(outside, **settings)
    async with asyncio.TaskGroup() as group:
        scene.run = group.create_task(scene.inquirer.run(scene.wake))
        yield scene
        scene.run.cancel()


async def settle() -> None:
    """Let every task run until nothing is ready any more: no chain here is as long as this."""
    for _ in range(20):
        await asyncio.sleep(0)


def hang() -> Any:
    return asyncio.Event().wait()


def places(per_namespace: int, together: int = 100) -> dict[Kind, Places[str]]:
    return {kind: Places(per_owner=per_namespace, total=together) for kind in Kind}


# --- the guard per question -------------------------------------------------------------------


class OddError(Exception):
    """Of a kind that nobody expects."""


def raising(error: BaseException) -> Callable[[], Any]:
    def fail() -> Any:
        raise error

    return fail


async def cut_from_within() -> None:
    future = asyncio.get_running_loop().create_future()
    future.cancel()
    await future


FAILURES = [
    pytest.param(raising(OddError("oops")), "OddError: oops", id="odd"),
    pytest.param(raising(KeyError("data")), "KeyError: 'data'", id="key"),
    pytest.param(
        raising(Unavailable(503, "ServiceUnavailable", "away")), "Unavailable: ", id="api"
    ),
    pytest.param(
        raising(ExceptionGroup("of tasks", [ExceptionGroup("", [OddError("deep")])])),
        "OddError: deep",
        id="group",
    ),
    pytest.param(raising(TimeoutError()), "no answer within ", id="timeout"),
    pytest.param(cut_from_within, "what was to answer has been cancelled", id="cancelled"),
]


@pytest.mark.parametrize(("fail", "why"), FAILURES)
async def test_a_hook_adapter_that_fails_is_an_answer_that_says_so(
    fail: Callable[[], Any], why: str
) -> None:
    async with running(Outside(hook=fail)) as scene:
        scene.inquirer.put(WEB, [gate()])
        scene.inquirer.put(API, [CHECK])
        await scene.wakes(2)

        (answer,) = scene.inquirer.standing(WEB).answers
        assert isinstance(answer, HookAnswer)
        assert not answer.ok
        assert answer.message.startswith(f"hook gate has no answer: {why}")
        (other,) = scene.inquirer.standing(API).answers
        assert isinstance(other, MetricsAnswer)
        assert [sample.value for sample in other.samples] == [1.0, 1.0]
        assert scene.number("question_duration_seconds_count", kind="hook", outcome="error") == 1


@pytest.mark.parametrize(("fail", "why"), FAILURES)
async def test_a_metrics_adapter_that_fails_is_samples_that_say_so(
    fail: Callable[[], Any], why: str
) -> None:
    async with running(Outside(metrics=fail)) as scene:
        scene.inquirer.put(WEB, [CHECK])
        scene.inquirer.put(API, [gate()])
        await scene.wakes(2)

        (answer,) = scene.inquirer.standing(WEB).answers
        assert isinstance(answer, MetricsAnswer)
        assert [sample.metric for sample in answer.samples] == list(METRICS)
        assert all(sample.problem.startswith(why) for sample in answer.samples)
        assert scene.inquirer.standing(API).answers == (HookAnswer(ask=gate().ask, ok=True),)


async def test_it_goes_on_after_any_failure() -> None:
    outside = Outside(hook=raising(OddError("oops")))
    async with running(outside) as scene:
        scene.inquirer.put(WEB, [gate()])
        await scene.wakes(1)
        outside.hook = lambda: None

        scene.inquirer.put(WEB, [gate(number=2)])

        await scene.wakes(2)
        assert scene.inquirer.standing(WEB).answers == (HookAnswer(ask=gate(2).ask, ok=True),)


async def test_adapters_that_never_answer_are_given_up() -> None:
    briefly = Deadlines(check=timedelta(milliseconds=50), slack=timedelta(milliseconds=50))
    outside = Outside(hook=hang, metrics=hang)
    async with running(outside, deadlines=briefly) as scene:
        scene.inquirer.put(WEB, [gate(timeout=timedelta(0)), CHECK])

        await scene.wakes(2)

        assert not scene.inquirer.standing(WEB).pending
        assert outside.given_up == 2


def test_a_hook_has_the_hour_and_the_retries_that_it_asks_for() -> None:
    longest = Deadlines().of(gate(timeout=timedelta(hours=1), retries=3))

    assert longest >= timedelta(hours=4)


async def test_what_does_not_end_when_it_is_told_to_answers_no_later_question() -> None:
    released = asyncio.Event()

    async def stubborn() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await released.wait()

    outside = Outside(hook=stubborn)
    async with running(outside) as scene:
        scene.inquirer.put(WEB, [gate()])
        await settle()
        scene.inquirer.put(WEB, [])
        outside.hook = hang
        scene.inquirer.put(WEB, [gate()])
        await settle()

        released.set()
        await settle()

        assert scene.inquirer.standing(WEB).answers == ()
        assert scene.woken == []


# --- places -----------------------------------------------------------------------------------


async def test_a_question_without_a_place_is_queued_until_one_is_free() -> None:
    outside = Outside(hook=hang)
    async with running(outside, places=places(1)) as scene:
        scene.inquirer.put(WEB, [gate()])
        scene.inquirer.put(API, [gate()])
        await settle()

        assert scene.inquirer.standing(API) == Standing(
            pending=(Pending(ask=gate().ask, queued=True),)
        )
        assert scene.number("questions_waiting", kind="hook") == 1
        assert scene.number("questions_in_flight", kind="hook") == 1

        scene.inquirer.put(WEB, [])
        await settle()

        assert scene.inquirer.standing(API) == Standing(
            pending=(Pending(ask=gate().ask, queued=False),)
        )
        assert scene.number("questions_waiting", kind="hook") == 0


async def test_hooks_take_no_place_of_metrics() -> None:
    async with running(Outside(hook=hang), places=places(1)) as scene:
        scene.inquirer.put(WEB, [gate(1), gate(2), CHECK])

        await scene.wakes(1)

        (answer,) = scene.inquirer.standing(WEB).answers
        assert answer.ask == CHECK.ask


async def test_every_namespace_has_a_place_whatever_others_have_taken() -> None:
    outside = Outside(hook=hang)
    async with running(outside, places=places(8, together=8)) as scene:
        scene.inquirer.put(WEB, [gate(number) for number in range(100)])
        await settle()
        outside.hook = lambda: None

        scene.inquirer.put(SHOP, [gate()])

        await scene.wakes(1)
        assert scene.woken == [SHOP]


async def test_a_question_given_up_in_the_queue_is_never_carried_out() -> None:
    outside = Outside(hook=hang)
    async with running(outside, places=places(1)) as scene:
        scene.inquirer.put(WEB, [gate()])
        scene.inquirer.put(API, [gate()])
        await settle()
        scene.inquirer.forget(API)

        scene.inquirer.forget(WEB)
        await settle()

        assert outside.calls == 1
        assert scene.number("questions_in_flight", kind="hook") == 0


# --- its beginning and end --------------------------------------------------------------------


async def test_what_is_put_before_it_runs_is_kept_until_then() -> None:
    outside = Outside()
    scene = made(outside)
    scene.inquirer.put(WEB, [gate()])
    await settle()
    assert outside.calls == 0
    assert [one.ask for one in scene.inquirer.standing(WEB).pending] == [gate().ask]

    async with asyncio.TaskGroup() as group:
        run = group.create_task(scene.inquirer.run(scene.wake))
        await scene.wakes(1)
        run.cancel()

    assert outside.calls == 1


async def test_everything_is_cancelled_and_forgotten_when_it_ends() -> None:
    outside = Outside(hook=hang)
    async with running(outside) as scene:
        scene.inquirer.put(WEB, [gate(), CHECK])
        await scene.wakes(1)

    assert outside.given_up == 1
    assert scene.inquirer.standing(WEB) == Standing()
    assert scene.number("question_duration_seconds_count", kind="hook", outcome="cancelled") == 1


async def test_what_is_put_after_its_end_is_carried_out_when_it_runs_again() -> None:
    outside = Outside(hook=hang)
    async with running(outside) as scene:
        scene.inquirer.put(WEB, [gate()])
        await settle()
    scene.inquirer.put(WEB, [gate(number=2)])
    outside.hook = lambda: None

    async with asyncio.TaskGroup() as group:
        run = group.create_task(scene.inquirer.run(scene.wake))
        await scene.wakes(1)
        assert scene.inquirer.standing(WEB).answers == (HookAnswer(ask=gate(2).ask, ok=True),)
        run.cancel()

    assert outside.calls == 2


async def test_counts_what_the_answers_were_and_how_long_they_took() -> None:
    now = iter([0.0, 7.0, 10.0, 10.5])
    async with running(Outside(), clock=lambda: next(now)) as scene:
        scene.inquirer.put(WEB, [gate()])
        await scene.wakes(1)
        scene.inquirer.put(WEB, [replace(CHECK, queries=())])
        await scene.wakes(2)

    for kind, took in (("hook", 7.0), ("metrics", 0.5)):
        labels = {"kind": kind, "outcome": "success"}
        assert scene.number("question_duration_seconds_sum", **labels) == took
