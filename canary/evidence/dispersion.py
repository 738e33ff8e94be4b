"""How much less correlated requests say than independent ones, learned from the stable's pods.

Every single stable pod of the past (or a group of pods with the canary's volume) is a
pseudo-canary: healthy by definition, and as bursty as the real one. Its Pearson dispersion

    phi = sum (k - n p)^2 / (n p (1 - p)) / degrees of freedom

is taken over blocks of several lengths, since a burst that lasts longer than a scrape shows only
over longer blocks, and the largest counts (McCullagh and Nelder, Generalized Linear Models, 1989).
Both counts of an arm are then divided by its phi. This is an approximation and no theorem; the
bound test needs none of it.

What differs for good between pods (a slow node, a shard, sticky clients) is no burst: it does not
average out, so no dispersion repairs it. It widens the margin instead, by the spread of the pods.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate

from canary.evidence.learned import upper_rate
from canary.evidence.policy import Policy

_HIGHEST_BOUND = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class PodHistory:
    """Bad and all requests of one stable pod, one entry per step, 0 of 0 where it was silent."""

    bad: tuple[float, ...]
    requests: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """What the history of a metric says. Frozen before the canary's first request.

    `levels` are pairs of a volume in requests per second and the dispersion of a pseudo-canary of
    that volume, rising. `known` is whether the history was long enough to be trusted, `learned`
    the stable's bad rate at its highest, None where that is not known.
    """

    levels: tuple[tuple[float, float], ...]
    stable: float
    margin: float
    known: bool
    learned: float | None = None
    errors: float = 0.0
    seconds: float = 0.0

    def at(self, volume: float) -> float:
        """Return the canary's dispersion at this volume, in requests per second."""
        for level, dispersion in self.levels:
            if volume <= 1.5 * level:
                return dispersion
        level, dispersion = self.levels[-1]
        return 1 + (dispersion - 1) * volume / level if level > 0 else dispersion


def uncalibrated(policy: Policy) -> Calibration:
    """Return the calibration of a metric without any history."""
    unknown = policy.unknown_dispersion
    return Calibration(
        levels=((math.inf, unknown),), stable=unknown, margin=policy.margin, known=False
    )


def calibrate(
    pods: Sequence[PodHistory], *, step: float, policy: Policy, share: float = 1.0
) -> Calibration:
    """Learn from the stable's own past.

    Args:
        pods: what each stable pod counted, all over the same steps.
        step: seconds between two entries.
        policy: see there.
        share: of `alpha_history` for this metric; the shares of all metrics sum to at most 1.

    """
    bad, requests = sum(sum(pod.bad) for pod in pods), sum(sum(pod.requests) for pod in pods)
    seconds = step * max((len(pod.requests) for pod in pods), default=0)
    if requests <= 0:
        return uncalibrated(policy)
    known = seconds >= policy.history_longest or (
        seconds >= policy.history_seconds and bad >= policy.history_errors
    )
    rate = (bad + 0.5) / (requests + 1)
    blocks = sorted({max(1, round(block / step)) for block in policy.blocks})
    least = 1.0 if known else policy.unknown_dispersion
    levels = _levels(pods, blocks, rate, seconds, least)
    stable = max(least, _dispersion([_total(pods)], blocks, rate))
    learned = None
    if known and policy.alpha_history * share > 0:
        learned = upper_rate(bad, requests, stable, policy.alpha_history * share)
    return Calibration(
        levels=levels,
        stable=stable,
        margin=max(policy.margin, 1 + _spread(pods, rate, levels[0][1], policy.pod_deviations)),
        known=known,
        learned=learned if learned is None else min(learned, _HIGHEST_BOUND),
        errors=bad,
        seconds=seconds,
    )


def learned_bound(calibration: Calibration, floor: float) -> float | None:
    """Return the rate that the learned bound allows a canary, None where nothing was learned."""
    if calibration.learned is None:
        return None
    return min(max(calibration.margin * calibration.learned, floor), _HIGHEST_BOUND)


def _levels(
    pods: Sequence[PodHistory], blocks: Sequence[int], rate: float, seconds: float, least: float
) -> tuple[tuple[float, float], ...]:
    """Return volume and dispersion of pseudo-canaries of 1, 2, 4, ... pods."""
    levels, size = [], 1
    while size <= len(pods):
        groups = [_total(pods[at : at + size]) for at in range(0, len(pods) - size + 1, size)]
        requests = sum(sum(group.requests) for group in groups)
        least = max(least, _dispersion(groups, blocks, rate))
        levels.append((requests / len(groups) / seconds, least))
        size *= 2
    return tuple(levels)


def _total(pods: Sequence[PodHistory]) -> PodHistory:
    if len(pods) == 1:
        return pods[0]
    return PodHistory(
        bad=tuple(map(sum, zip(*(pod.bad for pod in pods), strict=False))),
        requests=tuple(map(sum, zip(*(pod.requests for pod in pods), strict=False))),
    )


def _dispersion(groups: Iterable[PodHistory], blocks: Sequence[int], rate: float) -> float:
    """Return the largest Pearson dispersion over the blocks."""
    groups = list(groups)
    return max(_pearson(groups, block, rate) for block in blocks)


def _pearson(groups: Iterable[PodHistory], block: int, rate: float) -> float:
    """Return the dispersion of blocks of this length.

    sum (k - n p)^2 / n = sum k^2 / n - 2 p K + p^2 N, where only cells with errors enter the first
    sum: most cells of a healthy service have none.
    """
    squares = bad = requests = 0.0
    cells = 0
    for group in groups:
        ks, ns = _blocks(group.bad, block), _blocks(group.requests, block)
        squares += sum([k * k / n for k, n in zip(ks, ns, strict=False) if k and n > 0])
        bad, requests, cells = bad + sum(ks), requests + sum(ns), cells + len(ns) - ns.count(0)
    chi = (squares - 2 * rate * bad + rate * rate * requests) / (rate * (1 - rate))
    return chi / max(1, cells - 1)


def _blocks(values: Sequence[float], block: int) -> Sequence[float]:
    if block == 1:
        return values
    sums = [0.0, *accumulate(values)]
    return [sums[at + block] - sums[at] for at in range(0, len(values) - block + 1, block)]


def _spread(pods: Sequence[PodHistory], rate: float, dispersion: float, deviations: float) -> float:
    """Return how far a healthy pod's rate may lie above the mean, as a share of the mean.

    The variance between the pods' own rates, less what chance explains; few pods say little about
    it, so fewer pods count for more.
    """
    totals = [(sum(pod.bad), sum(pod.requests)) for pod in pods]
    totals = [(bad, requests) for bad, requests in totals if requests > 0]
    if len(totals) < 2:  # noqa: PLR2004 - one pod differs from nothing
        return 0.0
    free = len(totals) - 1
    seen = sum((bad / requests / rate - 1) ** 2 for bad, requests in totals) / free
    chance = sum(dispersion / (requests * rate) for _, requests in totals) / len(totals)
    return deviations * (1 + 2 / free) * math.sqrt(max(0.0, seen - chance))
