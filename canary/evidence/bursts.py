"""What the stable says of its own bursts while a run is judged, where no history is known.

Errors of a healthy version may come in bursts. Three things of them are taken for granted:

- in a burst a version fails at most `burst_height` times as often as on average, m;
- between two of them at least a `burst_rest`th of that: q >= m / burst_rest;
- one comes within `burst_rarest` seconds.

The stable's own counts correct m. With K bad of N requests in T seconds (those that its pods had
counted when they were first read among them),

    m = (c K + 1) / (N + 1),  c = 1 + (burst_rest - 1) u,  u = max(0, 1 - (T / burst_rarest)^2)

where u is what was not seen yet: as long as no burst has come, K / N shows q alone. The rate is
never below q, so K is stochastically at least what N independent requests of the rate q fail,
whatever the bursts are like: a confidence bound of q needs no dispersion (Garwood, 1936). So what
is allowed for bursts that were not seen yet shrinks as the stable is seen not to fail, and goes as
it is watched for long enough to have had one.

Two things follow from m. How high the rate rises in a burst bounds what a single moment may say:

    highest = max(burst_height * m, margin * U, margin * P)

where U is the upper bound of the rate that was counted, and P the worst block of the run, less two
standard deviations. Given that a healthy version's rate is never above that, a test of it is exact
whatever the bursts are like otherwise (`canary.evidence.bursty`). And how long a burst lasts says
how many requests of an arm are as good as one:

    phi = 1 + v * min(burst_seconds * m, 3)

for v requests per second: the variance of a rate that is drawn anew every so often (Cox and Isham,
Point Processes, 1980). That is what is taken for granted at first. The Pearson dispersion of
the stable's own counts, over blocks of several lengths, takes its place as they come in, with the
weight of the errors that it rests on, where it is less times (t / burst_rarest)^2 for the t seconds
of the run that the blocks are of; the largest counts. The stable has more requests than the canary,
so what its counts are dispersed by is at least what the canary's are.

What is used of it at a reading was counted before. For requests that are independent every
dispersion of at least 1 that is known beforehand is exact: an e-value to the power of 1 / phi is
one. For bursts it is an approximation, as m is, which is estimated and no bound: what is left of
the error that a bound would spend is held to 1 % in all by `tests/simulation`.
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
    """What the stable has counted, in all and over blocks of each of the policy's lengths.

    `seconds` is for how long it was counted in the run, `served` what both arms served meanwhile.
    """

    bad: float
    requests: float
    blocks: tuple[Block, ...]
    seconds: float = 0.0
    served: float = 0.0


class Known(NamedTuple):
    """What the stable's counts come to at a reading, whichever volume is asked for.

    `mean` is its rate with what bursts may add that were not seen yet, `counted` the rate of what
    it has counted. `blocks` has for each length the dispersion that was seen, and what that weighs
    where it is above the belief and where it is below; None while there are too few blocks.
    """

    mean: float
    counted: float
    blocks: tuple[tuple[float, float, float] | None, ...]


def nothing_seen(policy: Policy) -> Bursts:
    """Return what is known before the first reading."""
    return Bursts(0.0, 0.0, (Block(),) * len(policy.blocks))


def counted_before(bursts: Bursts, bad: float, requests: float) -> Bursts:
    """Add what the stable's pods had counted when they were first read."""
    return bursts._replace(bad=bursts.bad + bad, requests=bursts.requests + requests)


def counted(
    bursts: Bursts,
    policy: Policy,
    bad: float,
    requests: float,
    seconds: float,
    others: float = 0.0,
) -> Bursts:
    """Add what the stable has counted between two readings; `others` are the canary's requests."""
    if requests <= 0:
        return bursts
    blocks = tuple(
        [
            _closed(block, length, bad, requests, seconds)
            for block, length in zip(bursts.blocks, policy.blocks, strict=True)
        ]
    )
    return Bursts(
        bad=bursts.bad + bad,
        requests=bursts.requests + requests,
        blocks=blocks,
        seconds=bursts.seconds + seconds,
        served=bursts.served + requests + others,
    )


def watched(bursts: Bursts) -> float:
    """Return for how many seconds the stable was counted, with those before its first reading.

    Its requests of before are taken to have come as fast as those of both arms do in the run. How
    fast that is nothing says of at the first reading, which refuses nobody by itself.
    """
    if bursts.served <= 0:
        return math.inf if bursts.requests > 0 else 0.0
    first = bursts.blocks[0]
    before = bursts.requests - first.requests - first.open_requests
    return bursts.seconds * (1 + before / bursts.served)


