"""An analyzer as it is installed: the real controller, informers, inquirer and router.

Faked are what it asks (metrics, hooks) and what it talks to. It can be ended at any moment, and
what is left of it then reaches nobody any more.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry

from analyzer.inquiring.inquirer import Inquirer
from analyzer.loop.act import Actor
from analyzer.loop.controller import Controller, Metrics
from analyzer.loop.following import follow
from analyzer.loop.hearing import hear
from analyzer.loop.leftovers import LeftoverSweep
from analyzer.loop.observe import Observer
from analyzer.loop.reconciler import Reconciler
from analyzer.loop.records import Records
from analyzer.loop.sampling import Sampler
from analyzer.loop.sweeper import Sweeper
from analyzer.loop.telemetry import RunMetrics
from analyzer.ports import HookCaller, MetricProvider
from analyzer.routers.chosen import Chosen
from analyzer.routers.kinds import WATCHED
from canary.model.world import Timing
from canary.spec.defaults import Defaults
from runtime.heard import Reading
from runtime.noting import Noting
from tests.fakes.bench import NoWeigher
from tests.harness.client import Client, Gate

WORKERS = 2


@dataclass
class Analyzer:
    """One process. It is started by `run` and remembers nothing of any before.

    Args:
        client: its way to the API server.
        providers: answer metrics.
        hooks: are called.
        defaults: the admin's.
        timing: the admin's.

    """

    client: Client
    providers: Mapping[str, MetricProvider]
    hooks: HookCaller
    defaults: Defaults = Defaults()
    timing: Timing = Timing()
    listens: Client | None = None

    async def run(self) -> None:
        """Work until cancelled."""
        registry = CollectorRegistry()
        index = follow(self.listens or self.client, WATCHED.values())
        heard = hear(self.listens or self.client, index)
        cluster = Noting(self.client, heard)
        reads = Reading(cluster, heard)
        records = Records(cluster)
        router = Chosen(
            cluster, marked=index.marked, reads=reads, clock=_loop_time, wrote=index.echoes.note
        )
        sampler = Sampler(reads, self.providers, "http://metrics")
        inquirer = Inquirer(self.hooks, sampler, registry=registry, clock=_loop_time)
        index.absences.clock = index.gone.clock = _loop_time
        reconciler = Reconciler(
            cluster=cluster,
            index=index,
            router=router,
            records=records,
            observer=Observer(
                cluster,
                router,
                sampler,
                NoWeigher(),
                self.defaults,
                heard=reads,
                abroad=index.abroad,
            ),
            inquirer=inquirer,
            actor=Actor(cluster, router, records),
            timing=self.timing,
            clock=self.client.now,
            metrics=RunMetrics.create(registry),
        )
        controller = Controller(index, reconciler, Metrics.create(registry), workers=WORKERS)
        sweeper = Sweeper(cluster, index, controller.enqueue)
        leftovers = LeftoverSweep(cluster, index, controller.enqueue)
        async with asyncio.TaskGroup() as group:
            for informer in index.informers:
                group.create_task(informer.run())
            group.create_task(controller.run())
            group.create_task(inquirer.run(controller.enqueue))
            group.create_task(sweeper.run())
            group.create_task(leftovers.run())


@dataclass
class Installation:
    """The analyzer of a cluster: one process after the other, the present one since `began`.

    Args:
        start: makes the next process.

    """

    start: Callable[[], Analyzer]
    lives: int = 0
    began: float = 0.0
    _present: Analyzer | None = None
    _died: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self, restart_after: float = 1.0) -> None:
        """Have an analyzer running, with a pause after each death; until cancelled."""
        while True:
            self.lives, self.began = self.lives + 1, _loop_time()
            self._died.clear()
            self._present = self.start()
            life = self._present
            async with asyncio.TaskGroup() as group:
                living = group.create_task(life.run())
                await self._died.wait()
                life.client.alive = False
                living.cancel()
            await asyncio.sleep(restart_after)

    def gate(self, gate: Gate) -> None:
        """Have the present process pass another gate from now on."""
        if self._present is not None:
            self._present.client.gate = gate

    def kill(self) -> None:
        """End the present process: nothing of it reaches the API server from now on."""
        if self._present is not None:
            for one in (self._present.client, self._present.listens):
                if one is not None:
                    one.alive = False
        self._died.set()


def _loop_time() -> float:
    return asyncio.get_running_loop().time()
