"""Runs written down: at each look what was decided, done, said, stored, and when to look again.

A chronicle is kept as text beside its story; see `tests/kept.py`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from datetime import timedelta
from typing import Any

from canary.model.state import State
from canary.model.world import CanaryPresent
from canary.rules.actions import Decision, Emit, MarkTarget, SetTraffic
from canary.rules.context import Observed
from tests.fakes.world import START, World
from tests.kept import shown

MOST_LOOKS = 400
WIDTH = 80


@dataclass
class Seen(World):
    """A world of which more can be seen than it brings forth by itself."""

    of_all: dict[str, Any] = field(default_factory=dict)
    of_target: dict[str, Any] = field(default_factory=dict)
    of_canary: dict[str, Any] = field(default_factory=dict)
    of_split: dict[str, Any] = field(default_factory=dict)

    def observe(self) -> Observed:
        """Read everything, with what the story says of it."""
        seen = super().observe()
        canary = seen.canary
        if isinstance(canary, CanaryPresent):
            canary = replace(canary, **self.of_canary)
        return replace(
            seen,
            target=replace(seen.target, **self.of_target),
            split=replace(seen.split, **self.of_split),
            canary=canary,
            **self.of_all,
        )


def _shown(value: object) -> str:
    return shown(value, START)


def _difference(before: State, after: State) -> list[str]:
    said = []
    for one in fields(State):
        old, new = getattr(before, one.name), getattr(after, one.name)
        if old == new or one.name in {"reason", "message"}:
            continue
        if one.name == "evidence":
            said.append(f"    evidence of +{new.get('at', 0) - START.timestamp():g} s")
        else:
            said.append(f"    {one.name}: {_shown(new)[:WIDTH]}")
    return said


def _action(action: object) -> str:
    match action:
        case SetTraffic(traffic):
            return f"  SetTraffic({traffic})"
        case Emit(reason, message, warning):
            return f"  {'WARNING' if warning else 'event'} {reason}: {message}"
        case MarkTarget(marks, pause):
            written = ", ".join(f"{key}={_shown(value)}" for key, value in marks.items())
            return f"  MarkTarget {written} pause {pause.value}"
        case _:
            return f"  {_shown(action)}"


def told(before: State, decision: Decision) -> list[str]:
    """Return what one decision says, without the time at which it was made."""
    again = "never" if decision.requeue_after is None else f"in {decision.requeue_after}"
    return [
        f"{decision.reason or '-'}: {decision.message or '-'}",
        *(_action(action) for action in decision.actions),
        *(f"  asks {_shown(ask)}" for ask in decision.asks),
        *_difference(before, decision.state),
        f"  looks again {again}",
    ]


@dataclass
class Chronicle:
    """One story as it goes on; `world` is changed as users and the cluster would."""

    world: Seen = field(default_factory=Seen)
    lines: list[str] = field(default_factory=list)
    quiet: bool = False
    _last: list[str] = field(default_factory=list)
    _same: int = 0

    def look(self, times: int = 1) -> None:
        """Reconcile so often, each time when it is due."""
        for _ in range(times):
            self._look()

    def run(self, *, until: Callable[[], bool] = lambda: False) -> None:
        """Reconcile until it is so, or until nothing is left to do; two hours at most."""
        end = self.world.now + timedelta(hours=2)
        for _ in range(MOST_LOOKS):
            if until() or self.world.now > end or self._look():
                return

    def dies_after(self, actions: int) -> None:
        """Reconcile once, and lose the process after so many actions."""
        self.says(f"the process dies after {actions} actions")
        self.world.reconcile(crash_after=actions)
        self.world.roll()

    def comes_to(self, condition: Callable[[], bool]) -> None:
        """Reconcile until it is so, which is not what the story is about."""
        self.quiet = True
        self.run(until=condition)
        self.quiet = False
        assert condition()

    def says(self, text: str) -> None:
        """Write what the story does next."""
        self._flush()
        self.lines.append(f"* {text}")

    def text(self) -> str:
        """Return all of it."""
        self._flush()
        return "\n".join(self.lines) + "\n"

    def _look(self) -> bool:
        world = self.world
        decision = world.decide()
        found = told(world.state, decision)
        if self.quiet:
            pass
        elif found == self._last:
            self._same += 1
        else:
            self._flush()
            self.lines += [f"+{world.now - START}", *found]
            self._last = found
        world.carry_out(decision)
        world.roll()
        if world._is_done(decision):  # noqa: SLF001 - the fake's own end of a run
            return True
        world.now += max(world.next_look(decision), timedelta(milliseconds=100))
        return False

    def _flush(self) -> None:
        if self._same:
            self.lines.append(f"  (the same {self._same} times more)")
        self._last, self._same = [], 0
