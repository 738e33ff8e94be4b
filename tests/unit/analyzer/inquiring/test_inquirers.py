"""The contract of an Inquirer, for the real one and the fake."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import pytest
from prometheus_client import CollectorRegistry

from analyzer.inquiring.inquirer import Inquirer
from analyzer.ports import HookInquiry, Inquiry, MetricsInquiry
from analyzer.ports import Inquirer as Port
from canary.model.asking import (
    Answer,
    Ask,
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
from tests.fakes.inquirer import FakeInquirer

WEB = Key(namespace="prod", name="web")
API = Key(namespace="prod", name="api")
METRIC = Metric(name="errors", source="vector(1)")
QUERY = Query(METRIC, ProviderSpec(type="prometheus", address="http://nowhere"), (), ())
CHECK = MetricsInquiry(ask=MetricsAsk(run="r1", step=2, round=1), queries=(QUERY,))
SAMPLES = MetricsAnswer(ask=CHECK.ask, samples=(Sample(metric=METRIC, value=1.0),))


def hook(name: str, number: int = 1) -> HookInquiry:
    ask = HookAsk(run="r1", step=2, round=number, hook=name, type=HookType.ROLLOUT)
    called = Hook(name=name, type=HookType.ROLLOUT, url="http://nowhere")
    return HookInquiry(ask=ask, hook=called, payload={"which": ask})


GATE = hook("gate")
LOAD = hook("load")
YES = HookAnswer(ask=GATE.ask, ok=True)
NO = HookAnswer(ask=GATE.ask, ok=False, message="not on a Friday")


class World(Protocol):
    """An Inquirer, and the outside that it asks."""

    woken: list[Key]

    @property
    def inquirer(self) -> Port:
        """What is tested."""

    async def carried_out(self) -> list[Ask]:
        """Return the questions that have gone out, in order."""

    async def answer(self, key: Key, answer: Answer) -> None:
        """Have the outside answer, and wait until that has arrived."""


@dataclass
class Fake:
    """The fake, whose answers are given to it."""

    woken: list[Key] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.inquirer = FakeInquirer(self.woken.append)

    async def carried_out(self) -> list[Ask]:
        return [inquiry.ask for _, inquiry in self.inquirer.carried_out]

    async def answer(self, key: Key, answer: Answer) -> None:
        self.inquirer.answer(key, answer)


@dataclass
class Real:
    """The real one, between adapters that answer when they are told to."""

    woken: list[Key] = field(default_factory=list)
    asked: list[Ask] = field(default_factory=list)
    answers: dict[Ask, asyncio.Future[Answer]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.inquirer = Inquirer(self, self, registry=CollectorRegistry())

    async def call(self, hook: Hook, payload: Mapping[str, Any]) -> HookResult:
        answer = await self._wait(payload["which"])
        assert isinstance(answer, HookAnswer)
        return HookResult(hook=hook, ok=answer.ok, message=answer.message)

    async def ask(
        self, queries: tuple[Query, ...], *, baselines: bool = False
    ) -> tuple[Sample, ...]:
        assert (queries, baselines) == ((QUERY,), False)
        answer = await self._wait(CHECK.ask)
        assert isinstance(answer, MetricsAnswer)
        return answer.samples

    async def _wait(self, ask: Ask) -> Answer:
        self.asked.append(ask)
        self.answers[ask] = asyncio.get_running_loop().create_future()
        return await self.answers[ask]

    async def carried_out(self) -> list[Ask]:
        await settle()
        return self.asked

    async def answer(self, key: Key, answer: Answer) -> None:
        del key
        await settle()
        if not (waits := self.answers[answer.ask]).done():
            waits.set_result(answer)
        await settle()


async def settle() -> None:
    """Let every task run until nothing is ready any more: no chain here is as long as this."""
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.fixture(params=["real", "fake"])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    if request.param == "fake":
        yield Fake()
        return
    async with asyncio.TaskGroup() as group:
        real = Real()
        task = group.create_task(real.inquirer.run(real.woken.append))
        yield real
        task.cancel()


def out(*inquiries: Inquiry) -> Standing:
    return Standing(pending=tuple(Pending(ask=one.ask, queued=False) for one in inquiries))


async def test_nothing_stands_for_a_target_that_has_no_question(world: World) -> None:
    assert world.inquirer.standing(WEB) == Standing()
    world.inquirer.forget(WEB)
    assert world.inquirer.standing(WEB) == Standing()


async def test_what_is_put_is_out_in_the_order_in_which_it_was_put(world: World) -> None:
    world.inquirer.put(WEB, [CHECK, GATE, LOAD])

    assert world.inquirer.standing(WEB) == out(CHECK, GATE, LOAD)
    assert await world.carried_out() == [CHECK.ask, GATE.ask, LOAD.ask]
    assert world.inquirer.standing(WEB) == out(CHECK, GATE, LOAD)
    assert world.woken == []


@pytest.mark.parametrize("answer", [YES, NO])
async def test_a_hooks_answer_is_kept_and_wakes_the_target_once(
    world: World, answer: HookAnswer
) -> None:
    world.inquirer.put(WEB, [CHECK, GATE])

    await world.answer(WEB, answer)

    assert world.inquirer.standing(WEB) == Standing(
        answers=(answer,), pending=(Pending(ask=CHECK.ask, queued=False),)
    )
    assert world.woken == [WEB]


async def test_samples_are_kept_and_wake_the_target_once(world: World) -> None:
    world.inquirer.put(WEB, [CHECK, GATE])

    await world.answer(WEB, SAMPLES)

    assert world.inquirer.standing(WEB) == Standing(
        answers=(SAMPLES,), pending=(Pending(ask=GATE.ask, queued=False),)
    )
    assert world.woken == [WEB]


async def test_an_equal_question_goes_on_while_it_is_out(world: World) -> None:
    world.inquirer.put(WEB, [GATE])
    await world.carried_out()

    world.inquirer.put(WEB, [CHECK, hook("gate")])

    assert await world.carried_out() == [GATE.ask, CHECK.ask]
    assert world.inquirer.standing(WEB) == out(CHECK, GATE)


async def test_an_answer_is_kept_for_as_long_as_its_question_stands(world: World) -> None:
    world.inquirer.put(WEB, [GATE])
    await world.answer(WEB, YES)

    for _ in range(3):
        world.inquirer.put(WEB, [GATE])

    assert world.inquirer.standing(WEB) == Standing(answers=(YES,))
    assert await world.carried_out() == [GATE.ask]
    assert world.woken == [WEB]


async def test_whether_the_stable_is_asked_too_makes_no_other_question(world: World) -> None:
    other = MetricsInquiry(ask=MetricsAsk(run="r1", step=2, round=1, baselines=True), queries=())
    world.inquirer.put(WEB, [CHECK])
    await world.answer(WEB, SAMPLES)

    world.inquirer.put(WEB, [other])

    assert world.inquirer.standing(WEB) == Standing(answers=(SAMPLES,))


async def test_what_is_said_twice_is_put_once(world: World) -> None:
    world.inquirer.put(WEB, [GATE, GATE])

    assert world.inquirer.standing(WEB) == out(GATE)
    assert await world.carried_out() == [GATE.ask]


@pytest.mark.parametrize("left", [[], [CHECK], [hook("gate", number=2)]])
async def test_a_question_that_is_not_stated_any_more_is_forgotten(
    world: World, left: list[Inquiry]
) -> None:
    world.inquirer.put(WEB, [GATE, *left])
    await world.carried_out()

    world.inquirer.put(WEB, left)
    await world.answer(WEB, YES)

    assert world.inquirer.standing(WEB) == out(*left)
    assert world.woken == []


async def test_an_answer_that_is_not_asked_for_any_more_is_forgotten(world: World) -> None:
    world.inquirer.put(WEB, [GATE, CHECK])
    await world.answer(WEB, YES)

    world.inquirer.put(WEB, [CHECK])

    assert world.inquirer.standing(WEB) == out(CHECK)


async def test_a_question_that_was_given_up_can_be_put_again(world: World) -> None:
    world.inquirer.put(WEB, [GATE])
    await world.answer(WEB, NO)
    world.inquirer.put(WEB, [])

    world.inquirer.put(WEB, [GATE])

    assert world.inquirer.standing(WEB) == out(GATE)
    assert await world.carried_out() == [GATE.ask, GATE.ask]


async def test_forgets_all_of_a_target_and_nothing_of_another(world: World) -> None:
    world.inquirer.put(WEB, [GATE, CHECK])
    world.inquirer.put(API, [LOAD])
    await world.answer(WEB, YES)

    world.inquirer.forget(WEB)

    assert world.inquirer.standing(WEB) == Standing()
    assert world.inquirer.standing(API) == out(LOAD)


async def test_a_target_is_woken_by_its_own_answers_only(world: World) -> None:
    world.inquirer.put(WEB, [GATE])
    world.inquirer.put(API, [LOAD])

    await world.answer(API, HookAnswer(ask=LOAD.ask, ok=True))

    assert world.woken == [API]
    assert world.inquirer.standing(WEB) == out(GATE)
