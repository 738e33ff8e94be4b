"""What a query may come to, told from its text before anything of it is parsed.

The parser goes as deep as a query nests, on the stack of the thread, and prepares each of its
regular expressions in a way of its own, which takes more time and memory the more they repeat. All
that follows takes as long as there are selectors and conditions. Teams write queries.
"""

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Final

from canary.counting.errors import NotCounts, NotPromql
from canary.counting.patterns import NoPatternError, PatternError, size

MOST_CHARACTERS: Final = 4096
"""Of a query; those in use have a few hundred."""
MOST_OPERATORS: Final = 200
"""And parentheses."""
MOST_JOINED: Final = 60
"""Operators between values: the parser takes the third power of their number."""
MOST_DEEP: Final = 30
"""Brackets inside each other."""
MOST_SELECTORS: Final = 40
MOST_CONDITIONS: Final = 80
MOST_INSTRUCTIONS: Final = 10_000
"""Of all regular expressions together, as RE2 counts them."""
_MOST_EXPONENT: Final = 20
"""Of a number: it is written out with as many digits."""

_TOKEN: Final = re.compile(
    r"""
    (?P<string>'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|`[^`]*`)
    |(?P<comment>\#[^\n]*)
    |(?P<match>=~|!~)
    |(?P<open>[(\[{])
    |(?P<close>[)\]}])
    |(?P<condition>(?:!=|=)(?!=))
    |(?P<number>(?<![\w.])[\d.]+(?:[eE][+-]?(?P<exponent>\d+))?)
    |(?P<word>(?<![\w.])[a-zA-Z_:][\w:.]*)
    |(?P<operator>==|[-+*/%^<>!=])
    """,
    re.VERBOSE | re.DOTALL,
)
_WORDY: Final = frozenset({"and", "or", "unless", "atan2"})
_LISTING: Final = frozenset({"by", "without", "on", "ignoring", "group_left", "group_right"})
"""What a list of labels follows."""
_KEYWORDS: Final = _WORDY | _LISTING | {"bool", "offset", "inf", "nan"}
_NO_VALUE: Final = frozenset({"operator", "open"})
"""Behind them a sign is one, and joins nothing."""
_ESCAPE: Final = re.compile(r"\\(.)", re.DOTALL)
_PLAIN: Final = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_ITSELF: Final = frozenset("\\\"'`")


def check(query: str) -> None:
    """See that a query can be read within bounds.

    Args:
        query: PromQL, rendered, of any length.

    Raises:
        NotCounts: it has too much of something.
        NotPromql: one of its regular expressions is none.

    """
    if len(query) > MOST_CHARACTERS:
        raise NotCounts(f"it has more than {MOST_CHARACTERS} characters")
    tokens = [one for one in _TOKEN.finditer(query) if one.lastgroup != "comment"]
    _check_depth(tokens)
    _check_numbers(tokens)
    conditions = sum(one.lastgroup in ("match", "condition") for one in tokens)
    _within(conditions, MOST_CONDITIONS, "conditions")
    _within(_selectors(tokens), MOST_SELECTORS, "selectors")
    try:
        _within(sum(map(size, _patterns(tokens))), MOST_INSTRUCTIONS, "steps in its patterns")
    except NoPatternError as error:
        raise NotPromql(str(error)) from error
    except PatternError as error:
        raise NotCounts(str(error)) from error


def _within(found: int, most: int, what: str) -> None:
    if found > most:
        raise NotCounts(f"it has more than {most} {what}")


def _check_depth(tokens: list[re.Match[str]]) -> None:
    depth = deepest = operators = 0
    for one in tokens:
        match one.lastgroup:
            case "open":
                depth += 1
                deepest = max(deepest, depth)
                operators += 1
            case "close":
                depth -= 1
            case "operator" | "match" | "condition":
                operators += 1
            case "word":
                operators += one.group().lower() in _WORDY
            case _:
                pass
    _within(operators, MOST_OPERATORS, "operators and parentheses")
    _within(deepest, MOST_DEEP, "brackets inside each other")
    # Each of a chain is inside of the one before it.
    joined = sum(
        (one.lastgroup == "operator" and before.lastgroup not in _NO_VALUE)
        or (one.lastgroup == "word" and one.group().lower() in _WORDY)
        for before, one in pairwise(tokens)
    )
    _within(joined, MOST_JOINED, "operators")
    _within(sum(one.group() == "^" for one in tokens), MOST_DEEP, "powers")


def _check_numbers(tokens: list[re.Match[str]]) -> None:
    for one in tokens:
        exponent = one["exponent"] or ""
        if len(exponent) > len(str(_MOST_EXPONENT)) or int(exponent or 0) > _MOST_EXPONENT:
            raise NotCounts(f"it calculates with {one.group()[:20]}")


def _selectors(tokens: list[re.Match[str]]) -> int:
    """Count what selects series: braces, and names that stand for nothing else."""
    found, closes = 0, ""
    behind = [*(one.group() for one in tokens), ""][1:]
    for one, after in zip(tokens, behind, strict=False):
        text = one.group()
        if closes:
            closes = "" if text == closes else closes
        elif text == "{":
            found, closes = found + 1, "}"
        elif one.lastgroup == "word" and text.lower() in _LISTING and after == "(":
            closes = ")"
        elif one.lastgroup == "word" and after.lower() not in {"(", "{", "by", "without"}:
            found += text.lower() not in _KEYWORDS
    return found


def _patterns(tokens: list[re.Match[str]]) -> Iterator[str]:
    for one, after in pairwise(tokens):
        if one.lastgroup == "match" and after.lastgroup == "string":
            yield _read(after.group()[1:-1])


def _read(text: str) -> str:
    """Return what is inside of a string, as the parser reads it.

    Raises:
        NotCounts: it is written in numbers of characters, behind which anything may hide.

    """

    def meant(escape: re.Match[str]) -> str:
        character = escape[1]
        if character in _ITSELF:
            return character
        if character not in _PLAIN:
            raise NotCounts(f"a pattern is written with \\{character}; write what it stands for")
        return _PLAIN[character]

    return _ESCAPE.sub(meant, text)
