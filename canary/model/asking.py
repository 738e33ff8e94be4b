"""What a decision may ask of the outside, and what has come back: asked beside, never awaited."""

from dataclasses import dataclass, field

from canary.model.strategy import HookType, Metric


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What was read for one metric: `value` of the canary, `baseline` of the stable."""

    metric: Metric
    value: float | None = None
    baseline: float | None = None
    source: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsAsk:
    """All metrics of one check; an answer counts only for an equal question.

    `run` is the identity of the run, `step` the one it is at, and `round` says the how-manyth check
    of this step it is. With `baselines` a miss of the stable's own excuses one of the canary's.
    """

    run: str
    step: int
    round: int
    baselines: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class HookAsk:
    """One call of one hook; an answer counts only for an equal question.

    `hook` is its name in the Canary; the rest is as in `MetricsAsk`.
    """

    run: str
    step: int
    round: int
    hook: str
    type: HookType


Ask = MetricsAsk | HookAsk


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsAnswer:
    """What the metrics of one check came to."""

    ask: MetricsAsk
    samples: tuple[Sample, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HookAnswer:
    """What a hook said; `message` is why it did not agree."""

    ask: HookAsk
    ok: bool
    message: str = ""


Answer = MetricsAnswer | HookAnswer


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """A question that is out; `queued` while its namespace has no free place for it."""

    ask: Ask
    queued: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What is known of a target's questions: answers that have come, and what is still out."""

    answers: tuple[Answer, ...] = ()
    pending: tuple[Pending, ...] = ()
