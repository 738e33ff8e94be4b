"""What a canary pod's first requests say: only what goes beyond a rate that is healthy then.

In the first second of its traffic a healthy pod may fail `rate` of its requests. What is counted in
it is held against the higher of that and the hypothesis of each test, with the same alternatives
p_j: a test against a bound adds

    k ln(p_j / rate) + (n - k) ln((1 - p_j) / (1 - rate)),  where p_j > rate, and else 0,

which is exact. A comparison adds the smaller of that and its own factor, with p_j for what its
alternative makes of the stable's rate: a factor that is not above an e-value's is one, whichever
of the two that a healthy pod may do it does.
"""

from dataclasses import dataclass
from typing import Final

from canary.evidence.mixture import Logs
from canary.evidence.rate import logs_above

_HIGHEST: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """How a comparison takes what pods count whose traffic has only begun.

    `rate` is healthy then, `margin` times the stable's is always, and so is `floor`. `learned` is
    the stable's rate by its history, if that is known.
    """

    rate: float
    margin: float
    floor: float
    learned: float | None

    def most(self, bad: float, requests: float, stable_bad: float, stable_all: float) -> Logs:
        """Return what these requests may add to each alternative of a comparison.

        Args:
            bad: of the canary's requests, divided by their dispersion, as all of them are.
            requests: all of them.
            stable_bad: of the stable's requests, as they were counted before these.
            stable_all: all of those.

        """
        stable = self.learned
        if stable is None:
            stable = (stable_bad + 1) / (stable_all + 1)
        healthy = min(_HIGHEST, max(self.margin * stable, self.floor))
        return logs_above(self.rate, healthy, bad, requests)
