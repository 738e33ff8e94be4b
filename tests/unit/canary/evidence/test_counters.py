"""Counters become counts: resets, births, gaps, replays."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.evidence.counters import Arm, Counters, Pod, Reading, Scrape, Stratum, count

OLD, NEW = Pod(arm=Arm.STABLE, born=-1000.0), Pod(arm=Arm.CANARY, born=0.0)
PODS = {"old": OLD, "new": NEW}
START = Counters(began=0.0, warmup=0.0, past=False)


def _read(pod: str, total: float, bad: float | None = None) -> tuple[Reading, ...]:
    """One counter of all requests and one of bad ones, which is born with the first."""
    all_of_it = Reading(pod, "all", total, 0, 1)
    return (all_of_it,) if bad is None else (all_of_it, Reading(pod, "bad", bad, 1, 0))


def _scrape(time: float, *readings: tuple[Reading, ...]) -> Scrape:
    return Scrape(time=time, pods=PODS, readings=tuple(one for some in readings for one in some))


def _count(counters: Counters, *scrapes: Scrape) -> tuple[Counters, list[Stratum]]:
    strata = []
    for scrape in scrapes:
        counters, stratum, _ = count(counters, scrape)
        if stratum is not None:
            strata.append(stratum)
    return counters, strata


def test_pod_born_during_the_rollout_counts_in_full_and_an_old_one_from_here_on() -> None:
    _, strata = _count(START, _scrape(5, _read("old", 900, 30), _read("new", 40, 2)))
    assert strata == [Stratum(2, 40, 0, 0, 5)]


def test_error_series_is_born_with_its_first_error() -> None:
    _, strata = _count(
        START,
        _scrape(5, _read("old", 900), _read("new", 40)),
        _scrape(10, _read("old", 1000, 7), _read("new", 90, 3)),
        _scrape(15, _read("old", 1100, 9), _read("new", 140, 3)),
    )
    assert strata == [Stratum(0, 40, 0, 0, 5), Stratum(3, 50, 7, 100, 5), Stratum(0, 50, 2, 100, 5)]


def test_reset_counts_what_came_after_it() -> None:
    _, strata = _count(
        START,
        _scrape(5, _read("old", 900), _read("new", 40, 2)),
        _scrape(10, _read("old", 12), _read("new", 15, 1)),
    )
    assert strata[1] == Stratum(1, 15, 0, 12, 5)


def test_gap_is_one_larger_stratum() -> None:
    every = [_scrape(5.0 * at, _read("old", 90 * at), _read("new", 10 * at, at)) for at in range(9)]
    whole, strata = _count(START, *every)
    with_gap, fewer = _count(START, *every[:3], *every[7:])
    assert whole == with_gap
    assert [sum(column) for column in zip(*strata, strict=True)] == [
        sum(column) for column in zip(*fewer, strict=True)
    ]


def test_arm_that_is_missing_is_waited_for() -> None:
    counters, strata = _count(
        START,
        _scrape(5, _read("old", 100), _read("new", 10)),
        _scrape(10, _read("new", 20)),
        _scrape(15, _read("old", 300), _read("new", 30)),
    )
    assert strata[1:] == [Stratum(0, 20, 0, 200, 10)]
    alone, without = _count(replace(START, alone=True), _scrape(5, _read("new", 10)))
    assert without == [Stratum(0, 10, 0, 0, 5)]
    assert counters.time == 15
    assert alone.time == 5


def test_warm_up_is_left_out_on_both_arms() -> None:
    late = Pod(arm=Arm.STABLE, born=10.0)
    scrapes = [
        Scrape(
            time=time,
            pods={**PODS, "late": late},
            readings=(
                *_read("old", 10 * time),
                *_read("new", time, time),
                *(_read("late", time - 10, time - 10) if time > 10 else ()),
            ),
        )
        for time in (5.0, 25.0, 35.0, 45.0, 55.0)
    ]
    _, strata = _count(replace(START, warmup=30.0), *scrapes)
    assert [stratum[:3] for stratum in strata] == [
        (0, 0, 0),
        (0, 0, 0),
        (0, 0, 0),
        (10, 10, 0),
        (10, 10, 10),
    ]


def test_readings_that_may_be_old_lengthen_the_warm_up() -> None:
    lagging = replace(START, warmup=30.0, lag=15.0)
    scrapes = [
        _scrape(time, _read("old", 100), _read("new", time, time)) for time in (35.0, 45.0, 50.0)
    ]
    assert [stratum.canary_all for stratum in _count(lagging, *scrapes)[1]] == [0, 0, 5]


def test_pod_first_seen_after_its_warm_up_counts_from_there() -> None:
    late = replace(START, warmup=30.0)
    first, second = (
        _scrape(time, _read("old", 100), _read("new", time, time)) for time in (40.0, 45.0)
    )
    assert _count(late, first, second)[1] == [Stratum(0, 0, 0, 0, 40), Stratum(5, 5, 0, 0, 5)]


def test_pod_that_is_gone_keeps_what_it_counted() -> None:
    _, strata = _count(
        START,
        _scrape(5, _read("old", 100), _read("new", 10)),
        replace(_scrape(10, _read("old", 200), _read("new", 25, 5)), pods={"old": OLD}),
        replace(_scrape(15, _read("old", 300), _read("new", 30, 5)), pods={"old": OLD}),
    )
    assert [stratum.canary_all for stratum in strata] == [10, 15, 5]


def test_more_bad_than_all_is_clamped_and_counted() -> None:
    counters, strata = _count(START, _scrape(5, _read("old", 100), _read("new", 10, 12)))
    assert strata == [Stratum(10, 10, 0, 0, 5)]
    assert counters.clamped == 1


@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0])
def test_values_that_are_none_count_as_missing(value: float) -> None:
    before, _ = _count(START, _scrape(5, _read("old", 100), _read("new", 10)))
    after, strata = _count(before, _scrape(10, _read("old", 200), _read("new", value)))
    assert after == before
    assert strata == []


def test_unknown_pods_are_ignored() -> None:
    readings = (*_read("old", 1), *_read("new", 1), *_read("stranger", 99, 99))
    assert _count(START, _scrape(5, readings))[1] == [Stratum(0, 1, 0, 0, 5)]


def test_good_buckets_are_taken_from_the_count() -> None:
    readings = (
        Reading("new", "count", 50, 1, 1),
        Reading("new", "le=0.5", 47, -1, 0),
        Reading("old", "count", 10, 1, 1),
    )
    assert _count(START, _scrape(5, readings))[1] == [Stratum(3, 50, 0, 0, 5)]


def test_split_by_pod_is_shown() -> None:
    counted = count(START, _scrape(5, _read("old", 100), _read("new", 10, 2)))
    assert counted.pods == {"new": (2, 10)}


STEPS = st.lists(st.tuples(*[st.integers(0, 20)] * 4, st.booleans()), min_size=1, max_size=15)


def _grow(steps: list[tuple[int, int, int, int, bool]]) -> list[Scrape]:
    """Draw scrapes of growing counters, some of which restart at zero."""
    scrapes, totals = [], [0, 0, 0, 0]
    for at, (*more, restart) in enumerate(steps, start=1):
        totals = more if restart else [a + b for a, b in zip(totals, more, strict=True)]
        scrapes.append(
            _scrape(5.0 * at, _read("old", *totals[:2]), _read("new", *totals[2:])),
        )
    return scrapes


@given(steps=STEPS, again=st.lists(st.integers(0, 14), max_size=10))
def test_replayed_and_repeated_scrapes_change_nothing(
    steps: list[tuple[int, int, int, int, bool]], again: list[int]
) -> None:
    scrapes = _grow(steps)
    counters, strata = _count(START, *scrapes)
    assert _count(START, *scrapes) == (counters, strata)
    assert _count(counters, *(scrapes[at % len(scrapes)] for at in again)) == (counters, [])


@given(steps=STEPS)
def test_every_request_counts_once_across_resets(
    steps: list[tuple[int, int, int, int, bool]],
) -> None:
    _, strata = _count(START, *_grow([(*one[:4], False) for one in steps]))
    assert sum(stratum.canary_all for stratum in strata) == sum(one[2] for one in steps)
    assert sum(stratum.stable_all for stratum in strata) == sum(one[0] for one in steps[1:])


def test_the_first_second_of_a_pod_s_traffic_is_marked_and_probes_are_no_traffic() -> None:
    counters = replace(START, start=1.0)
    found = []
    for at, (total, serving) in enumerate(
        [(0, False), (3, False), (3, True), (9, True), (15, True), (21, True), (27, True)]
    ):
        scrape = _scrape(5 + 0.5 * at, _read("old", 900 + at), _read("new", total))
        counters, stratum, _ = count(counters, replace(scrape, serving=serving))
        assert stratum is not None
        found.append((stratum.canary_all, stratum.starting))
    # Traffic is seen at 6.5 s first; what is read until a second later may be of that second.
    assert found == [
        (0, False),
        (3, True),
        (0, False),
        (6, True),
        (6, True),
        (6, True),
        (6, False),
    ]


def test_what_the_stable_counted_before_is_told_once() -> None:
    counters = replace(START, past=True)
    _, strata = _count(
        counters,
        _scrape(5, _read("old", 900, 30), _read("new", 40, 2)),
        _scrape(10, _read("old", 950, 31), _read("new", 90, 2)),
    )
    assert [(one.before_bad, one.before_all) for one in strata] == [(30, 900), (0, 0)]
