"""Reviews as nobody writes them: always a valid answer, or a clear refusal."""

import asyncio
import base64
import copy
import json
from collections.abc import Iterator
from typing import Any, Final

import jsonpatch
import pytest
from aiohttp.test_utils import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from canary.contract import HOLD, PROMOTING, REFUSED, SPLIT, STABLE, Command
from canary.model.traffic import Traffic
from canary.model.values import Json
from canary.routes.mark import Mark, TargetSplit
from tests.fakes.listening import TestServer
from tests.fakes.objects import annotated, canary, changed, deployment
from webhook.server import Metrics, create_app
from webhook.settings import read_settings

MARK: Final = Mark(
    splits={"web": TargetSplit(stable="web", canary="web-canary", traffic=Traffic(20))}
).dump()
HELD: Final = annotated(
    changed(deployment(image="web:2"), paused=True),
    {HOLD: "b", STABLE: "a", REFUSED: "c", PROMOTING: "d", str(Command.ABORT): "now"},
)
ROUTE: Final[Json] = {
    "apiVersion": "gateway.networking.k8s.io/v1",
    "kind": "HTTPRoute",
    "metadata": {"name": "web", "namespace": "prod", "annotations": {SPLIT: MARK}},
    "spec": {
        "rules": [
            {
                "backendRefs": [
                    {"group": "", "kind": "Service", "name": "web", "port": 80, "weight": 80},
                    {"group": "", "kind": "Service", "name": "web-canary", "weight": 20},
                ]
            }
        ]
    },
}
TARGETS: Final = (deployment(), deployment(image="web:2"), HELD)
OBJECTS: Final[dict[str, tuple[Json, ...]]] = {
    "/targets": TARGETS,
    "/routes": (ROUTE,),
    "/canaries": (canary(), canary(metrics=[{"name": "m", "query": "sum(x)"}])),
    "/metrictemplates": (
        {"metadata": {}, "spec": {"provider": {"type": "prometheus"}, "query": "{{ target }}"}},
    ),
    "/alertproviders": ({"metadata": {}, "spec": {"type": "slack", "address": "https://x/y"}},),
}
SCALARS: Final = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
)
VALUES: Final = st.recursive(
    SCALARS,
    lambda below: (
        st.lists(below, max_size=3) | st.dictionaries(st.text(max_size=9), below, max_size=3)
    ),
    max_leaves=6,
)


class Webhook:
    """A webhook that is asked over HTTP, from tests that are no coroutines."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.client = self.loop.run_until_complete(self._start())

    async def _start(self) -> TestClient[Any, Any]:
        app = create_app(read_settings({}), Metrics.create(CollectorRegistry()))
        client: TestClient[Any, Any] = TestClient(TestServer(app))
        await client.start_server()
        return client

    def post(self, path: str, body: bytes) -> tuple[int, bytes]:
        """Send a body; return what is answered."""

        async def post() -> tuple[int, bytes]:
            async with asyncio.timeout(5), self.client.post(path, data=body) as response:
                return response.status, await response.read()

        return self.loop.run_until_complete(post())

    def close(self) -> None:
        """Stop it."""
        self.loop.run_until_complete(self.client.close())
        self.loop.close()


@pytest.fixture(scope="module")
def webhook() -> Iterator[Webhook]:
    found = Webhook()
    yield found
    found.close()


@st.composite
def reviews(draw: st.DrawFn) -> tuple[str, Json]:
    """Draw a review with something in it that does not belong there."""
    path = draw(st.sampled_from(sorted(OBJECTS)))
    objects = st.sampled_from(OBJECTS[path])
    created = draw(st.booleans())
    document: Json = copy.deepcopy(
        {
            "apiVersion": "admission.k8s.io/v1",
            "kind": "AdmissionReview",
            "request": {
                "uid": "u-1",
                "userInfo": {"username": "alice"},
                "operation": "CREATE" if created else "UPDATE",
                "object": draw(objects),
                "oldObject": None if created else draw(objects),
            },
        }
    )
    for _ in range(draw(st.integers(1, 3))):
        _disturb(draw, document["request"])
    return path, document


def _disturb(draw: st.DrawFn, place: Any) -> None:
    """Put something else in some place, or take what is there away."""
    while place:
        keys = sorted(place) if isinstance(place, dict) else list(range(len(place)))
        key = draw(st.sampled_from(keys))
        below = place[key]
        if isinstance(below, dict | list) and below and draw(st.integers(0, 3)):
            place = below
            continue
        if draw(st.booleans()):
            place[key] = draw(VALUES)
        else:
            del place[key]
        return


def is_answered(webhook: Webhook, path: str, document: Json) -> None:
    """Send a review, and look whether the API server could take the answer."""
    status, body = webhook.post(path, json.dumps(document).encode())
    assert status == 200, (status, body)
    response = json.loads(body)["response"]
    assert isinstance(response["uid"], str)
    if not response["allowed"]:
        assert response["status"]["message"]
        return
    if "patch" in response:
        patch = json.loads(base64.b64decode(response["patch"]))
        jsonpatch.apply_patch(document["request"]["object"], patch)


@pytest.mark.timeout(300)
@settings(max_examples=300)
@given(reviews())
def test_a_review_with_anything_in_it_is_answered(
    webhook: Webhook, drawn: tuple[str, Json]
) -> None:
    is_answered(webhook, *drawn)


@pytest.mark.timeout(300)
@settings(max_examples=100)
@given(st.binary(max_size=200) | VALUES.map(lambda value: json.dumps(value).encode()))
def test_any_body_is_answered(webhook: Webhook, body: bytes) -> None:
    status, answer = webhook.post("/targets", body)
    assert status in {200, 400}
    if status == 200:
        assert not json.loads(answer)["response"]["allowed"]


@pytest.mark.soak
@pytest.mark.timeout(0)
@settings(max_examples=100_000, derandomize=False)
@given(reviews())
def test_a_hundred_thousand_reviews_are_answered(webhook: Webhook, drawn: tuple[str, Json]) -> None:
    is_answered(webhook, *drawn)
