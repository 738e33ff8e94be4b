"""Rows of runs that are drawn moment by moment: bursts without a history, starts, and times.

"Before" is the same judge, with a known stable, in the rhythm of `moments.BEFORE`; where the stable
is not known it is what revision 45c6f99 took in these very runs. "Least possible" is what a test
takes that knows both rates beforehand.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from tests.simulation.moments import (
    BEFORE,
    Bursts,
    Case,
    least_of,
    quantiles,
    runs_of,
)
from tests.simulation.row import Result, Row, bounded, seeded

HOUR = 3600.0
RUNS = 200
"""Of which the times are taken, whatever the number of runs that is asked for."""

ISSUE = Bursts(high=6.0)
LONGEST = Bursts(high=9.0, dwell=60.0)
UNKNOWN = (
    ("bursts x 6, 20 s", ISSUE),
    ("bursts x 6, 60 s", Bursts(high=6.0, dwell=60.0)),
    ("bursts x 3, 60 s", Bursts(high=3.0, dwell=60.0)),
    ("bursts x 9, 20 s", Bursts(high=9.0)),
    ("bursts x 9, 60 s", LONGEST),
    ("bursts x 10, 5 % of the time, 20 s", Bursts(high=10.0, share=0.05)),
    ("bursts x 6, 20 s, each pod its own", Bursts(high=6.0, by_pod=True)),
    ("independent", None),
)


def rows() -> Iterator[Row]:
    """Return all of them."""
    yield from _unknown()
    yield from _starts()
    yield from _times()
    yield from _times_over_new_pods()


def _unknown() -> Iterator[Row]:
    for name, bursts in UNKNOWN:
        for rps in (5.0, 50.0, 500.0):
            for lived in (0.0, HOUR):
                case = Case(
                    rps=rps, stable=0.01, bursts=bursts, known=False, lived=lived, maximum=0.02
                )
                since = "pods that served an hour" if lived else "new pods"
                yield Row(
                    table="healthy canaries refused where no history is known",
                    name=f"{name}, 1 %, at {rps:.0f} rps, {since}",
                    aim="<= 1 %",
                    run=partial(_run_healthy, case),
                    quick=bursts in (ISSUE, LONGEST) and rps == 50 and not lived,
                    cost=40,
                )
    for stable, maximum in ((0.001, 0.01), (0.01, 0.02)):
        case = Case(rps=50, stable=stable, cluster=5.0, known=False, lived=HOUR, maximum=maximum)
        yield Row(
            table="healthy canaries refused where no history is known",
            name=f"retries 5 within 2 s, {stable:.1%}, at 50 rps",
            aim="<= 1 %",
            run=partial(_run_healthy, case),
            cost=40,
        )


def _starts() -> Iterator[Row]:
    for stable, maximum in ((0.001, 0.01), (0.01, 0.02)):
        for rps in (50.0, 500.0):
            for known in (True, False):
                case = Case(
                    rps=rps,
                    stable=stable,
                    first=0.02,
                    known=known,
                    lived=HOUR,
                    maximum=maximum,
                    seconds=300,
                )
                history = "history" if known else "no history"
                yield Row(
                    table="healthy canaries refused, 2 % fail in a pod's first second",
                    name=f"{stable:.1%} at {rps:.0f} rps, {history}",
                    aim="<= 1 %",
                    run=partial(_run_healthy, case),
                    quick=known and rps == 500 and stable == 0.001,
                    cost=5,
                )


def _run_healthy(case: Case, runs: int) -> Result:
    ended = runs_of(case, seeded(), runs=runs)
    return bounded(sum(one.seconds < math.inf for one in ended), runs, 0.01)


@dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """The most that median and 90 % of the times, and the median of the failed answers, may be."""

    median: float = math.inf
    late: float = math.inf
    failed: float = math.inf

    def __str__(self) -> str:
        """Write what is aimed at."""
        if self.failed < math.inf:
            return f"<= {self.failed:.0f} failed answers"
        if self.median < math.inf:
            late = f", 90 % <= {self.late:.0f} s" if self.late < math.inf else ""
            return f"<= {self.median:.0f} s{late}"
        return ""


NO_AIM = Aim()
SOON = Aim(median=3.0, late=5.0)
FEW = Aim(failed=5.0)
AS_SOON_AS_CAN_BE = Aim(median=3.0)
"""The latest are late where 20 % of few requests are told from a bound of 1.65 %."""

WAS = {
    (0.001, 0.2, 5.0): (12.5, 16.6, 13.0),
    (0.001, 0.2, 10.0): (11.0, 12.6, 22.0),
    (0.001, 0.2, 50.0): (10.4, 11.2, 103.0),
    (0.001, 0.5, 5.0): (10.8, 11.9, 26.0),
    (0.001, 0.5, 10.0): (10.6, 11.4, 52.0),
    (0.001, 0.5, 50.0): (10.3, 11.1, 256.0),
    (0.01, 0.2, 5.0): (15.2, 21.2, 15.0),
    (0.01, 0.2, 10.0): (12.1, 14.7, 24.0),
    (0.01, 0.2, 50.0): (10.4, 11.2, 104.0),
    (0.01, 0.5, 5.0): (10.8, 11.9, 26.0),
    (0.01, 0.5, 10.0): (10.6, 11.4, 52.0),
    (0.01, 0.5, 50.0): (10.3, 11.1, 256.0),
}
"""What revision 45c6f99 took where the stable is not known: median, 90 %, failed answers."""


def _times() -> Iterator[Row]:
    for stable, maximum in ((0.001, 0.01), (0.01, 0.02)):
        for bad in (0.2, 0.5):
            for rps in (5.0, 10.0, 50.0):
                for known in (True, False):
                    case = Case(
                        rps=10 * rps,
                        stable=stable,
                        canary=bad,
                        known=known,
                        lived=HOUR,
                        maximum=maximum,
                        seconds=300,
                    )
                    aim = _aim(case) if known else NO_AIM
                    yield Row(
                        table="first canary answer to weight 0",
                        name=f"{stable:.1%} -> {bad:.0%}, canary at {rps:.0f} rps, "
                        + ("history" if known else "no history"),
                        aim=str(aim),
                        run=partial(_run_times, case, aim),
                        quick=rps == 10 and (known or (stable, bad) == (0.001, 0.2)),
                    )


def _aim(case: Case) -> Aim:
    if case.rps < 100:
        return FEW
    latest = (case.stable, case.canary, case.rps) == (0.01, 0.2, 100.0)
    return AS_SOON_AS_CAN_BE if latest else SOON


def _times_over_new_pods() -> Iterator[Row]:
    """Give the times over a stable that has served for seconds, as the cluster tests have it."""
    for stable in (0.0, 0.001):
        for bad, late in ((0.01, 300.0), (0.05, 120.0), (0.2, 60.0)):
            case = Case(
                rps=80, share=0.5, stable=stable, canary=bad, known=False, lived=10, seconds=1800
            )
            aim = NO_AIM if stable else Aim(median=late, late=late)
            yield Row(
                table="first canary answer to weight 0, over pods of 10 s",
                name=f"{stable:.1%} -> {bad:.0%}, canary at 40 rps, no history",
                aim=str(aim),
                run=partial(_run_times_alone, case, aim),
                quick=not stable and bad == 0.05,
            )


def _run_times_alone(case: Case, aim: Aim, _: int) -> Result:
    median, late, failed = quantiles(runs_of(case, seeded(), runs=RUNS))
    return Result(text=_written(median, late, failed), ok=median <= aim.median and late <= aim.late)


def _run_times(case: Case, aim: Aim, _: int) -> Result:
    median, late, failed = quantiles(runs_of(case, seeded(), runs=RUNS))
    if case.known:
        was = quantiles(runs_of(case, seeded(), runs=RUNS, rhythm=BEFORE))
        least = quantiles(least_of(case, seeded(), runs=RUNS))
        possible = f"; least possible {least[0]:.1f} s, 90 % {least[1]:.1f} s"
    else:
        was = WAS[case.stable, case.canary or 0.0, case.rps / 10]
        possible = ""
    return Result(
        text=f"{_written(median, late, failed)}; before {_written(*was)}{possible}",
        ok=median <= aim.median and late <= aim.late and failed <= aim.failed,
    )


def _written(median: float, late: float, failed: float) -> str:
    return f"{median:.1f} s, 90 % {late:.1f} s, {failed:.0f} failed"
