"""What the API server asks for by Retry-After is waited for, wherever the answer is found."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NoReturn

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs
from structlog.typing import EventDict

from analyzer.loop.controller import Controller, Metrics
from analyzer.loop.index import ClusterIndex
from analyzer.loop.reconciler import Result
from canary.contract import NAMESPACE_ENABLED, NAMESPACE_LABEL
from canary.model.values import Json, Key
from certs.bootstrap import Bootstrap
from certs.rotate import Rotation
from certs.settings import Settings
from runtime.clock import ServerClock
from runtime.errors import Forbidden, Throttled, Unavailable, only_one, patience_of
from runtime.informer import Informer
from runtime.resources import CANARIES, DEPLOYMENTS, NAMESPACES, PODS
from tests.fakes.bench import Bench, held
from tests.fakes.watched import Watched, seen
from tests.unit.runtime.scripted_api import ScriptedApi, status

ASKED = 30.0
LATER = Throttled(429, "TooManyRequests", "later", ASKED)
AWAY = Unavailable(0, "Timeout", "silent")
NO = Forbidden(403, "Forbidden", "no")


def first_of(*answers: Exception) -> Exception:
    """Return what a reconcile makes of a group of answers: the first stands for all of them."""
    group = ExceptionGroup("tasks", answers)
    error = only_one(group)
    assert error is not None
    error.__cause__ = group
    return error


GROUPS = {
    "alone": LATER,
    "in a group": ExceptionGroup("tasks", [LATER]),
    "in a group of a group": ExceptionGroup("tasks", [AWAY, ExceptionGroup("inner", [LATER])]),
    "beside a fault of another kind": ExceptionGroup("tasks", [ValueError("bug"), LATER]),
    "second in what one answer stands for": first_of(Unavailable(0, "Timeout", "silent"), LATER),
    "beside what is denied": first_of(Forbidden(403, "Forbidden", "no"), LATER),
}
each = pytest.mark.parametrize("error", GROUPS.values(), ids=GROUPS.keys())


@each
def test_it_is_found(error: Exception) -> None:
    assert patience_of(error) == ASKED


def test_of_several_the_longest_counts() -> None:
    longer = Throttled(429, "TooManyRequests", "much later", 2 * ASKED)

    assert patience_of(ExceptionGroup("tasks", [LATER, longer, LATER])) == 2 * ASKED


@pytest.mark.parametrize("error", [AWAY, NO, Throttled(429, "TooManyRequests", "later"), OSError()])
def test_who_asks_for_nothing_gets_nothing(error: Exception) -> None:
    assert patience_of(error) == 0


def test_a_day_stops_nothing() -> None:
    assert patience_of(Throttled(429, "TooManyRequests", "tomorrow", 86400.0)) == 300


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[ScriptedApi]:
    async with ScriptedApi().serve(tmp_path) as api:
        yield api


class Failing:
    """A reconciler that is always answered with the same."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    async def reconcile(self, key: Key) -> Result:
        del key
        raise self.error

    async def reopen(self, target: Json) -> NoReturn:
        del target
        raise self.error


@each
async def test_a_reconcile_comes_no_sooner(error: Exception) -> None:
    cluster = Watched()
    enabled = {"name": "prod", "labels": {NAMESPACE_LABEL: NAMESPACE_ENABLED}}
    cluster.put(NAMESPACES, {"metadata": enabled})
    held(Bench(cluster=cluster))
    index = ClusterIndex(
        namespaces=Informer(cluster, NAMESPACES),
        targets=Informer(cluster, DEPLOYMENTS),
        canaries=Informer(cluster, CANARIES),
    )
    controller = Controller(index, Failing(error), Metrics.create(CollectorRegistry()))
    with capture_logs() as logs:
        async with asyncio.TaskGroup() as group:
            running = (index.namespaces, index.targets, index.canaries, controller)
            tasks = [group.create_task(it.run()) for it in running]
            await seen("a failure", lambda: bool(failures(logs)))
            for task in tasks:
                task.cancel()

    assert failures(logs)[0]["retry_in"] >= ASKED


def failures(logs: list[EventDict]) -> list[EventDict]:
    return [it for it in logs if it["event"] == "reconcile failed"]


async def test_a_watch_comes_no_sooner(api: ScriptedApi) -> None:
    api.answers = [status(429, "TooManyRequests", Retry_After="30")]
    with capture_logs() as logs:
        async with api.cluster(deadline=1) as cluster, asyncio.TaskGroup() as group:
            task = group.create_task(Informer(cluster, PODS).run())
            await seen("an answer", lambda: any(it["event"] == "watch_interrupted" for it in logs))
            task.cancel()

    assert [it["delay"] for it in logs if it["event"] == "watch_interrupted"] == [ASKED]


async def test_certificates_are_looked_at_no_sooner(api: ScriptedApi) -> None:
    api.answers = [status(429, "TooManyRequests", Retry_After="30")]
    with capture_logs() as logs:
        async with api.cluster(deadline=1) as cluster, asyncio.TaskGroup() as group:
            rotation = Rotation(Bootstrap(cluster, Settings(), ServerClock().now))
            task = group.create_task(rotation.run())
            name = "certificates not ensured"
            await seen("an answer", lambda: any(it["event"] == name for it in logs))
            task.cancel()

    assert [it["retry_in"] for it in logs if it["event"] == name] == [ASKED]
