"""What belongs to no run any more: a sweep finds it by its labels; it is taken back in order."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from analyzer.loop.leftovers import LeftoverSweep
from analyzer.loop.reconciler import Result
from canary.contract import (
    HOLD,
    MANAGED_BY,
    MANAGED_BY_LABEL,
    PROMOTING,
    STABLE,
    TARGET_LABEL,
    Reason,
)
from canary.model.values import Json, Key
from canary.objects.desired import owner_reference
from runtime.errors import ApiError, Unavailable
from runtime.resources import CANARIES, DEPLOYMENTS, ENDPOINTSLICES, SERVICES, Resource
from tests.fakes.bench import KEY, Bench, held, ready, status
from tests.fakes.objects import deployment, endpoints
from tests.fakes.stored import Stored
from tests.fakes.watched import seen

LOOK = timedelta(seconds=6)
MARKS = {MANAGED_BY_LABEL: MANAGED_BY, TARGET_LABEL: "web"}
BOTH = ((SERVICES, "Service"), (DEPLOYMENTS, "Deployment"))


async def at_weight_10() -> Bench:
    bench = held(Bench(), webhooks=[], metrics=[])
    await looks(bench, 4)
    assert bench.router.weight == 10
    return bench


async def looks(bench: Bench, times: int) -> None:
    for _ in range(times):
        ready(bench)
        bench.cluster.put(ENDPOINTSLICES, endpoints("web-canary"))
        await bench.reconcile()
        bench.now += LOOK


def target(bench: Bench) -> Json:
    found = bench.target(KEY)
    assert found is not None
    return found


def left(bench: Bench) -> list[str]:
    """Return which of the canary's objects are there."""
    return [
        kind
        for resource, kind in BOTH
        if bench.cluster.now(resource, "prod", "web-canary") is not None
    ]


class Swept:
    """A sweep of a bench's cluster; `woken` are the targets that are to be looked at."""

    def __init__(self, bench: Bench) -> None:
        self.bench, self.woken = bench, list[Key]()

    def doubt(self, key: Key) -> None:
        self.bench.doubts |= {key}

    def split_targets(self) -> tuple[Key, ...]:
        return (KEY,) if self.bench.router.weight else ()

    async def synced(self) -> None:
        """Return at once: a bench knows what there is."""

    async def sweep(self, looks: int = 4) -> None:
        """Sweep, and look at what it found, as long as there is something to do."""
        await LeftoverSweep(self.bench.cluster, self, self.woken.append).sweep()
        for key in dict.fromkeys(self.woken):
            for _ in range(looks):
                await self.bench.reconcile(key)
                self.bench.now += LOOK


def events(bench: Bench, reason: Reason) -> list[str]:
    return [
        obj["message"]
        for (plural, _, _), obj in bench.cluster.objects.items()
        if plural == "events" and obj["reason"] == str(reason)
    ]


def without_canary(bench: Bench, **marks: str | None) -> None:
    """Delete the Canary while no analyzer looks, and leave the target with these marks."""
    bench.cluster.remove(CANARIES, "prod", "web")
    bench.write("web:2", {HOLD: None, STABLE: None, PROMOTING: None, **marks}, paused=False)


# --- a target without a Canary --------------------------------------------------------------------

MARKED: dict[str, dict[str, str | None]] = {
    "no mark": {},
    "that rolled": {PROMOTING: "x", STABLE: "y"},
    "with one mark": {STABLE: "y"},
}


@pytest.mark.parametrize("marks", MARKED)
async def test_what_a_canary_s_deletion_left_is_taken_back_routes_first(marks: str) -> None:
    bench = await at_weight_10()
    without_canary(bench, **MARKED[marks])
    for _ in range(2):  # whoever wakes it meanwhile
        assert (await bench.reconcile()).requeue_after == timedelta(seconds=5)
        assert (bench.router.weight, left(bench)) == (0, ["Service", "Deployment"])
    bench.now += LOOK
    assert await bench.reconcile() == Result()
    assert left(bench) == []
    notes = target(bench)["metadata"].get("annotations") or {}
    assert not {HOLD, STABLE, PROMOTING} & notes.keys()
    assert len(events(bench, Reason.LEFTOVER)) == 1
    (said,) = events(bench, Reason.LEFTOVERS)
    assert "Service web-canary and Deployment web-canary is taken back" in said
    await bench.reconcile()
    calls = list(bench.cluster.calls)
    await bench.reconcile()
    assert bench.cluster.calls == calls


