"""What the webhook adds to writes: the same dry run where it listens and where it does not.

Dry runs go through admission as all writes do, and leave no pods behind. Each round has one write
per arm, in an order drawn anew, so that what slows the machine down for a while slows all arms.
The second arm without the webhook shows how far equal arms differ.
"""

import asyncio
import random
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Final

from canary.contract import SYSTEM_NAMESPACE
from runtime.answers import Json, lines
from runtime.connection import Connection, Request, load_configuration
from runtime.errors import ApiError
from runtime.resources import DEPLOYMENTS
from tests.bench import machine
from tests.bench.figures import Figure, quantile
from tests.bench.review_sample import deployment
from tests.bench.target_cluster import Target
from tests.cluster.kit import Kubectl, wait_for

WARM_UP: Final = 20
CALLS: Final = "apiserver_admission_webhook_admission_duration_seconds"
WEBHOOK: Final = 'name="targets.headgate.dev"'
MEMORY_AIMS: Final = {"webhook": 60.0, "analyzer": 120.0}
NOWHERE: Final = {"headgate.dev/bench": "nowhere"}
"""A node selector that no node fits: the pods of the target wait and cost nothing."""

Change = Callable[[int], Json]


@dataclass(slots=True)
class Arms:
    """Milliseconds per write in the enabled namespace and in two that are not."""

    enabled: list[float] = field(default_factory=list)
    plain: list[float] = field(default_factory=list)
    plain_again: list[float] = field(default_factory=list)
    calls: float | None = None
    call_seconds: float | None = None

    def each(self) -> tuple[list[float], list[float], list[float]]:
        """Return the arms in the order of the namespaces."""
        return self.enabled, self.plain, self.plain_again


def figures(target: Target, *, rounds: int) -> list[Figure]:
    """Measure writes that match and writes that do not."""
    with ExitStack() as stack:
        kubectls = [
            stack.enter_context(target.namespace(enabled=enabled))
            for enabled in (True, False, False)
        ]
        for kubectl in kubectls:
            _deploy(kubectl)
        names = [kubectl.namespace for kubectl in kubectls]
        matching, other = asyncio.run(_measure(target, names, rounds))
    return [
        *_rows("matching write", matching, rounds, aims=(3.0, 10.0)),
        *_rows("non-matching write", other, rounds, aims=(0.0, 0.0)),
        *_calls(other, rounds),
    ]


def _deploy(kubectl: Kubectl) -> None:
    team = deployment("headgate/demo:1.0")
    team["spec"]["replicas"] = 1
    team["spec"]["template"]["spec"]["nodeSelector"] = NOWHERE
    kubectl.apply(team)

    def settled() -> bool:
        status = kubectl.get("deployment", "web").get("status") or {}
        return bool(status.get("unavailableReplicas"))

    wait_for("the Deployment's own pod", settled, 30)


def _new_template(number: int) -> Json:
    return {"spec": {"template": {"metadata": {"annotations": {"bench": str(number)}}}}}


def _new_scale(number: int) -> Json:
    return {"spec": {"replicas": 2 + number % 7}}


async def _measure(target: Target, names: list[str], rounds: int) -> tuple[Arms, Arms]:
    configuration = await load_configuration(target.kubeconfig, {})
    rng = random.Random(1)  # noqa: S311 - the order of writes is no secret
    connection = Connection(configuration, deadline=30, rng=rng)
    try:
        return (
            await _arms(connection, names, _new_template, rounds, rng),
            await _arms(connection, names, _new_scale, rounds, rng),
        )
    finally:
        await connection.aclose()


async def _arms(
    connection: Connection, names: list[str], change: Change, rounds: int, rng: random.Random
) -> Arms:
    for number in range(WARM_UP):
        for name in names:
            await _write(connection, name, change(number))
    arms = Arms()
    before = await _webhook_calls(connection)
    for number in range(rounds):
        pairs = list(zip(names, arms.each(), strict=True))
        rng.shuffle(pairs)
        for name, taken in pairs:
            taken.append(await _write(connection, name, change(number)))
    after = await _webhook_calls(connection)
    if before is not None and after is not None:
        arms.calls, arms.call_seconds = after[0] - before[0], after[1] - before[1]
    return arms


