"""ReplicaSets are parked and put back in a cluster that does not stand still meanwhile."""

import asyncio
from collections.abc import Callable
from datetime import timedelta

import pytest

from analyzer.loop.parked import park, put_back
from analyzer.loop.sweeper import Anywhere, Sweeper
from canary.contract import HOLD, PARKED
from canary.model.hashing import template_hash
from canary.model.values import Json, Key
from canary.model.world import Place
from canary.objects.parking import place_of
from runtime.errors import ApiError
from runtime.resources import DEPLOYMENTS, REPLICASETS, ListResult, Resource
from runtime.writes import Overtaken
from tests.fakes.deployment_controller import claimed, replica_set
from tests.fakes.objects import annotated, changed, deployment
from tests.fakes.stored import Stored

STABLE = "1.0"


def versioned(version: str) -> Json:
    return deployment(image=f"demo:{version}", paused=True)


HASH = template_hash(versioned(STABLE)["spec"]["template"])


def scene() -> tuple[Stored, Json]:
    """1.0, 1.1, 1.0 again, and held with a version that was 1.2 before."""
    store = Stored()
    target = store.put(DEPLOYMENTS, annotated(versioned("1.2"), {HOLD: "x"}))
    made = (("web-a", "1.0", 3, 4), ("web-b", "1.1", 2, 0), ("web-c", "1.2", 4, 0))
    for name, version, number, replicas in made:
        found = replica_set(name, target, version=version, number=number, replicas=replicas)
        store.put(REPLICASETS, found)
    return store, target


def controlled(store: Stored, target: Json) -> None:
    """Let the Deployment controller adopt, and let go."""
    for (plural, _, _), obj in tuple(store.objects.items()):
        if plural == REPLICASETS.plural:
            store.put(REPLICASETS, claimed(obj, target))


def labels(store: Stored) -> dict[str, Json]:
    return {place[2]: obj["metadata"].get("labels", {}) for place, obj in store.objects.items()}


def places(store: Stored, target: Json) -> dict[str, Place | None]:
    return {
        name: place_of(obj, target)
        for (plural, _, name), obj in store.objects.items()
        if plural == REPLICASETS.plural
    }


OWNED, PARKED_ = Place.OWNED, Place.PARKED


async def test_what_could_serve_is_parked_and_put_back_as_it_was() -> None:
    store, target = scene()
    before = labels(store)
    await park(store, target, stable=HASH)
    controlled(store, target)
    assert places(store, target) == {"web-a": OWNED, "web-b": PARKED_, "web-c": PARKED_}
    await put_back(store, target)
    controlled(store, target)
    assert set(places(store, target).values()) == {OWNED}
    assert labels(store) == before


async def test_parked_again_nothing_is_written() -> None:
    store, target = scene()
    await park(store, target, stable=HASH)
    controlled(store, target)
    store.calls.clear()
    await park(store, target, stable=HASH)
    assert set(store.calls) == {"list replicasets"}


async def test_one_template_alone_is_put_back() -> None:
    store, target = scene()
    await park(store, target, stable=HASH)
    await put_back(store, target, template_hash(target["spec"]["template"]))
    controlled(store, target)
    assert places(store, target) == {"web-a": OWNED, "web-b": PARKED_, "web-c": OWNED}


async def test_one_that_gets_pods_meanwhile_is_not_parked() -> None:
    store, target = scene()

    def scaled() -> None:
        found = store.now(REPLICASETS, "prod", "web-b")
        assert found is not None
        found["spec"]["replicas"] = 1
        store.put(REPLICASETS, found)

    store.meanwhile = scaled
    with pytest.raises(Overtaken):
        await park(store, target, stable=HASH)
    assert places(store, target)["web-b"] is OWNED


async def test_one_that_is_cleaned_up_meanwhile_is_no_fault() -> None:
    store, target = scene()
    store.meanwhile = lambda: store.remove(REPLICASETS, "prod", "web-b")
    await park(store, target, stable=HASH)
    assert places(store, target) == {"web-a": OWNED, "web-c": PARKED_}


async def test_a_double_is_deleted_instead_of_being_put_back() -> None:
    store, target = scene()
    await park(store, target, stable=HASH)
    store.put(REPLICASETS, replica_set("web-d", target, version="1.2", number=5, replicas=4))
    await put_back(store, target)
    controlled(store, target)
    assert places(store, target) == {"web-a": OWNED, "web-b": OWNED, "web-d": OWNED}


async def test_where_no_history_is_kept_the_stable_survives_0() -> None:
    store, target = scene()
    target = store.put(DEPLOYMENTS, changed(target, revisionHistoryLimit=0))
    await park(store, target, stable=HASH)
    store.remove(REPLICASETS, "prod", "web-a")  # cleaned up at 0
    empty = store.put(DEPLOYMENTS, changed(target, replicas=0))
    await park(store, empty, stable=HASH)
    assert places(store, target)["web-ae"] is PARKED_
    await park(store, store.put(DEPLOYMENTS, changed(target, replicas=3)), stable=HASH)
    controlled(store, target)
    copy = store.now(REPLICASETS, "prod", "web-ae")
    assert copy is not None
    assert (places(store, target)["web-ae"], copy["spec"]["replicas"]) == (OWNED, 3)


