"""The questions of all targets: which stand, which are out, and what has come back."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Never

from prometheus_client import CollectorRegistry

from analyzer.inquiring.carrying import Carrier, Deadlines, Ending
from analyzer.inquiring.telemetry import Kind, QuestionMetrics
from analyzer.places import Places
from analyzer.ports import Asker, HookCaller, HookInquiry, Inquiry
from canary.model.asking import Answer, Ask, Pending, Standing
from canary.model.values import Key

PER_NAMESPACE: Final = 16
"""Questions of a kind that one namespace has out at a time. An answer takes milliseconds as a rule,
so that 16 places are enough for hundreds of runs; of those that hang, 16 are enough."""
TOGETHER: Final = 256
"""Questions of a kind that all namespaces have out; the first place of each comes on top. What is
out costs a connection and some 30 kB."""


@dataclass(eq=False, slots=True)
class _Question:
    """One question that stands. `task` is None until it is taken up, `answer` until it has come."""

    inquiry: Inquiry
    task: asyncio.Task[None] | None = None
    answer: Answer | None = None
    queued: bool = False
    stands: bool = True

    @property
    def kind(self) -> Kind:
        """What is asked."""
        return Kind.HOOK if isinstance(self.inquiry, HookInquiry) else Kind.METRICS

    def give_up(self) -> None:
        """Let it stand no more; what carries it out is told to end."""
        self.stands = False
        if self.task is not None:
            self.task.cancel()


class Inquirer:
    """Carries questions out, each in a task of its own, and keeps their answers.

    Nothing is stored: a successor asks again what is not in the cluster.

    Args:
        hooks: calls hooks.
        metrics: asks for metrics.
        registry: where it counts them.
        places: by kind: how many questions a namespace has out.
        deadlines: for adapters that keep none.
        clock: seconds on a clock that never steps.

    """

    def __init__(
        self,
        hooks: HookCaller,
        metrics: Asker,
        *,
        registry: CollectorRegistry,
        places: Mapping[Kind, Places[str]] | None = None,
        deadlines: Deadlines | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._carrier = Carrier(hooks, metrics, deadlines or Deadlines())
        self._places = places or {
            kind: Places(per_owner=PER_NAMESPACE, total=TOGETHER) for kind in Kind
        }
        self._clock = clock
        self._questions: dict[Key, dict[Ask, _Question]] = {}
        self._group: asyncio.TaskGroup | None = None
        self._wake: Callable[[Key], None] = _nobody
        self._metrics = QuestionMetrics.create(
            registry, in_flight=self._in_flight, waiting=self._waiting
        )

    async def run(self, wake: Callable[[Key], None]) -> Never:
        """Carry questions out until cancelled, by which all of them are.

        Args:
            wake: called with the key of a target, once for every answer.

        """
        async with asyncio.TaskGroup() as group:
            self._group, self._wake = group, wake
            try:
                for key, questions in self._questions.items():
                    self._take_up(key, questions.values())
                await asyncio.Event().wait()
            finally:
                # Also what is answered: who leads next may have gone on without it.
                self._group, self._wake = None, _nobody
                for key in list(self._questions):
                    self.forget(key)
        raise AssertionError("nothing ends this but a cancellation")

    def standing(self, key: Key) -> Standing:
        """Return the answers that have come for a target, and the questions that are out."""
        questions = self._questions.get(key, {}).values()
        return Standing(
            answers=tuple(one.answer for one in questions if one.answer is not None),
            pending=tuple(
                Pending(ask=one.inquiry.ask, queued=one.queued)
                for one in questions
                if one.answer is None
            ),
        )

    def put(self, key: Key, inquiries: Sequence[Inquiry]) -> None:
        """Have exactly these questions stand for a target from now on; see the port.

        Until `run` takes them up they are kept.
        """
        before = self._questions.pop(key, {})
        stand: dict[Ask, _Question] = {}
        for inquiry in inquiries:
            stand.setdefault(inquiry.ask, before.get(inquiry.ask, _Question(inquiry)))
        for ask in before.keys() - stand.keys():
            before[ask].give_up()
        if stand:
            self._questions[key] = stand
            self._take_up(key, stand.values())

    def forget(self, key: Key) -> None:
        """Have no question stand for a target; one without any is a success."""
        self.put(key, ())

    def _take_up(self, key: Key, questions: Iterable[_Question]) -> None:
        if self._group is None:
            return
        for one in questions:
            if one.task is None:
                one.task = self._group.create_task(self._see_to(key, one), name=f"{one.kind} {key}")

    async def _see_to(self, key: Key, question: _Question) -> None:
        # With a free place that is over before anybody can look.
        question.queued = True
        async with self._places[question.kind].take(key.namespace):
            question.queued = False
            answer = await self._timed(question)
        if question.stands:
            question.answer = answer
            self._wake(key)

    async def _timed(self, question: _Question) -> Answer:
        started, outcome = self._clock(), Ending.CANCELLED
        try:
            answer, outcome = await self._carrier.carry_out(question.inquiry)
        finally:
            took = self._clock() - started
            self._metrics.seconds.labels(question.kind, outcome).observe(took)
        return answer

    # --- what is counted ------------------------------------------------------------------------

    def _in_flight(self, kind: Kind) -> float:
        return self._count(queued=False)[kind]

    def _waiting(self, kind: Kind) -> float:
        return self._count(queued=True)[kind]

    def _count(self, *, queued: bool) -> Counter[Kind]:
        return Counter(
            one.kind
            for questions in self._questions.values()
            for one in questions.values()
            if one.answer is None and one.task is not None and one.queued is queued
        )


def _nobody(key: Key) -> None:
    """Wake nobody: no answer comes while nothing runs."""
    del key
