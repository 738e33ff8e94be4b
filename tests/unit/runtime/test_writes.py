"""What a write rests on: nobody's newer word is written over, nobody's else object is deleted."""

import asyncio
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime import writes
from runtime.errors import Conflict, Invalid, NotFound
from runtime.resources import DEPLOYMENTS
from tests.fakes.stored import Stored

Json = dict[str, Any]


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writes, "FIRST_DELAY", 0.0)
    monkeypatch.setattr(writes, "LONGEST_DELAY", 0.0)


def web(**spec: Any) -> Json:
    return {"metadata": {"name": "web", "namespace": "prod"}, "spec": spec}


def now(store: Stored) -> Json:
    obj = store.now(DEPLOYMENTS, "prod", "web")
    assert obj is not None
    return obj


def count_up(obj: Json) -> Json:
    return {"spec": {"count": obj["spec"]["count"] + 1}}


async def patched(store: Stored, obj: Json, still: writes.Still = writes.always) -> Json:
    return await writes.patched(store, DEPLOYMENTS, obj, count_up, still=still)


def by_another(store: Stored, **fields: Any) -> None:
    store.put(DEPLOYMENTS, {**now(store), **fields})


async def test_a_patch_names_the_version_that_it_rests_on() -> None:
    store = Stored()
    stored = await patched(store, store.put(DEPLOYMENTS, web(count=1)))
    assert stored["spec"] == {"count": 2}
    assert store.calls == ["merge_patch"]


async def test_a_patch_that_met_another_write_is_computed_anew() -> None:
    store = Stored()
    obj = store.put(DEPLOYMENTS, web(count=1))
    by_another(store, spec={"count": 10})
    assert (await patched(store, obj))["spec"] == {"count": 11}
    assert store.calls == ["merge_patch", "get", "merge_patch"]


async def test_nothing_to_write_is_no_call() -> None:
    store = Stored()
    obj = store.put(DEPLOYMENTS, web(count=1))
    assert await writes.patched(store, DEPLOYMENTS, obj, lambda _: None) == obj
    assert store.calls == []


async def test_what_is_already_so_in_the_newer_object_is_not_written_again() -> None:
    store = Stored()
    obj = store.put(DEPLOYMENTS, web(paused=True))
    by_another(store, spec={"paused": False})

    def resume(current: Json) -> Json | None:
        return {"spec": {"paused": False}} if current["spec"]["paused"] else None

    assert (await writes.patched(store, DEPLOYMENTS, obj, resume)) == now(store)
    assert store.calls == ["merge_patch", "get"]


@pytest.mark.parametrize("still", [writes.never, lambda new: new["spec"]["count"] == 1])
async def test_a_newer_object_that_bears_it_out_no_more_is_left_alone(still: writes.Still) -> None:
    store = Stored()
    obj = store.put(DEPLOYMENTS, web(count=1))
    by_another(store, spec={"count": 10})
    with pytest.raises(writes.Overtaken):
        await patched(store, obj, still)
    assert now(store)["spec"] == {"count": 10}


async def test_an_object_of_the_same_name_is_another_one() -> None:
    store = Stored()
    obj = store.put(DEPLOYMENTS, web(count=1))
    store.remove(DEPLOYMENTS, "prod", "web")
    store.put(DEPLOYMENTS, web(count=10))
    for write in (
        patched(store, obj),
        writes.deleted(store, DEPLOYMENTS, obj, still=writes.always),
        writes.applied(store, DEPLOYMENTS, web(count=5), obj, still=writes.always),
    ):
        with pytest.raises(writes.Overtaken):
            await write
    assert now(store)["spec"] == {"count": 10}


async def test_an_object_that_has_gone() -> None:
    store = Stored()
    obj = store.put(DEPLOYMENTS, web(count=1))
    store.remove(DEPLOYMENTS, "prod", "web")
    with pytest.raises(NotFound):
        await patched(store, obj)
    with pytest.raises(writes.Gone):
        await writes.applied(store, DEPLOYMENTS, web(count=5), obj)
    await writes.deleted(store, DEPLOYMENTS, obj)
    assert store.objects == {}


