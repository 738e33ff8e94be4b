"""KeptnMetrics and external metrics, read of an API server by the client that the analyzer has."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from analyzer.addresses import EVERYWHERE
from analyzer.fetching import Fetcher
from analyzer.metric_providers.externalmetrics import ExternalMetrics, quantity
from analyzer.metric_providers.keptn import Keptn
from analyzer.ports import ProviderError
from canary.queries.provider import ProviderSpec
from runtime.kube import Cluster
from tests.adapters.metric_providers.clouds_api import NOW, at, external_list, zulu
from tests.adapters.metric_providers.prometheus_api import MINUTE
from tests.unit.runtime.scripted_api import Answer, ScriptedApi, hang_up, ok, status


@dataclass
class World:
    api: ScriptedApi
    cluster: Cluster

    def keptn(self, *, cross_namespace: bool = False) -> Keptn:
        return Keptn(self.cluster, cross_namespace=cross_namespace, clock=lambda: NOW)

    def external(self, *, cross_namespace: bool = False) -> ExternalMetrics:
        fetcher = Fetcher(EVERYWHERE, clock=lambda: NOW)
        return ExternalMetrics(fetcher, self.cluster, cross_namespace=cross_namespace)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with ScriptedApi().serve(tmp_path) as api, api.cluster(deadline=2) as cluster:
        yield World(api, cluster)


KEPTN = ProviderSpec(type="keptn", address="", asker="prod")
EXTERNAL = ProviderSpec(type="externalmetrics", address="", asker="prod")


async def complaint(provider: Keptn | ExternalMetrics, spec: ProviderSpec, query: str) -> str:
    with pytest.raises(ProviderError) as caught:
        await provider.query(spec, query, MINUTE)
    return str(caught.value)


# --- Keptn ------------------------------------------------------------------------------------


def keptn_metric(**fields: Any) -> Answer:
    return ok(status={"value": "12.5", "rawValue": "", "lastUpdated": zulu(at(30)), **fields})


async def test_reads_the_value_of_a_keptn_metric(world: World) -> None:
    world.api.answers = [keptn_metric()]

    assert await world.keptn().query(KEPTN, "KeptnMetric/Prod/Errors\n", MINUTE) == (12.5,)
    assert [it.path for it in world.api.requests] == [
        "/apis/metrics.keptn.sh/v1/namespaces/prod/keptnmetrics/errors"
    ]


async def test_reads_what_an_older_keptn_has(world: World) -> None:
    world.api.answers = [status(404, "NotFound"), keptn_metric(value="0")]

    assert await world.keptn().query(KEPTN, "keptnmetrics/prod/errors", MINUTE) == (0,)
    assert "/apis/metrics.keptn.sh/v1beta1/" in world.api.requests[1].path


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ([status(404, "NotFound")] * 2, "there is no KeptnMetric prod/errors; create it"),
        ([status(403, "Forbidden")], "the admin gives the analyzer that right with manifests"),
        ([status(500)], "cannot be read now"),
        ([ok()], "has no value yet"),
        ([keptn_metric(value="")], "has no value yet"),
        ([keptn_metric(value="NaN")], "has no value yet"),
        ([keptn_metric(value="many")], "has no value yet"),
        ([keptn_metric(lastUpdated=None)], "has no value yet"),
        ([keptn_metric(lastUpdated="2026-11-26T08:00:00")], "has no value yet"),
        ([keptn_metric(errMsg="no such query")], "has no value: no such query"),
        ([keptn_metric(lastUpdated=zulu(at(3600)))], "has not been renewed for"),
    ],
)
async def test_says_why_a_keptn_metric_has_no_value(
    world: World, answers: list[Answer], message: str
) -> None:
    world.api.answers = list(answers)

    assert message in await complaint(world.keptn(), KEPTN, "keptnmetric/prod/errors")


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("errors", "names no KeptnMetric"),
        ("keptnmetric/prod", "names no KeptnMetric"),
        ("keptnmetric/prod/a/b", "names no KeptnMetric"),
        ("keptnmetric/prod/..", "names no KeptnMetric"),
        ("analysis/prod", "names no Analysis; write it as analysis/<namespace>/<definition>"),
        ("analysis/prod/..", "names no Analysis"),
        ("analysis/prod/mine/1m/a=b/c", "names no Analysis"),
        ("analysis/prod/mine/1m/a", "names no Analysis"),
        ("analysis/prod/mine/long", "is not a duration"),
        ("analysis/other/mine", "is in another namespace, which the admin does not allow"),
        ("keptnmetric/other/errors", "is in another namespace, which the admin does not allow"),
    ],
)
async def test_says_that_a_query_names_no_keptn_metric(
    world: World, query: str, message: str
) -> None:
    assert message in await complaint(world.keptn(), KEPTN, query)
    assert not world.api.requests


async def test_reads_another_namespaces_where_the_admin_allows_it(world: World) -> None:
    world.api.answers = [keptn_metric(), ok(**external_list([[(60, 2.0)]]))]

    keptn, external = (make(cross_namespace=True) for make in (world.keptn, world.external))

    assert await keptn.query(KEPTN, "keptnmetric/other/errors", MINUTE) == (12.5,)
    assert await external.query(EXTERNAL, "other/errors", MINUTE) == (2.0,)


# --- external metrics -------------------------------------------------------------------------


async def test_reads_the_newest_values_of_an_external_metric(world: World) -> None:
    world.api.answers = [ok(**external_list([[(60, 1.5)], [(60, 0.25)], [(300, 9.0)]]))]

    values = await world.external().query(
        EXTERNAL, "prod/s0%7Cerrors?labelSelector=app%3Dweb-canary%2Ctier%20in%20%28a%29", MINUTE
    )

    (asked,) = world.api.requests
    assert sorted(values) == [0.25, 1.5]
    assert asked.raw_path.startswith(
        "/apis/external.metrics.k8s.io/v1beta1/namespaces/prod/s0%7Cerrors?"
    )
    assert asked.query["labelSelector"] == "app=web-canary,tier in (a)"


async def test_an_external_metric_without_values_has_none(world: World) -> None:
    world.api.answers = [ok(items=[]), ok(**external_list([[(3600, 1.0)]]))]

    found = [await world.external().query(EXTERNAL, "prod/errors", MINUTE) for _ in range(2)]

    assert found == [(), ()]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (status(404, "NotFound"), "there is no external metric prod/errors"),
        (status(400, "BadRequest"), "see whether the query is right"),
        (status(403, "Forbidden"), "gives the analyzer that right with manifests/metric-rights"),
        (status(503), "cannot be read now"),
        (ok(items=[{"value": "many", "timestamp": zulu(at(1))}]), "has a value that is no number"),
        (ok(items=[{"value": "1"}]), "has a value that is no number"),
    ],
)
async def test_says_why_an_external_metric_has_no_value(
    world: World, answer: Answer, message: str
) -> None:
    world.api.answers = [answer]

    assert message in await complaint(world.external(), EXTERNAL, "prod/errors")


async def test_says_that_the_api_server_is_away(world: World) -> None:
    world.api.answers = [hang_up() for _ in range(100)]

    assert "cannot be read now" in await complaint(world.external(), EXTERNAL, "prod/errors")


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("", "names no external metric"),
        ("prod/", "names no external metric"),
        ("a/b/c", "names no external metric"),
        ("prod/..", "names no external metric"),
        ("prod/%2E%2E", "names no external metric"),
        ("prod/a%2Fb", "names no external metric"),
        ("../errors", "names no external metric"),
        ("prod/errors?selector=x", "labelSelector alone is known"),
        ("prod/errors?labelSelector=a&b=c", "has b behind the question mark"),
        ("errors", "is of another namespace"),
        ("kube-system/errors", "is of another namespace"),
    ],
)
async def test_says_that_a_query_names_no_external_metric(
    world: World, query: str, message: str
) -> None:
    assert message in await complaint(world.external(), EXTERNAL, query)
    assert not world.api.requests


async def test_a_token_is_for_an_address_alone(world: World) -> None:
    spec = replace(EXTERNAL, secret={"token": "x"})

    assert "is for an address" in await complaint(world.external(), spec, "prod/errors")
    assert not world.api.requests


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", 0), ("1500m", 1.5), ("-2", -2), ("250u", 0.00025), ("3n", 3e-9), ("2k", 2000),
        ("1.5M", 1.5e6), ("3Mi", 3 * 2**20), ("1Ei", 2**60), ("1e3", 1000), ("1E3", 1000),
        ("2E", 2e18), (".5", 0.5), ("5.", 5),
    ],
)  # fmt: skip
def test_reads_a_number_as_kubernetes_writes_it(text: str, number: float) -> None:
    assert quantity(text) == pytest.approx(number)


@pytest.mark.parametrize("text", ["", "m", "1x", "1 k", "1ki", "Infinity", "1e", "1e9999", "--1"])
def test_says_that_a_number_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="is no number as Kubernetes writes it"):
        quantity(text)
