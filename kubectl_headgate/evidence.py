"""A verdict with its numbers: one value that both the text and the JSON are written from."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from canary.evidence.plan import CountPlan, metric_of
from canary.evidence.policy import Policy
from canary.evidence.report import Weighing, what_promotion_needs
from canary.evidence.verdict import Need, NonInferior, Refuse, describe
from canary.evidence.what_if import (
    MetricEvidence,
    by_metric,
    fewer_bad,
    needed_evidence,
    strictest_alpha,
    total_evidence,
)
from canary.measuring.countable import Uncountable


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What one side counted. `value` is the bad share; where `all` is 0, a scalar's last value."""

    bad: float
    all: float
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricRow:
    """One metric in layer 2. `value` of `needed` is its evidence for a refusal, as e-values.

    `needed` is None for what cannot refuse. The sides are None until something was counted.
    """

    metric: str
    source: str
    canary: Counts | None
    stable: Counts | None
    times_worse: float | None
    bound: float | None
    value: float
    needed: float | None
    test: str
    dispersion: float | None
    dispersion_known: bool
    refuses: bool
    promotes: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What would have changed the verdict.

    Of a refusal: `alpha`, below which it would not have been one (None: at any), and `fewer_bad`,
    so many fewer bad canary requests (None: the record does not say). Of an open run: what a
    refusal and a promotion still need; `to_promote_words` says why where there is no number.
    """

    alpha: float | None = None
    fewer_bad: int | None = None
    to_refuse: Need | None = None
    to_promote: Need | None = None
    to_promote_words: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceView:
    """A verdict that was computed here, with everything it rests on.

    `value` of `needed` is the e-value of all metrics together. `alpha` and `beta` are the error
    probabilities that the policy states, `gate` whether a promotion asks for non-inferiority.
    """

    candidate: str
    verdict: str
    sentence: str
    value: float
    needed: float
    alpha: float
    beta: float
    gate: bool
    metrics: tuple[MetricRow, ...]
    uncounted: tuple[Uncountable, ...]
    silent: tuple[str, ...]
    shared: tuple[str, ...]
    change: Change


def view(weighing: Weighing) -> EvidenceView:
    """Lay out a weighing.

    Args:
        weighing: its verdict is that of its judge on its state.

    """
    judge, state, outlook = weighing.judge, weighing.state, weighing.outlook
    return EvidenceView(
        candidate=weighing.candidate,
        verdict=type(weighing.verdict).__name__,
        sentence=_sentence(weighing),
        value=total_evidence(judge, state),
        needed=needed_evidence(judge.policy),
        alpha=judge.policy.alpha,
        beta=judge.policy.beta,
        gate=_gated(weighing),
        metrics=tuple(_rows(by_metric(judge, state), weighing.sources)),
        uncounted=tuple(Uncountable(metric=name, why=why) for name, why in weighing.blind.items()),
        silent=outlook.silent if outlook else (),
        shared=outlook.shared if outlook else (),
        change=_change(weighing),
    )


def _sentence(weighing: Weighing) -> str:
    verdict, policy = weighing.verdict, weighing.judge.policy
    if isinstance(verdict, Refuse):
        return describe(verdict.finding)
    if not weighing.judge.plans:
        return "nothing can be counted, so layer 1 judges alone"
    if isinstance(verdict, NonInferior):
        return (
            "no metric is worse than what may be let through "
            f"(chance of an error at most {100 * policy.beta:.3g} %)"
        )
    return _open(weighing, policy)


def _open(weighing: Weighing, policy: Policy) -> str:
    if not policy.enabled:
        return "the evidence is off, so layer 1 judges alone"
    outlook = weighing.outlook
    if outlook and outlook.shared:
        return f"{', '.join(outlook.shared)} is bad on the stable too, so nobody is blamed"
    return "nothing is shown yet"


def _gated(weighing: Weighing) -> bool:
    return any(isinstance(plan, CountPlan) and plan.promotes for plan in weighing.judge.plans)


def _rows(found: Iterable[MetricEvidence], sources: Mapping[str, str]) -> Iterable[MetricRow]:
    for one in found:
        finding, plan = one.finding, one.plan
        counts = isinstance(plan, CountPlan)
        refuses = not isinstance(plan, CountPlan) or plan.refuses
        seen = finding if finding and (finding.canary_all or not counts) else None
        yield MetricRow(
            metric=plan.name,
            source=sources.get(metric_of(plan.name, sources), ""),
            canary=_side(seen.canary_bad, seen.canary_all, seen.canary) if seen else None,
            stable=_side(seen.stable_bad, seen.stable_all, seen.stable) if seen else None,
            times_worse=seen.effect if seen else None,
            bound=seen.bound if seen else None,
            value=one.value,
            needed=one.needed if refuses else None,
            test=seen.test if seen else "",
            dispersion=seen.dispersion if seen and counts else None,
            dispersion_known=one.known,
            refuses=refuses,
            promotes=isinstance(plan, CountPlan) and plan.promotes,
        )


def _side(bad: float, requests: float, value: float | None) -> Counts | None:
    return None if value is None else Counts(bad=bad, all=requests, value=value)


def _change(weighing: Weighing) -> Change:
    judge, state, outlook = weighing.judge, weighing.state, weighing.outlook
    if outlook is None:
        return Change(alpha=strictest_alpha(judge, state), fewer_bad=fewer_bad(judge, state))
    return Change(
        to_refuse=outlook.to_refuse,
        to_promote=outlook.to_promote,
        to_promote_words=what_promotion_needs(weighing) if _gated(weighing) else "",
    )
