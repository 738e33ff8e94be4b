"""Which of Flagger's strategies a Canary asks for, as the steps that a run takes."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final, assert_never

from canary.model.joining import MOST
from canary.model.steps import Step
from canary.model.strategy import Kind, Strategy
from canary.model.values import FULL, Json
from canary.spec import parsers, traffic
from canary.spec.problems import Problems
from canary.spec.steps import (
    USUAL_ITERATIONS,
    apart,
    blue_green,
    iterations,
    kind_of,
    linear,
    matched,
    mirrored,
    weights,
)

KUBERNETES: Final = "kubernetes"
"""Value of `spec.provider` with which a target has no mesh and no gateway."""
_BACK: Final = parsers.whole(1, such_as="20")


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """The steps of a run, those that it takes where no route leads to its Service, and the rest.

    `unrouted` is empty where a route is waited for; `passed_over` says in words what of the Canary
    has no meaning in its strategy. `back` is by how many percent a step the traffic returns to the
    target once it is promoted, 0 for at once.
    """

    kind: Kind
    steps: tuple[Step, ...]
    unrouted: tuple[Step, ...] = ()
    back: int = 0
    passed_over: tuple[str, ...] = ()


def course(
    spec: Json, analysis: Json, problems: Problems, *, interval: timedelta, by_pods: bool = False
) -> Course:
    """Read which steps a run takes.

    Args:
        spec: `spec` of a Canary.
        analysis: its analysis, completed with the admin's defaults.
        problems: where mistakes are noted.
        interval: between two steps.
        by_pods: whether its pods are to share the traffic where no route leads to its Service.

    """
    kind = kind_of(analysis)
    match, mirror = traffic.matches(analysis, problems), traffic.mirrored(analysis, problems)
    affinity = traffic.affinity(analysis, problems, interval=interval)
    match kind:
        case Kind.CANARY:
            growing = linear(weights(analysis, problems), match=match, affinity=affinity)
            steps, checks = (*mirrored(mirror), *growing), USUAL_ITERATIONS
        case Kind.AB:
            checks = iterations(analysis, problems)
            steps = matched(match, checks)
        case Kind.BLUE_GREEN:
            checks = iterations(analysis, problems)
            steps = blue_green(checks, mirror=mirror)
        case Kind.PODS:
            raise AssertionError("no analysis says how its shares come about")
        case _:
            assert_never(kind)
    said = analysis.get("stepWeightPromotion") or None
    back = problems.read("analysis.stepWeightPromotion", _BACK, said, FULL)
    return Course(
        kind=kind,
        steps=steps,
        unrouted=_unrouted(spec, steps if by_pods and kind is Kind.CANARY else (), checks),
        back=back if back < FULL else 0,
        passed_over=tuple(_passed_over(kind, analysis)),
    )


def _unrouted(spec: Json, shared: tuple[Step, ...], checks: int) -> tuple[Step, ...]:
    """Return the steps that need no route.

    Args:
        spec: `spec` of a Canary.
        shared: the steps that are to be shares by the number of pods.
        checks: how many checks without live traffic take their place where they cannot be.

    """
    provider = spec.get("provider", "")
    weights = [step.traffic.weight for step in shared if step.traffic.weight]
    matched = any(step.traffic.match for step in shared)
    if weights and not matched and provider in {"", KUBERNETES}:
        return linear(sorted({min(weight, MOST) for weight in weights}))
    return apart(checks) if provider == KUBERNETES else ()


def _passed_over(kind: Kind, analysis: Json) -> Iterator[str]:
    if analysis.get("mirrorWeight") and not analysis.get("mirror"):
        yield "analysis.mirrorWeight (without mirror: true nothing is copied)"
    if analysis.get("maxWeight") and (kind is not Kind.CANARY or analysis.get("stepWeights")):
        yield "analysis.maxWeight (it is of stepWeight alone)"
    if kind is Kind.CANARY:
        return
    if analysis.get("sessionAffinity"):
        yield "analysis.sessionAffinity (with iterations nobody comes to the canary by chance)"
    if kind is Kind.AB and analysis.get("mirror"):
        yield "analysis.mirror (in an A/B test the canary answers what matches itself)"


def without_route(strategy: Strategy) -> Strategy:
    """Return what a run follows where no route leads to its Service and none is waited for.

    As Flagger does with the provider `kubernetes`, it is blue/green without a switch.

    Args:
        strategy: what its Canary asks for.

    """
    if not strategy.unrouted:
        return strategy
    if strategy.shares_by_pods:
        return _by_pods(strategy)
    return replace(
        strategy,
        kind=Kind.BLUE_GREEN,
        steps=strategy.unrouted,
        unknown=(*strategy.unknown, *_needs_a_route(strategy)),
    )


def _needs_a_route(strategy: Strategy) -> Iterator[str]:
    """Name what of a strategy has no meaning where no route leads to its Service."""
    traffics = [step.traffic for step in strategy.steps]
    said = f"{len(strategy.unrouted)} checks without live traffic take its place"
    why = f"no route leads to Service {strategy.service_name}"
    if strategy.kind is Kind.CANARY:
        yield f"shares of the traffic ({why}: {said})"
    if any(traffic.match for traffic in traffics):
        yield f"analysis.match ({why}{f': {said}' if strategy.kind is Kind.AB else ''})"
    if any(traffic.mirror for traffic in traffics):
        yield f"analysis.mirror ({why})"
    if any(traffic.affinity for traffic in traffics):
        yield f"analysis.sessionAffinity ({why})"
    if strategy.back:
        yield f"analysis.stepWeightPromotion ({why})"


def _by_pods(strategy: Strategy) -> Strategy:
    """Return what a run follows whose traffic is shared by the number of its pods."""
    traffics = [step.traffic for step in strategy.steps]
    why = "a Service sends each of its pods about as much"
    notice = []
    if any(traffic.mirror for traffic in traffics):
        notice.append(f"analysis.mirror ({why}, and copies nothing)")
    if any(traffic.affinity for traffic in traffics):
        notice.append(f"analysis.sessionAffinity ({why}, and knows no cookies)")
    if any(traffic.weight > MOST for traffic in traffics):
        notice.append(
            f"shares above {MOST} % (by the number of pods: the canary is never larger than its "
            "target)"
        )
    return replace(
        strategy,
        kind=Kind.PODS,
        steps=strategy.unrouted,
        unknown=(*strategy.unknown, *notice),
    )
