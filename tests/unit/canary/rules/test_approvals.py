"""Gates and rollback hooks: what opens them, what does not, and what they leave alone."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Final

import pytest

from canary.contract import Command, Reason
from canary.evidence.counters import Stratum
from canary.evidence.policy import Inconclusive, Policy
from canary.model.announcement import Alert, Severity
from canary.model.asking import HookAsk
from canary.model.gating import Gate
from canary.model.state import Phase
from canary.model.strategy import GATES, Hook, HookType, Strategy
from canary.objects.status import state_from_status, status_from_state
from canary.rules.actions import SaveState
from tests.fakes.world import NEVER, STRATEGY, World

GATE: Final = "gate"
SICK: Final = Stratum(200, 1000, 0, 9000, 5)
KINDS: Final = pytest.mark.parametrize("kind", sorted(GATES))
SHOWN: Final = {
    HookType.CONFIRM_ROLLOUT: "Waiting",
    HookType.CONFIRM_TRAFFIC_INCREASE: "Progressing",
    HookType.CONFIRM_PROMOTION: "WaitingPromotion",
}
DAY: Final = timedelta(days=1)


def strategy_of(kind: HookType, **changes: object) -> Strategy:
    hook = Hook(name=GATE, type=kind, url="http://x")
    return replace(STRATEGY, hooks=(hook,), **changes)  # type: ignore[arg-type]


def look(world: World) -> None:
    decision = world.reconcile()
    world.roll()
    world.now += max(world.next_look(decision), timedelta(milliseconds=100))


def until(world: World, condition: Callable[[], bool]) -> None:
    for _ in range(3000):
        if condition():
            return
        look(world)
    raise AssertionError(f"it never came to that: {world.state}")


def shut(kind: HookType, **changes: object) -> World:
    """Return a world whose run waits at a gate that says no, and has said so."""
    world = World(strategy=strategy_of(kind, **changes), refuse_hooks={GATE})
    world.update("v2")
    until(world, lambda: world.state.gate is not None and world.state.gate.told)
    return world


def kept(world: World) -> World:
    """Store and read the state, as another process would."""
    stored = status_from_state(world.state, previous={}, generation=1, now=world.now)
    world.state = state_from_status(stored)
    world.die()
    return world


def waits(world: World, time: timedelta) -> None:
    end = world.now + time
    while world.now < end:
        look(world)


# --- a gate is shut, and opens -------------------------------------------------------------------


@KINDS
def test_a_gate_is_waited_at_and_shown(kind: HookType) -> None:
    world = shut(kind)
    assert world.state.stage == SHOWN[kind]
    assert world.state.reason == Reason.WAITING_FOR_APPROVAL
    assert "headgate.dev/approve=gate" in world.state.message
    status = status_from_state(world.state, previous={}, generation=1, now=world.now)
    assert (status["phase"], status["canaryWeight"]) == (SHOWN[kind], world.weight)


@KINDS
def test_a_gate_that_agrees_at_once_is_not_worth_a_word(kind: HookType) -> None:
    world = World(strategy=strategy_of(kind))
    world.update("v2")
    world.run()
    assert world.state.phase is Phase.SUCCEEDED
    assert GATE in world.calls
    assert not [said for said in world.events if "approval" in said or f"check {GATE}" in said]


@KINDS
def test_a_gate_that_opens_lets_the_run_go_on(kind: HookType) -> None:
    world = shut(kind)
    waits(world, timedelta(minutes=30))
    assert world.state.failed_checks == 0
    world.refuse_hooks.clear()
    world.run()
    assert world.state.phase is Phase.SUCCEEDED
    assert sum("waiting for" in said for said in world.events) == 1
    assert sum(f"check {GATE} passed" in said for said in world.events) == 1


@KINDS
def test_a_gate_costs_no_more_than_the_ticks_of_its_run(kind: HookType) -> None:
    world = shut(kind)
    begun, looks, saves, events = world.now, 0, 0, len(world.events)
    while world.now < begun + DAY:
        decision = world.reconcile()
        looks += 1
        saves += SaveState() in decision.actions
        world.now += max(world.next_look(decision), timedelta(milliseconds=100))
    ticks = DAY // STRATEGY.interval
    assert len(world.events) == events
    assert saves <= (ticks + 1 if world.state.begun else 1)
    assert ticks - 2 <= world.calls.count(GATE) <= ticks + 3
    assert looks < 6 * ticks


@KINDS
@pytest.mark.parametrize("value", [GATE, "*", "now"])
def test_a_person_opens_a_gate_once(kind: HookType, value: str) -> None:
    world = shut(kind)
    weight, canary = world.weight, world.canary
    world.command(Command.APPROVE, value)
    until(
        world,
        lambda: (
            (world.weight, world.canary, world.state.phase) != (weight, canary, Phase.PROGRESSING)
        ),
    )
    assert not world.commands
    assert any("approved by alice" in said for said in world.events)
    if kind is HookType.CONFIRM_TRAFFIC_INCREASE:
        until(world, lambda: world.state.gate is not None and world.state.gate.told)
        assert world.weight == 10
        assert not world.state.approved


@KINDS
@pytest.mark.parametrize("crash", range(4))
def test_an_approval_survives_a_death_after_each_write(kind: HookType, crash: int) -> None:
    world = shut(kind)
    world.command(Command.APPROVE, GATE)
    world.reconcile(crash_after=crash)
    kept(world)
    until(world, lambda: world.state.gate is None)
    assert any("approved by alice" in said for said in world.events)


def test_an_approval_of_what_is_no_gate_is_said() -> None:
    world = shut(HookType.CONFIRM_ROLLOUT)
    world.command(Command.APPROVE, "gaet")
    look(world)
    assert not world.commands
    assert any("gaet is no gate" in said and GATE in said for said in world.events)
    assert not world.state.approved


def test_an_approval_counts_for_its_candidate_alone() -> None:
    world = shut(HookType.CONFIRM_PROMOTION)
    early = World(strategy=strategy_of(HookType.CONFIRM_PROMOTION), refuse_hooks={GATE})
    early.update("v2")
    until(early, lambda: early.weight == 20)
    early.command(Command.APPROVE, GATE)
    until(early, lambda: bool(early.state.approved))
    early.update("v3")
    until(early, lambda: early.state.gate is not None and early.state.gate.told)
    assert early.state.candidate == "v3"
    assert not early.state.approved
    assert world.state.candidate == "v2"


# --- what does not open it -----------------------------------------------------------------------


@KINDS
def test_a_gate_that_gives_no_answer_is_shut_and_says_why(kind: HookType) -> None:
    world = World(strategy=strategy_of(kind), faulty_hooks={GATE})
    world.update("v2")
    until(world, lambda: world.state.reason == Reason.WAITING_FOR_APPROVAL)
    waits(world, timedelta(minutes=5))
    assert "cannot be asked: no" in world.state.message
    before = world.state.gate
    assert before is not None
    assert before.faults == (GATE,)
    assert kept(world).state.gate == before
    assert world.state.failed_checks == 0
    world.faulty_hooks.clear()
    world.run()
    assert world.state.phase is Phase.SUCCEEDED


@KINDS
def test_a_gate_that_hangs_is_asked_once_at_a_time(kind: HookType) -> None:
    world = World(strategy=strategy_of(kind), latency={GATE: NEVER})
    world.update("v2")
    until(world, lambda: world.state.gate is not None and world.state.gate.told)
    waits(world, timedelta(minutes=10))
    assert world.calls.count(GATE) == 1
    assert world.state.reason == Reason.WAITING_FOR_APPROVAL


@KINDS
def test_an_answer_that_comes_late_counts_for_its_step_alone(kind: HookType) -> None:
    late = STRATEGY.interval * 3
    world = World(strategy=strategy_of(kind), latency={GATE: late})
    world.update("v2")
    world.run(until=timedelta(hours=4))
    assert world.state.phase is Phase.SUCCEEDED
    steps = {ask.step for ask in world.puts if ask.hook == GATE}
    several = kind is HookType.CONFIRM_TRAFFIC_INCREASE
    assert len(steps) == (len(STRATEGY.steps) if several else 1)
    assert world.calls.count(GATE) == len(steps)


@KINDS
def test_a_gate_goes_with_its_hook(kind: HookType) -> None:
    world = shut(kind)
    world.strategy = STRATEGY
    world.run()
    assert world.state.phase is Phase.SUCCEEDED


# --- what happens in the middle ------------------------------------------------------------------


@KINDS
def test_a_new_image_is_asked_for_again(kind: HookType) -> None:
    world = shut(kind)
    world.update("v3")
    until(
        world,
        lambda: (
            world.state.gate is not None and world.state.gate.told and world.state.candidate == "v3"
        ),
    )
    runs = {ask.run for ask in world.puts if ask.hook == GATE}
    assert len(runs) == 2
    assert all(ask.run == world.state.run for ask in world.out if isinstance(ask, HookAsk))


@KINDS
@pytest.mark.parametrize(
    ("happens", "phase"),
    [
        (lambda world: world.update("v1"), Phase.INITIALIZED),
        (lambda world: world.command(Command.ABORT), Phase.FAILED),
        (lambda world: world.command(Command.PROMOTE), Phase.SUCCEEDED),
        (lambda world: setattr(world, "enabled", False), Phase.INITIALIZED),
    ],
    ids=["revert", "abort", "promote", "disabled"],
)
def test_what_ends_a_run_ends_it_at_a_gate(
    kind: HookType, happens: Callable[[World], None], phase: Phase
) -> None:
    world = shut(kind)
    happens(world)
    world.run()
    assert world.state.phase is phase
    assert world.state.gate is None
    assert not world.out
    assert not [said for said in world.events if f"check {GATE} passed" in said]


@KINDS
def test_a_pause_keeps_a_run_whose_gate_opens(kind: HookType) -> None:
    world = shut(kind)
    world.command(Command.PAUSE)
    look(world)
    world.refuse_hooks.clear()
    weight = world.weight
    waits(world, timedelta(minutes=10))
    assert world.weight == weight
    world.command(Command.PAUSE, "off")
    world.run()
    assert world.state.phase is Phase.SUCCEEDED


@KINDS
def test_a_suspended_run_asks_nobody(kind: HookType) -> None:
    world = shut(kind)
    assert isinstance(world.strategy, Strategy)
    world.strategy = replace(world.strategy, suspended=True)
    look(world)
    asked = world.calls.count(GATE)
    waits(world, timedelta(minutes=10))
    assert world.calls.count(GATE) == asked
    assert not world.out


@KINDS
def test_another_process_waits_on(kind: HookType) -> None:
    world = kept(shut(kind))
    since = world.state.gate.since if world.state.gate else None
    waits(world, timedelta(minutes=3))
    assert world.state.gate is not None
    assert world.state.gate.since == since
    world.refuse_hooks.clear()
    world.run()
    assert world.state.phase is Phase.SUCCEEDED


def test_no_canary_is_left_at_a_shut_gate_before_the_rollout() -> None:
    world = World(strategy=strategy_of(HookType.CONFIRM_ROLLOUT))
    world.update("v2")
    until(world, lambda: world.weight == 20)
    world.refuse_hooks = {GATE}
    world.update("v3")
    until(world, lambda: world.state.gate is not None and world.state.gate.told)
    waits(world, timedelta(minutes=5))
    assert not world.canary
    assert world.weight == 0


def test_an_approved_rollout_is_not_asked_about_again() -> None:
    world = shut(HookType.CONFIRM_ROLLOUT)
    world.command(Command.APPROVE, GATE)
    until(world, lambda: bool(world.canary))
    kept(world)
    world.run()
    assert world.state.phase is Phase.SUCCEEDED


@pytest.mark.parametrize("kind", [HookType.CONFIRM_TRAFFIC_INCREASE, HookType.CONFIRM_PROMOTION])
def test_a_sick_canary_is_refused_at_a_gate(kind: HookType) -> None:
    world = shut(kind)
    if not world.state.begun:
        world.command(Command.APPROVE, GATE)
        until(world, lambda: world.state.begun)
        until(world, lambda: world.state.gate is not None and world.state.gate.told)
    by_checks = replace(world)
    world.strata["v2"] = SICK
    by_checks.values = {"v2": 20.0}
    for one in (world, by_checks):
        until(one, lambda one=one: one.state.phase is Phase.FAILED)  # type: ignore[misc]
        assert one.state.reason == Reason.REFUSED
        assert one.state.gate is None


@KINDS
def test_people_who_take_long_meet_no_deadline(kind: HookType) -> None:
    policy = replace(Policy(), on_inconclusive=Inconclusive.ROLLBACK)
    changes = {"policy": policy, "decide_within": timedelta(hours=1)}
    world = shut(kind, **changes, progress_deadline=timedelta(minutes=10))
    waits(world, DAY)
    assert world.state.phase is Phase.PROGRESSING
    if kind is HookType.CONFIRM_TRAFFIC_INCREASE:
        world.canary_ready = False
        look(world)
        assert world.state.phase is Phase.PROGRESSING
        world.canary_ready = True
    world.refuse_hooks.clear()
    world.run()
    assert world.state.phase.value == "Succeeded"


def test_the_progress_deadline_runs_again_where_pods_are_in_the_way() -> None:
    world = shut(HookType.CONFIRM_TRAFFIC_INCREASE)
    waits(world, DAY)
    world.canary_ready = False
    until(world, lambda: world.state.phase is Phase.FAILED)


# --- rollback hooks ------------------------------------------------------------------------------


@pytest.mark.parametrize("gate", [*sorted(GATES), None])
def test_a_rollback_hook_refuses_in_every_phase(gate: HookType | None) -> None:
    back = Hook(name="back", type=HookType.ROLLBACK, url="http://x")
    gates = () if gate is None else (Hook(name=GATE, type=gate, url="http://x"),)
    strategy = replace(STRATEGY, hooks=(back, *gates))
    world = World(strategy=strategy, refuse_hooks={GATE, "back"})
    world.update("v2")
    if gate is None:
        until(world, lambda: world.weight == 20)
    else:
        until(world, lambda: world.state.gate is not None and world.state.gate.told)
    world.refuse_hooks.remove("back")
    until(world, lambda: world.state.phase is Phase.FAILED)
    assert world.state.reason == Reason.ROLLBACK_HOOK
    assert "back asks for a rollback" in world.state.message
    assert world.marks["refused"] == "v2"
    world.run()
    assert world.weight == 0
    assert not world.out


def test_a_rollback_hook_undoes_a_promotion_that_rolls() -> None:
    back = Hook(name="back", type=HookType.ROLLBACK, url="http://x")
    strategy = replace(STRATEGY, hooks=(back,), interval=timedelta(seconds=10))
    world = World(strategy=strategy, refuse_hooks={"back"}, replicas=400, pods={"v1": 400})
    world.update("v2")
    until(world, lambda: world.state.phase is Phase.PROMOTING)
    world.refuse_hooks.clear()
    until(world, lambda: world.state.phase is Phase.FAILED)
    assert world.state.undoing == "v2"


@pytest.mark.parametrize("how", ["no", "faulty", "hangs"])
def test_a_rollback_hook_that_does_not_agree_is_of_no_account(how: str) -> None:
    back = Hook(name="back", type=HookType.ROLLBACK, url="http://x")
    world = World(strategy=replace(STRATEGY, hooks=(back,)))
    match how:
        case "no":
            world.refuse_hooks = {"back"}
        case "faulty":
            world.faulty_hooks = {"back"}
        case _:
            world.latency = {"back": NEVER}
    world.update("v2")
    world.run()
    assert world.state.phase is Phase.SUCCEEDED
    assert world.state.failed_checks == 0


# --- alerts --------------------------------------------------------------------------------------


@pytest.mark.parametrize("muted", [False, True])
@KINDS
def test_a_gate_is_announced_once_unless_it_is_muted(kind: HookType, *, muted: bool) -> None:
    alert = Alert(name="chat", severity=Severity.WARN, namespace="prod", provider="chat")
    world = World(refuse_hooks={GATE})
    hook = Hook(name=GATE, type=kind, url="http://x", muted=muted)
    world.strategy = replace(STRATEGY, hooks=(hook,), alerts=(alert,))
    world.update("v2")
    until(world, lambda: world.state.gate is not None and world.state.gate.told)
    waits(world, timedelta(minutes=10))
    assert [one.severity for one in world.state.alerts] == ([] if muted else [Severity.WARN])


@pytest.mark.parametrize("muted", [False, True])
def test_a_rollback_by_hook_is_a_warning_unless_it_is_muted(*, muted: bool) -> None:
    alert = Alert(name="chat", severity=Severity.WARN, namespace="prod", provider="chat")
    hook = Hook(name="back", type=HookType.ROLLBACK, url="http://x", muted=muted)
    world = World(strategy=replace(STRATEGY, hooks=(hook,), alerts=(alert,)))
    world.update("v2")
    world.run()
    assert world.state.phase is Phase.FAILED
    assert [one.severity for one in world.state.alerts] == ([] if muted else [Severity.WARN])


# --- what is stored ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "gate",
    [{}, [], {"kind": "rollout", "since": "2026-01-01T00:00:00Z"}, {"kind": "confirm-promotion"}],
)
def test_a_gate_that_cannot_be_read_counts_as_not_written(gate: object) -> None:
    state = state_from_status(
        {"phase": "WaitingPromotion", "run": {"gate": gate, "gatesTook": "x"}}
    )
    assert state.gate is None
    assert state.gates_took == timedelta(0)
    assert state.phase is Phase.PROGRESSING


def test_what_is_remembered_of_gates_is_stored() -> None:
    world = shut(HookType.CONFIRM_PROMOTION)
    world.command(Command.APPROVE, GATE)
    until(world, lambda: bool(world.state.approved))
    before = world.state
    assert isinstance(before.gate, Gate)
    assert kept(world).state.gate == before.gate
    assert world.state.approved == before.approved
    assert world.state.gates_took == before.gates_took
