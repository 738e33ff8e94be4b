"""Reconciles at an API server in memory: what is stored, in which order, and what is asked."""

from datetime import timedelta
from typing import Any

import pytest

from analyzer.loop.reconciler import Result
from analyzer.ports import HookInquiry
from canary.contract import HOLD, MANAGED_BY, MANAGED_BY_LABEL, NOTE, SEEN, Command
from canary.model.asking import HookAnswer, HookAsk
from canary.model.state import Phase, State
from canary.model.values import Key
from canary.objects.status import status_from_state
from runtime.resources import CANARIES, DEPLOYMENTS
from tests.fakes import objects
from tests.fakes.bench import GATE, KEY, START, Bench, hash_of, held, ready, service, status
from tests.fakes.inquirer import FakeInquirer

CANARY_KEY = Key(namespace="prod", name="web-canary")
UNGATED = "web.prod was updated without a canary"


async def test_an_idle_target_is_marked_once_and_costs_nothing_more() -> None:
    bench = Bench()
    target = bench.write("web:1")
    for _ in range(3):
        assert await bench.reconcile() == Result()
    assert bench.mark() == hash_of(target)
    assert bench.cluster.calls == ["merge_patch"]
    assert bench.events() == []


async def test_an_ungated_update_is_reported_by_a_process_that_never_saw_what_was_before() -> None:
    bench = Bench()
    bench.write("web:1")
    await bench.reconcile()
    target = bench.write("web:2")
    successor = Bench(cluster=bench.cluster)
    for _ in range(2):
        await successor.reconcile()
    assert successor.events() == [UNGATED]
    assert successor.mark() == hash_of(target)
    bench.write("web:1")
    await successor.reconcile()
    assert successor.events() == [UNGATED, UNGATED]


async def test_an_event_that_was_written_before_a_death_is_not_written_again() -> None:
    bench = Bench()
    first = bench.write("web:1")
    await bench.reconcile()
    bench.write("web:2")
    await bench.reconcile()
    bench.write("web:2", {SEEN: hash_of(first)})  # as if the process had died before the mark
    await bench.reconcile()
    assert bench.events() == [UNGATED]


@pytest.mark.parametrize(
    "change",
    [
        lambda bench: bench.write("web:1", {"team/note": "x"}),
        lambda bench: bench.write("web:1", replicas=7),
        lambda bench: bench.cluster.put(
            DEPLOYMENTS,
            objects.deployment(
                template_annotations={"kubectl.kubernetes.io/restartedAt": "now"},
                annotations=dict(bench.target(KEY)["metadata"]["annotations"]),
            ),
        ),
        lambda bench: bench.write("web:2", paused=True),
    ],
    ids=["an annotation", "a scale", "a restart", "a team's pause"],
)
async def test_what_is_no_ungated_update_is_not_reported(change: Any) -> None:
    bench = Bench()
    bench.write("web:1")
    await bench.reconcile()
    change(bench)
    await bench.reconcile()
    assert bench.events() == []


async def test_a_copy_that_brings_a_mark_was_not_updated() -> None:
    bench = Bench()
    target = bench.write("web:2", {SEEN: "0123456789"})
    await bench.reconcile()
    assert (bench.events(), bench.mark()) == ([], hash_of(target))


async def test_what_admission_said_of_a_creation_becomes_an_event_once() -> None:
    bench = Bench()
    said = "web is made from a copy and starts with web:2, which was refused: slow"
    target = bench.write("web:2", {NOTE: said})
    assert (await bench.reconcile()).requeue_after == timedelta(0)
    assert bench.events() == [said]
    stored = bench.target(KEY)
    assert stored is not None
    assert NOTE not in stored["metadata"]["annotations"]
    bench.write("web:2", {NOTE: said})  # as if the process had died before the note was taken
    for _ in range(2):
        await bench.reconcile()
    assert (bench.events(), bench.mark()) == ([said], hash_of(target))


async def test_a_note_on_a_target_that_goes_meanwhile_is_left() -> None:
    bench = Bench()
    bench.write("web:2", {NOTE: "said"})
    bench.cluster.meanwhile = lambda: bench.cluster.remove(DEPLOYMENTS, "prod", "web")
    assert (await bench.reconcile()).requeue_after is not None
    await bench.reconcile()
    assert bench.events() == ["said"]


