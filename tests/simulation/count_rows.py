"""Rows of one metric of counts whose past is known, and of several at once."""

import math
from collections.abc import Iterator
from functools import partial

from canary.evidence.policy import Policy
from tests.simulation import many
from tests.simulation.outcomes import promoted, promoted_seconds, seconds, share, too_many
from tests.simulation.row import Result, Row, bounded, refused, seeded
from tests.simulation.runs import gated, healthy, requests_needed, sick
from tests.simulation.traffic import CORRELATED, IID, INCIDENT, UNSEEN, Kind, Service

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


def requests() -> Iterator[Row]:
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


def until_refused() -> Iterator[Row]:
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


def healthy_refused() -> Iterator[Row]:
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


def guarded() -> Iterator[Row]:
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
    return refused(outcomes, bound)


def _run_five(runs: int) -> Result:
    return bounded(many.false_refusals(5, seeded(), runs=runs), runs, 0.01)


def promotions() -> Iterator[Row]:
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
