"""A past window, judged scrape by scrape as a run would have been."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from functools import partial
from typing import Final

from canary.counting.series import Series, may_be_in, pod_of
from canary.evidence.counted import CountEvidence
from canary.evidence.counters import Arm
from canary.evidence.policy import Policy
from canary.evidence.verdict import NonInferior, Refuse
from canary.measuring.countable import Comparable, Countable, Place, Uncountable
from canary.measuring.pods import ArmPod
from canary.measuring.run import Run
from canary.measuring.settling import plays_a_part
from canary.measuring.watch import Watch
from canary.model.names import canary_name
from canary.model.values import Key
from kubectl_headgate.candidate import Candidate
from kubectl_headgate.evidence import EvidenceView, view
from kubectl_headgate.faults import Unreadable
from kubectl_headgate.history import Answer, Samples, Window
from kubectl_headgate.naming import Sides
from kubectl_headgate.scope import Scope, scope_of
from kubectl_headgate.traces import Trace, scrape_interval, traced

_LONG_AGO: Final = 3600.0
"""Seconds by which a pod that is there from the first is older than the window: no warm-up is."""


class ReplayOutcome(StrEnum):
    """What the evidence layer would have done by the end of the window."""

    REFUSED = "refused"
    PASSED = "passed"
    UNDECIDED = "undecided"
    NOT_REFUSED = "not-refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is to be judged: as in a run, but by policies that may only be tried."""

    key: Key
    policy: Policy
    metrics: tuple[Countable, ...]
    scalars: tuple[Comparable, ...]
    uncounted: tuple[Uncountable, ...]
    sides: Sides
    window: Window
    candidate: Candidate = field(default_factory=Candidate)
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """How a window would have been judged.

    `decided` is when it was refused, or from when on it passed; `seconds` is that time since the
    first canary request. Both are None where nothing was decided.
    """

    namespace: str
    target: str
    start: datetime
    end: datetime
    step: float
    canary_pods: tuple[str, ...]
    stable_pods: tuple[str, ...]
    first_request: datetime
    outcome: ReplayOutcome
    decided: datetime | None
    seconds: float | None
    evidence: EvidenceView
    remarks: tuple[str, ...]


def replay(
    question: Question, answers: Sequence[Answer], samples: Sequence[Samples] = ()
) -> Replay:
    """Judge a window.

    Args:
        question: what is judged, and how.
        answers: the counters of the window.
        samples: the values in it of metrics that are a number of every pod.

    Raises:
        Unreadable: there is nothing to judge in it.

    """
    everything = _everything(answers, samples)
    scope = _scope(question, everything)
    question = replace(question, sides=scope.sides)
    kept = [_kept(answer, question, scope) for answer in answers]
    samples = [_in_time(one, scope) for one in samples]
    traces, values = _traces(question, kept), _values(question, samples)
    samples = [_own(one, values) for one in samples]
    first = _first_request(question, traces, values, scope)
    interval = scrape_interval(everything, question.window.step.total_seconds())
    run = _start(question, [*traces, *values], interval)
    run.pods = tuple(_pods(question, everything))
    decided = _judge(run, kept, samples)
    weighing = run.weighing
    if weighing is None:
        raise _nothing(question, "no scrape has the canary", scope)
    found = view(weighing)
    if not _has_judged(run):
        why = "the counters of the canary and the stable are never there together for long enough"
        raise _nothing(question, why, scope)
    outcome = _outcome(run, found)
    when = decided if outcome in {ReplayOutcome.REFUSED, ReplayOutcome.PASSED} else None
    return Replay(
        namespace=question.key.namespace,
        target=question.key.name,
        start=question.window.start,
        end=question.window.end,
        step=question.window.step.total_seconds(),
        canary_pods=_names(run, Arm.CANARY),
        stable_pods=_names(run, Arm.STABLE),
        first_request=_moment(first),
        outcome=outcome,
        decided=None if when is None else _moment(when),
        seconds=None if when is None else when - first,
        evidence=found,
        remarks=(*question.remarks, *_remarks(question, run, scope)),
    )


def _everything(answers: Iterable[Answer], samples: Iterable[Samples]) -> tuple[Trace, ...]:
    """Return all series of the window, whoever they are of."""
    valued = [Answer(frozenset(), one.read) for one in samples]
    return traced([*answers, *valued], lambda _: None)