async def test_the_canary_of_a_target_gets_no_mark() -> None:
    bench = Bench()
    obj = objects.deployment(name="web-canary")
    obj["metadata"]["labels"] = {MANAGED_BY_LABEL: MANAGED_BY}
    bench.cluster.put(DEPLOYMENTS, obj)
    await bench.reconcile(CANARY_KEY)
    assert bench.cluster.calls == []


async def test_the_mark_goes_with_the_namespace_s_label() -> None:
    bench = Bench()
    bench.write("web:1")
    await bench.reconcile()
    bench.labelled = False
    await bench.reconcile()
    assert bench.mark() is None
    bench.write("web:2")
    bench.labelled = True
    await bench.reconcile()
    assert bench.events() == []


async def test_a_mark_that_another_template_overtook_is_written_at_the_next_look() -> None:
    bench = Bench()
    bench.write("web:1")

    def update() -> None:
        bench.write("web:2")

    bench.cluster.meanwhile = update
    assert (await bench.reconcile()).requeue_after is not None
    assert bench.mark() is None
    await bench.reconcile()
    assert bench.mark() == hash_of(objects.deployment(image="web:2"))


async def test_the_mark_goes_where_a_canary_remembers_and_its_deletion_is_no_update() -> None:
    bench = Bench()
    first = bench.write("web:1", {SEEN: "0123456789"})
    bench.cluster.put(CANARIES, objects.canary())
    service(bench)
    for _ in range(3):
        await bench.reconcile()
    assert bench.mark() is None
    bench.cluster.remove(CANARIES, "prod", "web")
    await bench.reconcile()
    assert bench.events() == ["Initialization done! web.prod"]
    assert bench.mark() == hash_of(first)


# --- a hook's question ---------------------------------------------------------------------------


def asked_of(bench: Bench) -> FakeInquirer:
    assert isinstance(bench.inquirer, FakeInquirer)
    return bench.inquirer


async def to_the_hook(bench: Bench) -> HookInquiry:
    """Bring a run to its pre-rollout hook, with all pods ready, and return the question."""
    for _ in range(10):
        bench.now += timedelta(seconds=2)
        await bench.reconcile()
        ready(bench)
        if asked_of(bench).carried_out:
            (key, inquiry) = asked_of(bench).carried_out[-1]
            assert key == KEY
            assert isinstance(inquiry, HookInquiry)
            return inquiry
    raise AssertionError("the hook was not called")


class Strict(FakeInquirer):
    """Takes no question that is not in the cluster already."""

    def bind(self, bench: Bench) -> "Strict":
        self._bench = bench
        return self

    def put(self, key: Key, inquiries: Any) -> None:
        stored = [one["hook"] for one in status(self._bench)["run"].get("asked") or ()]
        assert all(one.ask.hook in stored for one in inquiries if isinstance(one.ask, HookAsk))
        super().put(key, inquiries)


async def test_that_a_hook_is_called_is_stored_before_it_is_called() -> None:
    bench = held(Bench(), webhooks=[GATE])
    bench.inquirer = Strict().bind(bench)
    inquiry = await to_the_hook(bench)
    (asked,) = status(bench)["run"]["asked"]
    assert (asked["hook"], asked["type"], asked["puts"]) == ("gate", "pre-rollout", 1)
    assert inquiry.hook.timeout == timedelta(hours=1)
    assert inquiry.payload["phase"] == "Progressing"
    assert inquiry.payload["name"] == "web"


async def test_a_hook_is_told_the_canary_s_own_name() -> None:
    bench = held(Bench(), webhooks=[GATE])
    canary = bench.cluster.now(CANARIES, "prod", "web")
    assert canary is not None
    await bench.cluster.delete(CANARIES, "prod", "web")
    bench.cluster.put(CANARIES, {**canary, "metadata": {**canary["metadata"], "name": "shop"}})
    inquiry = await to_the_hook(bench)
    assert inquiry.payload["name"] == "shop"


async def test_an_answer_is_stored_and_the_run_goes_on() -> None:
    bench = held(Bench(), webhooks=[GATE])
    inquiry = await to_the_hook(bench)
    asked_of(bench).answer(KEY, HookAnswer(ask=inquiry.ask, ok=True))
    await bench.reconcile()
    assert (status(bench)["canaryWeight"], bench.router.weight) == (10, 10)
    assert bench.inquirer.standing(KEY).answers == ()


