"""The review server over real TLS: answers with the UID in every case, whatever is sent."""

import base64
import io
import json
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import jsonpatch
import pytest
import trustme
from prometheus_client import CollectorRegistry

from canary.contract import HOLD, HOLD_UNKNOWN, NOTE, SPLIT, STABLE, Command
from canary.model.traffic import Traffic
from canary.routes.gateway_api import HttpRoutes
from canary.routes.mark import Mark, TargetSplit, mark_of
from runtime import probes
from tests.fakes.objects import Json, annotated, changed, deployment
from webhook.intake import MAX_BODY
from webhook.server import Metrics, create_app
from webhook.settings import Settings, read_settings

OLD, NEW = deployment(), deployment(image="web:2")


@dataclass(frozen=True)
class Server:
    """A running webhook and a client that trusts it."""

    port: int
    session: aiohttp.ClientSession
    registry: CollectorRegistry

    async def post(self, path: str, body: bytes) -> tuple[int, Json]:
        url = f"https://localhost:{self.port}{path}"
        async with self.session.post(url, data=io.BytesIO(body)) as response:
            if response.content_type != "application/json":
                return response.status, {}
            return response.status, await response.json()

    async def review(
        self, old: Json | None, new: Json, path: str = "/targets", **more: Any
    ) -> Json:
        status, answer = await self.post(path, review(old, new, **more))
        assert status == 200
        assert answer["response"]["uid"] == "u-1"
        response: Json = answer["response"]
        return response

    def count(self, path: str, outcome: str) -> float:
        labels = {"path": path, "outcome": outcome}
        return self.registry.get_sample_value("headgate_webhook_reviews_total", labels) or 0


def review(
    old: Json | None,
    new: Json | None,
    *,
    user: str = "alice",
    dry_run: bool = False,
    operation: str = "UPDATE",
) -> bytes:
    request = {
        "uid": "u-1",
        "userInfo": {"username": user},
        "dryRun": dry_run,
        "operation": operation,
        "object": new,
        "oldObject": old,
    }
    body = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}
    return json.dumps(body).encode()


def patched(new: Json, response: Json) -> Json:
    if "patch" not in response:
        return new
    assert response["patchType"] == "JSONPatch"
    result: Json = jsonpatch.apply_patch(new, base64.b64decode(response["patch"]).decode())
    return result


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    registry = CollectorRegistry()
    app = create_app(Settings(), Metrics.create(registry))
    async with (
        probes.serve(app, port=0, host="localhost", ssl_context=context) as port,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trusting)) as session,
    ):
        yield Server(port, session, registry)


@pytest.mark.parametrize("dry_run", [False, True])
async def test_an_update_is_held(server: Server, *, dry_run: bool) -> None:
    response = await server.review(OLD, NEW, dry_run=dry_run)
    stored = patched(NEW, response)
    assert stored["spec"]["paused"] is True
    assert {HOLD, STABLE} <= stored["metadata"]["annotations"].keys()
    assert "held as a canary" in response["warnings"][0]
    assert server.count("targets", "held") == 1


async def test_an_update_that_can_have_no_canary_says_so_at_once(server: Server) -> None:
    selector = {"matchLabels": {"headgate.dev/target": "web"}}
    metadata = {"labels": {"headgate.dev/target": "web"}}
    old = changed(
        OLD, selector=selector, template={**OLD["spec"]["template"], "metadata": metadata}
    )
    new = changed(
        NEW, selector=selector, template={**NEW["spec"]["template"], "metadata": metadata}
    )
    response = await server.review(old, new)
    assert patched(new, response)["spec"]["paused"] is True
    assert "take it out of the template" in response["warnings"][-1]
    assert len((await server.review(OLD, NEW))["warnings"]) == 1


async def test_a_revert_is_resumed(server: Server) -> None:
    held = patched(NEW, await server.review(OLD, NEW))
    reverted = changed(held, template=OLD["spec"]["template"])
    stored = patched(reverted, await server.review(held, reverted))
    assert "paused" not in stored["spec"]
    assert HOLD not in stored["metadata"]["annotations"]


async def test_a_resume_is_denied_with_a_message(server: Server) -> None:
    held = patched(NEW, await server.review(OLD, NEW))
    response = await server.review(held, changed(held, paused=False))
    assert response["allowed"] is False
    assert "headgate.dev/abort" in response["status"]["message"]


@pytest.mark.parametrize(
    ("body", "uid"),
    [
        (b"not json", ""),
        (b"{}", ""),
        (b"[]", ""),
        (b'{"request": {"uid": "u-1"}}', "u-1"),
        (review(None, NEW), "u-1"),
        (review({}, {}), "u-1"),
        (review(None, {}, operation="CREATE"), "u-1"),
        (review(None, None, operation="CREATE"), "u-1"),
        (review(None, NEW, operation="DELETE"), "u-1"),
    ],
)
async def test_what_is_no_review_is_answered_all_the_same(
    server: Server, body: bytes, uid: str
) -> None:
    status, answer = await server.post("/targets", body)
    assert status == 200
    assert answer["response"]["uid"] == uid
    assert answer["response"]["allowed"] is False


