"""Annotations of Headgate's domain that nobody reads: typos, and those that belong elsewhere.

A key that is passed over in silence leaves its author in the belief that it holds.
"""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

from canary.contract import (
    CANARY_ANNOTATIONS,
    CANDIDATE,
    COMMANDS,
    DOMAIN,
    INTERNAL_ANNOTATIONS,
    OPT_OUT,
)

ON_TARGETS: Final = frozenset({*INTERNAL_ANNOTATIONS, *map(str, COMMANDS), OPT_OUT, CANDIDATE})
ON_CANARIES: Final = frozenset(CANARY_ANNOTATIONS)
_MEANT: Final = (*sorted(map(str, COMMANDS)), OPT_OUT, *CANARY_ANNOTATIONS)
"""What a person can have meant: nobody but Headgate writes the rest."""


def unknown_on_target(keys: Iterable[str]) -> tuple[str, ...]:
    """Say which of a Deployment's annotations are read by nobody, and what may be meant.

    Args:
        keys: all of its annotations, also those of other domains.

    """
    return _unknown(keys, ON_TARGETS)


def unknown_on_canary(keys: Iterable[str]) -> tuple[str, ...]:
    """Say which of a Canary's annotations are read by nobody, and what may be meant.

    Args:
        keys: all of its annotations, also those of other domains.

    """
    return _unknown(keys, ON_CANARIES)


def _unknown(keys: Iterable[str], known: frozenset[str]) -> tuple[str, ...]:
    ours = {key for key in keys if key.startswith(f"{DOMAIN}/")}
    return tuple(_said(key) for key in sorted(ours - known))


def _said(key: str) -> str:
    if key in ON_CANARIES:
        return f"{key} is read on a Canary and not here; move it there"
    if key in ON_TARGETS:
        return f"{key} is read on the Deployment and not here; move it there"
    near = get_close_matches(_last(key), map(_last, _MEANT), n=1)
    return f"{key} is not known" + (f"; did you mean {DOMAIN}/{near[0]}?" if near else "")


def _last(key: str) -> str:
    """Return what keys differ in: with what all have, any two would be alike."""
    return key.removeprefix(f"{DOMAIN}/")
