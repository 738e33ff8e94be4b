"""Whatever hangs outside, in whatever phase: what people ask for and what is known acts at once."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from analyzer.inquiring.inquirer import Inquirer
from canary.contract import HOLD, TARGET_LABEL, Command
from canary.model.strategy import Hook
from canary.model.values import Json, Key
from canary.model.world import HookResult
from canary.queries.provider import ProviderSpec
from runtime.resources import DEPLOYMENTS, PODS
from tests.fakes import objects
from tests.fakes.bench import KEY, Bench, hash_of, held, ready, status

AT_ONCE = 30.0
"""Seconds by which a reconcile has ended on any machine: what hangs here does so for ever."""
METRIC = {"name": "errors", "query": "errors", "thresholdRange": {"max": 1}}


@dataclass
class Outside:
    """Hooks and a metrics server that answer, or take the question and never do."""

    hangs: set[str] = field(default_factory=set)
    open: list[str] = field(default_factory=list)
    value: float = 0.0

    async def call(self, hook: Hook, payload: Mapping[str, Any]) -> HookResult:
        del payload
        await self._answer(hook.name)
        return HookResult(hook=hook, ok=True)

    async def query(self, spec: ProviderSpec, query: str, interval: timedelta) -> tuple[float, ...]:
        del spec, interval
        await self._answer(query)
        return (self.value,)

    async def _answer(self, name: str) -> None:
        if name not in self.hangs:
            return
        self.open.append(name)
        try:
            await asyncio.Event().wait()
        finally:
            self.open.remove(name)


def woken(key: Key) -> None:
    assert key == KEY


@asynccontextmanager
async def analyzer(outside: Outside, *hooks: Json) -> AsyncIterator[Bench]:
    bench = Bench(providers={"prometheus": outside})
    inquirer = Inquirer(outside, bench.sampler(), registry=CollectorRegistry())
    bench.inquirer = inquirer
    held(bench, metrics=[METRIC], webhooks=list(hooks), interval="10s", threshold=2)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(inquirer.run(woken))
        yield bench
        task.cancel()


async def turns() -> None:
    """Let everything go on that waits for nothing: no time goes by."""
    for _ in range(20):
        await asyncio.sleep(0)


async def until(bench: Bench, condition: Callable[[], bool]) -> None:
    """Reconcile, as time goes by, until it has come to something."""
    for _ in range(60):
        await asyncio.wait_for(bench.reconcile(), AT_ONCE)
        ready(bench)
        await turns()
        if condition():
            return
        bench.now += timedelta(seconds=2)
    raise AssertionError(status(bench))


def hook(name: str, kind: str) -> Json:
    return {"name": name, "type": kind, "url": "http://x", "timeout": "1h", "retries": 3}


PHASES = {
    "pre-rollout": (hook("approval", "pre-rollout"), {"approval"}),
    "first look": (hook("load", "rollout"), {"load"}),
    "metrics": (None, {"errors"}),
    "both": (hook("load", "rollout"), {"load", "errors"}),
}


@asynccontextmanager
async def hanging(phase: str) -> AsyncIterator[tuple[Bench, Outside]]:
    wanted, hangs = PHASES[phase]
    outside = Outside(hangs=set(hangs))
    async with analyzer(outside, *([wanted] if wanted else ())) as bench:
        await until(bench, lambda: set(outside.open) == hangs)
        yield bench, outside


def command(word: Command) -> Callable[[Bench], None]:
    def give(bench: Bench) -> None:
        bench.write("web:2", {word: "now"}, paused=True)

    return give


def crash(bench: Bench) -> None:
    waiting = {"reason": "CrashLoopBackOff", "message": "exit code 1"}
    bench.cluster.put(
        PODS,
        {
            "metadata": {"name": "x", "namespace": "prod", "labels": {TARGET_LABEL: "web"}},
            "status": {"containerStatuses": [{"name": "app", "state": {"waiting": waiting}}]},
        },
    )


def new_template(bench: Bench) -> None:
    obj = objects.deployment(image="web:3")
    bench.write("web:3", {HOLD: hash_of(obj)}, paused=True)


def revert(bench: Bench) -> None:
    bench.write("web:1", {HOLD: None, "headgate.dev/stable": None}, paused=False)


def label_gone(bench: Bench) -> None:
    bench.labelled = False


EVENTS = {
    "abort": (command(Command.ABORT), "Failed"),
    "promote": (command(Command.PROMOTE), "Promoting"),
    "crash": (crash, "Failed"),
    "new template": (new_template, "Progressing"),
    "revert": (revert, "Initialized"),
    "label gone": (label_gone, "Initialized"),
}


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("phase", PHASES)
async def test_nothing_that_hangs_keeps_a_decision_waiting(phase: str, event: str) -> None:
    happens, ending = EVENTS[event]
    async with hanging(phase) as (bench, outside):
        happens(bench)
        await asyncio.wait_for(bench.reconcile(), AT_ONCE)
        assert status(bench)["phase"] == ending
        assert bench.router.weight == 0 or ending == "Promoting"
        await turns()
        assert outside.open == []


async def test_failing_metrics_refuse_while_a_hook_hangs() -> None:
    async with hanging("first look") as (bench, outside):
        outside.value = 20.0
        await until(bench, lambda: status(bench)["phase"] == "Failed")
        assert bench.router.weight == 0
        assert "threshold reached 2" in status(bench)["conditions"][0]["message"]
        await turns()
        assert outside.open == []


async def test_a_post_rollout_hook_that_hangs_holds_no_promotion_up() -> None:
    outside = Outside(hangs={"report"}, value=20.0)
    async with analyzer(outside, hook("report", "post-rollout")) as bench:
        await until(bench, lambda: outside.open == ["report"])
        assert status(bench)["phase"] == "Failed"
        command(Command.PROMOTE)(bench)
        await asyncio.wait_for(bench.reconcile(), AT_ONCE)
        assert status(bench)["phase"] == "Promoting"
        target = bench.cluster.now(DEPLOYMENTS, "prod", "web")
        assert target is not None
        assert not target["spec"].get("paused")
        await turns()
        assert outside.open == []


async def test_a_leader_that_stops_closes_its_calls_and_its_successor_calls_once_more() -> None:
    outside = Outside(hangs={"approval"})
    async with analyzer(outside, hook("approval", "pre-rollout")) as bench:
        await until(bench, lambda: outside.open == ["approval"])
    assert outside.open == []
    calls = 0
    for _ in range(3):
        successor = Inquirer(outside, bench.sampler(), registry=CollectorRegistry())
        bench.inquirer = successor
        async with asyncio.TaskGroup() as group:
            task = group.create_task(successor.run(woken))
            bench.now += timedelta(seconds=2)
            await bench.reconcile()
            await turns()
            calls += len(outside.open)
            task.cancel()
    assert calls == 1
    assert status(bench)["failedChecks"] == 1
