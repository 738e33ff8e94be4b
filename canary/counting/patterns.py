"""Regular expressions of label matchers, run by RE2: in time linear in the value, within a memory.

They come from teams' own queries and meet values from teams' own pods. RE2's syntax is that of
Prometheus (https://github.com/google/re2/wiki/Syntax), and a pattern is put into the same words as
there: anchored at both ends, a dot matches a line break too (Prometheus 3, model/labels/regexp.go).
What no pattern of labels needs, and only costs, is refused: then nothing is derived from its query.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import re2

MOST_CHARACTERS: Final = 1024
"""Of a value that is tried; labels have a few dozen."""
_MOST_STEPS: Final = 20_000
"""Instructions of a pattern that repeats, times a value's characters: 80 microseconds at worst."""
_MOST_PLAIN_STEPS: Final = 1_000_000
"""The same of one that only has alternatives, as of the names of a run's pods."""
_REPEATS: Final = re.compile(r"[*+{]|(?<!\()\?")
_MOST_MEMORY: Final = 128 * 1024
"""Bytes of one pattern: two thirds for its program, the rest for what has been met so far."""
_KEPT: Final = 128
"""Patterns that are kept prepared, as many as the library keeps; one takes 50 microseconds."""
_MOST_GROUPS: Final = 200
"""Prometheus takes no more than 1000 inside each other, and joins patterns inside of more."""
_SHOWN: Final = 80
"""Characters of a pattern that a message quotes."""
_NAMED: Final = re.compile(r"\(\?P?<([^>]*)>")
_ONE_BYTE: Final = r"\C"
"""RE2 knows it and Prometheus does not."""
_TOO_LARGE: Final = "pattern too large"
"""How RE2 says it; the library has no other word for the kind of an error."""
_PART_ONLY: Final = re.compile(r"\\Q|\(\?P?<")
"""What reaches beyond the pattern that it stands in: names of groups, and quoting."""


class PatternError(ValueError):
    """A pattern that cannot be read; the message quotes it."""


class NoPatternError(PatternError):
    """A pattern that Prometheus does not take either; others are only too large here."""


def _options() -> Any:
    options = re2.Options()
    options.max_mem = _MOST_MEMORY
    options.log_errors = False
    # Where the groups begin and end is not asked, and only costs.
    options.never_capture = True
    return options


_OPTIONS: Final = _options()


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A pattern: `size` in instructions, and how long a value may be that it is tried on."""

    regexp: Any
    size: int
    longest: int


@lru_cache(maxsize=_KEPT)
def _prepared(pattern: str) -> _Prepared:
    names = _NAMED.findall(pattern)
    if pattern.count("(") > _MOST_GROUPS:
        raise PatternError(_said(pattern, f"it has more than {_MOST_GROUPS} groups"))
    if len(names) != len(set(names)) or _ONE_BYTE in pattern:
        raise NoPatternError(_said(pattern, "Prometheus does not take it"))
    # As it is first: a pattern that is none by itself could be one inside of other text.
    _compiled(pattern, pattern)
    regexp = _compiled(f"^(?s:{pattern})$", pattern)
    steps = _MOST_STEPS if _REPEATS.search(pattern) else _MOST_PLAIN_STEPS
    longest = min(MOST_CHARACTERS, steps // regexp.programsize)
    return _Prepared(regexp=regexp, size=regexp.programsize, longest=longest)


def _compiled(text: str, pattern: str) -> Any:
    try:
        return re2.compile(text, _OPTIONS)
    except re2.error as error:
        said = error.args[0] if error.args else ""
        why = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
        kind = PatternError if why.startswith(_TOO_LARGE) else NoPatternError
        raise kind(_said(pattern, why.partition(": ")[0])) from error
    except UnicodeEncodeError as error:
        raise NoPatternError(_said(pattern, "it is no text")) from error


def _said(pattern: str, why: str) -> str:
    shown = pattern if len(pattern) <= _SHOWN else f"{pattern[:_SHOWN]}..."
    return f"the regular expression {shown!r} cannot be read: {why}"


def check(pattern: str) -> None:
    """See that a pattern can be read.

    Raises:
        PatternError: RE2 or Prometheus would not take it, or it takes too much memory.

    """
    _prepared(pattern)


def matched(pattern: str, value: str) -> bool | None:
    """Say whether a pattern matches a value as a whole.

    Returns:
        None for a value that is too long for the pattern to be done with it at once.

    Raises:
        PatternError: the pattern cannot be read.

    """
    prepared = _prepared(pattern)
    if len(value) > prepared.longest:
        return None
    return prepared.regexp.fullmatch(value.encode("utf-8", "surrogatepass")) is not None


def size(pattern: str) -> int:
    """Return how many instructions a pattern comes to.

    Raises:
        PatternError: the pattern cannot be read.

    """
    return _prepared(pattern).size


def can_be_joined(pattern: str) -> bool:
    """Tell whether a pattern means the same as one of several alternatives."""
    return _PART_ONLY.search(pattern) is None
