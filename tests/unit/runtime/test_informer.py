"""Informers over real HTTP: list, watch, expiry, loss, and what the handlers are told."""

import asyncio
import json
import random
from typing import Any

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from runtime.backoff import Backoff
from runtime.informer import WHOLE, Informer
from runtime.kept import Packed
from runtime.resources import PODS, VIRTUALSERVICES
from tests.unit.runtime.scripted_api import Answer, ScriptedApi, events, hang_up, ok, raw, status

Seen = tuple[str, str, str | None, str | None]


def pod(name: Any, version: int, **metadata: Any) -> dict[str, Any]:
    return {
        "metadata": {
            "namespace": "shop",
            "name": name,
            "resourceVersion": str(version),
            **metadata,
        }
    }


def listed(version: int, *pods: dict[str, Any]) -> Answer:
    return ok(metadata={"resourceVersion": str(version)}, items=list(pods))


def event(kind: str, obj: dict[str, Any]) -> dict[str, Any]:
    return {"type": kind, "object": obj}


def bookmark(version: int) -> dict[str, Any]:
    return event("BOOKMARK", {"metadata": {"resourceVersion": str(version)}})


class Longest(random.Random):
    """Draws the longest delay each time, so that growth shows."""

    def uniform(self, a: float, b: float) -> float:
        del a
        return b


def never(asked: asyncio.Event) -> Answer:
    """Return an answer that does not come, and says that it was asked for."""

    async def wait(_request: Any) -> Any:
        asked.set()
        await asyncio.Event().wait()

    return wait


class Watcher:
    """Runs an informer until it has said so many things and asked so many times."""

    def __init__(self, api: ScriptedApi) -> None:
        self.api = api
        self.seen: list[Seen] = []
        self.informer: Informer | None = None
        self._enough = asyncio.Event()
        self._exhausted = asyncio.Event()

    def on_change(
        self, namespace: str, name: str, old: dict[str, Any] | None, new: dict[str, Any] | None
    ) -> None:
        def version(obj: dict[str, Any] | None) -> str | None:
            return None if obj is None else str(obj["metadata"]["resourceVersion"])

        self.seen.append((namespace, name, version(old), version(new)))

    async def last(self, _request: Any) -> Any:
        self._exhausted.set()
        await asyncio.Event().wait()

    async def run(self, *answers: Answer, kept: Packed | None = None) -> Informer:
        self.api.answers = [*answers, self.last]
        async with self.api.cluster(deadline=1) as cluster, asyncio.TaskGroup() as group:
            informer = Informer(
                cluster, PODS, kept=kept, backoff=Backoff(0.01, 0.02, rng=Longest())
            )
            informer.add_handler(self.on_change)
            task = group.create_task(informer.run())
            await self._exhausted.wait()
            task.cancel()
        assert task.cancelled()
        return informer


@pytest.fixture
async def watcher(api: ScriptedApi) -> Watcher:
    return Watcher(api)


async def test_follows_changes(watcher: Watcher) -> None:
    informer = await watcher.run(
        listed(5, pod("a", 3), pod("b", 4)),
        events(
            event("ADDED", pod("c", 6)),
            event("MODIFIED", pod("a", 7)),
            event("DELETED", pod("b", 8)),
        ),
    )
    assert watcher.seen == [
        ("shop", "a", None, "3"),
        ("shop", "b", None, "4"),
        ("shop", "c", None, "6"),
        ("shop", "a", "3", "7"),
        ("shop", "b", "4", None),
    ]
    assert set(informer.store) == {("shop", "a"), ("shop", "c")}
    assert informer.get("shop", "b") is None
    assert informer.synced.is_set()


async def test_ended_watch_goes_on_from_the_bookmark_without_a_list(watcher: Watcher) -> None:
    await watcher.run(listed(5), events(bookmark(40)), events(bookmark(41)))
    asked = [request.query.get("resourceVersion") for request in watcher.api.requests]
    assert asked == [None, "5", "40", "41"]


async def test_lost_connection_goes_on_from_the_last_change(watcher: Watcher) -> None:
    informer = await watcher.run(
        listed(5), events(event("ADDED", pod("a", 6)), cut=True), hang_up(), status(503)
    )
    asked = [request.query.get("resourceVersion") for request in watcher.api.requests]
    assert asked[:2] == [None, "5"]
    assert set(asked[2:]) == {"6"}
    assert informer.trouble == "Unknown"


