"""What the evidence layer has to say of one run at one moment, for the rules and for the record."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from canary.evidence.exposure import exposure
from canary.evidence.judge import Judge, JudgeState
from canary.evidence.latency import Frozen
from canary.evidence.plan import metric_of
from canary.evidence.record import dump_judge, dump_state, load_judge, load_state
from canary.evidence.verdict import Finding, Need, Outlook, Refuse, Verdict, describe

Record = dict[str, Any]
_NO_REQUEST: Final = "no request to the canary was counted yet"
_NOWHERE: Final = (
    "its counters were found nowhere yet, neither on the pods' own pages nor in the metrics server"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighing:
    """The verdict, where each metric is counted, and why the others are not.

    `sources` are by metric: where its counters are read, "" while none were found. `uncounted` are
    the metrics that layer 1 judges alone, with the reason. `frozen` are those without a limit, with
    the bounds at which the stable's own latency was held fast. `trouble` is what kept
    counters from being read last. `at` is when the last reading was made, in seconds since the
    epoch.
    """

    candidate: str
    verdict: Verdict
    judge: Judge
    state: JudgeState
    sources: Mapping[str, str] = field(default_factory=dict)
    uncounted: Mapping[str, str] = field(default_factory=dict)
    frozen: Mapping[str, Frozen] = field(default_factory=dict)
    trouble: str = ""
    at: float = 0.0

    @property
    def outlook(self) -> Outlook | None:
        """Return where an open run stands, None for one that is refused."""
        return None if isinstance(self.verdict, Refuse) else self.verdict.outlook

    @property
    def blind(self) -> Mapping[str, str]:
        """Return the metrics that the evidence has nothing to say of, each with the reason."""
        silent = self.outlook.silent if self.outlook else ()
        return {
            **{metric_of(plan, self.sources): _NO_REQUEST for plan in silent},
            **{metric: _NOWHERE for metric, source in self.sources.items() if not source},
            **self.uncounted,
        }

    def record(self) -> Record:
        """Write down everything from which the verdict can be computed again."""
        return {
            "candidate": self.candidate,
            "at": self.at,
            "sources": dict(self.sources),
            "uncounted": dict(self.uncounted),
            "blind": dict(self.blind),
            "frozen": {
                name: {"way": one.way, "bounds": dict(one.bounds)}
                for name, one in self.frozen.items()
            },
            "verdict": type(self.verdict).__name__,
            "judge": dump_judge(self.judge),
            "state": dump_state(self.state),
            **({"trouble": self.trouble} if self.trouble else {}),
        }


def recall(record: Mapping[str, Any]) -> tuple[Judge, JudgeState]:
    """Read what a run has stored: its judge and what it had seen.

    Raises:
        ValueError: the record was not written by this version, or for other plans.

    """
    try:
        judge = load_judge(record["judge"])
        state = load_state(record["state"], judge)
        judge.verdict(state)
    except (ArithmeticError, AttributeError, LookupError, TypeError) as error:
        raise ValueError(f"the stored evidence cannot be read: {error!r}") from error
    return judge, state


def why_refused(weighing: Weighing, finding: Finding) -> str:
    """Write a refusal's evidence as one sentence for status and events."""
    source = weighing.sources.get(metric_of(finding.metric, weighing.sources))
    return f"{describe(finding)}, counted from {source}" if source else describe(finding)


def what_promotion_needs(weighing: Weighing | None) -> str:
    """Say how far non-inferiority is, in requests to the canary and in time at the present rate."""
    if weighing is None or not weighing.judge.plans:
        return "no metric can be counted"
    outlook = weighing.outlook
    if outlook is None:
        return "the evidence speaks against it"
    if outlook.silent:
        return f"no request was counted yet for {', '.join(outlook.silent)}{_because(weighing)}"
    if outlook.shared:
        return f"{', '.join(outlook.shared)} is bad on the stable too"
    if outlook.to_promote is None:
        return "what was counted so far does not point to it"
    return f"{in_words(outlook.to_promote)} more, if they are like those so far"


def what_exposure_needs(
    weighing: Weighing | None, *, weight: int, growth: float, seconds: float, budget: int
) -> str:
    """Say why a larger share of the traffic does not fit an error budget; nothing if it does.

    Args:
        weighing: what was counted.
        weight: the larger share, in percent.
        growth: the requests at that share, over those that were counted lately.
        seconds: until the next decision.
        budget: in bad answers.

    """
    found = None
    if weighing is not None:
        judge, state = weighing.judge, weighing.state
        found = exposure(judge, state, growth=growth, seconds=seconds, budget=budget)
    if weighing is None or found is None:
        return "no metric counts bad answers, so the error budget cannot be kept"
    if found.cost <= budget:
        return ""
    if found.missing is None:
        return f"no request was counted yet for {found.metric}{_because(weighing)}"
    return (
        f"weight {weight} may cost {found.cost:.0f} bad answers in {_duration(seconds)} "
        f"({found.metric}), over the error budget of {budget}: {in_words(found.missing)} more are "
        "needed, if they are good"
    )


def _because(weighing: Weighing) -> str:
    return f" ({weighing.trouble})" if weighing.trouble else ""


def in_words(need: Need) -> str:
    """Write how many requests are needed, and how long they take."""
    text = f"{need.requests:.0f} requests to the canary"
    if need.seconds is None:
        return text
    return f"{text} ({_duration(need.seconds)} at the present rate)"


def _duration(seconds: float) -> str:
    minute, hour = 60, 3600
    if seconds < minute:
        return f"{seconds:.0f} s"
    return f"{seconds / minute:.0f} min" if seconds < hour else f"{seconds / hour:.1f} h"
