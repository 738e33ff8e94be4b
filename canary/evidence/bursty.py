"""The tests against a candidate where nothing is known of how errors come: in bursts, perhaps.

Three, beside the comparison that the guard asks for (`canary.evidence.counted`):

- **bursts**: a rate test, request by request, of H0: the canary's rate is at no time above the
  highest that bursts of a healthy version are taken to reach. It is fast where much fails.
- **ratio**: the comparison with the stable, both arms divided by their dispersion.
- **bound**: the bets against the metric's own maximum, to the power of 1 / phi: the mean of a rate
  that comes in bursts may be below the maximum while the rate of a scrape is not.

All of it is a product over readings, of factors that rest on what was counted before
(`canary.evidence.bursts`).

A bound as high as that of a burst makes each good request tell much for a candidate, and one that
fails only as it rolls would live on that. So of the test of bursts three quarters begin at once,
and at every reading a fiftieth of what is left begins anew: a mixture over the times of a change,
whose parts are e-processes and sum up to one (Shiryaev, 1963; Ramdas et al., Statistical Science,
2023).
"""

import math
from dataclasses import dataclass
from operator import add
from typing import Any, NamedTuple, Self

from canary.evidence.bursts import (
    Block,
    Bursts,
    Known,
    counted,
    counted_before,
    dispersion,
    dispersion_of,
    highest,
    known,
    nothing_seen,
)
from canary.evidence.counters import Stratum
from canary.evidence.mixture import Logs
from canary.evidence.policy import Policy
from canary.evidence.rate import logs_above
from canary.evidence.ratio import RatioTest

_AT_ONCE = math.log(0.75)
_LATER = math.log(0.25)
_ANEW = 0.02
"""The part of what has not begun that begins at a reading."""
_PLACES = 50.0
"""The highest rate is rounded up to so many places per factor of e, so that tests are shared."""


class BurstEvidence(NamedTuple):
    """What was learned of the stable, and the logarithms of two tests."""

    stable: Bursts
    ratio: Logs
    bursts: Logs

    @classmethod
    def of(cls, stored: Any) -> Self:
        """Read what was stored as nested sequences."""
        (bad, requests, blocks, *more), ratio, bursts = stored
        known = Bursts(bad, requests, tuple(Block(*one) for one in blocks), *more)
        return cls(known, ratio, bursts)


@dataclass(frozen=True, slots=True, kw_only=True)
class BurstTests:
    """The tests of one metric without a history. `level` is that of the stable's upper bound."""

    policy: Policy
    ratio: RatioTest
    level: float

    def start(self) -> BurstEvidence:
        """Return the evidence before the first reading."""
        nothing = self.ratio.start()
        return BurstEvidence(nothing_seen(self.policy), nothing, (_AT_ONCE,) * len(nothing))

    def learn(self, evidence: BurstEvidence, stratum: Stratum) -> BurstEvidence:
        """Learn what the stable says in a stratum, once the stratum was tested."""
        stable = evidence.stable
        if stratum.before_all:
            stable = counted_before(stable, stratum.before_bad, stratum.before_all)
        bad, requests, seconds = stratum.stable_bad, stratum.stable_all, stratum.seconds
        others = stratum.canary_all
        stable = counted(stable, self.policy, bad, requests, seconds, others)
        return BurstEvidence(stable, evidence.ratio, evidence.bursts)

    def known(self, evidence: BurstEvidence) -> Known:
        """Sum up what was learned, once for a stratum."""
        return known(evidence.stable, self.policy)

    def dispersion(self, evidence: BurstEvidence, volume: float) -> float:
        """Return how dispersed an arm of this volume is taken to be."""
        return dispersion(evidence.stable, self.policy, volume)

    def highest(self, evidence: BurstEvidence, volume: float, summed: Known | None = None) -> float:
        """Return the highest rate of a healthy version, given the stable's volume."""
        found = highest(
            evidence.stable,
            self.policy,
            volume,
            margin=self.ratio.margin,
            level=self.level,
            summed=summed,
        )
        return math.exp(math.ceil(_PLACES * math.log(found)) / _PLACES)

    def step(
        self,
        evidence: BurstEvidence,
        summed: Known,
        stratum: Stratum,
        volume: float,
        strata: int,
        most: Logs = (),
    ) -> BurstEvidence:
        """Test one stratum of both arms.

        Args:
            evidence: before it.
            summed: what that has learned, summed up.
            stratum: with requests of both.
            volume: of the canary, in requests per second.
            strata: how many were tested before.
            most: what it may add to each alternative of the comparison, if not the cap alone.

        """
        other = stratum.stable_all / stratum.seconds if stratum.seconds else 0.0
        ours = dispersion_of(summed, self.policy, volume)
        theirs = dispersion_of(summed, self.policy, other)
        split = (
            stratum.canary_bad / ours,
            stratum.canary_all / ours,
            stratum.stable_bad / theirs,
            stratum.stable_all / theirs,
        )
        dues = self.ratio.step(self.ratio.start(), split, most)
        begun = _begun_anew(evidence.bursts, strata)
        bound = self.highest(evidence, other, summed)
        return BurstEvidence(
            stable=evidence.stable,
            ratio=tuple(map(add, evidence.ratio, self.ratio.logs(dues, split[0]))),
            bursts=tuple(map(add, begun, self._bursts(bound, stratum))),
        )

    def _bursts(self, bound: float, stratum: Stratum) -> Logs:
        phi = self.policy.unknown_dispersion
        if stratum.starting:
            bound = max(bound, self.policy.start_rate)
        bound = min(0.5, bound)
        logs = logs_above(bound, bound, stratum.canary_bad / phi, stratum.canary_all / phi)
        cap = self.ratio.cap
        return tuple([min(cap, log) for log in logs])

    def tempered(self, summed: Known, adds: Logs, volume: float) -> Logs:
        """Return what a stratum adds to the bets against the bound, for a canary of this volume."""
        power = 1 / dispersion_of(summed, self.policy, volume)
        return tuple([power * more for more in adds])


def _begun_anew(logs: Logs, strata: int) -> Logs:
    """Return the test with the part of it that begins at this reading."""
    more = _LATER + math.log(_ANEW) + strata * math.log1p(-_ANEW)
    return tuple([max(log, more) + math.log1p(math.exp(-abs(log - more))) for log in logs])