async def test_expired_version_lists_again_and_finds_what_was_deleted(watcher: Watcher) -> None:
    gone = event("ERROR", {"kind": "Status", "code": 410, "reason": "Expired", "message": ""})
    informer = await watcher.run(
        listed(5, pod("a", 3), pod("b", 4), pod("c", 2)),
        events(gone),
        listed(90, pod("a", 80), pod("c", 2)),
    )
    assert watcher.seen[3:] == [("shop", "a", "3", "80"), ("shop", "b", "4", None)]
    assert informer.trouble == ""


@pytest.mark.parametrize("size", [5 * 2**20, 9 * 2**20])
async def test_an_event_as_long_as_an_object_can_be_is_heard(watcher: Watcher, size: int) -> None:
    large = pod("a", 6, annotations={"note": "x" * size})
    informer = await watcher.run(listed(5), events(event("ADDED", large)))
    assert informer.store["shop", "a"] == large


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (events(event("ADDED", pod("a", 6, annotations={"note": "x" * 2**24}))), "LineTooLong"),
        (events({"type": "ADDED", "object": {"kind": "Pod"}}), "KeyError"),
        (events({"type": "ADDED", "object": {"metadata": None}}), "TypeError"),
        (events({"type": "ADDED", "object": 5}), "TypeError"),
        (events({"event": "?"}), "KeyError"),
        (events({"type": "BOOKMARK", "object": {"metadata": {}}}), "KeyError"),
        (events({"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": 7}}}), "TypeError"),
        (events({"type": "ADDED", "object": {"kind": "Node", **pod("a", 6)}}), "TypeError"),
        (events({"type": "ADDED", "object": pod(["a"], 6)}), "TypeError"),
        (events({"type": "ADDED", "object": {"metadata": {"name": "a"}}}), "KeyError"),
        (raw(b'{"type":"ADDED","object":{"metadata":{"name":'), "NotJson"),
        (raw(b"[" * 100_000), "NotJson"),
        (raw(b"\xff\xfe\n"), "NotJson"),
        (raw(b"[]\n"), "NotJson"),
    ],
)
async def test_a_stream_that_cannot_be_read_ends_its_watch_and_nothing_else(
    watcher: Watcher, answer: Answer, reason: str
) -> None:
    with capture_logs() as logs:
        informer = await watcher.run(listed(5), answer, listed(9, pod("b", 8)))
    assert informer.store.keys() == {("shop", "b")}
    assert reason in [log.get("reason") for log in logs if log["event"] == "watch_interrupted"]
    asked = [request.query.get("resourceVersion") for request in watcher.api.requests]
    assert asked[:3] == [None, "5", None]


async def test_an_event_with_a_million_labels_is_heard(watcher: Watcher) -> None:
    labels = ",".join([f'"{number:x}":""' for number in range(1_000_000)])
    text = json.dumps(event("ADDED", pod("a", 6, labels="LABELS")))
    line = text.replace('"LABELS"', f"{{{labels}}}").encode() + b"\n"
    informer = await watcher.run(listed(5), raw(line))
    assert informer.store.keys() == {("shop", "a")}


@pytest.mark.parametrize(
    "broken",
    [
        ok(metadata={"resourceVersion": "5"}, items=5),
        ok(metadata={"resourceVersion": "5"}, items=[{"kind": "Pod"}]),
        ok(metadata={"resourceVersion": "5"}, items=[{"metadata": None}]),
        ok(metadata={"resourceVersion": 5}, items=[]),
        ok(metadata=[5], items=[]),
    ],
)
async def test_a_list_that_cannot_be_read_is_asked_for_again(
    watcher: Watcher, broken: Answer
) -> None:
    informer = await watcher.run(broken, listed(9, pod("b", 8)))
    assert informer.store.keys() == {("shop", "b")}


async def test_delays_grow_where_every_watch_is_broken(watcher: Watcher) -> None:
    broken = events({"event": "?"})
    with capture_logs() as logs:
        await watcher.run(*(one for _ in range(8) for one in (listed(5, pod("a", 3)), broken)))
    delays = [log["delay"] for log in logs if log["event"] == "watch_interrupted"]
    assert len(delays) == 8
    assert delays == [0.01] + [0.02] * 7


async def test_kind_that_is_not_installed_is_waited_for(watcher: Watcher) -> None:
    informer = await watcher.run(status(404, "NotFound"), status(404, "NotFound"))
    assert informer.trouble == "NotFound"
    assert informer.is_absent
    assert not informer.synced.is_set()


@pytest.mark.parametrize(
    ("answers", "absent"),
    [
        ([status(404, "NotFound"), listed(5)], False),
        ([status(500)], False),
        ([status(403, "Forbidden")], False),
        ([listed(5), status(410, "Expired"), status(404, "NotFound")], True),
    ],
    ids=["installed later", "a fault", "a kind that is needed", "taken away"],
)
async def test_a_kind_is_absent_while_the_cluster_has_none(
    watcher: Watcher, answers: list[Answer], *, absent: bool
) -> None:
    informer = await watcher.run(*answers)
    assert informer.is_absent is absent


