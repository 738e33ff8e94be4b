"""The rows of the suite: what is run, and the bound or aim that it is held to."""

import math
from collections.abc import Iterator, Sequence
from functools import partial

from canary.evidence.policy import Policy
from tests.bench import judge_cost
from tests.simulation import limitless, many, moment_rows, scalars, scrapes
from tests.simulation.row import Result, Row, bounded, seeded
from tests.simulation.runs import (
    Outcome,
    gated,
    healthy,
    promoted,
    promoted_seconds,
    requests_needed,
    seconds,
    share,
    sick,
    too_many,
)
from tests.simulation.traffic import CORRELATED, IID, INCIDENT, UNSEEN, Kind, Service


def rows() -> tuple[Row, ...]:
    """Return every row, in the order in which they are printed."""
    return (
        *_requests(),
        *_seconds(),
        *_healthy(),
        *_guarded(),
        *moment_rows.rows(),
        *_promotions(),
        *_counters(),
        *_scalars(),
        *_limitless(),
        *_cost(),
    )


REGRESSIONS = (
    (0.001, 0.006),
    (0.001, 0.01),
    (0.001, 0.05),
    (0.001, 0.2),
    (0.001, 0.5),
    (0.01, 0.05),
    (0.01, 0.2),
    (0.01, 0.5),
)


def _requests() -> Iterator[Row]:
    for stable, canary in REGRESSIONS:
        yield Row(
            table="requests to a refusal",
            name=f"{stable:.1%} -> {canary:.1%}",
            aim="<= 1.7 x the bound, 1.45 x from 20 on",
            run=partial(_run_requests, stable, canary),
            quick=canary >= 0.05,
            cost=4 if canary < 0.05 else 2,
        )
    for metrics, limit in ((1, 80), (2, 85), (5, 105), (10, 115), (20, 120)):
        yield Row(
            table="requests to a refusal",
            name=f"one of {metrics} metrics sick, 0.1 % -> 5 %",
            aim=f"<= {limit}",
            run=partial(_run_many, metrics, limit),
            quick=metrics == 5,
            cost=10,
        )


def _run_requests(stable: float, canary: float, runs: int) -> Result:
    mean, bound = requests_needed(stable, canary, seeded(), runs=runs)
    # The time of a sequential test varies by about its mean: this is three standard errors.
    chance = 3 / math.sqrt(runs)
    limit = (1.45 if bound >= 20 else 1.7) * (1 + chance)
    return Result(
        text=f"{mean:.1f} requests, bound {bound:.1f}, ratio {mean / bound:.2f}",
        ok=mean <= limit * bound,
    )


def _run_many(metrics: int, limit: float, runs: int) -> Result:
    mean = many.requests_needed(metrics, seeded(), runs=runs)
    return Result(text=f"{mean:.1f} requests", ok=mean <= limit)


def _seconds() -> Iterator[Row]:
    for stable, canary in REGRESSIONS:
        for rps in (5, 50, 500):
            limit = _limit(canary, rps)
            yield Row(
                table="seconds to a refusal",
                name=f"{stable:.1%} -> {canary:.1%} at {rps} rps",
                aim=">= 2 scrapes" + (f", median <= {limit} s" if limit < math.inf else ""),
                run=partial(_run_seconds, stable, canary, rps, limit),
                quick=rps == 50 and canary >= 0.05,
                cost=20 if rps == 5 else 10,
            )


def _limit(canary: float, rps: float) -> float:
    if rps < 50:
        return math.inf
    return 12.0 if canary >= 0.2 else 68.0 if canary >= 0.05 else math.inf


def _run_seconds(stable: float, canary: float, rps: float, limit: float, runs: int) -> Result:
    maximum = 0.01 if stable < 0.01 else 0.02
    service = Service(rps=rps, rate=stable)
    outcomes = sick(service, seeded(), rate=canary, runs=runs, maximum=maximum)
    first = min(one.refused or math.inf for one in outcomes)
    median, late = seconds(outcomes), seconds(outcomes, 0.95)
    caught = share(outcomes)
    return Result(
        text=f"median {median:.0f} s, 95 % in {late:.0f} s, caught {caught:.1%}",
        ok=first >= 2 and median <= limit and (rps < 50 or caught >= 0.95),
    )


