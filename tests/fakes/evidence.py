"""A run to gather evidence for, and what its pods and metrics servers have."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from canary.counting.series import Series
from canary.evidence.policy import Policy
from canary.measuring.countable import Comparable, Countable, Uncountable, countable
from canary.measuring.watch import Watch
from canary.model.strategy import Builtin, Metric
from canary.model.values import Json, Key
from canary.model.world import Revision
from canary.queries.builtin import SourceQuery, builtin_queries
from canary.queries.provider import ProviderSpec

KEY = Key(namespace="prod", name="web")
BEGAN = datetime(2026, 1, 1, 12, tzinfo=UTC).timestamp()
SUCCESS = Metric(name="request-success-rate", source=Builtin.SUCCESS_RATE, minimum=99)
DURATION = Metric(name="request-duration", source=Builtin.DURATION, maximum=500)
SERVER = ProviderSpec(type="prometheus", address="http://prometheus:9090")
POLICY = Policy(warmup=0, error_warmup=0)


def pod(
    name: str, owner: str, born: float = BEGAN - 3600, *, scraped: bool = True, address: str = ""
) -> Json:
    """Return a running pod of a ReplicaSet, whose page is told by annotations."""
    notes = {"prometheus.io/scrape": "true", "prometheus.io/port": "8080"}
    owners = [{"kind": "ReplicaSet", "name": owner, "controller": True}]
    return {
        "metadata": {
            "name": name,
            "annotations": notes if scraped else {"prometheus.io/scrape": "false"},
            "creationTimestamp": datetime.fromtimestamp(born, UTC).isoformat(),
            "ownerReferences": owners,
        },
        "spec": {"containers": []},
        "status": {"phase": "Running", "podIP": address or f"10.0.0.{len(name)}"},
    }


def queries(metric: Metric, workload: str, namespace: str = "prod") -> tuple[SourceQuery, ...]:
    """Return a built-in metric's queries for one version."""
    return builtin_queries(
        Builtin(str(metric.source)),
        namespace=namespace,
        service=workload,
        workload=workload,
        interval=timedelta(minutes=1),
    )


def counted(
    metric: Metric, *, alone: bool = False, gate: bool = False, key: Key = KEY
) -> Countable:
    """Return how a built-in metric is counted."""
    canary = queries(metric, f"{key.name}-canary", key.namespace)
    stable = queries(metric, key.name, key.namespace)
    found = countable(metric, canary, stable, alone=alone, gate=gate)
    assert isinstance(found, Countable), found
    return found


def watch(
    *metrics: Countable,
    scalars: tuple[Comparable, ...] = (),
    record: Mapping[str, object] | None = None,
    key: Key = KEY,
) -> Watch:
    """Return a run of v2 that began at `BEGAN`, judged by its success rate if nothing is said."""
    return Watch(
        key=key,
        candidate="v2",
        stable="v1",
        began=BEGAN,
        policy=POLICY,
        metrics=metrics or (() if scalars else (counted(SUCCESS, key=key),)),
        scalars=scalars,
        uncounted=(Uncountable(metric="queue", why="it is a gauge"),),
        selector=f"app={key.name}",
        revisions=(
            Revision(name=f"{key.name}-a", template_hash="v1", replicas=1, ready=1),
            Revision(name=f"{key.name}-c", template_hash="v2", replicas=0, ready=0),
        ),
        record=record or {},
    )


def page(good: float, bad: float, **labels: str) -> tuple[Series, ...]:
    """Return a page with so many good and bad answers since its pod began."""
    name = "http_requests_total"
    return (
        Series({"__name__": name, "status": "200", **labels}, good),
        Series({"__name__": name, "status": "500", **labels}, bad),
    )
