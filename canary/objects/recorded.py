"""What may stand in a record of a run, which the API server stores whatever it holds.

It may be of another release, of a copy that somebody has saved and changed, or a person's. What is
not as this release writes it counts as not written: a run that forgets a part of itself goes on by
the rules, and one that cannot be read would hold its target for ever.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from canary.model.values import Json, from_text

_MOST: Final = 2**31 - 1
_YEARS: Final = range(1971, 9000)
"""Beyond them a moment leaves the calendar where something is added to it."""


def text(value: object, otherwise: str = "") -> str:
    """Return a text, or another one where it is none, or empty."""
    return value if isinstance(value, str) and value else otherwise


def whole(value: object, otherwise: int = 0, *, least: int = 0, most: int = _MOST) -> int:
    """Return a whole number, or another one where it is none or out of bounds."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return otherwise
    return int(value) if least <= value <= most else otherwise


def number(value: object) -> float | None:
    """Return a number, None where it is none."""
    return None if isinstance(value, bool) or not isinstance(value, int | float) else value


def moment(value: object) -> datetime | None:
    """Return a moment with its offset, None where there is none that can be calculated with."""
    try:
        found = datetime.fromisoformat(text(value))
    except ValueError:
        return None
    return found if found.tzinfo is not None and found.year in _YEARS else None


def mapping(value: object) -> Json:
    """Return a mapping, an empty one where it is none."""
    return value if isinstance(value, dict) else {}


def mapping_in_text(value: object) -> Json:
    """Return a mapping that is stored as text, an empty one where it cannot be read."""
    try:
        return mapping(from_text(text(value)))
    except ValueError:
        return {}


def mappings(value: object) -> Iterator[Mapping[str, Any]]:
    """Return the mappings of a list."""
    yield from (one for one in _listed(value) if isinstance(one, dict))


def texts(value: object) -> tuple[str, ...]:
    """Return the texts of a list."""
    return tuple(one for one in _listed(value) if isinstance(one, str))


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
