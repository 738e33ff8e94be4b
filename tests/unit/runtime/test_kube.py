"""What `Cluster` does when the way to the API server, or the server, has a fault.

Covered: repetition of lost connections and 429, Retry-After, the deadline, the error types,
requests that must not arrive twice, pages of a list, and the ends of a watch.
"""

import asyncio
import contextlib
import re
import socket
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web

from runtime import errors
from runtime.kube import Cluster
from runtime.resources import DEPLOYMENTS, NAMESPACES, PODS, Resource, WatchEvent
from tests.unit.runtime.scripted_api import ScriptedApi, events, hang_up, ok, status

OBJ = {"metadata": {"name": "web", "namespace": "shop"}}


async def watched(cluster: Cluster, version: str = "1") -> list[WatchEvent]:
    async with aclosing(cluster.watch(PODS, resource_version=version, seconds=1)) as stream:
        return [event async for event in stream]


@pytest.mark.parametrize(
    ("resource", "args", "path"),
    [
        (PODS, ("shop",), "/api/v1/namespaces/shop/pods"),
        (PODS, (None,), "/api/v1/pods"),
        (DEPLOYMENTS, ("shop", "web"), "/apis/apps/v1/namespaces/shop/deployments/web"),
        (
            DEPLOYMENTS,
            ("shop", "web", "status"),
            "/apis/apps/v1/namespaces/shop/deployments/web/status",
        ),
        (NAMESPACES, ("ignored", "shop"), "/api/v1/namespaces/shop"),
        (PODS, ("shop", "a/../b"), "/api/v1/namespaces/shop/pods/a%2F..%2Fb"),
    ],
)
def test_path_of_an_object(resource: Resource, args: tuple[str, ...], path: str) -> None:
    assert resource.path(*args) == path


@pytest.mark.parametrize(
    ("namespace", "name"), [("shop", ""), ("shop", "."), ("shop", ".."), ("..", "web")]
)
async def test_a_name_that_leads_elsewhere_is_not_asked_for(
    api: ScriptedApi, namespace: str, name: str
) -> None:
    api.answers = [ok(items=[OBJ])]
    async with api.cluster() as cluster:
        with pytest.raises(errors.NotFound, match="can be called"):
            await cluster.get(PODS, namespace, name)
    assert not api.requests


@pytest.mark.parametrize(
    ("code", "reason", "expected"),
    [
        (400, "BadRequest", errors.Invalid),
        (401, "Unauthorized", errors.Forbidden),
        (403, "Forbidden", errors.Forbidden),
        (404, "NotFound", errors.NotFound),
        (409, "Conflict", errors.Conflict),
        (409, "AlreadyExists", errors.AlreadyExists),
        (410, "Expired", errors.Expired),
        (418, "", errors.ApiError),
        (422, "Invalid", errors.Invalid),
        (500, "InternalError", errors.Unavailable),
        (503, "ServiceUnavailable", errors.Unavailable),
    ],
)
async def test_status_becomes_one_type_and_is_not_repeated(
    api: ScriptedApi, code: int, reason: str, expected: type[errors.ApiError]
) -> None:
    api.answers = [status(code, reason)]
    async with api.cluster() as cluster:
        with pytest.raises(errors.ApiError) as caught:
            await cluster.get(PODS, "shop", "web")
    assert type(caught.value) is expected
    assert (caught.value.status, caught.value.message) == (code, f"said {code}")
    assert len(api.requests) == 1


async def test_body_of_a_proxy_is_quoted_and_cut(api: ScriptedApi) -> None:
    async def html(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=502, text="<html>" + "x" * 10_000)

    api.answers = [html]
    async with api.cluster() as cluster:
        with pytest.raises(errors.Unavailable, match="<html>") as caught:
            await cluster.get(PODS, "shop", "web")
    assert len(caught.value.message) == 512


async def test_answer_that_is_no_json_is_unavailable(api: ScriptedApi) -> None:
    async def html(_request: web.Request) -> web.StreamResponse:
        return web.Response(text="<html>")

    api.answers = [html, html]
    async with api.cluster(deadline=0.3) as cluster:
        with pytest.raises(errors.Unavailable, match="NotJson"):
            await cluster.create(PODS, OBJ)