def _scope(question: Question, everything: Iterable[Trace]) -> Scope:
    namespace, end = question.key.namespace, question.window.end.timestamp()
    return scope_of(everything, question.sides, question.candidate, namespace, end)


def _has_judged(run: Run) -> bool:
    """Tell whether any metric had both sides at one moment."""
    return any(
        one.strata if isinstance(one, CountEvidence) else one.samples for one in run.state.metrics
    )


def _judge(run: Run, answers: Sequence[Answer], samples: Sequence[Samples]) -> float | None:
    """Feed every scrape until a refusal; return since when the last verdict has stood."""
    since = None
    times = {time for answer in answers for time in answer.scrapes}
    times |= {time for one in samples for side in (one.canary, one.stable) for time in side}
    for time in sorted(times):
        if time < run.watch.began:
            continue
        for answer in answers:
            run.read_server(answer.scrapes.get(time, ()), answer.metrics, time)
        for one in samples:
            _sample(run, one, time)
        if run.judge_now():
            since = time
        if run.weighing is not None and isinstance(run.weighing.verdict, Refuse):
            break
    return since


def _sample(run: Run, one: Samples, time: float) -> None:
    """Take a sample if it is far enough from the one before."""
    before = run.sampled.get(one.scalar.plan.name)
    if before is None or time >= before + run.spacing(one.scalar):
        run.read_scalar(one.scalar, one.canary.get(time, ()), one.stable.get(time, ()), time)


def _outcome(run: Run, found: EvidenceView) -> ReplayOutcome:
    verdict = run.weighing.verdict if run.weighing else None
    if isinstance(verdict, Refuse):
        return ReplayOutcome.REFUSED
    if isinstance(verdict, NonInferior):
        return ReplayOutcome.PASSED
    return ReplayOutcome.UNDECIDED if found.gate else ReplayOutcome.NOT_REFUSED


def _start(question: Question, traces: Sequence[Trace], interval: float) -> Run:
    """Begin with the canary's first scrape; what the stable counted before is not compared."""
    began = min(trace.first for trace in traces if trace.arm is Arm.CANARY)
    watch = Watch(
        key=question.key,
        candidate=question.sides.revision or "canary",
        stable=question.sides.against or "stable",
        began=began,
        policy=question.policy,
        metrics=question.metrics,
        scalars=question.scalars,
        uncounted=question.uncounted,
        selector="",
        revisions=(),
        record={},
    )
    return Run.start(watch, began, interval)


def _pods(question: Question, traces: Iterable[Trace]) -> Iterator[ArmPod]:
    """Make the pods of the time from what they left behind: they are as old as their series."""
    seen: dict[str, float] = {}
    for trace in traces:
        if trace.pod and may_be_in(trace.labels, question.key.namespace):
            seen[trace.pod] = min(trace.first, seen.get(trace.pod, trace.first))
    begins = question.window.start.timestamp()
    for name, first in seen.items():
        arm = question.sides.arm(name)
        if arm is not None:
            early = first - begins < question.window.step.total_seconds()
            yield ArmPod(name=name, arm=arm, born=begins - _LONG_AGO if early else first, url=None)


def _kept(answer: Answer, question: Question, scope: Scope) -> Answer:
    """Leave out other times, and pods of other versions, which would be taken for a gateway's."""
    return Answer(
        answer.metrics,
        {
            time: tuple(one for one in series if _concerns(question, one))
            for time, series in answer.scrapes.items()
            if scope.holds(time)
        },
    )


def _in_time(one: Samples, scope: Scope) -> Samples:
    """Leave out the values of other times."""

    def kept(values: Mapping[float, Sequence[Series]]) -> dict[float, Sequence[Series]]:
        return {time: found for time, found in values.items() if scope.holds(time)}

    return replace(one, read=kept(one.read), canary=kept(one.canary), stable=kept(one.stable))


def _own(one: Samples, values: Iterable[Trace]) -> Samples:
    """Leave out pods of like names in other namespaces: only what was read says where they are."""
    pods = {trace.pod for trace in values if trace.arm is not None}

    def own(values: Mapping[float, Sequence[Series]]) -> dict[float, list[Series]]:
        return {
            time: [series for series in found if pod_of(series.labels) in pods]
            for time, found in values.items()
        }

    return replace(one, canary=own(one.canary), stable=own(one.stable))