HEALTHY = ((0.001, 0.01), (0.01, 0.02), (0.01, 0.01))
"""Rate and maximum; the last has no room at all between them."""


def _healthy() -> Iterator[Row]:
    for kind in (IID, *CORRELATED, *UNSEEN):
        for rate, maximum in HEALTHY if kind is IID else HEALTHY[:2]:
            for rps in (5, 50, 500):
                yield Row(
                    table="healthy canaries refused",
                    name=f"{kind.name}, {rate:.1%}, max {maximum:.0%}, at {rps} rps",
                    aim="<= 1 %",
                    run=partial(_run_healthy, kind, rate, maximum, rps, 0.01, 1.0),
                    quick=maximum == 0.02 and rps == 50,
                )
    yield Row(
        table="healthy canaries refused",
        name="five metrics, 0.1 % at 50 rps",
        aim="<= 1 %",
        run=_run_five,
        cost=5,
    )


def _guarded() -> Iterator[Row]:
    for kind, drift, name in ((INCIDENT, 1.0, INCIDENT.name), (IID, 3.0, "both arms x 3")):
        for rate, maximum in ((0.001, 0.01), (0.01, 0.02)):
            for rps in (5, 50, 500):
                yield Row(
                    table="healthy canaries refused while the stable is not itself",
                    name=f"{name}, {rate:.1%} at {rps} rps",
                    aim="<= 10 %",
                    run=partial(_run_healthy, kind, rate, maximum, rps, 0.1, drift),
                    quick=rate == 0.01 and rps == 50,
                )
    yield Row(
        table="healthy canaries refused while the stable is not itself",
        name=f"{scrapes.OUTAGE.name}, 1.0% at 50 rps",
        aim="<= 10 %",
        run=partial(_run_scrapes, scrapes.OUTAGE, 0.1),
        cost=10,
    )


