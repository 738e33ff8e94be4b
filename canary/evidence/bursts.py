"""What the stable says of its own bursts while a run is judged, where no history is known.

Errors of a healthy version may come in bursts. Two things of them matter. How high the rate rises
in one bounds what a single moment may say:

    highest = max(burst_height * p, margin * U, margin * P)

where p is the stable's bad rate over all that its pods have counted, U the upper bound of it, and P
the worst block of the run, less two standard deviations.
Given that a healthy version's rate is never above that, a test of it is exact whatever the bursts
are like otherwise (`canary.evidence.bursty`). And how long a burst lasts says how many requests of
an arm are as good as one:

    phi = 1 + v * min(burst_seconds * p, 3)

for v requests per second: the variance of a rate that is drawn anew every so often (Cox and Isham,
Point Processes, 1980). That is what is taken for granted at first. The Pearson dispersion of
the stable's own counts, over blocks of several lengths, takes its place as they come in, with the
weight of the errors that it rests on; the largest counts. The stable has more requests than the
canary, so what its counts are dispersed by is at least what the canary's are.

What is used of it at a reading was counted before. For requests that are independent every
dispersion of at least 1 that is known beforehand is exact: an e-value to the power of 1 / phi is
one.
For bursts it is an approximation, held to its bound by `tests/simulation`.
"""

import math
from typing import Final, NamedTuple

from canary.evidence.learned import quick_upper_rate
from canary.evidence.policy import Policy

_HIGHEST: Final = 0.5
_LONGEST: Final = 3.0
"""How many seconds of an arm's requests are as good as one at most."""
_BELIEF: Final = 5.0
"""How many blocks of the stable's own weigh as much as what is taken for granted."""


class Block(NamedTuple):
    """Sums over the closed blocks of one length, the worst of them, and what the open one holds."""

    squares: float = 0.0
    bad: float = 0.0
    requests: float = 0.0
    closed: int = 0
    peak: float = 0.0
    open_bad: float = 0.0
    open_requests: float = 0.0
    open_seconds: float = 0.0


class Bursts(NamedTuple):
    """What the stable has counted, in all and over blocks of each of the policy's lengths."""

    bad: float
    requests: float
    blocks: tuple[Block, ...]


def nothing_seen(policy: Policy) -> Bursts:
    """Return what is known before the first reading."""
    return Bursts(0.0, 0.0, (Block(),) * len(policy.blocks))


def counted_before(bursts: Bursts, bad: float, requests: float) -> Bursts:
    """Add what the stable's pods had counted when they were first read."""
    return bursts._replace(bad=bursts.bad + bad, requests=bursts.requests + requests)


def counted(bursts: Bursts, policy: Policy, bad: float, requests: float, seconds: float) -> Bursts:
    """Add what the stable has counted between two readings."""
    if requests <= 0:
        return bursts
    blocks = tuple(
        [
            _closed(block, length, bad, requests, seconds)
            for block, length in zip(bursts.blocks, policy.blocks, strict=True)
        ]
    )
    return Bursts(bursts.bad + bad, bursts.requests + requests, blocks)


def rate(bursts: Bursts) -> float:
    """Return the stable's bad rate: with one more bad request than there was, to be cautious."""
    return min(_HIGHEST, (bursts.bad + 1) / (bursts.requests + 1))


def dispersion(bursts: Bursts, policy: Policy, volume: float) -> float:
    """Return how dispersed the counts of an arm with this volume are, in requests per second."""
    believed = 1 + volume * min(_LONGEST, policy.burst_seconds * rate(bursts))
    return max(policy.unknown_dispersion, *(_weighed(block, believed) for block in bursts.blocks))


def highest(bursts: Bursts, policy: Policy, volume: float, *, margin: float, level: float) -> float:
    """Return the rate that a healthy canary's is never above, in a burst either.

    Args:
        bursts: what was counted so far.
        policy: see there.
        volume: of the stable, in requests per second.
        margin: how many times the stable's rate is still healthy.
        level: the chance that the stable's rate is above its upper bound.

    """
    phi = dispersion(bursts, policy, volume)
    upper = _HIGHEST
    if bursts.requests > 0:
        upper = margin * quick_upper_rate(bursts.bad, bursts.requests, phi, level)
    peak = margin * max(block.peak for block in bursts.blocks)
    return min(_HIGHEST, max(policy.burst_height * rate(bursts), upper, peak))


def _closed(block: Block, length: float, bad: float, requests: float, seconds: float) -> Block:
    bad, requests = block.open_bad + bad, block.open_requests + requests
    seconds += block.open_seconds
    if seconds < length:
        return block._replace(open_bad=bad, open_requests=requests, open_seconds=seconds)
    return Block(
        squares=block.squares + bad * bad / requests,
        bad=block.bad + bad,
        requests=block.requests + requests,
        closed=block.closed + 1,
        peak=max(block.peak, (bad - 2 * math.sqrt(bad)) / requests),
    )


def _weighed(block: Block, believed: float) -> float:
    """Return the dispersion over one length of blocks: between the belief and what is seen."""
    free = block.closed - 1
    if free < 1:
        return believed
    rate = (block.bad + 0.5) / (block.requests + 1)
    chi = block.squares - 2 * rate * block.bad + rate * rate * block.requests
    seen = chi / (rate * (1 - rate)) / free
    # Blocks without a bad request say nothing of how those come.
    weight = min(free, block.bad)
    return (_BELIEF * believed + weight * seen) / (_BELIEF + weight)