def _arm(question: Question, series: Series) -> Arm | None:
    """Return the side that a series' pod is on, None for a pod of another workload or namespace."""
    if not may_be_in(series.labels, question.key.namespace):
        return None
    return question.sides.arm(pod_of(series.labels))


def _concerns(question: Question, series: Series) -> bool:
    sides, pod = question.sides, pod_of(series.labels)
    if sides.arm(pod) is not None:
        return _arm(question, series) is not None
    # A gateway knows Services, not versions: by revision it has nothing to say.
    return not sides.revision and not pod.startswith(f"{sides.target}-")


def _traces(question: Question, answers: Sequence[Answer]) -> tuple[Trace, ...]:
    ways = [way for one in question.metrics for way in one.ways if way.place is Place.SERVER]

    def arm(series: Series) -> Arm | None:
        """Return the side that a series counts for: its pod's, else that whose query selects it."""
        if (found := _arm(question, series)) is not None:
            return found
        ours = any(plays_a_part(way.canary, series.labels, on_page=False) for way in ways)
        theirs = any(plays_a_part(way.stable, series.labels, on_page=False) for way in ways)
        if ours == theirs:
            return None
        return Arm.CANARY if ours else Arm.STABLE

    return traced(answers, arm)


def _values(question: Question, samples: Iterable[Samples]) -> tuple[Trace, ...]:
    answers = [Answer(frozenset(), one.read) for one in samples]
    return traced(answers, partial(_arm, question))


def _first_request(
    question: Question, traces: Sequence[Trace], values: Sequence[Trace], scope: Scope
) -> float:
    """Return when the canary's counters were first seen to have counted something.

    Where none is counted, it is when it first had a value.

    Raises:
        Unreadable: there are none, or they stand still.

    """
    if not traces and not values:
        raise _nothing(question, "the metrics server has none of its metrics", scope)
    canary = [trace for trace in traces if trace.arm is Arm.CANARY]
    valued = [trace.first for trace in values if trace.arm is Arm.CANARY]
    if not canary and not valued:
        raise _nothing(question, "it had no canary", scope)
    begins = min((trace.first for trace in traces), default=0.0)
    moved = [time for trace in canary if (time := trace.first_growth(begins)) is not None]
    if not moved and not valued:
        raise _nothing(question, "its canary served no request", scope)
    return min(moved or valued)


def _nothing(question: Question, why: str, scope: Scope) -> Unreadable:
    window, sides = question.window, scope.sides
    when = f"between {window.start.isoformat()} and {window.end.isoformat()}"
    judged = sides.revision or sides.canary
    pods = (
        f"pods with {judged} in their names"
        if judged
        else f"pods named {canary_name(question.key.name)}-..."
    )
    others = "".join(f". {one[0].upper()}{one[1:]}" for one in _left_out(scope))
    return Unreadable(
        f"there is nothing to judge for {question.key.name} {when}: {why}. Choose a window with "
        "--from and --to, or --last, and a --step as short as the server's scrape interval; the "
        f"canary's are {pods}, others are chosen by --revision{others}"
    )


def _remarks(question: Question, run: Run, scope: Scope) -> Iterable[str]:
    if run.watch.began <= question.window.start.timestamp():
        yield "the canary served already when the window began; it is counted from there"
    if scope.instead:
        yield "the run on record has no pods in the window, so the one before it is judged"
    yield from _left_out(scope)
    yield "layer 1 (thresholds every interval) is not replayed"


def _left_out(scope: Scope) -> Iterable[str]:
    """Name the other candidates of the window, which have pods and a Service of the same name."""
    if scope.others:
        named = ", ".join(f"{life.hash} from {_clock(life.first)}" for life in scope.others)
        yield f"other candidates of the window are left out: {named}; judge one by --revision"


def _clock(seconds: float) -> str:
    return _moment(seconds).strftime("%H:%M:%SZ")


def _names(run: Run, arm: Arm) -> tuple[str, ...]:
    sides: Mapping[str, Arm] = {
        **{pod.name: pod.arm for pod in run.pods},
        **{name: pod.arm for name, pod in run.sides.items()},
    }
    return tuple(sorted(name for name, one in sides.items() if one is arm))


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
