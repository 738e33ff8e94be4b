"""What hundreds of runs ask of a server, and which answer is whose, worked out beside the loop."""

import asyncio
from collections.abc import Callable, Sequence
from typing import TypeVar, TypeVarTuple

from analyzer.gathering.followed import Followed
from analyzer.gathering.limits import MANY_RUNS
from canary.counting.series import Series, merged
from canary.measuring.demand import Demand, shares

_T = TypeVar("_T")
_Given = TypeVarTuple("_Given")
_Share = tuple[Followed, frozenset[str], Sequence[Series]]


async def queries_of(asked: Demand[Followed]) -> Sequence[str]:
    """Return the queries that a server is asked for all runs together."""
    return await _worked_out(asked, merged, asked.selectors)


async def dealt(asked: Demand[Followed], found: Sequence[Series]) -> Sequence[_Share]:
    """Return what of an answer is whose."""
    return await _worked_out(asked, lambda: list(shares(asked, found)))


async def _worked_out(
    asked: Demand[Followed], work: Callable[[*_Given], _T], *given: *_Given
) -> _T:
    many = len(asked.runs) > MANY_RUNS
    return await asyncio.to_thread(work, *given) if many else work(*given)
