"""Regular expressions of label matchers, as RE2 reads them.

They come from teams' own queries and meet values from teams' own pods, and Python's `re` may take
exponential time over such a pair. So they are parsed here, and run by `automaton` in time linear
in the value. The syntax is RE2's (https://github.com/google/re2/wiki/Syntax) without word
boundaries, Unicode classes and the flags m and U, which no label needs.
"""

import re
from dataclasses import dataclass, replace
from typing import Final

MOST_REPEATS: Final = 1000
"""What RE2 allows as a count of repetitions."""
_DEEPEST: Final = 50
"""Groups inside groups; parsing is recursive."""
_LAST: Final = 0x10FFFF

Ranges = tuple[tuple[int, int], ...]
"""Code points from and to, both included."""


class PatternError(ValueError):
    """A pattern that cannot be read; the message quotes it."""


@dataclass(frozen=True, slots=True)
class One:
    """One character out of a set, or outside of it; `fold` ignores case."""

    ranges: Ranges
    outside: bool = False
    fold: bool = False

    def accepts(self, character: str) -> bool:
        """Say whether a character is one of these."""
        cases = {character, character.lower(), character.upper()} if self.fold else {character}
        codes = [ord(case) for case in cases if len(case) == 1]
        return self.outside != any(low <= c <= high for c in codes for low, high in self.ranges)


@dataclass(frozen=True, slots=True)
class Edge:
    """The beginning of the text, or its end."""

    end: bool