async def test_an_object_that_goes_while_it_is_written_to_again() -> None:
    store = Stored()
    obj = store.put(DEPLOYMENTS, web(count=1))
    by_another(store, status={"replicas": 1})
    store.always = lambda: store.objects.pop(("deployments", "prod", "web"), None)  # type: ignore[assignment]
    with pytest.raises(NotFound):
        await patched(store, obj)


async def test_who_is_written_over_all_the_time_gives_up_with_a_conflict() -> None:
    store = Stored()
    obj = store.put(DEPLOYMENTS, web(count=1))
    store.always = lambda: by_another(store)
    with pytest.raises(Conflict):
        await patched(store, obj)
    assert store.calls.count("merge_patch") == writes.ATTEMPTS
    assert now(store)["spec"] == {"count": 1}


async def test_applied_makes_what_is_not_there_unless_somebody_was_faster() -> None:
    store = Stored()
    await writes.applied(store, DEPLOYMENTS, web(count=1), None)
    assert store.calls == ["create"]
    with pytest.raises(writes.Overtaken):
        await writes.applied(store, DEPLOYMENTS, web(count=2), None)
    assert now(store)["spec"] == {"count": 1}


async def test_what_was_made_and_is_wanted_no_more_goes_with_the_first_apply() -> None:
    store = Stored()
    made = await writes.applied(store, DEPLOYMENTS, web(image="a", env="x"), None)
    after = await writes.applied(store, DEPLOYMENTS, web(image="b"), made)
    assert after["spec"] == {"image": "b"}
    again = await writes.applied(store, DEPLOYMENTS, web(other="c"), after)
    assert again["spec"] == {"other": "c"}
    assert store.calls == ["create", "merge_patch", "apply", "apply"]


async def test_what_others_wrote_into_it_stays() -> None:
    store = Stored()
    made = await writes.applied(store, DEPLOYMENTS, web(image="a"), None)
    theirs = await store.merge_patch(DEPLOYMENTS, "prod", "web", {"spec": {"replicas": 3}})
    assert theirs["metadata"]["uid"] == made["metadata"]["uid"]
    after = await writes.applied(store, DEPLOYMENTS, web(image="b"), theirs)
    assert after["spec"] == {"image": "b", "replicas": 3}


async def test_a_copy_without_owners_is_read_once_before_it_is_applied_over() -> None:
    store = Stored()
    made = await writes.applied(store, DEPLOYMENTS, web(image="a", env="x"), None)
    trimmed = deepcopy(made)
    del trimmed["metadata"]["managedFields"]
    after = await writes.applied(store, DEPLOYMENTS, web(image="b"), trimmed)
    assert after["spec"] == {"image": "b"}
    by_another(store, spec={"image": "theirs"})
    with pytest.raises(writes.Overtaken):
        await writes.applied(store, DEPLOYMENTS, web(image="c"), trimmed)


@pytest.mark.parametrize("verb", ["apply", "delete"])
async def test_a_controller_s_status_does_not_hinder_and_another_s_word_does(verb: str) -> None:
    async def write(store: Stored, obj: Json) -> None:
        if verb == "apply":
            await writes.applied(store, DEPLOYMENTS, web(image="b"), obj)
        else:
            await writes.deleted(store, DEPLOYMENTS, obj)

    store = Stored()
    obj = store.put(DEPLOYMENTS, web(image="a"))
    store.meanwhile = lambda: by_another(store, status={"replicas": 1})
    await write(store, obj)
    left = store.now(DEPLOYMENTS, "prod", "web")
    assert left is None if verb == "delete" else left is not None and left["spec"]["image"] == "b"

    store = Stored()
    obj = store.put(DEPLOYMENTS, web(image="a"))
    store.meanwhile = lambda: by_another(store, spec={"image": "of the next run"})
    with pytest.raises(writes.Overtaken):
        await write(store, obj)
    assert now(store)["spec"] == {"image": "of the next run"}


# --- operations that test what they rest on -----------------------------------------------------


def reset(obj: Json) -> list[Json] | None:
    """Return the operations that reset a count that has been seen, None for another one."""
    if obj["spec"]["count"] != 1:
        return None
    return [
        {"op": "test", "path": "/metadata/uid", "value": obj["metadata"]["uid"]},
        {"op": "test", "path": "/spec/other", "value": obj["spec"]["other"]},
        {"op": "test", "path": "/spec/count", "value": 1},
        {"op": "replace", "path": "/spec/count", "value": 0},
    ]


