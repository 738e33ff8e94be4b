"""Objects over HTTP: refused, warned of or taken, and updates are gated whatever they are."""

import asyncio
import io
import json
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp.test_utils import TestClient
from prometheus_client import CollectorRegistry

from canary.model.values import Json
from canary.validation.objects import KINDS, check
from canary.validation.verdict import Terms, Verdict
from tests.fakes.listening import TestServer
from tests.fakes.objects import canary, deployment
from webhook.objects import MOST_BYTES, MOST_SAID, MOST_WAITING, Objects
from webhook.server import Metrics, create_app
from webhook.settings import read_settings

WRONG = canary(metrics=[{"name": "m", "query": "sum("}])
DOUBTFUL = canary(metrics=[{"name": "m", "query": "sum(x)", "threshold": 1}])
DOUBTFUL["spec"]["revertOnDeletion"] = True


class Webhook:
    """A webhook that is served, and what it has counted."""

    def __init__(self, client: TestClient[Any, Any], registry: CollectorRegistry) -> None:
        self.client = client
        self.registry = registry

    async def post(self, path: str, body: bytes) -> Json:
        async with self.client.post(path, data=io.BytesIO(body)) as response:
            assert response.status == 200
            found: Json = (await response.json())["response"]
            return found

    async def review(self, path: str, old: Json | None, new: Json) -> Json:
        return await self.post(path, review(old, new))

    def count(self, path: str, outcome: str) -> float:
        labels = {"path": path, "outcome": outcome}
        return self.registry.get_sample_value("headgate_webhook_reviews_total", labels) or 0


def review(old: Json | None, new: Json) -> bytes:
    request = {
        "uid": "a-1",
        "userInfo": {"username": "alice"},
        "operation": "CREATE" if old is None else "UPDATE",
        "object": new,
        "oldObject": old,
    }
    return json.dumps({"request": request}).encode()


@pytest.fixture
async def webhook() -> AsyncIterator[Webhook]:
    registry = CollectorRegistry()
    app = create_app(read_settings({}), Metrics.create(registry))
    async with TestClient(TestServer(app)) as client:
        yield Webhook(client, registry)


async def test_a_wrong_object_is_refused_and_nothing_takes_it_for_an_immutable_field(
    webhook: Webhook,
) -> None:
    answer = await webhook.review("/canaries", None, WRONG)
    assert answer["allowed"] is False
    # Flux with `force` deletes and creates anew what is answered with 409 or 422.
    assert answer["status"]["code"] == 403
    assert answer["status"]["message"].startswith("headgate: metric m: it is no PromQL")
    assert webhook.count("canaries", "refused") == 1


async def test_a_doubtful_object_is_stored_with_warnings(webhook: Webhook) -> None:
    answer = await webhook.review("/canaries", None, DOUBTFUL)
    assert (answer["allowed"], "patch" in answer) == (True, False)
    assert len(answer["warnings"]) == 2
    assert webhook.count("canaries", "warned") == 1


async def test_a_long_warning_goes_on_in_the_next_one(webhook: Webhook) -> None:
    spec = {"provider": {"type": "prometheus"}, "query": 'sum(x{app="{{ name }}"})'}
    answer = await webhook.review("/metrictemplates", None, {"metadata": {}, "spec": spec})
    assert answer["allowed"] is True
    assert len(answer["warnings"]) > 1
    assert max(map(len, answer["warnings"])) <= 256
    assert "{{ baseline }} for the stable" in " ".join(answer["warnings"])


async def test_each_kind_is_answered_under_its_own_name(webhook: Webhook) -> None:
    for resource in KINDS:
        answer = await webhook.review(f"/{resource}", None, {"metadata": {}})
        assert "spec: is missing" in answer["status"]["message"]
        assert webhook.count(resource, "refused") == 1


async def test_what_does_not_change_passes(webhook: Webhook) -> None:
    answer = await webhook.review("/canaries", WRONG, {**WRONG, "status": {"phase": "Failed"}})
    assert (answer["allowed"], answer.get("warnings")) == (True, None)
    assert webhook.count("canaries", "passed") == 1


async def test_a_hundred_problems_are_counted_and_not_listed(webhook: Webhook) -> None:
    many = canary(metrics=[{"name": f"m{n}"} for n in range(100)])
    message = (await webhook.review("/canaries", None, many))["status"]["message"]
    assert message.count("\n- ") == MOST_SAID + 1
    assert message.endswith("and 80 more")


@pytest.mark.parametrize(
    ("body", "outcome"),
    [
        (b"no review", "unreadable"),
        (b'{"request": {"uid": "a-1", "object": 1}}', "unreadable"),
        (review(None, {**WRONG, "x": "x" * MOST_BYTES}), "too-large"),
        (review(None, {**WRONG, "x": [1] * 60_000}), "too-large"),
        (review(None, {**WRONG, "spec": {**WRONG["spec"], "service": 7}}), "error"),
    ],
)
async def test_what_cannot_be_checked_is_stored_with_a_warning(
    webhook: Webhook, body: bytes, outcome: str
) -> None:
    answer = await webhook.post("/canaries", body)
    assert answer["allowed"] is True
    assert "was not checked" in answer["warnings"][0]
    assert webhook.count("canaries", outcome) == 1


class Slow:
    """Judges once it may."""

    def __init__(self) -> None:
        self.may = threading.Event()

    def __call__(self, *write: Any) -> Verdict:
        assert self.may.wait(20)
        return check(*write)


async def test_what_takes_too_long_passes_and_the_rest_is_checked_afterwards() -> None:
    slow = Slow()
    objects = Objects(Terms(), seconds=0.05, judge=slow)
    body, outcome = await objects.answering("canaries")(review(None, WRONG))
    assert (json.loads(body)["response"]["allowed"], outcome) == (True, "late")
    slow.may.set()
    objects.seconds = 20
    assert (await objects.answering("canaries")(review(None, WRONG)))[1] == "refused"


async def test_one_too_many_passes_at_once() -> None:
    slow = Slow()
    answer = Objects(Terms(), seconds=20, judge=slow).answering("canaries")
    async with asyncio.TaskGroup() as group:
        waiting = [group.create_task(answer(review(None, WRONG))) for _ in range(MOST_WAITING)]
        await asyncio.sleep(0)
        assert (await answer(review(None, WRONG)))[1] == "late"
        slow.may.set()
    assert {task.result()[1] for task in waiting} == {"refused"}


async def test_a_panic_of_the_parser_ends_nothing() -> None:
    class PanicError(BaseException):
        """What a library in Rust raises."""

    def panic(*_: Any) -> Verdict:
        raise PanicError

    answer = Objects(Terms(), judge=panic).answering("canaries")
    body, outcome = await answer(review(None, WRONG))
    assert (json.loads(body)["response"]["allowed"], outcome) == (True, "error")


async def test_updates_are_gated_beside_it(webhook: Webhook) -> None:
    await webhook.review("/canaries", None, WRONG)
    answer = await webhook.review("/targets", deployment(), deployment(image="web:2"))
    assert "held as a canary" in answer["warnings"][0]


def test_a_setting_of_the_analyzers_that_cannot_be_read_does_not_keep_the_webhook_down() -> None:
    settings = read_settings({"HEADGATE_DEFAULT_INTERVAL": "soon"})
    assert settings.terms == Terms()
    assert "HEADGATE_DEFAULT_INTERVAL" in settings.misread[0]