async def _write(connection: Connection, namespace: str, patch: Json) -> float:
    request = Request(
        method="PATCH",
        path=DEPLOYMENTS.path(namespace, "web"),
        query=(("dryRun", "All"),),
        body=patch,
        content_type="application/merge-patch+json",
    )
    started = time.perf_counter()
    await connection.within_deadline(lambda: connection.fetch(request))
    return 1000 * (time.perf_counter() - started)


async def _webhook_calls(connection: Connection) -> tuple[float, float] | None:
    """Return how often the API server has called the webhook, and for how many seconds."""
    found = {"count": 0.0, "sum": 0.0}
    try:
        response = await connection.stream(Request(method="GET", path="/metrics"))
        async for raw in lines(response):
            line = raw.decode()
            for part in found:
                if line.startswith(f"{CALLS}_{part}{{") and WEBHOOK in line:
                    found[part] += float(line.rpartition(" ")[2])
    except ApiError:
        return None
    return found["count"], found["sum"]


def _rows(name: str, arms: Arms, rounds: int, *, aims: tuple[float, float]) -> list[Figure]:
    rows = []
    for share, aim in zip((0.5, 0.99), aims, strict=True):
        there, without, again = (quantile(arm, share) for arm in arms.each())
        noise = abs(again - without)
        rows.append(
            Figure(
                name=f"added to a {name}, p{share * 100:.0f}",
                value=there - (without + again) / 2,
                unit="ms",
                aim=aim,
                noise=noise,
                note=f"{there:.2f} ms with, {without:.2f} and {again:.2f} ms without: "
                f"equal arms differ by {noise:.2f} ms; {rounds} writes per arm",
            )
        )
    if arms.calls:
        rows.append(
            Figure(
                name=f"{name}: the call by the API server's own count, mean",
                value=1000 * (arms.call_seconds or 0) / arms.calls,
                unit="ms",
                note=f"{arms.calls:.0f} calls for {rounds} writes",
            )
        )
    return rows


def _calls(arms: Arms, rounds: int) -> list[Figure]:
    """What is behind the aim of 0 for other writes: no call, so nothing to wait for."""
    if arms.calls is None:
        return []
    return [
        Figure(
            name="webhook calls per non-matching write",
            value=arms.calls / rounds,
            unit="calls",
            aim=0,
            note="counted by the API server; others' writes at the same time count too",
        )
    ]


# --- memory --------------------------------------------------------------------------------------


def memory(target: Target) -> list[Figure]:
    """Return the largest resident memory of the webhook's and of the analyzer's pods."""
    system = target.kubectl.within(SYSTEM_NAMESPACE)
    return [
        Figure(
            name=f"resident memory of the {component}",
            value=max(found),
            unit="MiB",
            aim=aim,
            note="pods: " + ", ".join(f"{mib:.1f}" for mib in found),
        )
        for component, aim in MEMORY_AIMS.items()
        if (found := _resident(system, component, local=target.local))
    ]


def _resident(system: Kubectl, component: str, *, local: bool) -> list[float]:
    pods = system.items("pods", "-l", f"app.kubernetes.io/component={component}")
    if local:
        sizes = [_in_containers(pod) for pod in pods]
    else:
        sizes = [_exposed(system, pod["metadata"]["name"]) for pod in pods]
    return [size for size in sizes if size]


def _in_containers(pod: Json) -> float:
    # "containerd://<id>"; its control groups have the id in their names, whatever the driver.
    started = [status.get("containerID") for status in pod["status"].get("containerStatuses") or ()]
    return sum(
        machine.resident_mib(pid)
        for container in started
        if container
        for pid in machine.processes_of(container.partition("://")[2])
    )


def _exposed(system: Kubectl, pod: str) -> float:
    path = f"/api/v1/namespaces/{system.namespace}/pods/{pod}:8080/proxy/metrics"
    for line in system.run("get", "--raw", path).stdout.splitlines():
        if line.startswith("process_resident_memory_bytes "):
            return float(line.split()[1]) / 2**20
    return 0.0
