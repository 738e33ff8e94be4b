"""What no counter can have is left out, before anything is computed from it or stored."""

import json
import math
import random
from collections.abc import Sequence
from typing import Final

import pytest

from canary.counting.series import Series
from canary.evidence.counters import Arm
from canary.measuring.countable import Comparable, countable
from canary.measuring.pods import ArmPod
from canary.measuring.run import Run
from canary.measuring.sound import MOST_SERIES, sound, sound_pages
from canary.model.strategy import Metric
from canary.queries.builtin import SourceQuery
from tests.fakes.evidence import BEGAN, DURATION, SUCCESS, counted, page, watch

ODD: Final = (math.nan, math.inf, -math.inf, -5.0, 1.7e308, 1e300, 1e18, 5e-324)
FINE: Final = (0.0, 10.0, 1e6, 1e15)
BOUNDS: Final = ("0.1", "0.5", "1", "+Inf", "NaN", "1e999", "x")
STABLE, CANARY = "web-a-1", "web-canary-b-1"


def pod(name: str, arm: Arm, born: float) -> ArmPod:
    return ArmPod(name=name, arm=arm, born=born, created=born, url="http://10.0.0.1")


def scalar() -> Comparable:
    text = (SourceQuery(source="query", query="avg(queue_length)"),)
    metric = Metric(name="queue", source="avg(queue_length)", maximum=100)
    found = countable(metric, text, text, alone=False, gate=False)
    assert isinstance(found, Comparable)
    return found


def hostile_page(chance: random.Random) -> Sequence[Series]:
    values = (*ODD, *FINE)
    buckets = "http_request_duration_seconds_bucket"
    return [
        *(
            Series({"__name__": "http_requests_total", "status": status}, chance.choice(values))
            for status in ("200", "500")
        ),
        *(Series({"__name__": buckets, "le": le}, chance.choice(values)) for le in BOUNDS),
    ]


@pytest.mark.parametrize("seed", range(100))
def test_whatever_pods_say_the_run_is_judged_and_can_be_stored(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311
    queue = scalar()
    run = Run.start(watch(counted(SUCCESS), counted(DURATION), scalars=(queue,)), BEGAN, 15)
    run.pods = (pod(STABLE, Arm.STABLE, BEGAN - 999), pod(CANARY, Arm.CANARY, BEGAN + 1))
    for number in range(6):
        time = BEGAN + 40 + number * 10
        run.read_pages({name: hostile_page(chance) for name in (STABLE, CANARY)}, time)
        measures = [chance.choice((*ODD, *FINE)) for _ in range(2)]
        run.read_scalar(
            queue, [Series({"pod": CANARY}, measures[0])], [Series({"pod": STABLE}, measures[1])],
            time + 100,
        )  # fmt: skip
        run.judge_now()
        assert run.weighing is not None
        json.dumps(run.weighing.record(), allow_nan=False)
        assert all(math.isfinite(one.value) for one in run.counts(time + 1))


@pytest.mark.parametrize("value", ODD)
def test_it_is_said_of_the_runs_own_pods(value: float) -> None:
    series = page(10, value, pod=STABLE)
    assert sound(series, {STABLE}) == (
        [series[0]],
        f"http_requests_total has the value {value:g}, which no counter can have; it is left out",
    )
    assert sound(series, {CANARY}) == ([series[0]], "")
    kept, said = sound_pages({STABLE: series})
    assert kept == {STABLE: [series[0]]}
    assert "which no counter can have" in said


def test_what_is_sound_stays_as_it_is() -> None:
    series = page(10, 0)
    assert sound(series, {STABLE}) == (series, "")
    assert sound_pages({STABLE: series}) == ({STABLE: series}, "")


def test_a_page_of_too_many_series_is_left_out_and_said() -> None:
    large = [Series({"__name__": "x_total", "i": str(i)}, 1.0) for i in range(MOST_SERIES + 1)]
    kept, said = sound_pages({STABLE: large, CANARY: page(1, 1)})
    assert list(kept) == [CANARY]
    assert STABLE in said
