"""The policy of the evidence layer: what a wrong verdict may cost. All of it can be set."""

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

_ABOVE_0: Final = 1e-9
_BELOW_1: Final = 1 - 1e-9
_FINITE: Final = 1e9


class Inconclusive(StrEnum):
    """What happens to a run whose evidence is still open at its deadline."""

    HOLD = "hold"
    ROLLBACK = "rollback"
    PROMOTE = "promote"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How sure the judge has to be. Rates are fractions (0.01 is 1 %), times are seconds.

    Refusing. `alpha` bounds the chance that a healthy candidate is refused in its whole run, all
    metrics, steps and looks together; `alpha_history` is the part of it that the learned bounds
    may use up by being too low. `alpha_guard` bounds the same chance when nothing at all may be
    assumed about the stable (an incident that hits both). `margin` is how many times the stable's
    bad rate is still healthy, `floor` the bad rate that is never held against a candidate.

    Promoting. `beta` bounds the chance that a metric whose rate is `inferior_margin` times the
    stable's and `inferior_rate` or worse passes as non-inferior. Without `inferior_rate` the
    metric's own maximum stands in, or 0.3 %.

    Caution. One scrape adds at most `cap_calm` of the evidence that a refusal takes, `cap_bursty`
    where the dispersion is `bursty` or more or is not known, so that every refusal rests on two
    scrapes. A history is trusted from `history_seconds` and `history_errors` on, or when it is
    `history_longest` long; a shorter one counts as dispersed `unknown_dispersion` times at least.
    `blocks` are the lengths over which bursts are looked for. `pod_deviations` is how many
    standard deviations of the stable pods among each other are still healthy.

    Bursts. Where no history is trusted, a healthy version's errors are taken to come in bursts:
    of up to `burst_height` times the stable's bad rate, and so long that their requests count as
    `burst_seconds` times that rate more dispersed for each request per second. Between bursts it
    fails at least a `burst_rest`th as often as on average, and one comes within `burst_rarest`.
    The stable's own counts correct all of it but the height (`canary.evidence.bursts`). A
    dispersion of 1 that is unknown says that requests are independent: there are no bursts then.

    Scalars. One sample in `scalar_spacing` is used; `scalar_margin` is what a canary pod may be
    worse by.

    `warmup` is left out at the start of every pod where latency is counted, and `error_warmup`
    where errors are: a pod that says it is ready may still be slow, but has promised to answer.
    In the first `start` of a pod's traffic a bad rate of `start_rate` is healthy.
    """

    enabled: bool = True
    alpha: float = 0.01
    alpha_history: float = 0.001
    alpha_guard: float = 0.1
    beta: float = 0.05
    margin: float = 1.5
    floor: float = 0.001
    inferior_margin: float = 3.0
    inferior_rate: float | None = None
    on_inconclusive: Inconclusive = Inconclusive.HOLD
    warmup: float = 30.0
    error_warmup: float = 0.0
    start: float = 1.0
    start_rate: float = 0.03
    cap_calm: float = 0.8
    cap_bursty: float = 0.5
    bursty: float = 1.5
    unknown_dispersion: float = 2.0
    burst_seconds: float = 300.0
    burst_height: float = 10.0
    burst_rest: float = 9.0
    burst_rarest: float = 3000.0
    blocks: tuple[float, ...] = (5.0, 30.0, 60.0)
    pod_deviations: float = 2.6
    history_seconds: float = 3 * 3600.0
    history_longest: float = 24 * 3600.0
    history_errors: float = 300.0
    scalar_margin: float = 1.25
    scalar_spacing: float = 120.0

    def __post_init__(self) -> None:
        """Refuse a policy whose bounds could not hold.

        Raises:
            ValueError: a value is outside of its range; the message names it.

        """
        for names, low, high in (
            (("alpha", "alpha_guard", "beta"), _ABOVE_0, _BELOW_1),
            (("alpha_history",), 0.0, self.alpha * _BELOW_1),
            (("floor",), 0.0, _BELOW_1),
            (("margin", "inferior_margin", "scalar_margin", "unknown_dispersion"), 1.0, _FINITE),
            (("inferior_rate", "start_rate"), _ABOVE_0, _BELOW_1),
            (("burst_height", "burst_rest"), 1.0, _FINITE),
            (("burst_seconds",), 0.0, _FINITE),
            (("cap_calm", "cap_bursty", "scalar_spacing", "burst_rarest"), _ABOVE_0, math.inf),
        ):
            for name in names:
                value = getattr(self, name)
                if value is not None and not low <= value <= high:
                    raise ValueError(f"{name} must lie between {low:.4g} and {high:.4g}")
        if not all(_ABOVE_0 <= length <= _FINITE for length in self.blocks):
            raise ValueError("the lengths of blocks must be seconds above 0")

    @property
    def refuse_at(self) -> float:
        """Logarithm of the evidence that a refusal takes."""
        return -math.log(self.alpha - self.alpha_history)

    @property
    def guard_at(self) -> float:
        """Logarithm of the evidence against the stable that a refusal takes besides."""
        return -math.log(self.alpha_guard)

    @property
    def promote_at(self) -> float:
        """Logarithm of the evidence that non-inferiority takes."""
        return -math.log(self.beta)

    def cap(self, dispersion: float, *, known: bool) -> float:
        """Return the largest logarithm of evidence that one scrape may add."""
        share = self.cap_calm if known and dispersion < self.bursty else self.cap_bursty
        return share * self.refuse_at
