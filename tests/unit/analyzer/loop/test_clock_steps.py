"""Clocks that step by an hour, with runs in between: at most one interval is lost."""

from datetime import timedelta

import pytest

from canary.contract import Command
from canary.model.state import State
from canary.rules.ahead import SLACK, in_step
from runtime.clock import ServerClock
from runtime.resources import DEPLOYMENTS
from tests.fakes.bench import Bench, held, ready, status
from tests.fakes.world import STRATEGY
from tests.unit.runtime.test_clock import HOUR, Scene, beats, settled

INTERVAL = 30
"""Seconds between the steps of the Canary here."""
HOURS = [timedelta(hours=-1), timedelta(hours=1)]


async def stepping(bench: Bench, *, seconds: float, scene: Scene, clock: ServerClock) -> list[int]:
    """Let a run go on for so long; return the weights that it had."""
    weights: list[int] = []
    until = scene.passed + seconds
    while scene.passed < until:
        beats(scene, clock, 2.5, every=0.817)
        bench.now = clock.now()
        result = await bench.reconcile()
        while result.requeue_after == timedelta(0):
            ready(bench)
            result = await bench.reconcile()
        ready(bench)
        weight = status(bench).get("canaryWeight", 0)
        if not weights or weights[-1] != weight:
            weights.append(weight)
    return weights


def unready(bench: Bench) -> None:
    """Let the canary have pods, of which none is ever ready."""
    found = bench.cluster.now(DEPLOYMENTS, "prod", "web-canary")
    if found is not None:
        counts = {"replicas": found["spec"]["replicas"], "updatedReplicas": 1, "readyReplicas": 0}
        generation = found["metadata"].get("generation", 0)
        found["status"] = {**counts, "observedGeneration": generation}
        bench.cluster.put(DEPLOYMENTS, found)


def running() -> tuple[Bench, Scene, ServerClock]:
    scene = Scene()
    clock = settled(scene)
    bench = held(Bench(now=clock.now()), interval=f"{INTERVAL}s", metrics=[], webhooks=[])
    return bench, scene, clock


@pytest.mark.parametrize("step", [-HOUR, HOUR])
@pytest.mark.parametrize("moment", [70.0])
async def test_a_step_of_the_server_s_clock_stops_no_ticks(step: float, moment: float) -> None:
    bench, scene, clock = running()
    before = await stepping(bench, seconds=moment, scene=scene, clock=clock)
    scene.server_step = step
    after = await stepping(bench, seconds=2.2 * INTERVAL, scene=scene, clock=clock)
    assert status(bench)["phase"] == "Progressing"
    assert 1 <= len(after) - 1 <= 3
    assert after[0] == before[-1]


@pytest.mark.parametrize("step", HOURS)
@pytest.mark.parametrize("moment", [45.0, 70.0])
async def test_a_successor_that_was_not_there_when_it_stepped_loses_one_interval_at_most(
    step: timedelta, moment: float
) -> None:
    """It has no word of its predecessor's, as where both were away for a while."""
    bench, scene, clock = running()
    await stepping(bench, seconds=moment, scene=scene, clock=clock)
    scene.server_step = step.total_seconds()
    successor = scene.clock(5.0)
    scene.answer(successor, there=0.001, back=0.001)
    after = await stepping(bench, seconds=2.2 * INTERVAL, scene=scene, clock=successor)
    assert status(bench)["phase"] in {"Progressing", "Promoting"}
    assert 1 <= len(after) - 1 <= 3


@pytest.mark.parametrize("step", [-HOUR, HOUR])
async def test_a_deadline_that_runs_is_not_over_at_once(step: float) -> None:
    bench, scene, clock = running()
    bench.now = clock.now()
    for _ in range(3):
        await bench.reconcile()
        unready(bench)
    beats(scene, clock, 60)
    scene.server_step = step
    assert not await expired(bench, scene, clock, 400)
    assert await expired(bench, scene, clock, 300)


async def expired(bench: Bench, scene: Scene, clock: ServerClock, seconds: float) -> bool:
    for _ in range(int(seconds / 10)):
        beats(scene, clock, 10, every=1.317)
        bench.now = clock.now()
        await bench.reconcile()
    return any("are ready after 600 s" in message for message in bench.events())


async def test_a_state_of_the_future_obeys_commands_too() -> None:
    bench, scene, clock = running()
    await stepping(bench, seconds=45, scene=scene, clock=clock)
    bench.now -= timedelta(hours=1)
    bench.write("web:2", {Command.ABORT: "now"}, paused=True)
    for _ in range(4):
        await bench.reconcile()
    assert status(bench)["phase"] == "Failed"


def test_times_that_are_in_step_stay_as_they_are() -> None:
    now = running()[2].now()
    state = State(started_at=now, changed_at=now + SLACK, checked_at=now - timedelta(hours=1))
    assert in_step(state, STRATEGY, now) is state
    assert in_step(State(), STRATEGY, now) == State()


def test_times_ahead_keep_their_distance_and_the_run_its_name() -> None:
    now = running()[2].now()
    hour, minute = timedelta(hours=1), timedelta(minutes=1)
    state = State(
        candidate="v2", started_at=now + hour, changed_at=now + hour - minute, checked_at=now
    )
    moved = in_step(state, STRATEGY, now)
    assert moved.changed_at == now
    assert moved.checked_at == now - hour + minute
    assert moved.run == state.run
