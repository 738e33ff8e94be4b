"""What the analyzer tells of holds and watches, whether or not it leads."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from analyzer.loop import alarms
from analyzer.loop.index import ClusterIndex
from analyzer.loop.telemetry import RunMetrics
from canary.contract import HOLD, Reason
from canary.model.values import Json, Key
from canary.rules.actions import Emit
from runtime.backoff import Backoff
from runtime.errors import NotFound
from runtime.informer import Informer
from runtime.resources import (
    CANARIES,
    DEPLOYMENTS,
    NAMESPACES,
    ListResult,
    Resource,
    WatchEvent,
)

HASH = "a" * 32


class Told:
    """Lists what it was given, and then watches in silence."""

    def __init__(self, *objects: Json) -> None:
        self.objects = objects

    async def pages(
        self, resource: Resource, *_: Any, **__: Any
    ) -> AsyncGenerator[ListResult, None]:
        yield ListResult([it for it in self.objects if it["kind"] == resource.kind], "1")

    def watch(self, *_: Any, **__: Any) -> AsyncGenerator[WatchEvent, None]:
        raise NotImplementedError


def namespace(name: str, **labels: str) -> Json:
    return {"kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def target(name: str = "web", *, hold: str = "", replicas: int = 2) -> Json:
    marks = {HOLD: hold} if hold else {}
    return {
        "kind": "Deployment",
        "metadata": {"namespace": "prod", "name": name, "annotations": marks},
        "spec": {"replicas": replicas, "template": {}},
    }


def canary(phase: str, candidate: str = HASH) -> Json:
    return {
        "kind": "Canary",
        "metadata": {"namespace": "prod", "name": "web"},
        "spec": {"targetRef": {"kind": "Deployment", "name": "web"}},
        "status": {"phase": phase, "lastAppliedSpec": candidate, "run": {}},
    }


ENABLED = namespace("prod", **{"headgate.dev/canary": "enabled"})
HELD = target(hold=HASH)
LATER = 1_000
"""A version after that of the list."""


async def told(*objects: Json) -> tuple[CollectorRegistry, ClusterIndex]:
    source = Told(*objects)
    index = ClusterIndex(
        namespaces=Informer(source, NAMESPACES),
        targets=Informer(source, DEPLOYMENTS),
        canaries=Informer(source, CANARIES),
    )

    def learn(_: str, __: str, old: Json | None, new: Json | None) -> None:
        index.learn_canary(old, new)

    def learn_target(space: str, name: str, _: Json | None, new: Json | None) -> None:
        index.learn_target(Key(namespace=space, name=name), new)

    index.canaries.add_handler(learn)
    index.targets.add_handler(learn_target)
    for informer in (index.namespaces, index.targets, index.canaries):
        await informer._relist()  # noqa: SLF001 - the first half of a run that never ends
    registry = CollectorRegistry()
    alarms.register(index, registry, clock=lambda: index.targets.heard + 7.0)
    return registry, index


@pytest.mark.parametrize(
    ("objects", "holds"),
    [
        ((ENABLED, HELD), 1),
        ((ENABLED, HELD, canary("Initialized")), 1),
        ((ENABLED, HELD, canary("Succeeded")), 1),
        ((ENABLED, HELD, canary("Progressing", "b" * 32)), 1),
        ((ENABLED, HELD, canary("Progressing")), 0),
        ((ENABLED, HELD, canary("Promoting")), 0),
        ((ENABLED, HELD, canary("Failed")), 0),
        ((ENABLED, target()), 0),
        ((ENABLED, target(hold=HASH, replicas=0)), 0),
        ((namespace("prod"), HELD), 0),
        ((ENABLED, HELD, target("api", hold=HASH), canary("Progressing")), 1),
    ],
)
async def test_holds_without_a_run_are_counted(objects: tuple[Json, ...], holds: int) -> None:
    registry, _ = await told(*objects)

    assert registry.get_sample_value("headgate_holds_without_run") == holds


async def test_each_version_of_a_record_counts_and_is_read_once() -> None:
    registry, index = await told(ENABLED, HELD)

    def holds() -> float | None:
        return registry.get_sample_value("headgate_holds_without_run")

    assert holds() == 1
    for version, (phase, of, expected) in enumerate(
        [
            ("Initialized", HASH, 1),
            ("Progressing", HASH, 0),
            ("Progressing", "b" * 32, 1),
            ("Failed", HASH, 0),
        ]
    ):
        written = canary(phase, of)
        written["metadata"]["resourceVersion"] = str(LATER + version)
        index.canaries.saw(written)
        assert (holds(), holds()) == (expected, expected)
    index.targets.saw(
        {**target(), "metadata": {**target()["metadata"], "resourceVersion": f"{LATER}"}}
    )
    assert holds() == 0


async def test_a_kind_that_is_not_installed_is_no_silence() -> None:
    class Missing(Told):
        async def pages(self, *_: Any, **__: Any) -> AsyncGenerator[ListResult, None]:
            yield ListResult([], "")
            raise NotFound(404, "NotFound", "the server could not find the requested resource")

    informer = Informer(Missing(), CANARIES, backoff=Backoff(0.0, 0.0))
    before = informer.heard
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        task = group.create_task(informer.run())
        while informer.heard == before:  # noqa: ASYNC110 - the informer tells nobody of it
            await asyncio.sleep(0)
        task.cancel()


async def test_the_silence_of_a_watch_is_told() -> None:
    registry, _ = await told(ENABLED)

    assert registry.get_sample_value(
        "headgate_watch_silence_seconds", {"resource": "deployments"}
    ) == pytest.approx(7.0)


def test_events_are_counted_by_reason_and_ungated_ones_from_nought() -> None:
    registry = CollectorRegistry()
    metrics = RunMetrics.create(registry)
    ungated = {"reason": "UngatedUpdate", "type": "Warning"}
    assert registry.get_sample_value("headgate_events_total", ungated) == 0

    metrics.say(Emit(str(Reason.UNGATED), "prod/web was updated", warning=True))

    assert registry.get_sample_value("headgate_events_total", ungated) == 1