@dataclass(frozen=True, slots=True)
class Chain:
    """Parts one after another; without parts, the empty text."""

    parts: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several alternatives."""

    parts: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """A part `least` to `most` times; `most` is None without a limit."""

    part: "Node"
    least: int
    most: int | None


Node = One | Edge | Chain | Choice | Repeat

_DIGITS: Final = ((48, 57),)
_SPACES: Final = ((9, 10), (12, 13), (32, 32))
_WORDS: Final = ((48, 57), (65, 90), (95, 95), (97, 122))
_CLASSES: Final = {"d": _DIGITS, "s": _SPACES, "w": _WORDS}
_POSIX: Final = {
    "alnum": ((48, 57), (65, 90), (97, 122)),
    "alpha": ((65, 90), (97, 122)),
    "ascii": ((0, 127),),
    "blank": ((9, 9), (32, 32)),
    "cntrl": ((0, 31), (127, 127)),
    "digit": _DIGITS,
    "graph": ((33, 126),),
    "lower": ((97, 122),),
    "print": ((32, 126),),
    "punct": ((33, 47), (58, 64), (91, 96), (123, 126)),
    "space": ((9, 13), (32, 32)),
    "upper": ((65, 90),),
    "word": _WORDS,
    "xdigit": ((48, 57), (65, 70), (97, 102)),
}
_CONTROLS: Final = {"a": 7, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11}
_HEX: Final = re.compile(r"x(?:\{([0-9A-Fa-f]{1,6})\}|([0-9A-Fa-f]{2}))")
_COUNT: Final = re.compile(r"\{(\d{1,5})(,(\d{0,5}))?\}")
_GROUP: Final = re.compile(r"\?(?:P?<\w+>|(?P<flags>[is]*(?:-[is]+)?)(?P<close>[:)]))")
_POSIX_CLASS: Final = re.compile(r"\[:(\^?)(\w+):\]")
_SIMPLE: Final = {"*": (0, None), "+": (1, None), "?": (0, 1)}


@dataclass(frozen=True, slots=True)
class _Flags:
    fold: bool = False
    newline: bool = True
    """Whether a dot matches a line break, as in the matchers of Prometheus 3."""


class _Reader:
    """Reads one pattern from left to right."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._at = 0
        self._depth = 0

    def whole(self) -> Node:
        node = self._alternatives(_Flags())
        if self._at < len(self._pattern):
            raise self._error("a ) has no (")
        return node

    def _alternatives(self, flags: _Flags) -> Node:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise self._error(f"more than {_DEEPEST} groups are inside each other")
        parts: list[Node] = []
        sequence: list[Node] = []
        while self._at < len(self._pattern) and not self._sees(")"):
            if self._takes("|"):
                parts.append(Chain(tuple(sequence)))
                sequence = []
                continue
            if flagged := self._flags(flags):
                flags = flagged
                continue
            sequence.append(self._repeated(self._atom(flags)))
        self._depth -= 1
        parts.append(Chain(tuple(sequence)))
        return parts[0] if len(parts) == 1 else Choice(tuple(parts))

    def _flags(self, flags: _Flags) -> _Flags | None:
        """Read `(?i)`, which holds until its group ends."""
        found = _GROUP.match(self._pattern, self._at + 1) if self._sees("(") else None
        if found is None or found["close"] != ")":
            return None
        self._at = found.end()
        return _with(flags, found["flags"])

    def _atom(self, flags: _Flags) -> Node:
        character = self._next()
        match character:
            case "(":
                return self._group(flags)
            case "[":
                return self._class(flags)
            case "^" | "$":
                return Edge(end=character == "$")
            case ".":
                return One(() if flags.newline else ((10, 10),), outside=True)
            case "\\":
                return self._escaped(flags)
            case "*" | "+" | "?":
                raise self._error(f"{character} has nothing to repeat")
            case _:
                return One(_just(character), fold=flags.fold)

    def _group(self, flags: _Flags) -> Node:
        if self._sees("?"):
            found = _GROUP.match(self._pattern, self._at)
            if found is None:
                raise self._error("a group with (? is not supported")
            self._at = found.end()
            flags = _with(flags, found["flags"] or "")
        node = self._alternatives(flags)
        if not self._takes(")"):
            raise self._error("a ( is not closed")
        return node

    def _repeated(self, node: Node) -> Node:
        least, most = self._count()
        if (least, most) == (1, 1):
            return node
        self._takes("?")  # a lazy repetition matches the same texts as a whole
        if self._count() != (1, 1):
            raise self._error("a repetition is repeated")
        return Repeat(node, least, most)

    def _count(self) -> tuple[int, int | None]:
        for sign, count in _SIMPLE.items():
            if self._takes(sign):
                return count
        found = _COUNT.match(self._pattern, self._at)
        if found is None:
            return 1, 1
        self._at = found.end()
        least = int(found[1])
        most = least if found[2] is None else int(found[3]) if found[3] else None
        if max(least, most or 0) > MOST_REPEATS or (most is not None and most < least):
            raise self._error(f"{found[0]} is no count of repetitions")
        return least, most

    def _escaped(self, flags: _Flags) -> Node:
        if self._pattern[self._at : self._at + 1] in ("A", "z"):
            return Edge(end=self._next() == "z")
        return One(self._escape(), fold=flags.fold)

    def _escape(self) -> Ranges:
        """Read what follows a backslash, where one character or class is meant."""
        if found := _HEX.match(self._pattern, self._at):
            self._at = found.end()
            code = int(found[1] or found[2], 16)
            return ((min(code, _LAST), min(code, _LAST)),)
        character = self._next()
        if character in _CLASSES:
            return _CLASSES[character]
        if character.lower() in _CLASSES:
            return _without(_CLASSES[character.lower()])
        if character in _CONTROLS:
            return ((_CONTROLS[character], _CONTROLS[character]),)
        if character.isalnum() and character.isascii():
            raise self._error(f"\\{character} is not supported")
        return _just(character)

    def _class(self, flags: _Flags) -> Node:
        outside = self._takes("^")
        ranges: list[tuple[int, int]] = []
        first = True
        while first or not self._takes("]"):
            ranges += self._members()
            first = False
        return One(tuple(ranges), outside=outside, fold=flags.fold)

    def _members(self) -> Ranges:
        if found := _POSIX_CLASS.match(self._pattern, self._at):
            if found[2] not in _POSIX:
                raise self._error(f"{found[0]} is not known")
            self._at = found.end()
            return _without(_POSIX[found[2]]) if found[1] else _POSIX[found[2]]
        low = self._member()
        behind = self._pattern[self._at : self._at + 2]
        if not behind.startswith("-") or behind == "-]":
            return low
        self._next()
        high = self._member()
        ends = (low[0][0], high[0][0])
        if len(low) > 1 or len(high) > 1 or ends[0] > ends[1]:
            raise self._error("a range in [] does not rise")
        return (ends,)

    def _member(self) -> Ranges:
        character = self._next()
        return self._escape() if character == "\\" else _just(character)

    def _sees(self, text: str) -> bool:
        return self._pattern.startswith(text, self._at)

    def _takes(self, text: str) -> bool:
        seen = self._sees(text)
        self._at += len(text) if seen else 0
        return seen

    def _next(self) -> str:
        if self._at >= len(self._pattern):
            raise self._error("it ends too early")
        self._at += 1
        return self._pattern[self._at - 1]

    def _error(self, reason: str) -> PatternError:
        return PatternError(f"the regular expression {self._pattern!r} cannot be read: {reason}")


def parsed(pattern: str) -> Node:
    """Parse a pattern.

    Raises:
        PatternError: RE2 would not take it, or it uses what is not supported here.

    """
    return _Reader(pattern).whole()


def _just(character: str) -> Ranges:
    return ((ord(character), ord(character)),)


def _without(ranges: Ranges) -> Ranges:
    """Return all code points outside of rising ranges."""
    starts = (0, *(high + 1 for _, high in ranges))
    ends = (*(low - 1 for low, _ in ranges), _LAST)
    return tuple((low, high) for low, high in zip(starts, ends, strict=True) if low <= high)


def _with(flags: _Flags, written: str) -> _Flags:
    on, _, off = written.partition("-")
    return replace(
        flags,
        fold=(flags.fold or "i" in on) and "i" not in off,
        newline=(flags.newline or "s" in on) and "s" not in off,
    )
