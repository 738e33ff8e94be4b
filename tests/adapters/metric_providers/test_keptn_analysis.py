"""An Analysis of Keptn: made, waited for, and deleted whatever comes, at a local API server."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from analyzer.metric_providers import keptn
from analyzer.metric_providers.keptn import Keptn
from analyzer.ports import ProviderError
from canary.contract import MANAGED_BY, MANAGED_BY_LABEL
from canary.queries.provider import ProviderSpec
from runtime.kube import Cluster
from tests.adapters.metric_providers.clouds_api import NOW, at, zulu
from tests.adapters.metric_providers.prometheus_api import MINUTE
from tests.unit.runtime.scripted_api import Answer, ScriptedApi, ok, status

SPEC = ProviderSpec(type="keptn", address="", asker="prod")
PATH = "/apis/metrics.keptn.sh/v1/namespaces/prod/analyses"
MADE = ok(metadata={"name": "mine-1", "namespace": "prod"}, spec={})
NONE = ok(kind="AnalysisList", metadata={"resourceVersion": "1"}, items=[])


@dataclass
class World:
    api: ScriptedApi
    cluster: Cluster

    async def asked(self, query: str = "analysis/prod/mine") -> tuple[float, ...]:
        provider = Keptn(self.cluster, clock=lambda: NOW, every=0.01)
        return await provider.query(SPEC, query, MINUTE)

    async def complaint(self, query: str = "analysis/prod/mine") -> str:
        with pytest.raises(ProviderError) as caught:
            await self.asked(query)
        return str(caught.value)

    def did(self) -> list[str]:
        return [f"{it.method} {it.path.removeprefix(PATH)}" for it in self.api.requests]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with ScriptedApi().serve(tmp_path) as api, api.cluster(deadline=2) as cluster:
        yield World(api, cluster)


def result(**fields: Any) -> Answer:
    return ok(metadata={"name": "mine-1"}, status=fields)


@pytest.mark.parametrize(("passes", "value"), [(True, 1.0), (False, 0.0)])
async def test_a_result_is_waited_for_and_the_object_is_deleted(
    world: World, value: float, *, passes: bool
) -> None:
    ended = result(**{"state": "Completed", "pass": passes})
    world.api.answers = [NONE, MADE, result(state="Progressing"), ended, ok()]

    assert await world.asked("Analysis/Prod/Mine/2m/app=web;zone=a\n") == (value,)
    assert world.did() == ["GET ", "POST ", "GET /mine-1", "GET /mine-1", "DELETE /mine-1"]
    made = world.api.bodies[1]
    assert made["metadata"]["name"].startswith("mine-")
    assert made["metadata"]["labels"] == {MANAGED_BY_LABEL: MANAGED_BY}
    assert made["spec"] == {
        "analysisDefinition": {"name": "mine"},
        "timeframe": {"recent": "2m"},
        "args": {"app": "web", "zone": "a"},
    }


async def test_what_is_not_said_is_as_in_flagger(world: World) -> None:
    world.api.answers = [NONE, MADE, result(**{"state": "Completed", "pass": True}), ok()]

    await world.asked("analyses/prod/mine")
    assert world.api.bodies[1]["spec"] == {
        "analysisDefinition": {"name": "mine"},
        "timeframe": {"recent": "1m"},
        "args": {},
    }


async def test_an_older_keptn_is_asked_in_its_own_version(world: World) -> None:
    gone = status(404, "NotFound")
    ended = result(**{"state": "Completed", "pass": True})
    world.api.answers = [gone, NONE, MADE, ended, ok()]

    assert await world.asked() == (1.0,)
    assert all("/v1beta1/" in it.path for it in world.api.requests[1:])


async def test_one_without_a_result_is_a_message_and_is_deleted(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keptn, "_ENDS_WITHIN", 0.2)
    world.api.answers = [NONE, MADE, *[result(state="Pending")] * 40]

    said = await world.complaint()
    assert "the Analysis of prod/mine has no result after 0.2 s" in said
    assert world.did()[-1] == "DELETE /mine-1"


async def test_a_question_that_is_taken_back_leaves_nothing(world: World) -> None:
    world.api.answers = [NONE, MADE, *[result(state="Pending")] * 1000]
    async with asyncio.TaskGroup() as group:
        asked = group.create_task(world.asked())
        while len(world.api.requests) < 4:  # noqa: ASYNC110 - the server is what is waited for
            await asyncio.sleep(0.01)
        asked.cancel()
    assert asked.cancelled()
    assert world.did()[-1] == "DELETE /mine-1"


async def test_what_a_process_has_left_that_ended_is_deleted_first(world: World) -> None:
    def left(name: str, seconds: int) -> dict[str, Any]:
        return {"metadata": {"name": name, "creationTimestamp": zulu(at(seconds))}}

    listed = ok(
        kind="AnalysisList",
        metadata={"resourceVersion": "1"},
        items=[left("old", 600), left("waited-for", 5)],
    )
    ended = result(**{"state": "Completed", "pass": True})
    world.api.answers = [listed, ok(), MADE, ended, ok()]

    await world.asked()
    assert world.did()[:3] == ["GET ", "DELETE /old", "POST "]


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ([status(404, "NotFound")] * 2, "this cluster's Keptn has no Analysis"),
        ([status(403, "Forbidden")], "gives the analyzer that right with manifests/metric-rights"),
        ([NONE, status(403, "Forbidden")], "may not be made"),
        ([NONE, status(500)], "cannot be made now"),
        ([NONE, MADE, result(state="Completed"), ok()], "says neither pass nor fail"),
        ([NONE, MADE, status(500), ok()], "cannot be made now"),
    ],
)
async def test_says_why_there_is_no_result(
    world: World, answers: list[Answer], message: str
) -> None:
    world.api.answers = list(answers)

    assert message in await world.complaint()
    assert not world.api.answers, "what was made is deleted"