async def test_in_a_namespace_that_is_unmanaged_nothing_is_taken_back() -> None:
    bench = await at_weight_10()
    bench.cluster.remove(CANARIES, "prod", "web")
    bench.labelled, bench.is_unmanaged = False, True
    before = (list(bench.cluster.calls), target(bench))
    assert await bench.reconcile() == Result()
    assert (bench.router.weight, left(bench)) == (10, ["Service", "Deployment"])
    assert (bench.cluster.calls, target(bench)) == before


async def test_a_namespace_that_lost_its_label_with_its_canary_is_given_back() -> None:
    bench = await at_weight_10()
    bench.cluster.remove(CANARIES, "prod", "web")
    bench.labelled = False
    for _ in range(2):
        await bench.reconcile()
        bench.now += LOOK
    assert (bench.router.weight, left(bench)) == (0, [])
    assert HOLD not in target(bench)["metadata"]["annotations"]
    assert target(bench)["spec"]["paused"], "it is the team's from now on"
    (said,) = events(bench, Reason.LEFTOVERS)
    assert "kubectl rollout resume" in said


async def test_a_held_target_whose_canary_went_begins_anew_and_loses_nothing_to_it() -> None:
    bench = await at_weight_10()
    bench.cluster.remove(CANARIES, "prod", "web")
    await looks(bench, 8)
    assert status(bench)["phase"] == "Progressing"
    assert left(bench) == ["Service", "Deployment"]
    assert events(bench, Reason.LEFTOVERS) == []


async def test_a_canary_that_comes_meanwhile_keeps_what_there_is() -> None:
    bench = await at_weight_10()
    record = bench.canary(KEY)
    assert record is not None
    without_canary(bench)
    bench.cluster.always = lambda: None

    class Late(Bench):
        """Its informer has not heard of the Canary yet."""

        def canaries(self, key: Key) -> list[Json]:
            del key
            return []

    late = Late(cluster=bench.cluster, router=bench.router, now=bench.now)
    late.cluster.put(CANARIES, record)
    assert (await late.reconcile()).requeue_after is not None
    assert (late.router.weight, left(late)) == (10, ["Service", "Deployment"])


@pytest.mark.parametrize("gone", [SERVICES, DEPLOYMENTS], ids=["Service", "Deployment"])
async def test_a_death_between_two_deletions_leaves_the_rest_to_the_sweep(gone: Resource) -> None:
    bench = await at_weight_10()
    without_canary(bench)
    bench.cluster.remove(gone, "prod", "web-canary")
    bench.router.weight = 0
    await Swept(bench).sweep()
    assert left(bench) == []


@pytest.mark.parametrize("there", [True, False], ids=["a target", "no target"])
async def test_a_sweep_s_doubt_lasts_until_all_is_taken_back(*, there: bool) -> None:
    bench = await at_weight_10()
    without_canary(bench)
    bench.cluster.remove(DEPLOYMENTS, "prod", "web-canary")
    if not there:
        bench.cluster.remove(DEPLOYMENTS, "prod", "web")
    await Swept(bench).sweep(looks=1)  # which takes the split off, and lets connections end
    assert (bench.router.weight, left(bench)) == (0, ["Service"])
    await bench.reconcile()
    assert left(bench) == []
    assert not bench.doubted(KEY)


async def test_a_doubt_outlives_a_look_that_the_api_server_failed() -> None:
    bench = await at_weight_10()
    without_canary(bench)
    bench.cluster.remove(DEPLOYMENTS, "prod", "web-canary")
    bench.router.weight = 0

    def away() -> None:
        raise Unavailable(503, "ServiceUnavailable", "etcd is away")

    await Swept(bench).sweep(looks=0)
    bench.cluster.always = away
    with pytest.raises(Unavailable):
        await bench.reconcile()
    bench.cluster.always = lambda: None
    await bench.reconcile()
    assert left(bench) == []


