"""What the judge says, with every number that a reader needs to check it."""

from dataclasses import dataclass

from canary.evidence.policy import Inconclusive


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The evidence of one metric against the candidate.

    `test` is the one that speaks loudest, `bound` what it allows: a rate for metrics of counts,
    None for ranks. `effect` is how many times worse the canary is than the stable, or than the
    bound where there is no stable to speak of. `error_probability` bounds the chance to see as much
    evidence or more against a healthy candidate, at any time of its run. The counts of a scalar
    metric are 0; `canary` and `stable` are rates, or the last values of a scalar.
    """

    metric: str
    test: str
    bound: float | None
    effect: float | None
    error_probability: float
    dispersion: float = 1.0
    canary: float = 0.0
    stable: float | None = None
    canary_bad: float = 0.0
    canary_all: float = 0.0
    stable_bad: float = 0.0
    stable_all: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """How many more canary requests a metric needs if they are like those so far.

    `seconds` is how long they take; None while nothing is known about the present rate of requests.
    """

    metric: str
    requests: float
    seconds: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """Where an open run stands.

    `leading` is the metric that speaks most against the candidate, `to_refuse` what a refusal still
    takes if things go on so, None where they do not point to one; `to_promote` is the same for the
    metric that is furthest from being shown non-inferior. `silent` metrics have had no request,
    `shared` ones look bad on the stable too, which is nothing to blame the candidate for.
    """

    leading: Finding | None = None
    to_refuse: Need | None = None
    to_promote: Need | None = None
    silent: tuple[str, ...] = ()
    shared: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Refuse:
    """The candidate is worse than it may be."""

    finding: Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class NonInferior:
    """Every metric that has a say is shown to be no worse than what may be let through."""

    error_probability: float
    outlook: Outlook


@dataclass(frozen=True, slots=True, kw_only=True)
class Continue:
    """Nothing is shown yet."""

    outlook: Outlook


@dataclass(frozen=True, slots=True, kw_only=True)
class Undecided:
    """Nothing was shown until the deadline; the policy says what follows."""

    outlook: Outlook
    then: Inconclusive


Verdict = Refuse | NonInferior | Continue | Undecided


def describe(finding: Finding) -> str:
    """Write a finding as one sentence: the metric, its value, the bound, by how much."""
    chance = f"chance of an error at most {_percent(finding.error_probability)}"
    if not finding.canary_all:
        against = "" if finding.stable is None else f" against {finding.stable:.4g} of the stable"
        return f"{finding.metric} {finding.canary:.4g}{against} ({finding.test} test, {chance})"
    text = f"{finding.metric} {_missed(finding)}: "
    text += f"{_share(finding.canary_bad, finding.canary_all)} of the canary's requests were bad"
    if finding.stable_all:
        text += f", {_share(finding.stable_bad, finding.stable_all)} of the stable's"
    effect = "" if finding.effect is None else f"{finding.effect:.1f} times worse, "
    return f"{text} ({effect}{finding.test} test, dispersion {finding.dispersion:.1f}, {chance})"


def _missed(finding: Finding) -> str:
    """Hold the value against the bound, in percent of requests."""
    value = _percent(finding.canary)
    if finding.bound is None or finding.canary <= finding.bound:
        return value
    by = _percent(finding.canary - finding.bound)
    return f"{value} > {_percent(finding.bound)}, above its bound by {by}"


def _share(bad: float, requests: float) -> str:
    return f"{bad:.0f} of {requests:.0f} ({_percent(bad / requests)})"


def _percent(rate: float) -> str:
    return f"{100 * rate:.2g} %" if rate < 1 else f"{100 * rate:.0f} %"