async def test_throttled_is_repeated_after_the_time_that_the_server_asks_for(
    api: ScriptedApi,
) -> None:
    api.answers = [status(429, "TooManyRequests", Retry_After="1"), ok(**OBJ)]
    started = asyncio.get_running_loop().time()
    async with api.cluster() as cluster:
        assert await cluster.get(PODS, "shop", "web") == OBJ
    assert asyncio.get_running_loop().time() - started >= 1


async def test_throttled_beyond_the_deadline_is_raised_at_once(api: ScriptedApi) -> None:
    api.answers = [status(429, "TooManyRequests", Retry_After="60")]
    async with api.cluster() as cluster:
        with pytest.raises(errors.Throttled) as caught:
            await cluster.get(PODS, "shop", "web")
    assert caught.value.retry_after == 60


async def test_lost_connection_is_repeated(api: ScriptedApi) -> None:
    api.answers = [hang_up(), hang_up(), hang_up(), ok(**OBJ)]
    async with api.cluster() as cluster:
        assert await cluster.apply(PODS, OBJ) == OBJ


async def test_create_is_not_repeated_once_it_may_have_arrived(api: ScriptedApi) -> None:
    api.answers = [hang_up()]
    async with api.cluster() as cluster:
        with pytest.raises(errors.Unavailable) as caught:
            await cluster.create(PODS, OBJ)
    assert caught.value.reached
    assert len(api.requests) == 1


async def test_refused_connection_is_repeated_until_the_deadline(api: ScriptedApi) -> None:
    kubeconfig = api.kubeconfig("t0")
    kubeconfig.write_text(kubeconfig.read_text().replace("127.0.0.1", "127.0.0.2"))
    async with Cluster.connect(kubeconfig, deadline=2) as cluster:
        with pytest.raises(errors.Unavailable) as caught:
            await cluster.create(PODS, OBJ)
    assert not caught.value.reached


async def test_nothing_was_sent_where_no_connection_came_about(api: ScriptedApi) -> None:
    with socket.socket() as deaf, contextlib.ExitStack() as callers:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        for _ in range(4):  # who comes when the queue is full gets no answer at all
            caller = callers.enter_context(socket.socket())
            caller.settimeout(0)
            with contextlib.suppress(BlockingIOError):
                caller.connect(deaf.getsockname())
        kubeconfig = api.kubeconfig("t0")
        elsewhere = f"127.0.0.1:{deaf.getsockname()[1]}"
        text = kubeconfig.read_text()
        kubeconfig.write_text(re.sub(r"127\.0\.0\.1:\d+", elsewhere, text))
        async with asyncio.timeout(8), Cluster.connect(kubeconfig, deadline=0.3) as cluster:
            with pytest.raises(errors.Unavailable, match="no answer") as caught:
                await cluster.create(PODS, OBJ)
    assert not caught.value.reached


