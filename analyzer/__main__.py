"""`python -m analyzer`: the only module that names concrete adapters."""

import asyncio
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import aiohttp
import structlog
from prometheus_client import CollectorRegistry, Gauge, ProcessCollector

from analyzer.act import Actor
from analyzer.calibrator import Calibrator
from analyzer.controller import ClusterIndex, Controller, Metrics
from analyzer.gatherer import Gatherer
from analyzer.hooks.http import HttpHookCaller
from analyzer.metric_providers.pods import PodScraper
from analyzer.metric_providers.prometheus import PrometheusProvider
from analyzer.observe import Observer
from analyzer.reconciler import Reconciler
from analyzer.records import Records
from analyzer.routers.gateway_api import GatewayApiRouter
from analyzer.sampling import Sampler
from analyzer.settings import Settings, read_settings
from analyzer.telemetry import RunMetrics
from runtime import logs, probes, supervisor
from runtime.errors import ConfigurationError
from runtime.informer import Informer
from runtime.kube import Cluster
from runtime.lease import LeaderElector
from runtime.resources import CANARIES, DEPLOYMENTS, NAMESPACES

LEASE = "headgate-analyzer"


@asynccontextmanager
async def build(
    settings: Settings, cluster: Cluster, registry: CollectorRegistry
) -> AsyncIterator[tuple[ClusterIndex, Controller, Gatherer]]:
    """Wire the daemon's parts around one cluster.

    Args:
        settings: the analyzer's settings.
        cluster: the API server.
        registry: where its metrics go.

    """
    router = GatewayApiRouter(cluster)
    records = Records(cluster, settings.defaults)
    prometheus = PrometheusProvider()

    def seconds() -> float:
        return cluster.now().timestamp()

    async with aiohttp.ClientSession() as session:
        hooks = HttpHookCaller(session)
        gatherer = Gatherer(
            cluster,
            PodScraper(session),
            {"prometheus": prometheus},
            Calibrator({"prometheus": prometheus}, seconds),
            pace=settings.pace,
            clock=seconds,
            registry=registry,
        )
        sampler = Sampler(cluster, {"prometheus": prometheus}, settings.metrics_server)
        index = ClusterIndex(
            namespaces=Informer(cluster, NAMESPACES),
            targets=Informer(cluster, DEPLOYMENTS),
            canaries=Informer(cluster, CANARIES),
        )
        reconciler = Reconciler(
            cluster=cluster,
            index=index,
            router=router,
            records=records,
            observer=Observer(cluster, router, sampler, hooks, gatherer, settings.defaults),
            actor=Actor(cluster, router, hooks, records),
            timing=settings.timing,
            clock=cluster.now,
            metrics=RunMetrics.create(registry),
        )
        try:
            yield index, Controller(index, reconciler, Metrics.create(registry)), gatherer
        finally:
            await prometheus.aclose()


async def serve(settings: Settings) -> None:
    """Follow the cluster until a signal ends it; act only while this process leads.

    Args:
        settings: the analyzer's settings.

    """
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    leading = Gauge("headgate_analyzer_leader", "1 on the process that acts.", registry=registry)
    async with Cluster.connect() as cluster, build(settings, cluster, registry) as built:
        index, controller, gatherer = built
        guard = supervisor.Supervisor()
        # The host name alone would be taken for its successor's after a restart in place.
        identity = f"{settings.identity}_{uuid.uuid4().hex[:8]}"
        elector = LeaderElector(cluster, settings.namespace, LEASE, identity)
        leading.set_function(lambda: float(elector.is_leader))
        informers = (index.namespaces, index.targets, index.canaries)
        ready = probes.Checks(
            synced=lambda: all(informer.synced.is_set() for informer in informers),
            running=lambda: not guard.stopping.is_set(),
        )

        def open_probes() -> AbstractAsyncContextManager[object]:
            return probes.serve(
                probes.application(ready=ready, registry=registry), port=settings.probes_port
            )

        async def act() -> None:
            async with asyncio.TaskGroup() as group:
                group.create_task(controller.run(), name="controller")
                group.create_task(gatherer.run(controller.enqueue), name="evidence")

        async def lead() -> None:
            await elector.run(act)

        await guard.run(
            [
                supervisor.Listener("probes", open_probes),
                *(
                    supervisor.RootTask(f"watch-{informer.resource.plural}", informer.run)
                    for informer in informers
                ),
                supervisor.RootTask("leader", lead),
            ]
        )


async def _main() -> None:
    try:
        settings = read_settings()
        logs.configure(settings.log_level)
    except ValueError as error:
        raise ConfigurationError(str(error)) from error
    structlog.get_logger("analyzer").info("starting", identity=settings.identity)
    await serve(settings)


def main() -> None:
    """Run the process and exit with its code."""
    sys.exit(supervisor.run(_main))


if __name__ == "__main__":
    main()
