"""A metric's value from the run's own counters: over its window, not from before its traffic."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.counting.series import Series
from canary.evidence.counted import CountEvidence
from canary.evidence.counters import Arm
from canary.measuring.countable import Countable, countable
from canary.measuring.pods import ArmPod
from canary.measuring.run import Run
from canary.model.strategy import Metric
from canary.queries.builtin import SourceQuery
from tests.fakes.evidence import BEGAN, DURATION, SUCCESS, counted, page, watch

TRAFFIC = BEGAN + 20
LAG = 15.0
CANARY, STABLE, FORMER = "web-canary-b-1", "web-a-1", "web-canary-a-1"
PAGES = Mapping[str, Sequence[Series]]


def pod(name: str, arm: Arm, created: float = BEGAN - 3600, *, leaving: bool = False) -> ArmPod:
    url = None if leaving else f"http://{name}:8080/metrics"
    born = max(created, BEGAN) if arm is Arm.CANARY else created
    return ArmPod(name=name, arm=arm, born=born, url=url, leaving=leaving, created=created)


OWN = pod(CANARY, Arm.CANARY, BEGAN + 5)
OTHER = pod(STABLE, Arm.STABLE)


def started(
    *metrics: Countable, pods: Iterable[ArmPod] = (OWN, OTHER), former: float | None = None
) -> Run:
    seen = replace(watch(*metrics), traffic_since=TRAFFIC, former_until=former)
    run = Run.start(seen, BEGAN, LAG)
    run.pods = tuple(pods)
    return run


def read(run: Run, readings: Iterable[tuple[float, PAGES]]) -> None:
    for time, pages in readings:
        run.read_pages(pages, time)


def steady(
    since: float, until: float, canary: tuple[float, float], *, step: float = 2, names: str = CANARY
) -> list[tuple[float, PAGES]]:
    """Return readings of a canary that answers so many good and bad requests a second."""
    times = [since + step * n for n in range(int((until - since) / step) + 1)]
    return [
        (
            time,
            {
                names: page(canary[0] * (time - since), canary[1] * (time - since)),
                STABLE: page(1000 + 10 * (time - since), 10),
            },
        )
        for time in times
    ]


def values(run: Run, now: float) -> dict[str, tuple[float, float | None]]:
    return {one.metric: (round(one.value, 6), one.baseline) for one in run.counts(now)}


def test_the_value_is_that_of_the_query_and_the_stables_over_the_same_time() -> None:
    run = started()
    read(run, steady(TRAFFIC, TRAFFIC + 10, (8, 2)))
    assert values(run, TRAFFIC + 10) == {"request-success-rate": (80.0, 100.0)}


def test_requests_before_the_first_traffic_are_not_counted() -> None:
    run = started()
    probes = [(BEGAN + n, {CANARY: page(0, 10 * n), STABLE: page(1000, 0)}) for n in range(5, 20)]
    after = [
        (TRAFFIC + n, {CANARY: page(10 * n, 190), STABLE: page(1000 + n, 0)}) for n in range(11)
    ]
    read(run, [*probes, *after])
    assert values(run, TRAFFIC + 10) == {"request-success-rate": (100.0, 100.0)}


def test_no_more_than_the_window_is_counted() -> None:
    run = started()
    bad = steady(TRAFFIC, TRAFFIC + 30, (0, 10))
    last = 300.0
    good = [
        (TRAFFIC + 30 + n, {CANARY: page(10 * n, last), STABLE: page(2000 + n, 10)})
        for n in range(1, 71)
    ]
    read(run, [*bad, *good])
    assert values(run, TRAFFIC + 100) == {"request-success-rate": (100.0, 100.0)}
    (count,) = run.counts(TRAFFIC + 100)
    assert TRAFFIC + 40 <= count.since <= TRAFFIC + 42


def test_pods_of_the_run_before_say_nothing_of_this_one() -> None:
    former = pod(FORMER, Arm.CANARY, BEGAN - 100)
    run = started(pods=(former, OTHER))
    read(run, steady(TRAFFIC, TRAFFIC + 10, (10, 0), names=FORMER))
    assert values(run, TRAFFIC + 10) == {}


def test_a_pod_of_before_that_is_being_deleted_is_left_out() -> None:
    former = pod(FORMER, Arm.CANARY, BEGAN - 100, leaving=True)
    run = started(pods=(former, OWN, OTHER))
    for time, pages in steady(TRAFFIC, TRAFFIC + 10, (10, 0)):
        run.read_pages({**pages, FORMER: page(0, 1e6 + time)}, time)
    assert values(run, TRAFFIC + 10) == {"request-success-rate": (100.0, 100.0)}


def test_a_pod_that_came_later_counts_from_its_first_request() -> None:
    second = pod("web-canary-b-2", Arm.CANARY, TRAFFIC + 4)
    run = started()
    readings = steady(TRAFFIC, TRAFFIC + 10, (5, 0))
    read(run, readings[:3])
    run.pods = (OWN, second, OTHER)
    for time, pages in readings[3:]:
        run.read_pages({**pages, second.name: page(0, 50)}, time)
    assert values(run, TRAFFIC + 10) == {"request-success-rate": (50.0, 100.0)}


def test_a_restarted_counter_goes_on() -> None:
    run = started()
    read(run, steady(TRAFFIC, TRAFFIC + 4, (10, 0)))
    run.read_pages({CANARY: page(20, 20), STABLE: page(2000, 10)}, TRAFFIC + 6)
    assert values(run, TRAFFIC + 6)["request-success-rate"][0] == 75.0


def test_an_old_reading_is_no_value_of_now() -> None:
    run = started()
    read(run, steady(TRAFFIC, TRAFFIC + 10, (10, 0)))
    assert values(run, TRAFFIC + 30) == {}


def test_a_canary_pod_whose_page_hangs_hides_nothing() -> None:
    hanging = pod("web-canary-b-2", Arm.CANARY, BEGAN + 5)
    run = started(pods=(OWN, hanging, OTHER))
    read(run, steady(TRAFFIC, TRAFFIC + 10, (10, 0)))
    assert values(run, TRAFFIC + 10) == {}


def test_readings_that_begin_late_are_no_whole_window() -> None:
    run = started()
    read(run, steady(TRAFFIC + 300, TRAFFIC + 400, (10, 0)))
    assert values(run, TRAFFIC + 330) == {}
    early = started()
    read(early, steady(TRAFFIC + 300, TRAFFIC + 370, (10, 0)))
    assert values(early, TRAFFIC + 370) == {"request-success-rate": (100.0, 100.0)}


def test_before_traffic_is_known_of_nothing_is_counted() -> None:
    run = started()
    read(run, steady(TRAFFIC, TRAFFIC + 10, (10, 0)))
    run.watch = replace(run.watch, traffic_since=None)
    assert values(run, TRAFFIC + 10) == {}


def test_a_metric_that_was_edited_is_not_counted_as_what_it_was() -> None:
    run = started()
    read(run, steady(TRAFFIC, TRAFFIC + 10, (10, 0)))
    run.watch = replace(run.watch, metrics=(counted(replace(SUCCESS, minimum=90)),))
    assert values(run, TRAFFIC + 10) == {}


# --- a metrics server: a gateway's counters go on from those of the canary before -----------------


def gateway(canary: tuple[float, float], stable: float) -> list[Series]:
    def series(service: str, code: str, value: float) -> Series:
        labels = {
            "__name__": "envoy_cluster_upstream_rq",
            "envoy_cluster_name": f"prod_{service}_80",
            "envoy_response_code": code,
            "instance": "envoy",
        }
        return Series(labels, value)

    return [
        series("web-canary", "200", canary[0]),
        series("web-canary", "500", canary[1]),
        series("web", "200", stable),
    ]


def asked(run: Run, readings: Iterable[tuple[float, list[Series]]]) -> None:
    for time, series in readings:
        run.read_server(series, frozenset({"request-success-rate"}), time)
        run.judge_now()


def test_what_a_gateway_counted_for_the_canary_before_is_not_counted_again() -> None:
    run = started(former=BEGAN + 10)
    asked(
        run,
        [
            (BEGAN + 1, gateway((0, 500), 1000)),
            # Scraped before the last of the requests to the canary before.
            (TRAFFIC + 1, gateway((0, 500), 1100)),
            (TRAFFIC + 6, gateway((10, 900), 1200)),
            (TRAFFIC + 21, gateway((110, 900), 1300)),
        ],
    )
    assert values(run, TRAFFIC + 22) == {"request-success-rate": (100.0, 100.0)}


def test_the_judge_does_not_count_them_either() -> None:
    run = started(former=BEGAN + 10)
    asked(
        run,
        [
            (BEGAN + 15, gateway((0, 500), 1000)),
            # Scraped after the last of the requests to the canary before.
            (BEGAN + 26, gateway((0, 900), 1100)),
            (BEGAN + 41, gateway((150, 900), 1300)),
            (BEGAN + 56, gateway((300, 900), 1500)),
        ],
    )
    (evidence,) = run.state.metrics
    assert isinstance(evidence, CountEvidence)
    assert (evidence.canary_bad, evidence.canary_all) == (0, 300)


def away(former: float, interval: float, back: float) -> list[tuple[float, list[Series]]]:
    """Return what a server answers that was not there while the canary before was refused.

    It scrapes after `back` and every `interval` from then on; until then it answers with what it
    had scraped before the last 400 errors of that canary.
    """
    asked_at = [back + 15 * n for n in range(20)]
    scraped = [back + 1 + interval * n for n in range(20)]
    ours = [max((at for at in scraped if at <= time), default=0.0) for time in asked_at]
    return [
        (time, gateway((10 * (at - former), 900), 10 * at) if at else gateway((0, 500), 10))
        for time, at in zip(asked_at, ours, strict=True)
    ]


@pytest.mark.parametrize("interval", [5, 15, 60])
@pytest.mark.parametrize("later", [0.0, 40.0])
def test_an_answer_of_before_a_servers_death_is_no_beginning(interval: float, later: float) -> None:
    run = started(former=BEGAN + 10)
    for time, series in away(BEGAN + 10, interval, TRAFFIC + later):
        asked(run, [(time, series)])
        assert all(value[0] == 100.0 for value in values(run, time).values()), time
    (evidence,) = run.state.metrics
    assert isinstance(evidence, CountEvidence)
    assert evidence.canary_bad == 0
    assert evidence.canary_all > 0


def test_a_gateway_that_is_shown_to_be_scraped_later_counts_from_there_only() -> None:
    def two(one: tuple[float, float], other: tuple[float, float]) -> list[Series]:
        second = [
            Series({**it.labels, "instance": "envoy-2"}, it.value) for it in gateway(other, 50)
        ]
        return gateway(one, 10 + one[0]) + second

    run = started(former=BEGAN + 10)
    asked(
        run,
        [
            (BEGAN + 16, two((0, 500), (0, 500))),
            (BEGAN + 31, two((10, 900), (0, 500))),
            (BEGAN + 46, two((110, 900), (0, 500))),
            (BEGAN + 61, two((210, 900), (10, 900))),
            (BEGAN + 76, two((310, 900), (110, 900))),
            (BEGAN + 91, two((410, 900), (210, 900))),
        ],
    )
    assert values(run, BEGAN + 92) == {"request-success-rate": (100.0, 100.0)}
    (evidence,) = run.state.metrics
    assert isinstance(evidence, CountEvidence)
    assert evidence.canary_bad == 0
    assert evidence.canary_all > 0


def test_a_gateway_that_is_met_later_counts_from_0() -> None:
    run = started()
    run.read_server(gateway((0, 0), 10)[2:], frozenset({"request-success-rate"}), BEGAN + 1)
    asked(run, [(TRAFFIC + 1, gateway((0, 0), 20)), (TRAFFIC + 16, gateway((5, 5), 30))])
    assert values(run, TRAFFIC + 16)["request-success-rate"][0] == 50.0


# --- quantiles ------------------------------------------------------------------------------------


def histogram(counts: Mapping[str, float]) -> tuple[Series, ...]:
    name = "http_request_duration_seconds_bucket"
    return tuple(Series({"__name__": name, "le": le}, value) for le, value in counts.items())


def test_a_quantile_is_interpolated_as_prometheus_does() -> None:
    run = started(counted(DURATION))
    stable = histogram({"0.1": 1000.0, "0.5": 1000.0, "+Inf": 1000.0})
    for n in range(11):
        slow = histogram({"0.1": 90.0 * n, "0.5": 98.0 * n, "1": 100.0 * n, "+Inf": 100.0 * n})
        run.read_pages({CANARY: slow, STABLE: stable}, TRAFFIC + n)
    assert values(run, TRAFFIC + 10) == {"request-duration": (750.0, None)}


@given(
    st.lists(st.integers(min_value=0, max_value=50), min_size=2, max_size=6).filter(any),
    st.floats(min_value=0.01, max_value=0.99),
)
def test_a_quantile_lies_in_the_bucket_that_holds_it(added: list[int], quantile: float) -> None:
    metric = replace(DURATION, source="query", maximum=1)
    query = f"histogram_quantile({quantile}, sum by (le) (rate(d_bucket[1m])))"
    found = _counted(metric, query)
    run = started(found)
    bounds = [*map(float, range(1, len(added))), math.inf]
    totals = [float(sum(added[: n + 1])) for n in range(len(added))]
    for n in (0, 1):
        series = [
            Series({"__name__": "d_bucket", "le": str(upper)}, n * total)
            for upper, total in zip(bounds, totals, strict=True)
        ]
        run.read_pages({CANARY: series, STABLE: series}, TRAFFIC + n)
    ((_, count),) = ((one.metric, one) for one in run.counts(TRAFFIC + 1))
    below = sum(a for a, upper in zip(added, bounds, strict=True) if upper <= count.value)
    assert below <= quantile * totals[-1] + max(added) + 1e-6
    assert count.value <= bounds[-2]


def _counted(metric: Metric, query: str) -> Countable:
    text = (SourceQuery(source="query", query=query),)
    found = countable(metric, text, text, alone=False, gate=False)
    assert isinstance(found, Countable)
    return found


def test_a_label_that_no_series_has_is_no_zero() -> None:
    """The query is asked then, and its answer names the label."""
    for label, told in (("status", {"errors": (0.0, 0.0)}), ("stauts", {})):
        bad = f'sum(rate(http_requests_total{{{label}=~"5..",pod=~"web-canary-.*"}}[1m]))'
        query = f'{bad} / sum(rate(http_requests_total{{pod=~"web-canary-.*"}}[1m]))'
        stable = query.replace("web-canary-.*", "web-a-.*")
        metric = countable(
            Metric(name="errors", source=query, maximum=1, interval=DURATION.interval),
            [SourceQuery(source="query", query=query)],
            [SourceQuery(source="query", query=stable)],
            alone=False,
            gate=False,
        )
        assert isinstance(metric, Countable)
        run = started(metric)
        read(run, steady(TRAFFIC, TRAFFIC + 10, (8, 0)))
        assert values(run, TRAFFIC + 10) == told