def _run_healthy(
    kind: Kind, rate: float, maximum: float, rps: float, bound: float, drift: float, runs: int
) -> Result:
    outcomes = healthy(
        Service(rps=rps, rate=rate, kind=kind),
        seeded(),
        runs=runs,
        maximum=maximum,
        drift=drift,
        histories=min(40, max(3, runs // 50)),
    )
    return _refused(outcomes, bound)


def _run_five(runs: int) -> Result:
    return bounded(many.false_refusals(5, seeded(), runs=runs), runs, 0.01)


def _refused(outcomes: Sequence[Outcome], bound: float) -> Result:
    return bounded(sum(one.refused is not None for one in outcomes), len(outcomes), bound)


def _found(outcomes: Sequence[Outcome], within: float) -> Result:
    median = seconds(outcomes)
    text = f"median {median:.0f} s, caught {share(outcomes):.1%}"
    return Result(text=text, ok=median <= within)


def _promotions() -> Iterator[Row]:
    gate, hidden = Policy(inferior_rate=0.01), Policy(inferior_rate=0.003)
    for rps in (5, 50, 500):
        for canary in (0.01, 0.02):
            yield Row(
                table="promotion at 5 %",
                name=f"{canary:.0%} canary, 1 % is too much, {rps} rps",
                aim="wrongly passed <= 5 %",
                run=partial(_run_wrong, canary, rps, gate),
                quick=rps == 50 and canary == 0.01,
                cost=20,
            )
        yield Row(
            table="promotion at 5 %",
            name=f"0.6 % canary, 0.3 % is too much, {rps} rps",
            aim="wrongly passed <= 5 %",
            run=partial(_run_wrong, 0.006, rps, hidden),
            cost=50,
        )
        yield Row(
            table="promotion at 5 %",
            name=f"0.1 % canary, 1 % is too much, {rps} rps",
            aim="500 rps: <= 15 s",
            run=partial(_run_right, rps, gate),
            quick=rps == 500,
            cost=20,
        )


def _run_wrong(canary: float, rps: float, policy: Policy, runs: int) -> Result:
    service = Service(rps=rps, rate=0.001)
    outcomes = gated(service, seeded(), rate=canary, runs=runs, policy=policy, refuses=False)
    passed = promoted(outcomes)
    return Result(
        text=f"passed {passed:.2%} of {runs} though nothing refused them",
        ok=not too_many(round(passed * runs), runs, policy.beta),
    )


def _run_right(rps: float, policy: Policy, runs: int) -> Result:
    service = Service(rps=rps, rate=0.001)
    outcomes = gated(service, seeded(), rate=0.001, runs=runs, policy=policy)
    median = promoted_seconds(outcomes)
    return Result(
        text=f"passed {promoted(outcomes):.1%}, median {median:.0f} s",
        ok=rps < 500 or median <= 15,
    )


def _counters() -> Iterator[Row]:
    for trouble in scrapes.TROUBLES:
        yield Row(
            table="healthy canaries refused, counters read through scrapes",
            name=f"{trouble.name}, 1.0% at 50 rps",
            aim="<= 1 %",
            run=partial(_run_scrapes, trouble, 0.01),
            quick=trouble.name == "restarts and churn",
            cost=10,
        )


def _run_scrapes(trouble: scrapes.Trouble, bound: float, runs: int) -> Result:
    outcomes = scrapes.healthy(trouble, seeded(), runs=runs, rps=50, rate=0.01)
    return _refused(outcomes, bound)


def _scalars() -> Iterator[Row]:
    every, apart = Policy(scalar_spacing=SPACING, scalar_margin=1.0), Policy()
    for noise, policy, name in (
        (scalars.calm, every, "independent"),
        (scalars.heavy, every, "heavy tails"),
        (scalars.shocks, every, "shocks on both arms"),
        (scalars.slow, apart, "slow, one sample in 120 s"),
    ):
        yield Row(
            table="scalar metrics",
            name=f"healthy, {name}",
            aim="<= 1 %",
            run=partial(_run_scalar, noise, policy),
            quick=noise is scalars.slow,
            cost=5,
        )
    for noise, name in (
        (scalars.calm, "independent"),
        (scalars.heavy, "heavy tails"),
        (scalars.shocks, "shocks on both arms"),
    ):
        yield Row(
            table="scalar metrics",
            name=f"x 1.5, {name}",
            aim="median <= 240 s",
            run=partial(_run_shift, noise, every),
            cost=20,
        )


SPACING = 5.0


def _run_scalar(noise: scalars.Noise, policy: Policy, runs: int) -> Result:
    outcomes = scalars.runs_of(noise, seeded(), runs=runs, policy=policy)
    return _refused(outcomes, 0.01)


def _run_shift(noise: scalars.Noise, policy: Policy, runs: int) -> Result:
    outcomes = scalars.runs_of(noise, seeded(), runs=runs, policy=policy, shift=1.5)
    return _found(outcomes, 240)


def _limitless() -> Iterator[Row]:
    for rps in (5, 50):
        yield Row(
            table="latency without a limit",
            name=f"as fast as the stable, {rps} rps",
            aim="<= 1 %",
            run=partial(_run_as_fast, rps),
            quick=rps == 50,
            cost=10,
        )
    for slower in (1.5, 2.5):
        yield Row(
            table="latency without a limit",
            name=f"x {slower:g}, 50 rps",
            aim="median <= 120 s",
            run=partial(_run_slower, slower),
            quick=slower > 2,
            cost=50,
        )


def _run_as_fast(rps: float, runs: int) -> Result:
    outcomes = limitless.runs_of(seeded(), runs=runs, rps=rps)
    return _refused(outcomes, 0.01)


def _run_slower(slower: float, runs: int) -> Result:
    outcomes = limitless.runs_of(seeded(), runs=runs, rps=50, slower=slower)
    return _found(outcomes, 120)


def _cost() -> Iterator[Row]:
    for case in judge_cost.CASES:
        yield Row(
            table="cost of one update",
            name=case.name,
            aim="<= 5 us on an idle core",
            run=partial(_run_cost, case),
        )
    yield Row(
        table="cost of one update",
        name=f"memory of a run of {judge_cost.METRICS} metrics",
        aim=f"<= {judge_cost.AIM_KILOBYTES} kB",
        run=_run_memory,
        quick=True,
    )


def _run_cost(case: judge_cost.Case, _: int) -> Result:
    """Time an update. No figure of it fails, for cores differ."""
    cost = judge_cost.update(case)
    return Result(text=f"{cost.seconds * 1e6:.1f} us, noise {cost.noise * 1e6:.1f} us", ok=True)


def _run_memory(_: int) -> Result:
    size = judge_cost.memory() / 1000
    return Result(text=f"{size:.1f} kB", ok=size <= judge_cost.AIM_KILOBYTES)