async def test_silent_server_ends_at_the_deadline(api: ScriptedApi) -> None:
    async def silent(_request: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    api.answers = [silent]
    # Far above the deadline and far below the default one: a busy machine changes neither.
    async with asyncio.timeout(8), api.cluster(deadline=0.2) as cluster:
        with pytest.raises(errors.Unavailable, match=r"no answer within 0\.2 s") as caught:
            await cluster.get(PODS, "shop", "web")
    assert caught.value.reached


async def test_cancellation_goes_through(api: ScriptedApi) -> None:
    arrived = asyncio.Event()

    async def silent(_request: web.Request) -> web.StreamResponse:
        arrived.set()
        await asyncio.Event().wait()
        raise AssertionError

    api.answers = [silent]
    async with api.cluster() as cluster, asyncio.TaskGroup() as tasks:
        task = tasks.create_task(cluster.get(PODS, "shop", "web"))
        await arrived.wait()
        task.cancel()
    assert task.cancelled()


async def test_list_follows_pages_and_types_its_items(api: ScriptedApi) -> None:
    api.answers = [
        ok(metadata={"resourceVersion": "9", "continue": "a=+/b"}, items=[{"a": 1}]),
        ok(metadata={"resourceVersion": "9"}, items=[{"b": 2}]),
    ]
    async with api.cluster() as cluster:
        result = await cluster.list(PODS, "shop", label_selector="a in (b, c),d!=e")
    typed = {"apiVersion": "v1", "kind": "Pod"}
    assert result.items == [{**typed, "a": 1}, {**typed, "b": 2}]
    assert result.resource_version == "9"
    queries = [dict(request.query) for request in api.requests]
    assert queries == [
        {"limit": "500", "labelSelector": "a in (b, c),d!=e"},
        {"limit": "500", "labelSelector": "a in (b, c),d!=e", "continue": "a=+/b"},
    ]


async def test_list_whose_pages_expire_starts_again_without_pages(api: ScriptedApi) -> None:
    api.answers = [
        ok(metadata={"resourceVersion": "9", "continue": "t"}, items=[{"a": 1}]),
        status(410, "Expired"),
        ok(metadata={"resourceVersion": "12"}, items=[]),
    ]
    async with api.cluster() as cluster:
        result = await cluster.list(PODS)
    assert (result.items, result.resource_version) == ([], "12")
    assert "limit" not in api.requests[-1].query


async def test_delete_of_what_is_gone_is_a_success(api: ScriptedApi) -> None:
    api.answers = [status(404, "NotFound")]
    async with api.cluster() as cluster:
        await cluster.delete(PODS, "shop", "web", uid="u1")
    assert api.bodies == [{"propagationPolicy": "Background", "preconditions": {"uid": "u1"}}]


async def test_patches_say_what_they_are(api: ScriptedApi) -> None:
    api.answers = [ok(), ok(), ok()]
    async with api.cluster() as cluster:
        await cluster.apply(PODS, OBJ, field_manager="m", dry_run=True)
        await cluster.json_patch(PODS, "shop", "web", [{"op": "remove", "path": "/a"}])
        await cluster.merge_patch(PODS, "shop", "web", {"a": 1}, subresource="status")
    sent: list[tuple[Any, ...]] = [
        (r.path, r.content_type, dict(r.query), r.headers["Authorization"]) for r in api.requests
    ]
    path, token = "/api/v1/namespaces/shop/pods/web", "Bearer t0"
    query = {"fieldManager": "m", "force": "true", "dryRun": "All"}
    own = {"fieldManager": "headgate"}
    assert sent == [
        (path, "application/apply-patch+yaml", query, token),
        (path, "application/json-patch+json", own, token),
        (f"{path}/status", "application/merge-patch+json", own, token),
    ]


async def test_watch_yields_changes_and_bookmarks_until_the_server_ends_it(
    api: ScriptedApi,
) -> None:
    pod = {"metadata": {"name": "a"}}
    api.answers = [
        events({"type": "ADDED", "object": pod}, {"type": "BOOKMARK", "object": {"kind": "Pod"}})
    ]
    async with api.cluster() as cluster:
        seen = await watched(cluster, "41")
    assert seen == [WatchEvent("ADDED", pod), WatchEvent("BOOKMARK", {"kind": "Pod"})]
    assert dict(api.requests[0].query) == {
        "watch": "true",
        "allowWatchBookmarks": "true",
        "resourceVersion": "41",
        "timeoutSeconds": "1",
    }


async def test_expired_watch_raises_whether_as_answer_or_as_event(api: ScriptedApi) -> None:
    gone = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}
    api.answers = [status(410, "Expired"), events({"type": "ERROR", "object": gone})]
    async with api.cluster() as cluster:
        for _ in range(2):
            with pytest.raises(errors.Expired):
                await watched(cluster)


async def test_cut_watch_is_unavailable(api: ScriptedApi) -> None:
    api.answers = [events({"type": "ADDED", "object": {}}, cut=True)]
    async with api.cluster() as cluster:
        with pytest.raises(errors.Unavailable):
            await watched(cluster)


async def test_left_watch_closes_its_connection(api: ScriptedApi) -> None:
    closed = asyncio.Event()

    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b'{"type": "ADDED", "object": {}}\n')
        try:
            # The test server cancels the handler of a client that has gone.
            await asyncio.Event().wait()
        finally:
            closed.set()
        return response

    api.answers = [endless]
    async with api.cluster() as cluster:
        async with aclosing(cluster.watch(PODS, resource_version="1")) as stream:
            await anext(stream)
        await closed.wait()