async def test_an_optional_kind_that_nobody_granted_is_absent(api: ScriptedApi) -> None:
    api.answers = [status(403, "Forbidden"), never(asked := asyncio.Event())]
    backoff = Backoff(0.01, 0.02, rng=Longest())
    async with api.cluster(deadline=1) as cluster, asyncio.TaskGroup() as group:
        informer = Informer(cluster, VIRTUALSERVICES, backoff=backoff)
        task = group.create_task(informer.run())
        await asked.wait()
        assert informer.is_absent
        task.cancel()


async def test_managed_fields_are_dropped(watcher: Watcher) -> None:
    informer = await watcher.run(listed(5, pod("a", 3, managedFields=[{"manager": "m"}])))
    assert informer.store["shop", "a"]["metadata"].keys() == {
        "namespace",
        "name",
        "resourceVersion",
    }


async def test_bug_in_a_handler_is_not_swallowed(api: ScriptedApi) -> None:
    def broken(*_: Any) -> None:
        raise ValueError("bug")

    api.answers = [listed(5, pod("a", 3))]
    async with api.cluster() as cluster:
        informer = Informer(cluster, PODS)
        informer.add_handler(broken)
        with pytest.raises(ValueError, match="bug"):
            await informer.run()


@pytest.mark.parametrize("depth", [300, 1_010, 1_100, 9_000])
async def test_an_object_of_any_depth_keeps_no_other_from_being_heard_of(
    watcher: Watcher, depth: int
) -> None:
    def fields(number: int) -> str:
        return '{"f:x":' * depth + str(number) + "}" * depth

    def text(name: str, number: int) -> str:
        start = json.dumps(pod(name, number)).removesuffix("}}")
        return f'{start},"annotations":{{}}}},"status":{fields(number)}}}'

    page = '{{"metadata":{{"resourceVersion":"5"}},"items":[{},{}]}}'
    change = '{{"type":"MODIFIED","object":{}}}\n'
    informer = await watcher.run(
        raw(page.format(text("deep", 3), json.dumps(pod("b", 4))).encode()),
        raw((change.format(text("deep", 6)) + change.format(json.dumps(pod("b", 7)))).encode()),
        kept=Packed(100_000),
    )
    assert watcher.seen == [
        ("shop", "deep", None, "3"),
        ("shop", "b", None, "4"),
        ("shop", "deep", "3", "6"),
        ("shop", "b", "4", "7"),
    ]
    assert informer.store.version(("shop", "deep")) == "6"


async def test_an_object_that_cannot_be_kept_is_told_and_known_by_its_name(
    watcher: Watcher,
) -> None:
    def whole(obj: dict[str, Any]) -> bool:
        return bool(obj["spec"])

    with capture_logs() as lines:
        informer = await watcher.run(listed(5, pod("a", 3)), events(), kept=Packed(9, whole=whole))
    assert informer.get("shop", "a") == pod("a", 3)
    assert watcher.seen == [("shop", "a", None, "3")]
    assert [line["name"] for line in lines if line["event"] == "object_not_kept"] == ["a"]


class Clock:
    """Stands in for `time` in the informer."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now


async def test_a_watch_that_falls_silent_is_told_of_by_its_end_too(
    watcher: Watcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr("runtime.informer.time", clock)

    def on_change(*_: Any) -> None:
        clock.now += WHOLE  # after the word was taken for one of now

    monkeypatch.setattr(watcher, "on_change", on_change)
    informer = await watcher.run(listed(5), events(event("ADDED", pod("a", 6))), hang_up())
    assert informer.heard == clock.now


@pytest.mark.parametrize(("lasted", "told"), [(WHOLE, True), (WHOLE - 1, False)])
async def test_a_silent_watch_that_ends_in_its_own_time_has_told_all_by_then(
    watcher: Watcher, monkeypatch: pytest.MonkeyPatch, *, lasted: float, told: bool
) -> None:
    """Nobody sends bookmarks of a kind that has not changed since the API server was started."""
    clock = Clock()
    monkeypatch.setattr("runtime.informer.time", clock)

    async def silent(request: web.Request) -> web.StreamResponse:
        clock.now += lasted
        return await events()(request)

    informer = await watcher.run(listed(5), silent, hang_up())
    assert informer.heard == (1000 + lasted if told else 1000)
    asked = [request.query.get("resourceVersion") for request in watcher.api.requests]
    assert asked[:3] == [None, "5", "5"]
