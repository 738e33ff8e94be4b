"""Rows of targets that rest: what they hold in memory, and that they ask for nothing."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiohttp

from runtime.kube import Cluster
from tests.bench.scale.audit_log import AuditLog
from tests.bench.scale.cluster import analyzer, scale_cluster
from tests.bench.scale.teams import Plan, set_up
from tests.bench.scale.watched import Watched, pause

LOOK_SECONDS: Final = 60.0
PER_NAMESPACE: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class IdleRow:
    """What a number of targets took that nobody releases anything to.

    Memory in MiB; `processor` is seconds of processor time in `seconds`, `start` until it rested.
    """

    targets: int
    enabled: bool
    mib: float
    start: float
    processor: float
    seconds: float
    asked: int


async def measure(folder: Path, count: int, *, enabled: bool) -> IdleRow:
    """Measure one row on a control plane of its own.

    Args:
        folder: for its files.
        count: Deployments of one pod, with Service, route and Canary where they are gated.
        enabled: whether their namespaces have the label.

    """
    plan = Plan(
        targets=count,
        namespaces=max(1, count // PER_NAMESPACE),
        enabled=enabled,
        # Ten thousand pods would take the played node's machine, not the analyzer's.
        replicas=1 if count <= 1_000 else 0,
        routed=False,
    )
    with scale_cluster(folder) as scale:
        async with Cluster.connect(scale.admin, deadline=60.0) as cluster:
            await set_up(cluster, plan)
        with analyzer(scale, {}) as process:
            async with aiohttp.ClientSession() as session:
                watched = Watched(process, session)
                await watched.ready()
                log, before = AuditLog(scale.audit_log), time.time()
                used = watched.processor()
                await pause(LOOK_SECONDS)
                log.look()
                return IdleRow(
                    targets=count,
                    enabled=enabled,
                    mib=watched.mib(),
                    start=used,
                    processor=watched.processor() - used,
                    seconds=time.time() - before,
                    asked=len(log.between(before, time.time())),
                )
