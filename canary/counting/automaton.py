"""Runs a pattern over a value in time linear in the value, whatever the pattern.

Thompson's construction: all states that the text so far can have led to are followed at once
(R. Cox, https://swtch.com/~rsc/regexp/regexp1.html). What a set of states becomes with the next
character is remembered, so that values of a kind cost a look-up per character.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from canary.counting.patterns import Chain, Choice, Edge, Node, One, PatternError, Repeat, parsed

_MOST_STATES: Final = 5000
"""Of one pattern. Counted repetitions are written out, and can be nested."""
_SHORT: Final = 256
"""Characters of a value whose answer is remembered; a pod may expose values of any length."""


@dataclass(frozen=True, slots=True, eq=False)
class _Program:
    """The states of a pattern: `after` holds where each may go, a test guards the way."""

    tests: tuple[One | Edge | None, ...]
    after: tuple[tuple[int, ...], ...]
    start: int


_MATCH: Final = 0
"""The state that is reached when the pattern is done."""


class _Writer:
    """Writes states from a pattern's end to its beginning."""

    def __init__(self) -> None:
        self.tests: list[One | Edge | None] = [None]
        self.after: list[tuple[int, ...]] = [()]

    def write(self, node: Node, then: int) -> int:
        """Write the states of a part that goes on at `then`; return where it begins."""
        match node:
            case One() | Edge():
                return self._state(node, (then,))
            case Chain():
                for part in reversed(node.parts):
                    then = self.write(part, then)
                return then
            case Choice():
                return self._state(None, tuple(self.write(part, then) for part in node.parts))
            case Repeat():
                return self._repeat(node, then)

    def _repeat(self, node: Repeat, then: int) -> int:
        if node.most is None:
            loop = self._state(None, ())
            self.after[loop] = (self.write(node.part, loop), then)
            then = loop
        for _ in range((node.most or node.least) - node.least):
            then = self._state(None, (self.write(node.part, then), then))
        for _ in range(node.least):
            then = self.write(node.part, then)
        return then

    def _state(self, test: One | Edge | None, after: tuple[int, ...]) -> int:
        if len(self.tests) >= _MOST_STATES:
            raise PatternError("a regular expression repeats too much; make its counts smaller")
        self.tests.append(test)
        self.after.append(after)
        return len(self.tests) - 1


@lru_cache(maxsize=512)
def program(pattern: str) -> _Program:
    """Prepare a pattern.

    Raises:
        PatternError: it cannot be read, or it is too large.

    """
    writer = _Writer()
    start = writer.write(parsed(pattern), _MATCH)
    return _Program(tuple(writer.tests), tuple(writer.after), start)


def matches(pattern: str, value: str) -> bool:
    """Say whether a pattern matches a value as a whole.

    Raises:
        PatternError: the pattern cannot be read.

    """
    return (_remembered if len(value) <= _SHORT else _run)(pattern, value)


def _run(pattern: str, value: str) -> bool:
    prepared = program(pattern)
    states = _reached(prepared, frozenset({prepared.start}), begin=True, end=not value)
    for at, character in enumerate(value, start=1):
        states = _step(prepared, states, character, at == len(value))
        if not states:
            return False
    return _MATCH in states


@lru_cache(maxsize=8192)
def _remembered(pattern: str, value: str) -> bool:
    return _run(pattern, value)


@lru_cache(maxsize=8192)
def _step(
    prepared: _Program,
    states: frozenset[int],
    character: str,
    end: bool,  # noqa: FBT001 - positional, for the cache's sake
) -> frozenset[int]:
    moved = (
        prepared.after[state][0]
        for state in states
        if isinstance(test := prepared.tests[state], One) and test.accepts(character)
    )
    return _reached(prepared, frozenset(moved), begin=False, end=end)


def _reached(
    prepared: _Program, states: frozenset[int], *, begin: bool, end: bool
) -> frozenset[int]:
    """Add the states that can be reached without a character."""
    found, waiting = set(states), list(states)
    while waiting:
        state = waiting.pop()
        test = prepared.tests[state]
        if isinstance(test, One) or (isinstance(test, Edge) and not (end if test.end else begin)):
            continue
        new = set(prepared.after[state]) - found
        found |= new
        waiting += new
    return frozenset(found)