async def test_what_was_written_since_it_was_read_is_not_deleted() -> None:
    bench = await at_weight_10()
    without_canary(bench)
    bench.router.weight = 0
    theirs = deployment(name="web-canary", image="theirs:1")

    def replaced() -> None:
        bench.cluster.remove(SERVICES, "prod", "web-canary")
        bench.cluster.remove(DEPLOYMENTS, "prod", "web-canary")
        theirs["metadata"] = bench.cluster.put(DEPLOYMENTS, theirs)["metadata"]

    bench.cluster.meanwhile = replaced
    assert (await bench.reconcile()).requeue_after is not None
    await Swept(bench).sweep()
    found = bench.cluster.now(DEPLOYMENTS, "prod", "web-canary")
    assert found is not None
    assert found["metadata"] == theirs["metadata"]


# --- a target that is not there, or is another one ------------------------------------------------


async def test_what_is_left_of_a_target_that_is_gone_goes_routes_first() -> None:
    bench = await at_weight_10()
    bench.cluster.remove(DEPLOYMENTS, "prod", "web")
    bench.cluster.remove(CANARIES, "prod", "web")
    assert (await bench.reconcile()).requeue_after is not None
    assert (bench.router.weight, left(bench)) == (0, ["Service", "Deployment"])
    bench.now += LOOK
    await bench.reconcile()
    assert left(bench) == []
    told = "Service web-canary and Deployment web-canary is taken back"
    assert events(bench, Reason.LEFTOVERS) == [f"web.prod has no run any more: {told}"] * 2


async def test_a_target_that_goes_and_comes_meanwhile_keeps_its_own() -> None:
    bench = await at_weight_10()
    held_target, record = target(bench), bench.canary(KEY)
    assert record is not None
    bench.cluster.remove(DEPLOYMENTS, "prod", "web")

    class Back(Stored):
        """The target is there again as soon as its canary's objects are listed."""

        async def list(self, resource: Resource, *args: Any, **kwargs: Any) -> Any:
            found = await super().list(resource, *args, **kwargs)
            if resource is DEPLOYMENTS and self.now(DEPLOYMENTS, "prod", "web") is None:
                self.put(DEPLOYMENTS, held_target)
            return found

    back = Bench(cluster=Back(objects=bench.cluster.objects), router=bench.router, now=bench.now)
    assert (await back.reconcile()).requeue_after is not None
    assert (back.router.weight, left(back)) == (10, ["Service", "Deployment"])


async def test_a_target_made_anew_without_a_canary_loses_what_the_one_before_had() -> None:
    bench = await at_weight_10()
    bench.cluster.remove(CANARIES, "prod", "web")
    bench.cluster.remove(DEPLOYMENTS, "prod", "web")
    anew = deployment(image="web:3")
    anew["metadata"] |= {"uid": "uid-anew"}
    del anew["metadata"]["uid"]
    bench.cluster.put(DEPLOYMENTS, anew)
    await Swept(bench).sweep()
    assert (bench.router.weight, left(bench)) == (0, [])


# --- the sweep ------------------------------------------------------------------------------------


async def test_a_service_whose_canary_has_gone_is_found_beside_a_target_at_rest() -> None:
    bench = await at_weight_10()
    stray = bench.cluster.now(SERVICES, "prod", "web-canary")
    assert stray is not None
    bench.write("web:1", {HOLD: None, STABLE: None}, paused=False)
    await looks(bench, 6)
    assert left(bench) == []
    bench.cluster.put(SERVICES, stray)
    await bench.reconcile()
    assert left(bench) == ["Service"], "nothing tells of it"
    await Swept(bench).sweep()
    assert left(bench) == []


async def test_a_service_under_the_name_before_an_edit_goes_too() -> None:
    bench = await at_weight_10()
    record = bench.canary(KEY)
    assert record is not None
    record["spec"]["service"] = {"name": "shop", "port": 80}
    bench.cluster.put(CANARIES, record)
    bench.write("web:1", {HOLD: None, STABLE: None}, paused=False)
    await looks(bench, 8)
    assert left(bench) == []


