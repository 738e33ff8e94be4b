"""Runs that follow each other closely, second by second, before a metrics server that scrapes.

Pods answer and are scraped every five seconds; queries are evaluated over what was scraped, by
their own matchers and windows. A gateway counts all candidates under one name.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import pairwise

import pytest

from analyzer.loop.questions import Questions
from analyzer.ports import MetricsInquiry
from canary.contract import HOLD, STABLE, TARGET_LABEL
from canary.counting.reads import Read, reads_of
from canary.model.asking import MetricsAnswer
from canary.queries.provider import ProviderSpec
from runtime.resources import DEPLOYMENTS, PODS, REPLICASETS
from tests.fakes.bench import KEY, START, Bench, hash_of, held, ready, status
from tests.fakes.inquirer import FakeInquirer
from tests.fakes.objects import deployment

SCRAPE = 5
RATE = 20
BY_PODS = (
    '100 * sum(rate(requests{pod=~"{{ target }}-.*",status="500"}[1m]))'
    ' / sum(rate(requests{pod=~"{{ target }}-.*"}[1m]))'
)
BY_GATEWAY = (
    '100 * sum(rate(requests{cluster="prod_{{ target }}_80",status="500"}[1m]))'
    ' / sum(rate(requests{cluster="prod_{{ target }}_80"}[1m]))'
)
BY_INCREASE = BY_GATEWAY.replace("rate(", "increase(")
BY_GAUGE = (
    '100 * sum(avg_over_time(failing{cluster="prod_{{ target }}_80",a="b"}[1m]))'
    ' / sum(avg_over_time(serving{cluster="prod_{{ target }}_80"}[1m]))'
)

Labels = tuple[tuple[str, str], ...]


@dataclass
class Server:
    """What was scraped, and what queries of the two forms above come to."""

    samples: dict[Labels, list[tuple[float, float]]] = field(default_factory=dict)
    now: float = 0.0
    asked: list[str] = field(default_factory=list)

    async def query(self, spec: ProviderSpec, query: str, interval: timedelta) -> tuple[float, ...]:
        del spec, interval
        self.asked.append(query)
        bad, every = (self._sum(read) for read in reads_of(query))
        return (100 * bad / every,) if every else ()

    def _sum(self, read: Read) -> float:
        assert read.window is not None
        begin, total = self.now - read.window.total_seconds(), 0.0
        for labels, samples in self.samples.items():
            known = dict(labels)
            if not all(one.accepts(known.get(one.label, "")) for one in read.matchers):
                continue
            inside = [(time, value) for time, value in samples if begin < time <= self.now]
            if read.function == "avg_over_time" and inside:
                total += sum(value for _, value in inside) / len(inside)
            elif len(inside) > 1:
                total += inside[-1][1] - inside[0][1]
        return total


@dataclass
class Cluster:
    """A cluster with an analyzer, and everything else that happens in a second."""

    query: str
    errors: dict[str, float]
    bound: float = 1.0
    weights: tuple[int, ...] = (20, 40, 50)
    bench: Bench = field(default_factory=Bench)
    server: Server = field(default_factory=Server)
    counters: dict[Labels, float] = field(default_factory=dict)
    pod: tuple[str, str] | None = None
    shares: list[int] = field(default_factory=list)
    phases: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.bench.providers = {"prometheus": self.server}
        self.bench.questions = Questions(scrape=timedelta(seconds=SCRAPE))
        metric = {"name": "errors", "query": self.query, "thresholdRange": {"max": self.bound}}
        held(
            self.bench,
            interval="10s",
            threshold=2,
            stepWeights=list(self.weights),
            metrics=[metric],
            stepWeight=None,
            maxWeight=None,
        )
        self.stable = "web:1"

    async def push(self, image: str) -> None:
        """Write a new version, as the webhook lets it through."""
        obj, stable = deployment(image=image), deployment(image=self.stable)
        self.bench.write(image, {HOLD: hash_of(obj), STABLE: hash_of(stable)}, paused=True)

    async def second(self) -> None:
        self.bench.now += timedelta(seconds=1)
        self.server.now = (self.bench.now - START).total_seconds()
        self._roll_canary()
        self._roll_target()
        self._serve()
        if self.server.now % SCRAPE == 0:
            self._scrape()
        await self._reconcile()
        self.shares.append(self.bench.router.weight)
        self.phases.append(self.phase)

    async def until(self, so: Callable[[], bool], seconds: int = 400) -> None:
        for _ in range(seconds):
            if so():
                return
            await self.second()
        raise AssertionError(status(self.bench)["conditions"][0]["message"])

    @property
    def phase(self) -> str:
        canary = self.bench.canary(KEY) or {}
        return str((canary.get("status") or {}).get("phase", ""))

    # --- what the cluster does ------------------------------------------------------------------

    def _roll_canary(self) -> None:
        found = self.bench.cluster.now(DEPLOYMENTS, "prod", "web-canary")
        image = (
            None if found is None else found["spec"]["template"]["spec"]["containers"][0]["image"]
        )
        if self.pod is not None and (image is None or image != self.pod[0]):
            self.bench.cluster.remove(PODS, "prod", self.pod[1])
            self.pod = None
        if image is not None and self.pod is None:
            template = image.replace(":", "")
            self.pod = (image, f"web-canary-{template}-{self.server.now:05.0f}")
            at = self.bench.now.isoformat(timespec="seconds")
            labels = {TARGET_LABEL: "web", "pod-template-hash": template}
            metadata = {"name": self.pod[1], "namespace": "prod", "labels": labels}
            up = {"conditions": [{"type": "Ready", "status": "True"}]}
            self.bench.cluster.put(
                PODS, {"metadata": {**metadata, "creationTimestamp": at}, "status": up}
            )
        if found is not None:
            ready(self.bench)

    def _roll_target(self) -> None:
        """Roll a released target at once."""
        target = self.bench.target(KEY)
        assert target is not None
        if target["spec"].get("paused"):
            return
        image = target["spec"]["template"]["spec"]["containers"][0]["image"]
        self.stable = image
        counts = dict.fromkeys(
            ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), 4
        )
        target["status"] = {**counts, "observedGeneration": target["metadata"]["generation"]}
        self.bench.cluster.put(DEPLOYMENTS, target)
        owners = [{"uid": target["metadata"]["uid"], "controller": True}]
        for name in ("web:1", "web:2", "web:3"):
            metadata = {"name": name.replace(":", "-"), "namespace": "prod"}
            labels = {"labels": {"app": "web"}, "ownerReferences": owners}
            size = 4 if name == image else 0
            spec = {"replicas": size, "template": deployment(image=name)["spec"]["template"]}
            self.bench.cluster.put(
                REPLICASETS,
                {
                    "metadata": {**metadata, **labels},
                    "spec": spec,
                    "status": {"readyReplicas": size},
                },
            )

    def _serve(self) -> None:
        if self.pod is None:
            return
        image, name = self.pod
        share = self.bench.router.weight / 100 * RATE
        bad = share * self.errors.get(image, 0.0)
        for where in (("pod", name), ("cluster", "prod_web-canary_80")):
            for code, count in (("200", share - bad), ("500", bad)):
                labels = (("__name__", "requests"), where, ("status", code))
                self.counters[labels] = self.counters.get(labels, 0.0) + count
        # A number that is no counter: it is what it was when it was looked at last.
        gateway = ("cluster", "prod_web-canary_80")
        self.counters[("__name__", "serving"), gateway] = share
        self.counters[("__name__", "failing"), gateway, ("a", "b")] = bad

    def _scrape(self) -> None:
        for labels, value in self.counters.items():
            pod = dict(labels).get("pod")
            if pod is None or (self.pod is not None and pod == self.pod[1]):
                self.server.samples.setdefault(labels, []).append((self.server.now, value))

    async def _reconcile(self) -> None:
        inquirer = self.bench.inquirer
        assert isinstance(inquirer, FakeInquirer)
        before = len(inquirer.carried_out)
        await self.bench.reconcile()
        for key, inquiry in inquirer.carried_out[before:]:
            assert isinstance(inquiry, MetricsInquiry)
            samples = await self.bench.sampler().ask(inquiry.queries)
            inquirer.answer(key, MetricsAnswer(ask=inquiry.ask, samples=samples))
            await self.bench.reconcile()


QUERIES = [BY_PODS, BY_GATEWAY, BY_INCREASE, BY_GAUGE]
NAMES = ["pods", "gateway", "increase", "gauge"]


@pytest.mark.parametrize("query", QUERIES, ids=NAMES)
@pytest.mark.parametrize("after", [0, 2, 20])
async def test_a_fix_is_never_refused_for_its_predecessors_errors(query: str, after: int) -> None:
    cluster = Cluster(query, {"web:2": 0.2})
    await cluster.until(lambda: cluster.phase == "Failed")
    for _ in range(after):
        await cluster.second()
    await cluster.push("web:3")
    await cluster.until(lambda: cluster.phase == "Progressing")
    began = len(cluster.phases)
    await cluster.until(lambda: cluster.phase in {"Succeeded", "Failed"})
    assert cluster.phase == "Succeeded"
    took = len(cluster.phases) - began
    # Steps of 10 s, and at most the reach of the query before the first of them.
    assert took < (80 if query == BY_PODS else 140), took
    assert status(cluster.bench)["failedChecks"] == 0


@pytest.mark.parametrize("query", QUERIES, ids=NAMES)
async def test_a_bad_version_is_never_promoted_on_its_predecessors_answers(query: str) -> None:
    cluster = Cluster(query, {"web:3": 0.2}, bound=10.0, weights=(50,))
    await cluster.until(lambda: cluster.phase == "Finalising")
    await cluster.push("web:3")
    await cluster.until(lambda: cluster.phase == "Progressing")
    await cluster.until(lambda: cluster.phase in {"Succeeded", "Failed", "Promoting"})
    assert cluster.phase == "Failed"
    assert cluster.stable == "web:2"


@pytest.mark.parametrize("query", QUERIES, ids=NAMES)
async def test_a_first_run_is_asked_as_it_is_written_at_every_step(query: str) -> None:
    cluster = Cluster(query, {})
    await cluster.until(lambda: cluster.phase == "Succeeded")
    assert set(cluster.server.asked) == {query.replace("{{ target }}", "web-canary")}
    assert len(cluster.server.asked) >= 3
    steps = [cluster.shares.index(weight) for weight in (20, 40, 50)]
    assert all(10 <= later - step <= 11 for step, later in pairwise(steps))


def test_the_cluster_is_bad_enough_for_what_it_is_to_show() -> None:
    """Judged by all that a window of a minute holds, the fix would have been refused."""
    server = Server(now=60.0)
    labels: Labels = (("__name__", "requests"), ("pod", "web-canary-web2-1"))
    server.samples[(*labels, ("status", "500"))] = [(5.0, 0.0), (30.0, 100.0)]
    server.samples[(*labels, ("status", "200"))] = [(5.0, 0.0), (30.0, 400.0)]
    whole = reads_of(BY_PODS.replace("{{ target }}", "web-canary"))[1]
    assert server._sum(whole) == 500.0  # noqa: SLF001 - what the evaluation rests on