def missed(bursts: Bursts, policy: Policy) -> float:
    """Return the part of what the stable has to say of its bursts that it has not said yet."""
    return max(0.0, 1 - (watched(bursts) / policy.burst_rarest) ** 2)


def rate(bursts: Bursts, policy: Policy) -> float:
    """Return the mean bad rate of a stable whose bursts may not have been seen yet.

    With one more bad request than there was, to be cautious.
    """
    times = 1 + (policy.burst_rest - 1) * missed(bursts, policy)
    return min(_HIGHEST, (times * bursts.bad + 1) / (bursts.requests + 1))


def dispersion(bursts: Bursts, policy: Policy, volume: float) -> float:
    """Return how dispersed the counts of an arm with this volume are, in requests per second."""
    return dispersion_of(known(bursts, policy), policy, volume)


def known(bursts: Bursts, policy: Policy) -> Known:
    """Sum up what was counted, once for all that a reading asks of it."""
    calm = min(1.0, (bursts.seconds / policy.burst_rarest) ** 2)
    return Known(
        mean=rate(bursts, policy),
        counted=(bursts.bad + 1) / (bursts.requests + 1),
        blocks=tuple([_seen(block, calm) for block in bursts.blocks]),
    )


def dispersion_of(known: Known, policy: Policy, volume: float) -> float:
    """Return the same as `dispersion` of what was summed up."""
    return _dispersion(known, policy, volume, known.mean)


def highest(
    bursts: Bursts,
    policy: Policy,
    volume: float,
    *,
    margin: float,
    level: float,
    summed: Known | None = None,
) -> float:
    """Return the rate that a healthy canary's is never above, in a burst either.

    Args:
        bursts: what was counted so far.
        policy: see there.
        volume: of the stable, in requests per second.
        margin: how many times the stable's rate is still healthy.
        level: the chance that the stable's rate is above its upper bound.
        summed: what was counted, if it is summed up already.

    """
    summed = summed or known(bursts, policy)
    # Of the rate that was counted; what bursts may add to that is in the mean.
    phi = _dispersion(summed, policy, volume, summed.counted)
    upper = _HIGHEST
    if bursts.requests > 0:
        upper = margin * quick_upper_rate(bursts.bad, bursts.requests, phi, level)
    peak = margin * max(block.peak for block in bursts.blocks)
    return min(_HIGHEST, max(policy.burst_height * summed.mean, upper, peak))


def _closed(block: Block, length: float, bad: float, requests: float, seconds: float) -> Block:
    bad, requests = block.open_bad + bad, block.open_requests + requests
    seconds += block.open_seconds
    if seconds < length:
        return Block(*block[:5], bad, requests, seconds)
    return Block(
        squares=block.squares + bad * bad / requests,
        bad=block.bad + bad,
        requests=block.requests + requests,
        closed=block.closed + 1,
        peak=max(block.peak, (bad - 2 * math.sqrt(bad)) / requests),
    )


def _dispersion(known: Known, policy: Policy, volume: float, mean: float) -> float:
    believed = 1 + volume * min(_LONGEST, policy.burst_seconds * mean)
    found = [_weighed(seen, believed) for seen in known.blocks]
    return max(policy.unknown_dispersion, *found)


def _seen(block: Block, calm: float) -> tuple[float, float, float] | None:
    """Return the dispersion of one length of blocks, and its weight above and below the belief.

    What is seen between two bursts is less than the belief, and weighs by `calm`: it says little.
    """
    free = block.closed - 1
    if free < 1:
        return None
    rate = (block.bad + 0.5) / (block.requests + 1)
    chi = block.squares - 2 * rate * block.bad + rate * rate * block.requests
    # Blocks without a bad request say nothing of how those come.
    weight = min(free, block.bad)
    return chi / (rate * (1 - rate)) / free, weight, weight * calm


def _weighed(found: tuple[float, float, float] | None, believed: float) -> float:
    """Return the dispersion over one length of blocks: between the belief and what is seen."""
    if found is None:
        return believed
    seen, above, below = found
    weight = above if seen > believed else below
    return (_BELIEF * believed + weight * seen) / (_BELIEF + weight)