async def was_reset(store: Stored, obj: Json, still: writes.Still = writes.always) -> Json:
    return await writes.swapped(store, DEPLOYMENTS, obj, reset, still=still)


async def test_operations_meet_no_write_of_what_they_do_not_test() -> None:
    store = Stored()
    obj = store.put(DEPLOYMENTS, web(count=1, other="a"))
    by_another(store, status={"replicas": 1})
    stored = await was_reset(store, obj)
    assert (stored["spec"]["count"], stored["status"]) == (0, {"replicas": 1})
    assert store.calls == ["json_patch"]


async def test_a_test_that_fails_is_a_read_and_one_more_attempt() -> None:
    store = Stored()
    obj = store.put(DEPLOYMENTS, web(count=1, other="a"))
    by_another(store, spec={"count": 1, "other": "b"})
    assert (await was_reset(store, obj))["spec"] == {"count": 0, "other": "b"}
    assert store.calls == ["json_patch", "get", "json_patch"]


async def test_what_the_tests_speak_of_no_more_is_left_alone() -> None:
    store = Stored()
    obj = store.put(DEPLOYMENTS, web(count=1, other="a"))
    by_another(store, spec={"count": 2, "other": "a"})
    assert await was_reset(store, obj) == now(store)
    assert now(store)["spec"] == {"count": 2, "other": "a"}
    with pytest.raises(writes.Overtaken):
        await was_reset(store, obj, writes.never)


async def test_operations_do_nothing_to_another_object_of_the_name() -> None:
    store = Stored()
    obj = store.put(DEPLOYMENTS, web(count=1, other="a"))
    store.remove(DEPLOYMENTS, "prod", "web")
    with pytest.raises(NotFound):
        await was_reset(store, obj)
    store.put(DEPLOYMENTS, web(count=1, other="a"))
    with pytest.raises(writes.Overtaken):
        await was_reset(store, obj)
    assert now(store)["spec"]["count"] == 1


async def test_what_is_denied_although_all_tests_hold_goes_up_as_it_is() -> None:
    store = Stored()
    obj = store.put(DEPLOYMENTS, web(count=1, other="a"))
    denial = Invalid(422, "Invalid", "denied by a policy")
    store.denials["json_patch", "deployments"] = denial
    with pytest.raises(Invalid) as raised:
        await was_reset(store, obj)
    assert raised.value is denial
    assert store.calls == ["json_patch", "get", "json_patch"]


async def test_tests_that_fail_all_the_time_end_in_a_conflict() -> None:
    store = Stored()
    obj = store.put(DEPLOYMENTS, web(count=1, other=0))
    others = iter(range(1, 100))
    store.always = lambda: by_another(store, spec={"count": 1, "other": next(others)})
    with pytest.raises(Conflict):
        await was_reset(store, obj)
    assert store.calls.count("json_patch") == writes.ATTEMPTS
    assert now(store)["spec"]["count"] == 1


async def test_stored_is_the_object_or_none() -> None:
    store = Stored()
    assert await writes.stored(store, DEPLOYMENTS, "prod", "web") is None
    obj = store.put(DEPLOYMENTS, web())
    assert await writes.stored(store, DEPLOYMENTS, "prod", "web") == obj


@given(writers=st.integers(1, 4), each=st.integers(1, 3))
def test_no_write_of_several_is_lost(writers: int, each: int) -> None:
    """Writers that take turns at every call, each on what it read last."""

    class Interleaved(Stored):
        async def get(self, *args: Any) -> Json:
            await asyncio.sleep(0)
            return await super().get(*args)

        async def merge_patch(self, *args: Any, subresource: str = "") -> Json:
            await asyncio.sleep(0)
            return await super().merge_patch(*args, subresource=subresource)

    async def race() -> int:
        store = Interleaved()
        begin = store.put(DEPLOYMENTS, web(count=0))

        async def write() -> None:
            obj = begin
            for _ in range(each):
                obj = await patched(store, obj)

        async with asyncio.TaskGroup() as group:
            for _ in range(writers):
                group.create_task(write())
        return int(now(store)["spec"]["count"])

    assert asyncio.run(race()) == writers * each