async def test_environment_without_a_way_to_a_cluster_is_named(
    monkeypatch: pytest.MonkeyPatch, api: ScriptedApi
) -> None:
    monkeypatch.setenv("KUBECONFIG", "/does/not/exist")
    with pytest.raises(errors.ConfigurationError, match="no way to an API server"):
        async with Cluster.connect():
            pass
    monkeypatch.setenv("KUBECONFIG", str(api.kubeconfig("t0")))
    api.answers = [ok(gitVersion="v1.36.3")]
    async with Cluster.connect() as cluster:
        assert await cluster.version() == {"gitVersion": "v1.36.3"}


async def test_a_context_gives_its_own_server_and_namespace(
    tmp_path: Path, api: ScriptedApi
) -> None:
    config = yaml.safe_load(api.kubeconfig("t0").read_text())
    elsewhere = {"name": "e", "cluster": {"server": "http://127.0.0.1:1"}}
    config["clusters"].append(elsewhere)
    config["contexts"][0]["context"]["namespace"] = "prod"
    config["contexts"].append({"name": "other", "context": {"cluster": "e", "user": "u"}})
    config["current-context"] = "other"
    path = tmp_path / "two"
    path.write_text(yaml.safe_dump(config))
    api.answers = [ok(gitVersion="v1.36.3")]
    async with Cluster.connect(path, context="c") as cluster:
        assert await cluster.version() == {"gitVersion": "v1.36.3"}
        assert cluster.namespace == "prod"
    async with Cluster.connect(path) as cluster:
        assert cluster.namespace == "default"


async def test_a_context_that_is_not_there_is_named(api: ScriptedApi) -> None:
    with pytest.raises(errors.ConfigurationError, match="nowhere"):
        async with Cluster.connect(api.kubeconfig("t0"), context="nowhere"):
            pass


# --- a leader's writes ----------------------------------------------------------------------------

WRITES: dict[str, Callable[[Cluster], Awaitable[object]]] = {
    "create": lambda cluster: cluster.create(PODS, OBJ),
    "apply": lambda cluster: cluster.apply(PODS, OBJ),
    "replace": lambda cluster: cluster.replace(PODS, OBJ),
    "json patch": lambda cluster: cluster.json_patch(PODS, "shop", "web", []),
    "merge patch": lambda cluster: cluster.merge_patch(PODS, "shop", "web", {}),
    "delete": lambda cluster: cluster.delete(PODS, "shop", "web"),
}
each_write = pytest.mark.parametrize("write", WRITES.values(), ids=WRITES.keys())


@each_write
async def test_whoever_leads_no_more_writes_nothing_and_reads_on(
    api: ScriptedApi, write: Callable[[Cluster], Awaitable[object]]
) -> None:
    api.answers = [ok(**OBJ)]
    async with api.cluster() as cluster:
        fenced = cluster.fenced(lambda: False)
        with pytest.raises(errors.LeadershipLost):
            await write(fenced)
        assert await fenced.get(PODS, "shop", "web") == OBJ
    assert [request.method for request in api.requests] == ["GET"]


@each_write
async def test_who_leads_writes_and_who_writes_beside_it_is_not_asked(
    api: ScriptedApi, write: Callable[[Cluster], Awaitable[object]]
) -> None:
    api.answers = [ok(**OBJ), ok(**OBJ)]
    async with api.cluster() as cluster:
        await write(cluster.fenced(lambda: True))
        cluster.fenced(lambda: False)
        await write(cluster)
    assert len(api.requests) == 2


async def test_a_write_is_not_repeated_once_another_leads(api: ScriptedApi) -> None:
    leads = [True, False]
    api.answers = [status(429, "TooManyRequests", Retry_After="0.1")]
    async with api.cluster() as cluster:
        with pytest.raises(errors.LeadershipLost):
            await cluster.fenced(lambda: leads.pop(0)).apply(PODS, OBJ)
    assert len(api.requests) == 1
