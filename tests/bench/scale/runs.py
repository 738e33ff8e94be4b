"""Rows of the table: so many releases at once, and what they take."""

import asyncio
import json
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import aiohttp

from canary.model.names import canary_name
from runtime.kube import Cluster
from runtime.resources import PODS
from tests.bench.scale.audit_log import Asked, AuditLog, counts, splits
from tests.bench.scale.cluster import Analyzer, Scale, analyzer, scale_cluster
from tests.bench.scale.teams import Plan, push, set_up
from tests.bench.scale.traffic import SCRAPE_SECONDS, Traffic, traffic_of
from tests.bench.scale.watched import Moment, Watched, pause

FIRST_MINUTE: Final = 60.0
SHORT_QUEUE: Final = 20
BEGUN_WITHIN: Final = 120.0
"""Seconds after the first minute in which the last run should have begun."""
BAD_OVER: Final = 20.0
"""Seconds over which canaries begin to fail, one after the other."""
REFUSED_WITHIN: Final = 60.0
MOST_BAD: Final = 100

Place = tuple[str, str]


@dataclass(slots=True, kw_only=True)
class Row:
    """What was seen of one row; times in seconds, memory in MiB."""

    plan: Plan
    idle_mib: float = 0.0
    mib: float = 0.0
    depths: list[tuple[float, float]] = field(default_factory=list)
    first_weight: list[float] = field(default_factory=list)
    after_ready: list[float] = field(default_factory=list)
    never: int = 0
    start: "Span | None" = None
    steady: "Span | None" = None
    refusal: list[float] = field(default_factory=list)
    verdict: list[float] = field(default_factory=list)
    not_refused: int = 0
    wrongly_refused: int = 0

    @property
    def deepest(self) -> float:
        """Most targets that waited at a look."""
        return max((depth for _, depth in self.depths), default=0.0)

    @property
    def short_after(self) -> float:
        """Seconds after which no more than twenty waited."""
        long = [at for at, depth in self.depths if depth > SHORT_QUEUE]
        return max(long, default=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """What a span of time took."""

    seconds: float
    processor: float
    reconciles: float
    reads: int
    writes: int
    steps: int
    kinds: Counter[str]
    prometheus: Counter[str]
    prometheus_bytes: int

    @classmethod
    def of(cls, before: Moment, after: Moment, asked: list[Asked], **rest: Any) -> "Span":
        """Return what came between two moments."""
        inside = [it for it in asked if before.at <= it.at < after.at]
        reads, writes, kinds = counts(inside)
        return cls(
            seconds=after.at - before.at,
            processor=after.processor - before.processor,
            reconciles=after.reconciles - before.reconciles,
            reads=reads,
            writes=writes,
            steps=sum(1 for it in inside if it.weight),
            kinds=kinds,
            **rest,
        )

    @property
    def cores(self) -> float:
        """Cores that were busy on average."""
        return self.processor / self.seconds

    @property
    def ms_per_reconcile(self) -> float:
        """Processor time per reconcile in milliseconds."""
        return 1000 * self.processor / max(1.0, self.reconciles)


@dataclass(slots=True)
class _Stage:
    """What is there while a row is measured."""

    scale: Scale
    cluster: Cluster
    traffic: Traffic
    watched: Watched
    log: AuditLog
    row: Row


async def measure(
    folder: Path, plan: Plan, *, steady: float = 60.0, profile: Path | None = None
) -> Row:
    """Measure one row on a control plane of its own.

    Args:
        folder: for its files.
        plan: what is released.
        steady: seconds over which runs under way are looked at, after the first minute.
        profile: run the analyzer under cProfile, and leave its figures there; they are then worth
            something beside each other only.

    """
    row = Row(plan=plan)
    with scale_cluster(folder) as scale, traffic_of(folder, plan.names()) as traffic:
        async with Cluster.connect(scale.admin, deadline=60.0) as cluster:
            await set_up(cluster, plan)
            variables = settings(traffic)
            with analyzer(scale, variables, profile=profile) as process:
                async with aiohttp.ClientSession() as session:
                    log = AuditLog(scale.audit_log)
                    watched = Watched(process, session)
                    await watched.ready()
                    stage = _Stage(scale, cluster, traffic, watched, log, row)
                    await _release(stage, steady)
    return row


def settings(traffic: Traffic) -> dict[str, str]:
    """Return what the admin of this cluster has set."""
    return {
        "HEADGATE_METRICS_SERVER": traffic.url,
        "HEADGATE_METRICS_SCRAPE_INTERVAL": f"{SCRAPE_SECONDS}s",
        "HEADGATE_MIN_INTERVAL": "5s",
        "HEADGATE_LOG_LEVEL": "info",
    }


async def _release(stage: _Stage, steady: float) -> None:
    row, watched = stage.row, stage.watched
    row.idle_mib = watched.mib()
    before, asked_before = await watched.moment(), stage.traffic.requests.copy()
    bytes_before = stage.traffic.bytes
    async with asyncio.TaskGroup() as group:
        following = group.create_task(watched.follow_queue())
        written = await push(stage.cluster, row.plan)
        await asyncio.sleep(max(0.0, before.at + FIRST_MINUTE - time.time()))
        following.cancel()
    row.depths = [(at - before.at, depth) for at, depth in watched.depths]
    after = await watched.moment()
    stage.log.look()
    row.start = Span.of(
        before,
        after,
        stage.log.between(before.at, after.at),
        prometheus=stage.traffic.requests - asked_before,
        prometheus_bytes=stage.traffic.bytes - bytes_before,
    )
    await _all_begun(stage, written)
    await _steadily(stage, steady)
    _first_weights(stage, written, await _ready_at(stage))
    if row.plan.metrics:
        await _refusals(stage)
    row.mib = max(row.mib, watched.mib())


async def _all_begun(stage: _Stage, written: dict[Place, float]) -> None:
    """Wait until every run has a share, or for as long as is waited for that."""
    end = time.monotonic() + BEGUN_WITHIN
    while time.monotonic() < end:
        shared = splits(stage.log.all)
        if all(any(it.weight for it in shared.get(place, ())) for place in written):
            return
        await pause(2)
        stage.log.look()


async def _steadily(stage: _Stage, seconds: float) -> None:
    watched, traffic = stage.watched, stage.traffic
    before, asked, taken = await watched.moment(), traffic.requests.copy(), traffic.bytes
    await asyncio.sleep(seconds)
    after = await watched.moment()
    stage.log.look()
    stage.row.mib = after.mib
    stage.row.steady = Span.of(
        before,
        after,
        stage.log.between(before.at, after.at),
        prometheus=traffic.requests - asked,
        prometheus_bytes=traffic.bytes - taken,
    )


async def _ready_at(stage: _Stage) -> dict[Place, float]:
    """Return when each canary's pod became ready: in whole seconds, as its condition says."""
    found: dict[Place, float] = {}
    owners = {(space, canary_name(name)): (space, name) for space, name in stage.row.plan.names()}
    async for page in stage.cluster.pages(PODS):
        for pod in page.items:
            metadata, status = pod["metadata"], pod.get("status") or {}
            # <target>-canary-<template>-<pod>
            deployment = metadata["name"].rsplit("-", 2)[0]
            place = owners.get((metadata["namespace"], deployment))
            for condition in status.get("conditions") or ():
                if place and condition["type"] == "Ready" and condition["status"] == "True":
                    found[place] = _time(condition["lastTransitionTime"])
    return found


def _first_weights(stage: _Stage, written: dict[Place, float], ready: dict[Place, float]) -> None:
    shared = splits(stage.log.all)
    for place, at in written.items():
        firsts = [it.done for it in shared.get(place, ()) if it.weight]
        if firsts:
            stage.row.first_weight.append(firsts[0] - at)
            if place in ready:
                stage.row.after_ready.append(firsts[0] - ready[place])
        else:
            stage.row.never += 1


# --- from the refusing sample to weight 0 --------------------------------------------------------


async def _refusals(stage: _Stage) -> None:
    """Let canaries begin to fail one after the other, and see when their routes are led back."""
    rng = random.Random(14)  # noqa: S311 - which canaries fail is no secret
    plan, traffic = stage.row.plan, stage.traffic
    chosen = rng.sample(plan.names(), min(plan.targets, MOST_BAD))
    traffic.noting = True
    began = time.time()
    for number, (namespace, name) in enumerate(chosen):
        await asyncio.sleep(max(0.0, began + BAD_OVER * number / len(chosen) - time.time()))
        traffic.bad[f"{namespace}_{name}"] = time.time()
    end = time.time() + REFUSED_WITHIN
    refused: dict[str, float] = {}
    while time.time() < end and len(refused) < len(chosen):
        await asyncio.sleep(2)
        refused = _verdicts(stage.watched.analyzer, since=began)
    traffic.noting = False
    await asyncio.sleep(5)
    stage.log.look()
    _times(stage, refused, began)
    bad = set(traffic.bad)
    stage.row.wrongly_refused = len(set(_verdicts(stage.watched.analyzer, since=0)) - bad)


def _verdicts(process: Analyzer, *, since: float) -> dict[str, float]:
    """Return when the judge refused, by run, as the analyzer's log has it."""
    found: dict[str, float] = {}
    with process.log.open("rb") as file:
        for line in file:
            if b'"evidence"' not in line or b"Refuse" not in line:
                continue
            said = json.loads(line)
            at = _time(said["timestamp"])
            if at >= since:
                found.setdefault("_".join(reversed(said["key"].split("."))), at)
    return found


def _time(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _times(stage: _Stage, refused: dict[str, float], began: float) -> None:
    row = stage.row
    shared = splits([it for it in stage.log.all if it.at >= began])
    for namespace, name in stage.row.plan.names():
        run = f"{namespace}_{name}"
        if run not in stage.traffic.bad:
            continue
        verdict = refused.get(run)
        samples = [
            it.at for it in stage.traffic.answers if run in it.runs and it.at <= (verdict or 0)
        ]
        led_back = [
            it.done
            for it in shared.get((namespace, name), ())
            if it.weight == 0 and it.done > (verdict or 0)
        ]
        if verdict is None or not samples or not led_back:
            row.not_refused += 1
            continue
        row.refusal.append(led_back[0] - samples[-1])
        row.verdict.append(verdict - samples[-1])
