"""Which commands a target's annotations give: one whose value says no gives none."""

from collections.abc import Mapping
from typing import Final

from canary.contract import COMMANDS, Command

_NO: Final = frozenset({"false", "off", "no"})
_VALUED: Final = frozenset({Command.PAUSE, Command.APPROVE})
"""Commands whose value says what is asked for: a pause that says no goes on."""


def says_no(value: str) -> bool:
    """Tell whether a value is one by which people say that they do not want something.

    Args:
        value: of an annotation.

    """
    return value.strip().lower() in _NO


def given(notes: Mapping[str, str]) -> frozenset[Command]:
    """Return the commands that stand in a target's annotations.

    A chart may write each of them with `false` as its default; that is not to promote anything.

    Args:
        notes: the annotations, also those of other domains.

    """
    return frozenset(
        it for it in COMMANDS if it in notes and (it in _VALUED or not says_no(notes[it]))
    )


def not_asked_for(notes: Mapping[str, str]) -> tuple[str, ...]:
    """Say which commands are written and ask for nothing, as their authors may believe they do.

    Args:
        notes: the annotations, also those of other domains.

    """
    silent = sorted(COMMANDS & notes.keys() - given(notes))
    return tuple(f"{it}={notes[it]} asks for nothing; what does is {it}=now" for it in silent)
