"""What a decision may ask of the outside, and what has come back: asked beside, never awaited."""

from dataclasses import dataclass, field
from datetime import datetime

from canary.model.strategy import HookType, Metric


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What was read for one metric: `value` of the canary, `baseline` of the stable.

    `problem` is why there is no value, `note` what is to be known of one that there is.
    `source` is where it is from, `query` what was asked; `waits_until` is when the query finds no
    samples of the canary before any more, if it was not asked because of them.
    """

    metric: Metric
    value: float | None = None
    baseline: float | None = None
    source: str = ""
    problem: str = ""
    note: str = ""
    query: str = ""
    waits_until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnCount:
    """What a metric comes to by the run's own counters, without a question.

    `alone` is whether nothing is to be asked first: a source that sees more than the pods do.
    """

    sample: Sample
    alone: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsAsk:
    """All metrics of one check; an answer counts only for an equal question.

    `run` is the identity of the run, `step` the one it is at, and `round` says the how-manyth check
    of this step it is. The metrics in `counted` are known without a question. With `baselines` a
    miss of the stable's own excuses one of the canary's.
    """

    run: str
    step: int
    round: int
    counted: frozenset[str] = frozenset()
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
    """What a hook said; `message` is why it did not agree.

    `faulty` is whether it gave no word at all: it did not answer, or its server is at fault.
    """

    ask: HookAsk
    ok: bool
    message: str = ""
    faulty: bool = False


Answer = MetricsAnswer | HookAnswer


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """A question that is out; `queued` while its namespace has no free place for it."""

    ask: Ask
    queued: bool


@dataclass(frozen=True, slots=True)
class Unanswered:
    """No answer has come."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What is known of a target's questions: answers that have come, and what is still out."""

    answers: tuple[Answer, ...] = ()
    pending: tuple[Pending, ...] = ()

    def answer_to(self, ask: Ask) -> Answer | Unanswered:
        """Return the answer to an equal question."""
        return next((one for one in self.answers if one.ask == ask), Unanswered())

    def knows(self, ask: Ask) -> bool:
        """Tell whether a question is out or answered, rather than lost with a process."""
        return ask in {one.ask for one in (*self.answers, *self.pending)}

    def metrics_asks(self) -> tuple[MetricsAsk, ...]:
        """Return the questions about metrics, those that are answered first."""
        asks = (one.ask for one in (*self.answers, *self.pending))
        return tuple(ask for ask in asks if isinstance(ask, MetricsAsk))

    def queues(self, ask: Ask) -> bool:
        """Tell whether a question waits for a place."""
        return any(one.queued for one in self.pending if one.ask == ask)


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """What a hook said, and when that was heard; `message` is why it did not agree."""

    ok: bool
    at: datetime
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A hook's question that a run remembers, so that no death loses it or repeats it for ever.

    `since` is when it was put first, `puts` how often it was put.
    """

    ask: HookAsk
    since: datetime
    puts: int = 1
    word: Word | Unanswered = Unanswered()

    @property
    def is_out(self) -> bool:
        """Whether no answer has been heard."""
        return isinstance(self.word, Unanswered)