# --- the sweep -----------------------------------------------------------------------------------


class Refusing(Stored):
    """Refuses to show the Deployments of one namespace."""

    async def get(self, resource: Resource, namespace: str, name: str) -> Json:
        if namespace == "closed":
            raise ApiError(500, "InternalError", "closed")
        return await super().get(resource, namespace, name)


async def parked_scene() -> tuple[Stored, Json]:
    store, target = scene()
    await park(store, target, stable=HASH)
    controlled(store, target)
    return store, target


async def test_a_sweep_leaves_what_is_held() -> None:
    store, target = await parked_scene()
    before = places(store, target)
    await Sweeper(store, Anywhere(), lambda _: None).sweep()
    assert places(store, target) == before


def forgotten(store: Stored) -> None:
    target = store.now(DEPLOYMENTS, "prod", "web")
    assert target is not None
    store.put(DEPLOYMENTS, annotated(target, {HOLD: None}))


def gone(store: Stored) -> None:
    store.remove(DEPLOYMENTS, "prod", "web")


def made_again(store: Stored) -> None:
    gone(store)
    store.put(DEPLOYMENTS, versioned("2.0"))


async def test_a_sweep_puts_back_what_nobody_holds_and_has_the_target_looked_at() -> None:
    store, target = await parked_scene()
    forgotten(store)
    woken: list[Key] = []
    await Sweeper(store, Anywhere(), woken.append).sweep()
    controlled(store, target)
    assert set(places(store, target).values()) == {OWNED}
    assert woken == [Key(namespace="prod", name="web")]


class Kept(Anywhere):
    """The admin keeps Headgate's hands off one namespace."""

    def unmanaged(self, namespace: str) -> bool:
        return namespace == "prod"


@pytest.mark.parametrize("end", [forgotten, gone, made_again])
async def test_a_sweep_leaves_what_the_admin_keeps_from_headgate(
    end: Callable[[Stored], None],
) -> None:
    store, target = await parked_scene()
    end(store)
    before = places(store, target)
    await Sweeper(store, Kept(), lambda _: None).sweep()
    assert places(store, target) == before


@pytest.mark.parametrize("end", [gone, made_again])
@pytest.mark.parametrize("note", [True, False], ids=["noted", "the note is lost"])
async def test_a_sweep_deletes_what_a_deployment_that_has_gone_left(
    end: Callable[[Stored], None], *, note: bool
) -> None:
    store, target = await parked_scene()
    if not note:
        for (plural, _, _), obj in store.objects.items():
            if plural == REPLICASETS.plural:
                obj["metadata"]["annotations"].pop("headgate.dev/parked-from", None)
    end(store)
    await Sweeper(store, Anywhere(), lambda _: None).sweep()
    assert places(store, target) == {"web-a": OWNED}  # the cluster's own to collect


async def test_a_replica_set_that_a_controller_has_taken_over_is_not_deleted() -> None:
    store, target = await parked_scene()
    taken = store.now(REPLICASETS, "prod", "web-b")
    assert taken is not None
    owner = {"kind": "Deployment", "name": "api", "uid": "uid-api", "controller": True}
    taken["metadata"]["ownerReferences"] = [owner]
    stored = store.put(REPLICASETS, taken)
    gone(store)
    await Sweeper(store, Anywhere(), lambda _: None).sweep()
    assert store.now(REPLICASETS, "prod", "web-b") == stored
    assert set(places(store, target)) == {"web-a", "web-b"}


async def test_an_uninstall_puts_back_all() -> None:
    store, target = await parked_scene()
    await Sweeper(store, Anywhere(), lambda _: None).sweep(all_of_them=True)
    controlled(store, target)
    assert set(places(store, target).values()) == {OWNED}


async def test_what_one_namespace_does_not_allow_keeps_no_other_from_being_swept() -> None:
    known, target = await parked_scene()
    store = Refusing(known.objects)
    stray = replica_set("web-x", target, version="9", number=9)
    stray["metadata"] |= {"namespace": "closed", "labels": {PARKED: "u"}}
    stray["metadata"]["annotations"] = {"headgate.dev/parked-from": '{"deployment":"web"}'}
    store.objects = {("replicasets", "closed", "web-x"): stray, **store.objects}
    forgotten(store)
    await Sweeper(store, Anywhere(), lambda _: None).sweep()
    controlled(store, target)
    assert set(places(store, target).values()) == {OWNED, None}


class Blind(Stored):
    """Cannot list at its first call."""

    async def list(
        self, resource: Resource, namespace: str | None = None, *, label_selector: str = ""
    ) -> ListResult:
        if not self.calls:
            self.calls.append("refused")
            raise ApiError(500, "InternalError", "not now")
        return await super().list(resource, namespace, label_selector=label_selector)


async def test_a_sweep_that_fails_is_made_again() -> None:
    known, _ = await parked_scene()
    store, woken = Blind(known.objects), asyncio.Event()
    forgotten(store)
    sweeper = Sweeper(store, Anywhere(), lambda _: woken.set(), every=timedelta(milliseconds=1))
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        task = group.create_task(sweeper.run())
        await woken.wait()
        task.cancel()
    assert store.calls[:2] == ["refused", "list replicasets"]
