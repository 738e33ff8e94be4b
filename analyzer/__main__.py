"""`python -m analyzer`: wires the daemon's parts and starts them."""

import asyncio
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import structlog
from prometheus_client import CollectorRegistry, Gauge

from analyzer.adapters import ROUTES, open_adapters, router_of
from analyzer.addresses import Guard
from analyzer.announcing.herald import Herald
from analyzer.announcing.rooms import Rooms
from analyzer.announcing.telling import Teller
from analyzer.gathering.calibrator import Calibrator
from analyzer.gathering.gatherer import Gatherer
from analyzer.inquiring.inquirer import Inquirer
from analyzer.loop import alarms, exported
from analyzer.loop.act import Actor
from analyzer.loop.controller import Controller, Metrics
from analyzer.loop.following import follow
from analyzer.loop.hearing import hear
from analyzer.loop.index import ClusterIndex
from analyzer.loop.leftovers import LeftoverSweep
from analyzer.loop.neighbours import Neighbours
from analyzer.loop.observe import Observer
from analyzer.loop.questions import Questions
from analyzer.loop.reconciler import Reconciler
from analyzer.loop.records import Records
from analyzer.loop.references import References
from analyzer.loop.sampling import Sampler
from analyzer.loop.sweeper import Sweeper
from analyzer.loop.telemetry import RunMetrics
from analyzer.settings import Settings, read_settings
from canary.objects import crd
from runtime import process
from runtime.errors import ApiError
from runtime.heard import Reading
from runtime.kube import Cluster
from runtime.lease import LeaderElector
from runtime.noting import Noting
from runtime.resources import CRDS
from runtime.supervisor import RootTask
from runtime.writes import Patchable

LEASE = "headgate-analyzer"

log = structlog.get_logger("analyzer")


@asynccontextmanager
async def build(
    settings: Settings, cluster: Cluster, registry: CollectorRegistry, guard: Guard
) -> AsyncIterator[tuple[ClusterIndex, Controller, Gatherer, Inquirer, Herald, Teller]]:
    """Wire the daemon's parts around one cluster.

    Args:
        settings: the analyzer's settings.
        cluster: the API server.
        registry: where its metrics go.
        guard: says which addresses may be asked where a team names them.

    """
    index = follow(cluster, ROUTES)
    heard = hear(cluster, index)
    noting = Noting(cluster, heard)
    reads, records = Reading(noting, heard), Records(noting)

    def seconds() -> float:
        return cluster.now().timestamp()

    async with open_adapters(
        noting,
        guard,
        settings.metrics_server,
        cross_namespace=settings.cross_namespace_refs,
        registry=registry,
        router=router_of(noting, settings.ingress_prefix, index.marked, reads, index.echoes.note),
    ) as adapters:
        gatherer = Gatherer(
            reads,
            adapters.scraper,
            adapters.series,
            Calibrator(adapters.histories, seconds),
            pace=settings.pace,
            clock=seconds,
            registry=registry,
        )
        sampler = Sampler(
            reads,
            adapters.metrics,
            settings.metrics_server,
            cross_namespace=settings.cross_namespace_refs,
            builtin_sources=settings.builtin_sources,
            deriver=adapters.deriver,
            samples=adapters.samples,
        )
        inquirer = Inquirer(adapters.hooks, sampler, registry=registry)
        rooms = Rooms(cluster, adapters.alerts.keys(), settings.cross_namespace_refs)
        herald = Herald(
            cluster,
            adapters.alerts,
            registry=registry,
            clock=cluster.now,
            cross_namespace=settings.cross_namespace_refs,
            cluster_name=settings.cluster_name,
        )
        teller = Teller(
            cluster,
            adapters.hooks,
            adapters.admins_hooks,
            registry=registry,
            clock=cluster.now,
        )
        alarms.register(index, registry)
        reconciler = Reconciler(
            cluster=noting,
            index=index,
            router=adapters.router,
            records=records,
            observer=Observer(
                noting,
                adapters.router,
                sampler,
                gatherer,
                settings.defaults,
                References(rooms.of),
                reads,
                index.abroad,
            ),
            inquirer=inquirer,
            actor=Actor(noting, adapters.router, records),
            timing=settings.timing,
            clock=cluster.now,
            metrics=RunMetrics.create(registry),
            questions=Questions(scrape=settings.pace.server, deriver=adapters.deriver),
            announcer=herald,
            reporter=teller,
        )
        controller = Controller(index, reconciler, Metrics.create(registry))
        yield index, controller, gatherer, inquirer, herald, teller