async def test_an_internal_error_holds_and_is_counted(server: Server) -> None:
    broken = changed(NEW, template="not a template")
    response = await server.review(OLD, broken)
    assert response["allowed"] is True
    stored = patched(broken, response)
    assert stored["spec"]["paused"] is True
    assert stored["metadata"]["annotations"] == {HOLD: HOLD_UNKNOWN}
    assert server.count("targets", "error") == 1


async def test_a_copy_of_a_held_target_is_created_without_its_pause(server: Server) -> None:
    held = patched(NEW, await server.review(OLD, NEW))
    del held["metadata"]["name"]
    clone = annotated(held, {Command.PROMOTE: "now"})
    clone["metadata"]["generateName"] = "web-"
    response = await server.review(None, clone, operation="CREATE")
    stored = patched(clone, response)
    assert "paused" not in stored["spec"]
    assert stored["metadata"]["annotations"].keys() == {NOTE}
    assert "web:2" in response["warnings"][0]
    assert server.count("targets", "copied-held") == 1


async def test_an_internal_error_never_pauses_what_is_created(server: Server) -> None:
    marks = {HOLD: "x", "note": "theirs"}
    broken = annotated(changed(NEW, template="not a template", paused=True), {**marks})
    response = await server.review(None, broken, operation="CREATE")
    stored = patched(broken, response)
    assert "paused" not in stored["spec"]
    assert stored["metadata"]["annotations"] == {"note": "theirs"}
    assert server.count("targets", "error") == 1


async def test_a_route_that_is_created_passes(server: Server) -> None:
    response = await server.review(None, route(None), path="/routes", operation="CREATE")
    assert (response["allowed"], "patch" in response) == (True, False)


async def test_a_review_of_two_megabytes_is_taken(server: Server) -> None:
    large = annotated(NEW, {"note": "x" * 2_000_000})
    response = await server.review(OLD, large)
    assert response["allowed"] is True


async def test_a_body_beyond_the_limit_is_not_read(server: Server) -> None:
    status, _ = await server.post("/targets", b"x" * (MAX_BODY + 1))
    assert status == 413


def route(mark: str | None) -> Json:
    notes = {} if mark is None else {SPLIT: mark}
    backends = [{"name": "web", "port": 80, "weight": 1}]
    return {
        "kind": "HTTPRoute",
        "metadata": {"name": "web", "namespace": "prod", "annotations": notes},
        "spec": {"rules": [{"backendRefs": backends}]},
    }


WEB = TargetSplit(stable="web", canary="web-canary", traffic=Traffic(30))
MARK = Mark(splits={"web": WEB})


async def test_a_route_keeps_its_split(server: Server) -> None:
    new = route(None)
    stored = patched(new, await server.review(route(MARK.dump()), new, path="/routes"))
    assert HttpRoutes().carried(stored, WEB) == {Traffic(30)}
    found = mark_of(stored)
    assert found is not None
    assert found.splits == MARK.splits


async def test_the_analyzer_may_take_the_split_away(server: Server) -> None:
    user = Settings().analyzer_user
    marked = route(MARK.dump())
    split = patched(marked, await server.review(route(None), marked, path="/routes", user=user))
    assert HttpRoutes().carried(split, WEB) == {Traffic(30)}
    plain = {**split, "metadata": {**split["metadata"], "annotations": {}}}
    stored = patched(plain, await server.review(split, plain, path="/routes", user=user))
    assert stored["spec"] == route(None)["spec"]


async def test_a_route_that_is_created_from_a_copy_of_mid_run_is_its_team_s(server: Server) -> None:
    old, new = route(None), route(MARK.dump())
    user = Settings().analyzer_user
    saved = patched(new, await server.review(old, new, path="/routes", user=user))
    answer = await server.review(None, saved, path="/routes", operation="CREATE")
    assert patched(saved, answer)["spec"] == old["spec"]
    assert not patched(saved, answer)["metadata"].get("annotations")
    assert "saved in a run" in answer["warnings"][0]
    assert server.count("routes", "copied") == 1
    by_us = await server.review(None, saved, path="/routes", operation="CREATE", user=user)
    assert "patch" not in by_us


async def test_a_route_that_cannot_be_judged_passes(server: Server) -> None:
    broken = {**route(None), "spec": {"rules": [1]}}
    response = await server.review(route(MARK.dump()), broken, path="/routes")
    assert (response["allowed"], "patch" in response) == (True, False)


def test_settings_are_read_and_faults_name_their_variable() -> None:
    settings = read_settings({"HEADGATE_PORT": "9443", "HEADGATE_ALLOW_OPT_OUT": "true"})
    assert (settings.port, settings.allowances.allow_opt_out) == (9443, True)
    with pytest.raises(ValueError, match="HEADGATE_PORT"):
        read_settings({"HEADGATE_PORT": "https"})
