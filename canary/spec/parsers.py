"""From a text that a person wrote to a value. What cannot be read is said with how to write it."""

import math
import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Final, TypeVar

from canary.durations import parse_duration

T = TypeVar("T")
E = TypeVar("E", bound=StrEnum)

_WHOLE: Final = re.compile(r"[0-9]{1,9}")
_SHOWN: Final = 60
"""Characters of a value that are repeated to its writer."""
_LONGEST: Final = timedelta(days=366)
_SHORTEST_INTERVAL: Final = timedelta(seconds=1)
_LONGEST_TIMEOUT: Final = timedelta(hours=1)
_MOST_RETRIES: Final = 100
_HALF: Final = 50
_LEAST_PERCENT: Final = 1e-6
_ALL: Final = 100
_LAST_PORT: Final = 65535


def text(value: str) -> str:
    """Take any text as it is."""
    return value


def duration(value: str) -> timedelta:
    """Read a duration, such as `30s`, `1m` or `1m30s`, of at most 366 days.

    Raises:
        ValueError: it is none, or longer.

    """
    try:
        found = parse_duration(value)
    except OverflowError:
        found = timedelta.max
    if found > _LONGEST:
        # Added to a moment it could leave the calendar, in the middle of a run.
        raise ValueError(f"{shown(value)} is longer than 366 days; write less, as in 24h")
    return found


def seconds(value: str) -> timedelta:
    """Read a number of seconds above 0, of at most 366 days.

    Raises:
        ValueError: it is none, or out of these bounds.

    """
    found = _float(value)
    if not 0 < found <= _LONGEST.total_seconds():
        raise ValueError(f"{shown(value)} must be a number of seconds up to 366 days, as in 600")
    return timedelta(seconds=found)


def whole_seconds(value: str) -> timedelta:
    """Read a number of seconds from 1 on, of at most 366 days and without a fraction.

    Raises:
        ValueError: it is none, or out of these bounds.

    """
    longest = int(_LONGEST.total_seconds())
    return timedelta(seconds=whole(1, longest, such_as="86400")(value))


def interval(value: str) -> timedelta:
    """Read the time between two of something: a duration of at least a second.

    Raises:
        ValueError: it is no duration, or shorter.

    """
    found = duration(value)
    if found < _SHORTEST_INTERVAL:
        raise ValueError(f"{shown(value)} is too short; the shortest is 1s")
    return found


def timeout(value: str) -> timedelta:
    """Read how long a hook may take to answer: a duration above 0, of at most an hour.

    Raises:
        ValueError: it is no duration, or outside of these bounds.

    """
    found = duration(value)
    if found <= timedelta(0):
        raise ValueError(f"{shown(value)} leaves no time for an answer; write it as 10s or 5m")
    if found > _LONGEST_TIMEOUT:
        longest = f"{_LONGEST_TIMEOUT // timedelta(minutes=1)}m"
        raise ValueError(f"{shown(value)} is longer than a hook may take; write {longest} or less")
    return found


def retries(value: str) -> int:
    """Read how many calls may follow one that had no answer.

    Raises:
        ValueError: it is no whole number from 0 to 100.

    """
    return whole(0, _MOST_RETRIES, such_as="3")(value)


def whole(least: int, most: int | None = None, *, such_as: str) -> Callable[[str], int]:
    """Return a parser of whole numbers.

    Args:
        least: smallest number that is taken.
        most: largest one, None for no bound but nine digits.
        such_as: an example for the message.

    """
    bounds = f"of at least {least}" if most is None else f"from {least} to {most}"

    def parse(value: str) -> int:
        if _WHOLE.fullmatch(value) and least <= int(value) <= (math.inf if most is None else most):
            return int(value)
        raise ValueError(f"{shown(value)} must be a whole number {bounds}, as in {such_as}")

    return parse


def number(least: float, most: float, *, such_as: str) -> Callable[[str], float]:
    """Return a parser of numbers.

    Args:
        least: smallest number that is taken.
        most: largest one; with infinity there is no bound, and infinity is no number all the same.
        such_as: an example for the message.

    """
    bounds = f"of at least {least:g}" if math.isinf(most) else f"from {least:g} to {most:g}"

    def parse(value: str) -> float:
        found = _float(value)
        if math.isfinite(found) and least <= found <= most:
            return found
        raise ValueError(f"{shown(value)} must be a number {bounds}, as in {such_as}")

    return parse


def percent(value: str) -> float:
    """Read a chance in percent as a fraction.

    Raises:
        ValueError: it is no number above 0 and below 50; or so small that no evidence meets it.

    """
    found = _float(value.removesuffix("%"))
    if not 0 < found < _HALF:  # a coin is no judge
        raise ValueError(f"{shown(value)} must be a percentage above 0 and below 50, as in 1")
    if found < _LEAST_PERCENT:
        raise ValueError(f"{shown(value)} is too small; write 0.000001 or more, as in 1")
    return found / 100


def answers(value: str) -> int:
    """Read a number of answers.

    Raises:
        ValueError: it is no whole number above 0.

    """
    return whole(1, such_as="50")(value)


def port(value: str) -> int:
    """Read a TCP port.

    Raises:
        ValueError: it is none.

    """
    return whole(1, _LAST_PORT, such_as="8080")(value)


def weights(value: str) -> tuple[int, ...]:
    """Read rising shares of the traffic in percent, with commas between them.

    Raises:
        ValueError: they are no whole numbers that rise from 1 to 100.

    """
    parts = [part.strip() for part in value.split(",")]
    found = tuple(int(part) for part in parts if _WHOLE.fullmatch(part))
    rising = list(found) == sorted(set(found)) and len(found) == len(parts)
    if not rising or found[0] < 1 or found[-1] > _ALL:
        raise ValueError(f"{shown(value)}: weights must rise from 1 to 100, as in 5,10,25,50")
    return found


def one_of(choices: Mapping[str, T]) -> Callable[[str], T]:
    """Return a parser of a few words.

    Args:
        choices: what each of them stands for.

    """

    def parse(value: str) -> T:
        if value not in choices:
            raise ValueError(f"{shown(value)} is not one of {', '.join(choices)}")
        return choices[value]

    return parse


def member(kind: type[E]) -> Callable[[str], E]:
    """Return a parser of an enumeration's values."""
    return one_of({str(each): each for each in kind})


switch: Final[Callable[[str], bool]] = one_of({"on": True, "off": False})
"""Reads on or off."""
promotion_gate: Final[Callable[[str], bool]] = one_of({"non-inferiority": True, "none": False})
"""Reads whether a promotion asks for non-inferiority."""
_truth: Final[Callable[[str], bool]] = one_of({"true": True, "false": False})


def truth(value: str) -> bool:
    """Read true or false, in capitals or not.

    Raises:
        ValueError: it is neither.

    """
    return _truth(value.lower())


def shown(value: str) -> str:
    """Quote what was written, cut where it is long, for a message to its writer."""
    return repr(value) if len(value) <= _SHOWN else f"{value[:_SHOWN]!r}..."


def _float(value: str) -> float:
    try:
        return float(value)
    except ValueError:
        return math.nan