async def serve(settings: Settings) -> None:
    """Follow the cluster until a signal ends it; act only while this process leads.

    Args:
        settings: the analyzer's settings.

    """
    log.info("starting", identity=settings.identity)
    running = process.Process()
    guard = Guard(settings.allowed_addresses)
    async with AsyncExitStack() as stack:
        cluster = await stack.enter_async_context(Cluster.connect())
        elector = elector_of(settings, cluster, running.registry)
        # What acts writes through this alone.
        leaders = cluster.fenced(lambda: elector.is_leader)
        index, controller, gatherer, inquirer, herald, teller = await stack.enter_async_context(
            build(settings, leaders, running.registry, guard)
        )
        exported.register(index, running.registry, lambda: elector.is_leader)
        await say_what_the_crd_lacks(cluster)
        neighbours = Neighbours(cluster, guard, settings.namespace)

        async def act() -> None:
            await neighbours.known.wait()  # no question is put before
            async with asyncio.TaskGroup() as group:
                group.create_task(controller.run(), name="controller")
                group.create_task(gatherer.run(controller.hasten), name="evidence")
                group.create_task(inquirer.run(controller.enqueue), name="questions")
                group.create_task(herald.run(), name="alerts")
                group.create_task(teller.run(), name="events")
                sweeper = Sweeper(leaders, index, controller.enqueue)
                group.create_task(sweeper.run(), name="parked")
                leftovers = LeftoverSweep(cluster, index, controller.enqueue)
                group.create_task(leftovers.run(), name="leftovers")

        await running.run(
            running.probes(
                settings.probes_port,
                synced=lambda: index.is_synced,
                neighbours=neighbours.known.is_set,
            ),
            *(RootTask(f"watch-{it.resource.plural}", it.run) for it in index.informers),
            RootTask("neighbours", neighbours.run),
            RootTask("leader", lambda: elector.run(act)),
        )


async def say_what_the_crd_lacks(cluster: Patchable) -> None:
    """Say at the start where the cluster's definition of a Canary is another one than ours.

    Nothing waits for it: what it makes impossible is said of each target too, as a denied write.

    Args:
        cluster: the API server.

    """
    try:
        found = await cluster.get(CRDS, "", crd.NAME)
    except ApiError as error:
        log.warning("the definition of a Canary cannot be read", error=str(error))
        return
    if why := crd.lacking(found):
        log.error("not our definition of a Canary", why=why, apply=crd.MANIFEST)


def elector_of(settings: Settings, cluster: Cluster, registry: CollectorRegistry) -> LeaderElector:
    """Return what makes this process the one that acts, and tells whether it is.

    Args:
        settings: the analyzer's settings.
        cluster: the API server.
        registry: where it tells.

    """
    # The host name alone would be taken for its successor's after a restart in place.
    identity = f"{settings.identity}_{uuid.uuid4().hex[:8]}"
    elector = LeaderElector(cluster, settings.namespace, LEASE, identity, clock=cluster.clock)
    leading = Gauge("headgate_analyzer_leader", "1 on the process that acts.", registry=registry)
    leading.set_function(lambda: float(elector.is_leader))
    return elector


def main() -> None:
    """Run the process and exit with its code."""
    sys.exit(process.start(read_settings, serve))


if __name__ == "__main__":
    main()
