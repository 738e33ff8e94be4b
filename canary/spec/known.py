"""What a Canary asks for, read once for as long as it says the same."""

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Final

from canary.model.once import Once
from canary.model.steps import Step
from canary.model.strategy import InvalidStrategy, Strategy
from canary.model.values import Json
from canary.spec.canary import parse_strategy
from canary.spec.defaults import Defaults, remembered
from canary.spec.made import owners_of_fields

_ROOM: Final = 16 << 20
"""Bytes of all strategies: some 2,500 usual ones."""
_OF_A_LETTER: Final = 8
_OF_A_STEP: Final = 8
"""A step is there once for all strategies; each has a list of them."""
_SAID_IN: Final = ("namespace", "name", "labels", "annotations")


def strategy_of(
    canary: Json, began_with: Mapping[str, str] | None, now: Defaults
) -> Strategy | InvalidStrategy:
    """Return what a Canary asks for.

    It is worked out of what the Canary says and of nothing else of it, and remembered by that. So
    an edit of its spec, of an annotation or of who owns it is read, whatever its generation, and
    what is written to its status is not.

    Args:
        canary: the object as the API server stores it.
        began_with: what its run remembers of the admin's defaults; None where they hold as they
            are now.
        now: the admin's defaults.

    """
    metadata = canary["metadata"]
    said = {name: metadata[name] for name in _SAID_IN if name in metadata}
    if owners := owners_of_fields(canary):
        said["managedFields"] = owners
    given = {"metadata": said, "spec": canary["spec"]}
    texts = None if began_with is None else dict(began_with)
    return _known(now)({"canary": given, "began_with": texts})


@lru_cache(maxsize=1)  # the admin's defaults are read once, at the start
def _known(now: Defaults) -> Once[Strategy | InvalidStrategy]:
    def read(given: Json) -> Strategy | InvalidStrategy:
        began_with = given["began_with"]
        defaults = now if began_with is None else remembered(began_with, now)
        found = parse_strategy(given["canary"], defaults)
        return found if isinstance(found, InvalidStrategy) else _with_shared_steps(found)

    return Once(read, _ROOM, _size)


def _size(text: int, found: Strategy | InvalidStrategy) -> int:
    steps = 0 if isinstance(found, InvalidStrategy) else len(found.steps) + len(found.unrouted)
    return _OF_A_LETTER * text + _OF_A_STEP * steps


def _with_shared_steps(strategy: Strategy) -> Strategy:
    """Return the same with each step taken from those that others have: 99 of them take 20 kB."""
    steps, unrouted = (tuple(map(_shared, it)) for it in (strategy.steps, strategy.unrouted))
    return replace(strategy, steps=steps, unrouted=unrouted)


@lru_cache(maxsize=4096)
def _shared(step: Step) -> Step:
    return step
