"""Queries are worked out in a process of its own, which nothing of a task outlives."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from analyzer.deriving.process import Bounds, DerivingProcess, open_deriver
from analyzer.ports import UnderivableError
from canary.counting.narrowing import RunPods
from canary.counting.zeros import completed
from canary.measuring.countable import Countable, count_of
from canary.model.strategy import Metric
from canary.queries.builtin import SourceQuery
from canary.queries.own import Past, own_texts
from canary.queries.sides import sides, versions_of
from canary.queries.templates import TemplateError, TemplateValues
from canary.queries.worn import unworn_text
from tests.adapters import hostile_tasks as tasks
from tests.fakes.evidence import DURATION, SUCCESS, queries

BOUNDS = Bounds(deadline=3.0, memory=64 << 20, failures=600, strikes=3)
STABLE = TemplateValues(
    name="web",
    namespace="prod",
    workload="web",
    baseline="web",
    service="web",
    interval=timedelta(minutes=1),
    backend="web",
)
CANARY = replace(STABLE, workload="web-canary", backend="web-canary")
RATIO = 'sum(rate(http_requests_total{app="{{ target }}"}[1m]))'


@pytest.fixture
async def deriver() -> AsyncIterator[DerivingProcess]:
    async with open_deriver(BOUNDS) as one:
        yield one


def is_there(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


async def test_what_comes_of_a_task_is_what_the_function_returns(deriver: DerivingProcess) -> None:
    found = await deriver.derive("prod", sides, RATIO, CANARY, STABLE)
    assert found == sides(RATIO, CANARY, STABLE)
    with pytest.raises(TemplateError, match="does not read the canary"):
        await deriver.derive("prod", sides, 'x_total{app="web"}', CANARY, STABLE)


async def test_what_was_worked_out_is_not_worked_out_again(deriver: DerivingProcess) -> None:
    first = await deriver.derive("prod", tasks.counted_up, "a")
    assert await deriver.derive("blue", tasks.counted_up, "a") == first
    assert await deriver.derive("blue", tasks.counted_up, "b") == first + 1


@pytest.mark.parametrize(
    ("task", "why"),
    [
        (tasks.for_ever, "too long"),
        (tasks.of_all_memory, "too much memory"),
        (tasks.that_dies, "has ended"),
        (tasks.that_is_killed, "has ended"),
        (tasks.that_panics, "Panic"),
        (tasks.that_fails, "ZeroDivisionError"),
        (tasks.too_deep, "too deep"),
        (tasks.of_a_large_answer, "too large"),
        (tasks.that_prints, ""),
    ],
)
async def test_a_task_that_fails_is_refused_and_remembered_and_the_next_one_done(
    task: tasks.Task, why: str, deriver: DerivingProcess
) -> None:
    tried = await deriver.derive("prod", tasks.counted_up, "before")
    if why:
        with pytest.raises(UnderivableError, match=why):
            await deriver.derive("prod", task, "x")
        before = deriver.pid
        began = time.monotonic()
        with pytest.raises(UnderivableError, match=why):
            await deriver.derive("prod", task, "x")
        assert time.monotonic() - began < 2.0
        assert deriver.pid == before
    else:
        assert await deriver.derive("prod", task, "x") == 7
    assert await deriver.derive("prod", tasks.counted_up, "after") in {tried + 1, 1}


async def test_the_loop_goes_on_meanwhile(deriver: DerivingProcess) -> None:
    await deriver.derive("prod", tasks.counted_up, "started")
    longest, last = 0.0, time.monotonic()

    async def look() -> None:
        nonlocal longest, last
        while True:
            await asyncio.sleep(0.01)
            longest, last = max(longest, time.monotonic() - last), time.monotonic()

    async with asyncio.TaskGroup() as group:
        looking = group.create_task(look())
        with pytest.raises(UnderivableError):
            await deriver.derive("prod", tasks.for_ever, "x")
        looking.cancel()
    assert longest < 2.0  # the deadline is 3 s


async def test_one_namespaces_tasks_are_no_more_than_one_turn_of_anothers() -> None:
    bounds = replace(BOUNDS, deadline=0.5, strikes=100)
    async with open_deriver(bounds) as deriver, asyncio.TaskGroup() as group:
        await deriver.derive("prod", tasks.counted_up, "started")

        async def hostile(number: int) -> None:
            with pytest.raises(UnderivableError):
                await deriver.derive("blue", tasks.for_ever, str(number))

        out = [group.create_task(hostile(number)) for number in range(30)]
        await asyncio.sleep(0.1)
        began = time.monotonic()
        await deriver.derive("prod", tasks.counted_up, "one")
        assert time.monotonic() - began < 15  # thirty deadlines and starts are more than that
        for task in out:
            task.cancel()


async def test_a_namespace_whose_tasks_fail_again_and_again_is_not_tried_any_more(
    deriver: DerivingProcess,
) -> None:
    for number in range(BOUNDS.strikes):
        with pytest.raises(UnderivableError, match="ZeroDivisionError"):
            await deriver.derive("blue", tasks.that_fails, str(number))
    with pytest.raises(UnderivableError, match="too many of blue's"):
        await deriver.derive("blue", tasks.that_fails, "another")
    assert await deriver.derive("prod", tasks.counted_up, "x") > 0


async def test_a_task_that_is_waited_for_no_more_answers_no_other(deriver: DerivingProcess) -> None:
    await deriver.derive("prod", tasks.counted_up, "started")
    async with asyncio.TaskGroup() as group:
        out = group.create_task(deriver.derive("prod", tasks.slow, "first"))
        await asyncio.sleep(0.1)
        out.cancel()
        assert await deriver.derive("blue", tasks.slow, "second") == "second"


async def test_failures_are_tried_again_after_a_time() -> None:
    async with open_deriver(replace(BOUNDS, failures=0.0)) as deriver:
        for _ in range(2):
            with pytest.raises(UnderivableError, match="has ended"):
                await deriver.derive("prod", tasks.that_dies, "x")


async def test_what_is_remembered_has_a_bound(deriver: DerivingProcess) -> None:
    for number in range(40):
        assert (
            len(await deriver.derive("prod", tasks.of_a_size, 300_000 + number)) == 300_000 + number
        )
    assert len(deriver._remembered) < 30  # noqa: SLF001


async def test_no_process_is_left_behind() -> None:
    async with open_deriver(BOUNDS) as deriver:
        await deriver.derive("prod", tasks.counted_up, "a")
        first = deriver.pid
        with pytest.raises(UnderivableError):
            await deriver.derive("prod", tasks.that_dies, "x")
        await deriver.derive("prod", tasks.counted_up, "b")
        second = deriver.pid
        assert first is not None
        assert second is not None
    assert not is_there(first)
    assert not is_there(second)


async def test_the_process_ends_with_the_one_that_started_it(deriver: DerivingProcess) -> None:
    await deriver.derive("prod", tasks.counted_up, "a")
    pid, process = deriver.pid, deriver._process  # noqa: SLF001
    assert pid is not None
    assert process is not None
    assert process.stdin is not None
    os.kill(pid, signal.SIGINT)  # as a terminal sends it to all of them
    assert await deriver.derive("prod", tasks.counted_up, "b") > 0
    assert deriver.pid == pid
    process.stdin.close()  # as the end of the other process does
    async with asyncio.timeout(10):
        assert await process.wait() == 0


WHOLE = RATIO.replace("{app", '{code=~"5..",app') + " / " + RATIO


async def test_all_that_the_loop_has_worked_out_is_the_same_there(
    deriver: DerivingProcess,
) -> None:
    metric = Metric(name="errors", source=WHOLE, maximum=0.1, variables={"a": "b"})
    rendered = await deriver.derive("prod", sides, WHOLE, CANARY, STABLE)
    texts = (SourceQuery(source="query", query=rendered.canary),)
    stable = (SourceQuery(source="query", query=rendered.stable),)
    given = (metric, texts, stable, False, True)
    counted = await deriver.derive("prod", count_of, *given)
    assert isinstance(counted, Countable)
    assert counted == count_of(*given)
    for builtin in (SUCCESS, DURATION):
        ours, theirs = queries(builtin, "web-canary"), queries(builtin, "web")
        of_builtin = (builtin, ours, theirs, False, False)
        assert await deriver.derive("prod", count_of, *of_builtin) == count_of(*of_builtin)
    names = ("web-canary", "web")
    assert await deriver.derive("prod", completed, rendered.canary, names) == completed(
        rendered.canary, names
    )
    now = datetime(2026, 1, 1, 12, tzinfo=UTC)
    past = Past(
        former_until=now,
        traffic_since=now,
        pods=RunPods(names=("web-canary-b-1",), stable="web-a-1", former="web-canary-a-1"),
        scrape=timedelta(seconds=15),
        recorded=timedelta(0),
    )
    assert await deriver.derive("prod", own_texts, texts, past, now) == own_texts(texts, past, now)
    versions = versions_of(CANARY, STABLE)
    worn = (("app", ("app", "web")),)
    problems = await deriver.derive("prod", unworn_text, "errors", texts[0].query, versions, worn)
    assert problems == unworn_text("errors", texts[0].query, versions, worn)
    assert problems


async def test_who_waits_too_long_is_refused_for_now_and_not_for_later() -> None:
    async with open_deriver(replace(BOUNDS, wait=0.3)) as deriver, asyncio.TaskGroup() as group:
        tried = await deriver.derive("prod", tasks.counted_up, "started")

        async def hostile() -> None:
            with pytest.raises(UnderivableError):
                await deriver.derive("blue", tasks.for_ever, "x")

        out = group.create_task(hostile())
        await asyncio.sleep(0)
        with pytest.raises(UnderivableError, match="tried again"):
            await deriver.derive("prod", tasks.counted_up, "late")
        await out
        assert await deriver.derive("prod", tasks.counted_up, "late") in {tried + 1, 1}
