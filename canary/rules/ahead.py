"""A state whose times lie in the future: written by a clock that was ahead of the one of today.

Nothing would be due until that time has come again. So all of them are moved back together, as if
the last of them were now: that costs what had been waited for since, an interval at most.
"""

from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from canary.model.state import State
from canary.model.strategy import InvalidStrategy, Strategy

SLACK: Final = timedelta(seconds=5)
"""What two clocks of one cluster may differ by, with room: `runtime.clock` says how far they do."""
_IDENTITY: Final = "started_at"
"""Part of a run's identity, by which answers are known: it stays as it is."""
_MAY_BE_AHEAD: Final = "checked_at"
"""After pods were lost the next check is due when no metric looks at the time without them."""


def in_step(state: State, strategy: Strategy | InvalidStrategy, now: datetime) -> State:
    """Return a state whose times are in the past, the same one where they are.

    Args:
        state: as it is stored.
        strategy: what the run follows.
        now: the time.

    """
    meant = _longest_wait(strategy)
    ahead = max(
        (
            time - now - (meant if name == _MAY_BE_AHEAD else timedelta(0))
            for name, time in _times(state)
            if name != _IDENTITY
        ),
        default=timedelta(0),
    )
    return _moved(state, ahead) if ahead > SLACK else state


def _longest_wait(strategy: Strategy | InvalidStrategy) -> timedelta:
    if isinstance(strategy, InvalidStrategy):
        return timedelta(0)
    return max((metric.interval for metric in strategy.metrics), default=timedelta(0))


def _times(value: Any) -> Iterator[tuple[str, datetime]]:
    """Yield every time in a record, with the name of its field."""
    for field in fields(value):
        found = getattr(value, field.name)
        if isinstance(found, datetime):
            yield field.name, found
        for one in found if isinstance(found, tuple) else (found,):
            if is_dataclass(one):
                yield from _times(one)


def _moved(value: Any, by: timedelta) -> Any:
    """Return a record with every time in it earlier."""
    changes = {
        field.name: _earlier(getattr(value, field.name), by)
        for field in fields(value)
        if field.name != _IDENTITY
    }
    return replace(value, **changes)


def _earlier(value: Any, by: timedelta) -> Any:
    if isinstance(value, datetime):
        return value - by
    if isinstance(value, tuple):
        return tuple(_earlier(one, by) for one in value)
    return _moved(value, by) if is_dataclass(value) else value
