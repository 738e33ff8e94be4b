"""One answer to all runs: each is given its own series of it, as if it alone had asked."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from canary.counting.series import Series, named_in
from canary.evidence.counters import Arm
from canary.measuring.demand import Demand, Wanted, shares, together
from canary.measuring.pods import ArmPod
from canary.measuring.run import Run
from canary.measuring.settling import server_selectors
from canary.model.values import Key
from tests.fakes.evidence import BEGAN, DURATION, SERVER, SUCCESS, counted, watch

RUNS = 60


@dataclass(eq=False)
class Following:
    """One of many runs."""

    run: Run


def following(number: int) -> Following:
    key = Key(namespace=f"team-{number % 7}", name=f"web-{number}")
    run = Run.start(
        watch(counted(SUCCESS, key=key), counted(DURATION, key=key), key=key), BEGAN, 15.0
    )
    run.pods = tuple(
        ArmPod(name=f"{key.name}{middle}-5d9f-a", arm=arm, born=BEGAN, created=BEGAN, url=None)
        for middle, arm in (("-canary", Arm.CANARY), ("", Arm.STABLE))
    )
    return Following(run)


def demands(runs: Iterable[Following]) -> list[Demand[Following]]:
    """Return what is asked for some runs."""
    return together(
        Wanted(one, metric.metric.name, SERVER, selectors)
        for one in runs
        for metric in one.run.metrics
        if (selectors := tuple(server_selectors(one.run.ways(metric))))
    )


def answer(runs: Iterable[Following]) -> list[Series]:
    """Return what a gateway and the applications of some runs count."""
    found = []
    for one in runs:
        key = one.run.watch.key
        for service in (key.name, f"{key.name}-canary"):
            cluster = f"{key.namespace}_{service}_80"
            for code in ("200", "404", "500"):
                gateway = {
                    "__name__": "envoy_cluster_upstream_rq",
                    "envoy_cluster_name": cluster,
                    "envoy_response_code": code,
                }
                found.append(Series(gateway, 1.0))
            for bound in ("5", "+Inf"):
                name = "envoy_cluster_upstream_rq_time_bucket"
                labels = {"__name__": name, "envoy_cluster_name": cluster, "le": bound}
                found.append(Series(labels, 1.0))
        for pod in one.run.pods:
            labels = {"namespace": key.namespace, "kubernetes_pod_name": pod.name, "status": "200"}
            found.append(Series({"__name__": "http_requests_total", **labels}, 1.0))
    return found


def expected(one: Following, names: frozenset[str], series: Sequence[Series]) -> list[Series]:
    """Return a run's own series, each held against each of its selectors."""
    metrics = [it for it in one.run.metrics if it.metric.name in names]
    own = [it for metric in metrics for it in server_selectors(one.run.ways(metric))]
    pods = {pod.name for pod in one.run.pods}
    return [
        it
        for it in series
        if named_in(it.labels, pods) or any(selector.accepts(it.labels) for selector in own)
    ]


def test_each_run_is_given_what_its_own_selectors_pick() -> None:
    runs = [following(number) for number in range(RUNS)]
    series = answer(runs)
    given = 0
    for asked in demands(runs):
        for one, names, own in shares(asked, series):
            assert sorted(own, key=repr) == sorted(expected(one, names, series), key=repr)
            given += len(own)
    # 12 series of each run are of the gateway, and a few of its pods; of 800 in all.
    assert given <= 20 * RUNS


def test_a_run_among_many_counts_what_it_counts_alone() -> None:
    runs, alone = [following(number) for number in range(RUNS)], following(3)
    for time in (BEGAN + 1, BEGAN + 20):
        series = answer(runs)
        for asked in demands(runs):
            for one, names, own in shares(asked, series):
                one.run.read_server(own, names, time)
        for asked in demands([alone]):
            for one, names, own in shares(asked, answer([alone])):
                one.run.read_server(own, names, time)
    among = runs[3].run
    assert SUCCESS.name in among.settled
    assert among.settled == alone.run.settled
    assert among.windows == alone.run.windows
    assert [it.counters for it in among.tallies] == [it.counters for it in alone.run.tallies]
