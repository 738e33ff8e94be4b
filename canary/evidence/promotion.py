"""The promotion test: the candidate is shown to be no worse than what may be let through.

H0: p_c >= max(margin * p_s, rate). Either half refutes it, so the mean of two e-processes does:
the ratio test with multiples below 1, and the rate test with odds below the rate's. The proofs are
those of the two tests, mirrored; the question itself is Wald's second error (Wald and Wolfowitz,
1948). Many metrics pass only if each passes, which needs no correction (intersection-union test).
"""

from typing import Final

from canary.evidence.mixture import Logs
from canary.evidence.rate import RateTest
from canary.evidence.ratio import RatioTest

_RATIOS: Final[Logs] = tuple(1 / factor for factor in (1.25, 1.5, 2.0, 3.0, 5.0, 10.0))
_ODDS: Final[Logs] = tuple(1 / factor for factor in (1.5, 2.0, 3.0, 5.0, 10.0, 100.0))

USUAL_RATE: Final = 0.003
"""The bad rate that is too much where neither policy nor metric names one."""


def against_stable(margin: float) -> RatioTest:
    """Return the test that the canary is worse than `margin` times the stable."""
    return RatioTest(margin=margin, multiples=_RATIOS)


def against_rate(rate: float) -> RateTest:
    """Return the test that the canary's bad rate is `rate` or more."""
    return RateTest(bound=rate, multiples=_ODDS)
