"""What an empty result means: no errors, no traffic, or a label that nobody has."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from canary.counting.zeros import Completed, Unborn

Ask = Callable[[str], Awaitable[tuple[float, ...]]]
"""Asks a query of the provider that gave the empty result."""

_MOST_SUMS: Final = 4
"""Of a query that are looked into; those in use have two."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Emptiness:
    """What an empty result turned out to be.

    `values` are the query's with its empty sums as 0, none where that is not known; `note` says
    that they were taken so, `problem` why they were not, "" where nothing is known.
    """

    values: tuple[float, ...] = ()
    note: str = ""
    problem: str = ""


async def look_into(found: Completed | None, ask: Ask) -> Emptiness:
    """Find out what an empty result means, by the rules of `canary.counting.zeros`.

    Args:
        found: what the query with an empty result can be completed to.
        ask: asks the same provider.

    Raises:
        ProviderError: as `ask` does.

    """
    if found is None or not 0 < len(found.sums) <= _MOST_SUMS:
        return Emptiness()
    if values := await _with_zeros(found, ask):
        conditions = " or ".join(f"{{{one.condition}}}" for one in found.sums if one.labels)
        return Emptiness(values=values, note=f"nothing was counted yet that is {conditions}")
    return Emptiness(problem=await _problem(found, ask))


async def _with_zeros(found: Completed, ask: Ask) -> tuple[float, ...]:
    if not any(one.labels for one in found.sums):
        return ()
    return await ask(found.query)


async def _problem(found: Completed, ask: Ask) -> str:
    """Say what the query asks for that nobody has, where its requests are counted."""
    absent, counted = [], False
    for one in found.sums:
        if one.labels and one.seen and await ask(one.seen):
            return _once(one)
        is_counted = any(value > 0 for value in await ask(one.requests))
        counted |= is_counted
        if is_counted and one.labels:
            return _no_label(one)
        if not is_counted:
            absent.append(one)
    return _no_series(absent[0]) if absent and counted else ""


def _once(one: Unborn) -> str:
    return (
        f"what is {{{one.condition}}} of {one.metric} was scraped once only so far; how often it "
        "happens is known from its next scrape on"
    )


def _no_label(one: Unborn) -> str:
    labels = " and ".join(one.labels)
    return (
        f"no series of {one.metric} has the label {labels} among those that it asks for without "
        f"{{{one.condition}}}, and these count requests; mend the label, or write (... or "
        "vector(0)) if nothing is to be 0"
    )


def _no_series(one: Unborn) -> str:
    return (
        f"nothing is counted by {one.asked}, while requests are; mend the name of {one.metric}, or "
        f"write ({one.asked} or vector(0)) if no series of it means 0"
    )