async def test_a_successor_calls_a_hook_once_more_and_no_third_time() -> None:
    bench = held(Bench(), webhooks=[GATE])
    await to_the_hook(bench)
    calls = 1
    for _ in range(3):
        bench = Bench(cluster=bench.cluster, router=bench.router, now=bench.now)
        bench.now += timedelta(seconds=1)
        await bench.reconcile()
        calls += len(asked_of(bench).carried_out)
    assert calls == 2
    assert status(bench)["failedChecks"] == 1


@pytest.mark.parametrize("command", [Command.ABORT, Command.PROMOTE])
async def test_a_command_acts_while_a_hook_is_out_and_cancels_it(command: Command) -> None:
    bench = held(Bench(), webhooks=[GATE])
    await to_the_hook(bench)
    bench.write("web:2", {command: "now"}, paused=True)
    await bench.reconcile()
    target = bench.target(KEY)
    assert target is not None
    assert bench.inquirer.standing(KEY).pending == ()
    wanted = "Promoting" if command is Command.PROMOTE else "Failed"
    assert status(bench)["phase"] == wanted
    assert bool(target["spec"].get("paused")) is (command is Command.ABORT)
    assert command not in target["metadata"]["annotations"]


async def test_questions_about_another_template_stay_out_until_the_next_look() -> None:
    bench = held(Bench(), webhooks=[GATE])
    await to_the_hook(bench)
    before = bench.inquirer.standing(KEY).pending
    bench.write("web:2", {Command.PROMOTE: "now"}, paused=True)

    def overtake() -> None:
        if "merge_patch" in bench.cluster.calls[-1:]:
            bench.cluster.always = None
            bench.write("web:3", {HOLD: "other", Command.PROMOTE: None}, paused=True)

    bench.cluster.always = overtake
    assert await bench.reconcile() == Result(requeue_after=timedelta(0))
    assert bench.inquirer.standing(KEY).pending == before
    await bench.reconcile()
    assert bench.inquirer.standing(KEY).pending == ()
    assert status(bench)["lastAppliedSpec"] == hash_of(objects.deployment(image="web:3"))


async def test_a_target_that_is_gone_asks_nothing_any_more() -> None:
    bench = held(Bench(), webhooks=[GATE])
    await to_the_hook(bench)
    bench.cluster.remove(DEPLOYMENTS, "prod", "web")
    await bench.reconcile()
    assert bench.inquirer.standing(KEY).pending == ()


async def test_a_target_whose_canary_is_gone_asks_nothing_any_more() -> None:
    bench = held(Bench(), webhooks=[GATE])
    await to_the_hook(bench)
    bench.labelled = False
    bench.cluster.remove(CANARIES, "prod", "web")
    await bench.reconcile()
    assert bench.inquirer.standing(KEY).pending == ()


async def test_a_post_rollout_hook_that_a_death_lost_keeps_its_target_from_rest() -> None:
    bench = Bench()
    target = bench.write("web:1")
    service(bench)
    hook = {**GATE, "type": "post-rollout"}
    canary = bench.cluster.put(CANARIES, objects.canary(webhooks=[hook]))
    done = State(
        phase=Phase.SUCCEEDED,
        candidate=hash_of(target),
        stable=hash_of(target),
        started_at=START,
        changed_at=START,
    )
    state = status_from_state(done, previous={}, generation=1, now=START)
    bench.cluster.put(CANARIES, {**canary, "status": state})
    await bench.reconcile()
    successor = Bench(cluster=bench.cluster)
    await successor.reconcile()
    ((key, again),) = asked_of(successor).carried_out
    assert isinstance(again, HookInquiry)
    assert (key, again.hook.name, again.payload["phase"]) == (KEY, "gate", "Succeeded")
    asked_of(successor).answer(KEY, HookAnswer(ask=again.ask, ok=False, message="no"))
    await successor.reconcile()
    assert "asked" not in status(bench)["run"]
    assert successor.events() == ["no"]
    calls = len(bench.cluster.calls)
    await successor.reconcile()
    assert len(bench.cluster.calls) == calls


async def test_a_split_that_belongs_to_no_run_is_taken_off_and_said() -> None:
    bench = Bench()
    bench.write("web:1")
    await bench.reconcile()
    bench.router.weight = 50
    await bench.reconcile()
    await bench.reconcile()
    assert bench.router.weight == 0
    assert bench.events() == ["a split that belongs to no run was taken off the routes"]
