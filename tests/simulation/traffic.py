"""Kinds of traffic: what a canary pod and nine stable pods count per scrape."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import repeat

import numpy as np

from canary.evidence.counters import Stratum
from canary.evidence.dispersion import PodHistory
from tests.simulation.outcomes import PODS, SCRAPE, Array

Draw = Callable[[np.random.Generator, Array, Array], Array]
"""Draws bad requests from all of them, of shape (runs, scrapes, pods), at rates that fit it."""
Shared = Callable[[np.random.Generator, tuple[int, int], float], Array]
"""Draws a rate for each run and scrape, of this shape, around a mean."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of healthy traffic.

    `pod_spread` is the standard deviation of the pods' own permanent rates. `shared` draws a rate
    per scrape that both arms have. `weights` are the canary's shares over the run, in equal parts;
    with one pod it takes them all. Where errors come `by_pod`, each pod's are drawn by themselves.
    """

    name: str
    draw: Draw
    pod_spread: float = 0.0
    shared: Shared | None = None
    weights: tuple[float, ...] = (0.1,)
    by_pod: bool = False

    @property
    def pods(self) -> int:
        """Return how many pods the stable is drawn as.

        Their sum is drawn at once where it can be: Poisson counts add up to one. Each pod has as
        many requests, so one of the sum is as likely to be of any of them, and bad at the mean of
        their rates.
        """
        return PODS if self.by_pod else 1


def independent(rng: np.random.Generator, requests: Array, rates: Array) -> Array:
    return rng.binomial(requests.astype(np.int64), rates).astype(np.float64)


def clustered(size: float) -> Draw:
    """Errors come in geometric clusters of this mean size, each on one pod: retries."""

    def draw(rng: np.random.Generator, requests: Array, rates: Array) -> Array:
        clusters = rng.poisson(requests * rates / size)
        bad = np.zeros(requests.shape)
        some = clusters > 0
        more = rng.negative_binomial(clusters[some], 1 / size)
        bad[some] = np.minimum(clusters[some] + more, requests[some])
        return bad

    return draw


def bursts(correlation: float, scrapes: int = 1) -> Draw:
    """The rate of an arm is drawn anew from a beta distribution every few scrapes."""

    def draw(rng: np.random.Generator, requests: Array, rates: Array) -> Array:
        runs, size, _ = requests.shape
        drawn = _beta(rng, rates[..., :1], correlation, (runs, -(-size // scrapes), 1))
        return independent(rng, requests, np.repeat(drawn, scrapes, axis=1)[:, :size])

    return draw


def _beta(
    rng: np.random.Generator, rate: float | Array, correlation: float, shape: tuple[int, ...]
) -> Array:
    strength = 1 / correlation - 1
    return rng.beta(rate * strength, (1 - rate) * strength, shape)


def _both(correlation: float) -> Shared:
    return lambda rng, shape, rate: _beta(rng, rate, correlation, shape)


def _incident(rng: np.random.Generator, shape: tuple[int, int], rate: float) -> Array:
    rates = np.full(shape, rate)
    for run, start in zip(rates, rng.integers(1, max(2, shape[1] - 26), shape[0]), strict=True):
        run[start : start + 24] = 0.2
    return rates


def _tide(_: np.random.Generator, shape: tuple[int, int], rate: float) -> Array:
    tide = rate * (1 + 0.8 * np.sin(np.arange(shape[1]) / 20))
    return np.asarray(np.broadcast_to(tide, shape), dtype=np.float64)


IID = Kind(name="iid", draw=independent)
CORRELATED = (
    Kind(name="bursts .05", draw=bursts(0.05)),
    Kind(name="bursts .2", draw=bursts(0.2)),
    Kind(name="retries 5", draw=clustered(5), by_pod=True),
    Kind(name="retries 20", draw=clustered(20), by_pod=True),
    Kind(name="bursts .02 of 30 s", draw=bursts(0.02, 6)),
    Kind(name="bursts .02 of 60 s", draw=bursts(0.02, 12)),
    Kind(name="pods differ by 30 %", draw=independent, pod_spread=0.3),
    Kind(name="same bursts .05 on both", draw=independent, shared=_both(0.05)),
)
RAMP = (0.05, 0.1, 0.2, 0.35, 0.5)
UNSEEN = (
    Kind(name="weight ramp 5-50 %", draw=independent, weights=RAMP),
    Kind(
        name="ramp and retries 5",
        draw=clustered(5),
        by_pod=True,
        weights=RAMP,
    ),
    Kind(name="ramp and bursts .05", draw=bursts(0.05), weights=RAMP),
    Kind(name="sticky sessions", draw=clustered(3), by_pod=True, pod_spread=0.15),
    Kind(name="rate with the tide", draw=independent, shared=_tide),
)
INCIDENT = Kind(name="incident on both", draw=independent, shared=_incident)


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A service in one state of health: requests per second, and the stable's bad rate."""

    rps: float
    rate: float
    kind: Kind = IID


def pod_rates(service: Service, rng: np.random.Generator, shape: int | tuple[int, ...]) -> Array:
    """Draw the permanent rates of pods, as multiples of the service's."""
    sd = service.kind.pod_spread
    return np.asarray(np.exp(rng.normal(-sd * sd / 2, sd, shape)) if sd else np.ones(shape))


def history(
    service: Service, rng: np.random.Generator, scrapes: int, spread: Array
) -> list[PodHistory]:
    """Draw what the stable's pods counted before the canary."""
    kind, volume = service.kind, service.rps / (PODS + 1) * SCRAPE
    requests = rng.poisson(volume, (1, scrapes, PODS)).astype(np.float64)
    bad = kind.draw(rng, requests, np.minimum(1.0, service.rate * spread))
    return [
        PodHistory(bad=tuple(bad[0, :, pod].tolist()), requests=tuple(requests[0, :, pod].tolist()))
        for pod in range(PODS)
    ]


def strata(
    service: Service, rng: np.random.Generator, scrapes: int, spreads: Array, canary_rate: float
) -> Iterator[list[Stratum]]:
    """Draw runs: what both arms count per scrape.

    Args:
        service: see there.
        rng: random numbers.
        scrapes: of each run.
        spreads: the permanent rates of the stable's pods, one row for each run.
        canary_rate: the bad rate of the canary.

    """
    kind, runs = service.kind, len(spreads)
    weights = np.array(kind.weights)
    share = weights[np.arange(scrapes) * len(weights) // scrapes][:, None]
    volume = service.rps * SCRAPE
    canary_all = rng.poisson(volume * share, (runs, scrapes, 1)).astype(np.float64)
    each = volume * (1 - share) / kind.pods
    stable_all = rng.poisson(each, (runs, scrapes, kind.pods)).astype(np.float64)
    rates = np.full((1, 1, 1), service.rate)
    if kind.shared:
        rates = kind.shared(rng, (runs, scrapes), service.rate)[:, :, None]
    times = canary_rate / service.rate * pod_rates(service, rng, (runs, 1, 1))
    canary_bad = kind.draw(rng, canary_all, np.minimum(1.0, rates * times))
    theirs = spreads[:, None, :] if kind.by_pod else spreads.mean(axis=1)[:, None, None]
    stable_bad = kind.draw(rng, stable_all, np.minimum(1.0, rates * theirs))
    columns = (canary_bad[:, :, 0], canary_all[:, :, 0], stable_bad.sum(2), stable_all.sum(2))
    for run in zip(*(column.tolist() for column in columns), strict=True):
        yield list(map(Stratum, *run, repeat(SCRAPE)))