async def test_a_run_that_is_under_way_keeps_all_that_is_its_own() -> None:
    bench = await at_weight_10()
    before = [bench.cluster.now(resource, "prod", "web-canary") for resource, _ in BOTH]
    await Swept(bench).sweep(looks=1)
    after = [bench.cluster.now(resource, "prod", "web-canary") for resource, _ in BOTH]
    assert (after, bench.router.weight) == (before, 10)


def owned(obj: Json, owner: Json | None = None, **labels: str) -> Json:
    metadata = {**obj["metadata"], "labels": {**MARKS, **labels}}
    if owner is not None:
        metadata["ownerReferences"] = [owner_reference(owner)]
    return {**obj, "metadata": metadata}


def service(name: str, **selector: str) -> Json:
    metadata = {"name": name, "namespace": "prod"}
    return {"kind": "Service", "metadata": metadata, "spec": {"selector": selector}}


NOT_OURS: dict[str, tuple[Resource, Callable[[Json], Json]]] = {
    "a copy of a canary's labels": (DEPLOYMENTS, lambda _: owned(deployment(name="web-canary"))),
    "a copy of it under another name": (
        DEPLOYMENTS,
        lambda target: owned(deployment(name="web-copy"), target),
    ),
    "the stable Service that was made": (
        SERVICES,
        lambda target: owned(service("web-canary", app="web"), target),
    ),
    "a Service with the labels alone": (
        SERVICES,
        lambda _: owned(service("x", **{TARGET_LABEL: "web"})),
    ),
    "a team's own": (SERVICES, lambda _: service("web-canary", app="else")),
    "another target's, by its label": (
        DEPLOYMENTS,
        lambda target: owned(deployment(name="web-canary"), target, **{MANAGED_BY_LABEL: "Helm"}),
    ),
}


@pytest.mark.parametrize("what", NOT_OURS)
@pytest.mark.parametrize("there", [True, False], ids=["a target", "no target"])
async def test_what_only_looks_like_ours_stays(what: str, *, there: bool) -> None:
    bench, (resource, make) = Bench(), NOT_OURS[what]
    obj = make(bench.write("web:1"))
    stored = bench.cluster.put(resource, obj)
    if not there:
        bench.cluster.remove(DEPLOYMENTS, "prod", "web")
    await Swept(bench).sweep()
    bench.doubts |= {KEY}
    await bench.reconcile()
    assert bench.cluster.now(resource, "prod", obj["metadata"]["name"]) == stored


async def test_a_sweep_begins_when_there_is_somebody_to_wake_and_comes_again() -> None:
    class Late(Swept):
        known = asyncio.Event()

        async def synced(self) -> None:
            await self.known.wait()

    bench = await at_weight_10()
    swept = Late(bench)
    sweep = LeftoverSweep(bench.cluster, swept, swept.woken.append, timedelta(0))
    async with asyncio.TaskGroup() as group:
        task = group.create_task(sweep.run())
        for _ in range(10):
            await asyncio.sleep(0)
        assert swept.woken == []
        swept.known.set()
        await seen("two sweeps", lambda: swept.woken.count(KEY) > 1)
        task.cancel()


async def test_a_sweep_of_nothing_costs_two_lists() -> None:
    bench = Bench()
    bench.write("web:1")
    swept = Swept(bench)
    await swept.sweep()
    assert bench.cluster.calls == ["list services", "list deployments"]
    assert swept.woken == []


async def test_a_sweep_that_cannot_list_says_so_and_wakes_nobody() -> None:
    bench = await at_weight_10()
    bench.cluster.denials["list", "services"] = Unavailable(503, "ServiceUnavailable", "later")
    swept = Swept(bench)
    with pytest.raises(ApiError):
        await swept.sweep()
    assert swept.woken == []


async def test_nothing_is_made_or_taken_in_a_namespace_that_is_being_deleted() -> None:
    bench = await at_weight_10()
    without_canary(bench)
    bench.is_ending = True
    await Swept(bench).sweep()
    assert left(bench) == ["Service", "Deployment"]
