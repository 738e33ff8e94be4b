"""What Prometheus learns of runs is what Canaries say, and ends with them."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from analyzer.loop import exported
from analyzer.loop.index import ClusterIndex
from canary.model.values import Json, Key
from runtime.informer import Informer
from runtime.resources import (
    CANARIES,
    DEPLOYMENTS,
    NAMESPACES,
    ListResult,
    Resource,
    WatchEvent,
)
from runtime.version import VERSION

NAMED = {"name": "web", "namespace": "prod"}
OURS = {"namespace": "prod", "name": "web"}
USUAL = {**NAMED, "deployment_strategy": "canary", "analysis_status": "completed"}
STARTED = "2026-01-01T00:00:00+00:00"
ENDED = "2026-01-01T00:01:30+00:00"
ERRORS = {
    "name": "error-rate",
    "outcome": "failed",
    "message": "error-rate 20 > 1",
    "value": 20.0,
    "bound": 1.0,
}
PODS = {"name": "canary-health", "outcome": "passed", "message": "", "value": 1, "bound": 1}


@dataclass
class World:
    """A cluster that is listed anew after each change, with what is told of it."""

    leads: bool = True
    most: int = 100
    objects: dict[tuple[str, str, str], Json] = field(default_factory=dict)
    index: ClusterIndex = field(init=False)
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)

    def __post_init__(self) -> None:
        self.index = ClusterIndex(
            namespaces=Informer(self, NAMESPACES),
            targets=Informer(self, DEPLOYMENTS),
            canaries=Informer(self, CANARIES),
        )

        def learn(_: str, __: str, old: Json | None, new: Json | None) -> None:
            self.index.learn_canary(old, new)

        def learn_target(namespace: str, name: str, _: Json | None, new: Json | None) -> None:
            self.index.learn_target(Key(namespace=namespace, name=name), new)

        self.index.canaries.add_handler(learn)
        self.index.targets.add_handler(learn_target)
        exported.register(self.index, self.registry, lambda: self.leads, most=self.most)

    async def pages(
        self, resource: Resource, *_: Any, **__: Any
    ) -> AsyncGenerator[ListResult, None]:
        yield ListResult([it for it in self.objects.values() if it["kind"] == resource.kind], "1")

    def watch(self, *_: Any, **__: Any) -> AsyncGenerator[WatchEvent, None]:
        raise NotImplementedError

    async def has(self, *objects: Json) -> None:
        for one in objects:
            metadata = one["metadata"]
            place = (one["kind"], metadata.get("namespace", ""), metadata["name"])
            before = self.objects.get(place, {"metadata": {}})["metadata"]
            version = str(int(before.get("resourceVersion", "0")) + 1)
            self.objects[place] = {**one, "metadata": {**metadata, "resourceVersion": version}}
        await self.lists()

    async def loses(self, one: Json) -> None:
        metadata = one["metadata"]
        del self.objects[one["kind"], metadata.get("namespace", ""), metadata["name"]]
        await self.lists()

    async def lists(self) -> None:
        for informer in self.index.informers:
            await informer._relist()  # noqa: SLF001 - the first half of a run that never ends

    def value(self, name: str, /, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, labels)

    @property
    def page(self) -> str:
        return generate_latest(self.registry).decode()


def namespace(name: str = "prod", label: str = "enabled") -> Json:
    labels = {"headgate.dev/canary": label} if label else {}
    return {"kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def canary(
    phase: str = "Initialized",
    *,
    name: str = "web",
    target: str = "web",
    weight: int = 0,
    spec: Json | None = None,
    started: str = STARTED,
    reason: str = "",
    **run: Any,
) -> Json:
    return {
        "kind": "Canary",
        "metadata": {"namespace": "prod", "name": name},
        "spec": {"targetRef": {"kind": "Deployment", "name": target}, "analysis": {}}
        | (spec or {}),
        "status": {
            "phase": phase,
            "canaryWeight": weight,
            "failedChecks": 1,
            "lastAppliedSpec": "v2",
            "conditions": [{"type": "Promoted", "status": "Unknown", "reason": reason or phase}],
            "run": {"startedAt": started, "changedAt": ENDED, **run},
        },
    }


async def world(*objects: Json) -> World:
    found = World()
    await found.has(namespace(), *objects)
    return found


async def test_the_release_is_told_by_every_process() -> None:
    found = World(leads=False)

    labels = {"version": VERSION, "mesh_provider": "gatewayapi:v1"}
    assert found.value("flagger_info", **labels) == 1


@pytest.mark.parametrize(
    ("phase", "standing"),
    [
        ("Initialized", 1),
        ("Progressing", 0),
        ("Promoting", 0),
        ("Finalising", 0),
        ("Succeeded", 1),
        ("Failed", 2),
    ],
)
async def test_how_a_canary_stands(phase: str, standing: int) -> None:
    found = await world(canary(phase))

    assert found.value("flagger_canary_status", **NAMED) == standing
    assert found.value("flagger_canary_total", namespace="prod") == 1


async def test_both_workloads_have_their_share() -> None:
    found = await world(canary("Progressing", weight=30))

    assert found.value("flagger_canary_weight", workload="web", namespace="prod") == 70
    assert found.value("flagger_canary_weight", workload="web-canary", namespace="prod") == 30
    assert found.value("headgate_canary_weight", **OURS) == 30
    assert found.value("headgate_canary_phase", **OURS, phase="Progressing") == 1


async def test_a_series_is_named_by_its_target_and_not_by_its_canary() -> None:
    found = await world(canary("Failed", name="of-the-shop", target="shop"))

    assert found.value("flagger_canary_status", name="shop", namespace="prod") == 2
    assert "of-the-shop" not in found.page


async def test_each_measurement_stands_beside_its_bound() -> None:
    run: Json = {"checks": [PODS, ERRORS], "evidence": {"verdict": "Undecided"}}
    found = await world(canary("Progressing", **run))

    errors = {"metric": "error-rate"}
    assert found.value("flagger_canary_metric_analysis", **NAMED, **errors) == 20
    assert found.value("headgate_canary_metric_bound", **OURS, **errors) == 1
    failed = {"check": "error-rate", "outcome": "failed"}
    assert found.value("headgate_canary_check", **OURS, **failed) == 1
    assert found.value("headgate_canary_evidence", **OURS, verdict="Undecided") == 1
    health = {"metric": "canary-health"}
    assert found.value("flagger_canary_metric_analysis", **NAMED, **health) is None


async def test_two_metrics_of_one_name_are_one_series() -> None:
    found = await world(canary("Progressing", checks=[{**ERRORS, "value": 5.0}, ERRORS]))

    lines = [line for line in found.page.splitlines() if "metric_analysis{" in line]
    assert len(lines) == 1
    assert lines[0].endswith(" 20.0")


async def test_of_two_canaries_of_a_target_the_one_in_force_is_told() -> None:
    elder, younger = canary("Progressing", name="a", weight=10), canary("Failed", name="b")
    elder["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z"
    younger["metadata"]["creationTimestamp"] = "2026-01-02T00:00:00Z"
    found = await world(elder, younger)

    assert found.value("flagger_canary_status", **NAMED) == 0
    assert found.value("flagger_canary_total", namespace="prod") == 1


async def test_runs_are_counted_from_nought() -> None:
    found = await world(canary("Progressing"))
    assert found.value("flagger_canary_successes_total", **USUAL) == 0
    assert found.value("flagger_canary_failures_total", **USUAL) == 0

    await found.has(canary("Failed", reason="Refused"))

    assert found.value("flagger_canary_failures_total", **USUAL) == 1
    assert found.value("flagger_canary_successes_total", **USUAL) == 0
    assert found.value("headgate_canary_verdicts_total", **OURS, reason="Refused") == 1


async def test_a_verdict_that_is_heard_twice_is_one() -> None:
    found = await world(canary("Progressing"))
    await found.has(canary("Failed"))
    await found.has(canary("Failed", postRolloutCalled=True))

    assert found.value("flagger_canary_failures_total", **USUAL) == 1


async def test_a_run_that_ended_between_two_lists_is_counted() -> None:
    found = await world(canary("Failed"))
    await found.has(canary("Failed", started="2026-01-01T00:01:00+00:00"))

    assert found.value("flagger_canary_failures_total", **USUAL) == 1


async def test_what_a_canary_says_at_the_start_was_told_before() -> None:
    found = await world(canary("Succeeded"))

    assert found.value("flagger_canary_successes_total", **USUAL) == 0


@pytest.mark.parametrize(
    ("spec", "labels"),
    [
        ({}, {}),
        ({"skipAnalysis": True}, {"analysis_status": "skipped"}),
        ({"analysis": {"iterations": 5}}, {"deployment_strategy": "blue-green"}),
        ({"analysis": {"iterations": 5, "match": [{}]}}, {"deployment_strategy": "ab-testing"}),
    ],
)
async def test_what_kind_of_run_it_was(spec: Json, labels: dict[str, str]) -> None:
    found = await world(canary("Progressing", spec=spec))
    await found.has(canary("Succeeded", spec=spec))

    assert found.value("flagger_canary_successes_total", **(USUAL | labels)) == 1


async def test_how_long_a_run_took() -> None:
    found = await world(canary("Progressing"))
    await found.has(canary("Succeeded"))

    bucket = "flagger_canary_duration_seconds_bucket"
    counts = {le: found.value(bucket, **NAMED, le=le) for le in ("60.0", "120.0", "+Inf")}
    assert counts == {"60.0": 0, "120.0": 1, "+Inf": 1}
    assert found.value("flagger_canary_duration_seconds_sum", **NAMED) == 90


async def test_series_end_with_their_object() -> None:
    found = await world(canary("Progressing", weight=10, checks=[ERRORS]))
    await found.has(canary("Failed", checks=[ERRORS]))
    assert 'name="web"' in found.page

    await found.loses(canary())

    assert "web" not in found.page
    await found.has(canary("Progressing"))
    assert found.value("flagger_canary_failures_total", **USUAL) == 0


async def test_series_go_over_to_another_target_with_their_canary() -> None:
    found = await world(canary("Failed"))
    await found.has(canary("Progressing", target="api"))

    assert found.value("flagger_canary_status", **NAMED) is None
    assert found.value("flagger_canary_status", name="api", namespace="prod") == 0


@pytest.mark.parametrize("label", ["", "unmanaged"])
async def test_series_end_with_the_label_of_their_namespace(label: str) -> None:
    found = await world(canary("Failed"))
    await found.has(namespace(label=label))

    assert "web" not in found.page


async def test_series_end_where_a_flagger_works() -> None:
    found = await world(canary("Failed"))
    flagger = {
        "kind": "Deployment",
        "metadata": {"namespace": "flagger-system", "name": "flagger"},
        "spec": {
            "replicas": 1,
            "template": {"spec": {"containers": [{"image": "ghcr.io/fluxcd/flagger:1.44.0"}]}},
        },
        "status": {"readyReplicas": 1},
    }
    await found.has(flagger)
    assert found.index.flagger("prod")

    assert "web" not in found.page


async def test_whoever_does_not_lead_tells_of_no_run() -> None:
    found = await world(canary("Progressing"))
    found.leads = False
    await found.has(canary("Failed"))
    assert "web" not in found.page

    found.leads = True

    # It has watched meanwhile, so nothing was missed.
    assert found.value("flagger_canary_failures_total", **USUAL) == 1


async def test_a_status_of_flagger_s_own_tells_nothing() -> None:
    foreign = canary("Progressing")
    del foreign["status"]["run"]
    found = await world(foreign)

    assert "web" not in found.page


@pytest.mark.parametrize(
    "status",
    [
        {"run": None, "phase": 5, "canaryWeight": "x", "conditions": 3},
        {"run": {"checks": [{"name": "x" * 9999, "value": 1}], "evidence": {"verdict": []}}},
        {"run": {"checks": [{"value": 1e999}]}, "phase": "Nonsense"},
        {"run": {"startedAt": "never"}, "phase": "Failed", "conditions": [{"reason": "Made up"}]},
    ],
)
async def test_whatever_stands_in_a_status_spoils_no_page(status: Json) -> None:
    found = await world(canary("Progressing"), canary("Failed", name="api", target="api"))
    await found.has({**canary(), "status": status})

    assert found.value("flagger_canary_status", name="api", namespace="prod") == 2
    assert max(map(len, found.page.splitlines())) < 1000
    assert "Made up" not in found.page


async def test_of_too_many_those_that_run_are_told_first() -> None:
    resting = [canary(name=f"a{n}", target=f"a{n}") for n in range(3)]
    found = World(most=2)
    await found.has(namespace(), *resting, canary("Progressing", name="z", target="z"))

    assert found.value("headgate_canaries_left_out") == 2
    assert found.value("flagger_canary_status", name="z", namespace="prod") == 0
    assert found.value("flagger_canary_status", name="a0", namespace="prod") == 1
    assert found.value("flagger_canary_status", name="a1", namespace="prod") is None
    assert found.value("flagger_canary_total", namespace="prod") == 4
