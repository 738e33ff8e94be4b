"""A leader that was stopped in the middle of its writes, and finds what its successor has done."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from analyzer.loop.act import Actor
from analyzer.loop.observe import Scene
from analyzer.loop.records import Records
from analyzer.ports import Router, SplitRefused
from canary.contract import HOLD, PROMOTING, REFUSED, STABLE, TARGET_LABEL, Command, Reason
from canary.model.canary_labels import canary_labels
from canary.model.hashing import template_hash
from canary.model.state import Phase, State
from canary.model.strategy import Strategy
from canary.model.traffic import Traffic
from canary.model.values import Json, Key
from canary.model.world import Split
from canary.rules.actions import (
    Action,
    Decision,
    DeleteCanary,
    Emit,
    EnsureCanary,
    MarkRefused,
    SaveState,
    ScaleDownRevision,
    SetTraffic,
)
from canary.rules.half_way import undo_promotion
from canary.rules.transitions import clear, release
from runtime.resources import CANARIES, DEPLOYMENTS, REPLICASETS, SERVICES, Resource
from runtime.writes import Overtaken
from tests.fakes.objects import annotated, canary, deployment
from tests.fakes.stored import Stored
from tests.fakes.world import KEY, STRATEGY, World

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NEW = template_hash(deployment(image="web:2")["spec"]["template"])
OLD = template_hash(deployment(image="web:1")["spec"]["template"])
HELD = annotated(deployment(image="web:2", paused=True), {HOLD: NEW, STABLE: OLD})
STATE = State(phase=Phase.PROGRESSING, candidate=NEW, stable=OLD)
HOLD_AGAIN, _ = undo_promotion(STATE, STATE.candidate)


@dataclass
class NoRoutes:
    """A router of a namespace without routes; it notes what it is asked."""

    asked: list[str] = field(default_factory=list)

    async def read_split(self, key: Key, strategy: Strategy) -> Split:
        raise AssertionError(key, strategy)

    async def write_split(self, key: Key, strategy: Strategy, traffic: Traffic) -> None:
        self.asked.append(f"{key} {strategy.service_name} {traffic.weight}")

    async def clean(self, key: Key) -> bool:
        self.asked.append(f"{key} clean")
        return True

    async def ensure(self, key: Key, strategy: Strategy, owner: Json) -> None:
        raise AssertionError(key, strategy, owner)

    async def in_the_way(self, key: Key, strategy: Strategy, canary: Json) -> tuple[str, ...]:
        raise AssertionError(key, strategy, canary)


def scene_of(store: Stored, target: Json = HELD, **fields: Any) -> Scene:
    stored = store.put(DEPLOYMENTS, target)
    return Scene(
        key=KEY,
        target=stored,
        canary=store.put(CANARIES, canary()),
        state=STATE,
        strategy=STRATEGY,
        service=None,
        labels=canary_labels(stored, (), stable="", own="web-canary"),
        observed=World().observe(),
        **fields,
    )


class OneRefused(NoRoutes):
    """A router of which one route is never taken by the API server."""

    async def write_split(self, key: Key, strategy: Strategy, traffic: Traffic) -> None:
        raise SplitRefused(f"cannot split {key} {strategy.service_name} {traffic.weight}")


async def act(
    store: Stored,
    scene: Scene,
    *actions: Action,
    state: State = STATE,
    router: Router | None = None,
) -> None:
    router = router or NoRoutes()
    actor = Actor(store, router, Records(store))
    await actor.run(scene, Decision(state=state, actions=actions), NOW)


def current(store: Stored, resource: Resource = DEPLOYMENTS, name: str = "web") -> Json:
    obj = store.now(resource, "prod", name)
    assert obj is not None
    return obj


async def test_several_writes_of_one_decision_rest_on_each_other() -> None:
    store = Stored()
    scene = scene_of(store)
    later = State(phase=Phase.PROMOTING, candidate=NEW, stable=OLD)
    await act(
        store,
        scene,
        SaveState(),
        release(STATE),
        HOLD_AGAIN,
        MarkRefused("too slow"),
        clear(scene.observed.target, frozenset({Command.PAUSE})),
        SaveState(),
        state=later,
    )
    target = current(store)
    assert target["metadata"]["annotations"] == {
        HOLD: NEW,
        STABLE: OLD,
        REFUSED: NEW,
        "headgate.dev/refused-why": "too slow",
    }
    assert target["status"]["conditions"][0]["reason"] == "ProgressDeadlineExceeded"
    assert current(store, CANARIES)["status"]["phase"] == "Promoting"
    assert "get" not in store.calls


async def test_what_controllers_and_autoscalers_write_meanwhile_does_not_hinder() -> None:
    store = Stored()
    scene = scene_of(store)
    target = current(store)
    target["spec"]["replicas"] = 9
    store.put(DEPLOYMENTS, {**target, "status": {"replicas": 9}})
    await act(store, scene, release(STATE))
    assert current(store)["metadata"]["annotations"] == {PROMOTING: NEW, STABLE: OLD}
    assert current(store)["spec"]["replicas"] == 9


@pytest.mark.parametrize(
    "successor",
    [
        pytest.param(annotated(HELD, {REFUSED: NEW}), id="it has refused the candidate"),
        pytest.param(annotated(HELD, {HOLD: None, PROMOTING: NEW}), id="it promotes"),
        pytest.param(deployment(image="web:3", paused=True), id="the team has another template"),
        pytest.param(deployment(image="web:2"), id="it has let the target go"),
    ],
)
@pytest.mark.parametrize("action", [release(STATE), HOLD_AGAIN, MarkRefused("too slow")])
async def test_a_stopped_leader_s_write_to_the_target_is_void(
    successor: Json, action: Action
) -> None:
    store = Stored()
    scene = scene_of(store)
    after = store.put(DEPLOYMENTS, successor)
    with pytest.raises(Overtaken):
        await act(store, scene, action)
    assert current(store) == after


async def test_a_stopped_leader_s_state_does_not_replace_its_successor_s() -> None:
    store = Stored()
    scene = scene_of(store)
    after = store.put(CANARIES, {**scene.canary, "status": {"phase": "Failed"}})
    with pytest.raises(Overtaken):
        await act(store, scene, SaveState(), release(STATE))
    assert current(store, CANARIES) == after
    assert current(store) == scene.target


async def test_a_label_on_the_canary_object_does_not_hinder() -> None:
    store = Stored()
    scene = scene_of(store)
    store.put(CANARIES, annotated(scene.canary, {"example.com/note": "x"}))
    await act(store, scene, SaveState())
    saved = current(store, CANARIES)
    assert saved["status"]["phase"] == "Progressing"
    assert saved["metadata"]["annotations"] == {"example.com/note": "x"}


def replica_set(name: str, image: str, replicas: int) -> Json:
    template = deployment(image=image)["spec"]["template"]
    owner = {"kind": "Deployment", "name": "web", "uid": "uid-1", "controller": True}
    metadata = {"name": name, "namespace": "prod", "labels": {"app": "web"}}
    return {
        "metadata": {**metadata, "ownerReferences": [owner]},
        "spec": {"replicas": replicas, "template": template},
    }


async def test_a_revision_is_scaled_down_as_it_was_listed() -> None:
    for meanwhile in ({"status": {"replicas": 1}}, {"spec": {"replicas": 4}}):
        store = Stored()
        scene = scene_of(store)
        store.put(REPLICASETS, replica_set("web-old", "web:1", 3))
        new = store.put(REPLICASETS, replica_set("web-new", "web:2", 1))
        merged = {**new, **meanwhile, "spec": {**new["spec"], **meanwhile.get("spec", {})}}

        def by_another(store: Stored = store, merged: Json = merged) -> None:
            store.put(REPLICASETS, merged)

        store.meanwhile = by_another
        if "spec" in meanwhile:
            with pytest.raises(Overtaken):
                await act(store, scene, ScaleDownRevision(NEW))
            assert current(store, REPLICASETS, "web-new")["spec"]["replicas"] == 4
        else:
            await act(store, scene, ScaleDownRevision(NEW))
            assert current(store, REPLICASETS, "web-new")["spec"]["replicas"] == 0


async def test_a_canary_made_meanwhile_is_not_written_over() -> None:
    store = Stored()
    scene = scene_of(store)
    theirs = store.put(DEPLOYMENTS, deployment(name="web-canary", image="web:3"))
    with pytest.raises(Overtaken):
        await act(store, scene, EnsureCanary(2))
    assert current(store, name="web-canary") == theirs


async def test_a_canary_is_made_and_then_follows() -> None:
    store = Stored()
    await act(store, scene_of(store), EnsureCanary(2))
    made = current(store, name="web-canary")
    assert made["spec"]["replicas"] == 2
    assert current(store, SERVICES, "web-canary")["spec"]["selector"] == {TARGET_LABEL: "web"}
    await act(store, scene_of(store, canary_deployment=made), EnsureCanary(5))
    assert current(store, name="web-canary")["spec"]["replicas"] == 5


async def test_the_canary_of_the_next_run_is_not_deleted() -> None:
    store = Stored()
    await act(store, scene_of(store), EnsureCanary(2))
    seen = current(store, name="web-canary")
    scene = scene_of(store, canary_deployment=seen)
    spec = {**seen["spec"], "template": deployment(image="web:3")["spec"]["template"]}
    theirs = store.put(DEPLOYMENTS, {**seen, "spec": spec})
    with pytest.raises(Overtaken):
        await act(store, scene, DeleteCanary())
    assert current(store, name="web-canary") == theirs


async def test_a_canary_goes_with_its_service_and_nobody_else_s_deployment_does() -> None:
    store = Stored()
    await act(store, scene_of(store), EnsureCanary(2))
    await act(
        store, scene_of(store, canary_deployment=current(store, name="web-canary")), DeleteCanary()
    )
    assert store.now(SERVICES, "prod", "web-canary") is None
    assert store.now(DEPLOYMENTS, "prod", "web-canary") is None
    stranger = store.put(DEPLOYMENTS, deployment(name="web-canary"))
    await act(store, scene_of(store), DeleteCanary())
    assert current(store, name="web-canary") == stranger


async def test_a_step_is_told_on_the_canary_alone_and_all_else_on_the_target_too() -> None:
    store = Stored()
    scene = scene_of(store)
    await act(store, scene, *(Emit(str(reason), "so it is") for reason in Reason))
    told: dict[str, list[str]] = {}
    for (plural, _, _), event in store.objects.items():
        if plural == "events":
            told.setdefault(event["reason"], []).append(event["involvedObject"]["kind"])
    assert told.pop(Reason.ADVANCED) == ["Canary"]
    assert len(told) == len(Reason) - 1
    assert all(sorted(kinds) == ["Canary", "Deployment"] for kinds in told.values())


async def test_a_route_that_is_refused_is_said_once_and_the_run_goes_on() -> None:
    store = Stored()
    scene = scene_of(store)
    for _ in range(2):
        await act(store, scene, SetTraffic(Traffic(20)), HOLD_AGAIN, router=OneRefused())
    said = [event for (plural, _, _), event in store.objects.items() if plural == "events"]
    assert sorted(event["involvedObject"]["kind"] for event in said) == ["Canary", "Deployment"]
    assert {(event["reason"], event["type"]) for event in said} == {("RouteRefused", "Warning")}
    assert {event["message"] for event in said} == {"cannot split web.prod web 20"}
    assert current(store)["metadata"]["annotations"][HOLD] == NEW
