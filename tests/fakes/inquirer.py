"""An `Inquirer` that asks nobody; verified by the contract tests of the real one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from analyzer.ports import Inquiry
from canary.model.asking import Answer, Ask, Pending, Standing
from canary.model.values import Key


@dataclass
class FakeInquirer:
    """Keeps what stands, and is given the answers.

    `carried_out` holds every question that was put, in order, as often as it was put; `queued` the
    asks that wait for a place.
    """

    wake: Callable[[Key], None] = lambda key: None  # noqa: ARG005
    carried_out: list[tuple[Key, Inquiry]] = field(default_factory=list)
    queued: set[Ask] = field(default_factory=set)
    _stand: dict[Key, dict[Ask, Answer | None]] = field(default_factory=dict)

    def standing(self, key: Key) -> Standing:
        """Return the answers that were given, and the questions that have none."""
        stand = self._stand.get(key, {})
        return Standing(
            answers=tuple(answer for answer in stand.values() if answer is not None),
            pending=tuple(
                Pending(ask=ask, queued=ask in self.queued)
                for ask, answer in stand.items()
                if answer is None
            ),
        )

    def put(self, key: Key, inquiries: Sequence[Inquiry]) -> None:
        """Have exactly these questions stand."""
        before = self._stand.get(key, {})
        self._stand[key] = {}
        for inquiry in inquiries:
            if inquiry.ask in self._stand[key]:
                continue
            if inquiry.ask not in before:
                self.carried_out.append((key, inquiry))
            self._stand[key][inquiry.ask] = before.get(inquiry.ask)

    def forget(self, key: Key) -> None:
        """Have no question stand."""
        self.put(key, ())

    def answer(self, key: Key, answer: Answer) -> None:
        """Have a question answered; nobody hears it where the question does not stand."""
        stand = self._stand.get(key, {})
        if answer.ask in stand and stand[answer.ask] is None:
            stand[answer.ask] = answer
            self.wake(key)
