"""Kinds of traffic: what a canary pod and nine stable pods count per scrape."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from canary.evidence.counters import Stratum
from canary.evidence.dispersion import PodHistory
from tests.simulation.outcomes import PODS, SCRAPE, Array

Draw = Callable[[np.random.Generator, Array, float], Array]
"""Draws the bad requests of an arm, of shape (scrapes, pods), from all its requests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of healthy traffic.

    `pod_spread` is the standard deviation of the pods' own permanent rates. `shared` draws a factor
    per scrape that hits both arms. `weights` are the canary's shares over the run, in equal parts;
    with one pod it takes them all.
    """

    name: str
    draw: Draw
    pod_spread: float = 0.0
    shared: Callable[[np.random.Generator, int, float], Array] | None = None
    weights: tuple[float, ...] = (0.1,)


def independent(rng: np.random.Generator, requests: Array, rate: float) -> Array:
    return rng.binomial(requests.astype(np.int64), rate).astype(np.float64)


def clustered(size: float) -> Draw:
    """Errors come in geometric clusters of this mean size, each on one pod: retries."""

    def draw(rng: np.random.Generator, requests: Array, rate: float) -> Array:
        clusters = rng.poisson(requests * rate / size)
        more = rng.negative_binomial(np.maximum(clusters, 1), 1 / size) * (clusters > 0)
        return np.asarray(np.minimum(clusters + more, requests), dtype=np.float64)

    return draw


def bursts(correlation: float, scrapes: int = 1) -> Draw:
    """The rate of an arm is drawn anew from a beta distribution every few scrapes."""

    def draw(rng: np.random.Generator, requests: Array, rate: float) -> Array:
        blocks = -(-len(requests) // scrapes)
        rates = np.repeat(_beta(rng, rate, correlation, blocks), scrapes)[: len(requests)]
        return rng.binomial(requests.astype(np.int64), rates[:, None]).astype(np.float64)

    return draw


def _beta(rng: np.random.Generator, rate: float, correlation: float, size: int) -> Array:
    strength = 1 / correlation - 1
    return rng.beta(rate * strength, (1 - rate) * strength, size)


def _both(correlation: float) -> Callable[[np.random.Generator, int, float], Array]:
    return lambda rng, size, rate: _beta(rng, rate, correlation, size)


def _incident(rng: np.random.Generator, size: int, rate: float) -> Array:
    rates = np.full(size, rate)
    start = int(rng.integers(1, max(2, size - 26)))
    rates[start : start + 24] = 0.2
    return rates


def _tide(_: np.random.Generator, size: int, rate: float) -> Array:
    return np.asarray(rate * (1 + 0.8 * np.sin(np.arange(size) / 20)), dtype=np.float64)


IID = Kind(name="iid", draw=independent)
CORRELATED = (
    Kind(name="bursts .05", draw=bursts(0.05)),
    Kind(name="bursts .2", draw=bursts(0.2)),
    Kind(name="retries 5", draw=clustered(5)),
    Kind(name="retries 20", draw=clustered(20)),
    Kind(name="bursts .02 of 30 s", draw=bursts(0.02, 6)),
    Kind(name="bursts .02 of 60 s", draw=bursts(0.02, 12)),
    Kind(name="pods differ by 30 %", draw=independent, pod_spread=0.3),
    Kind(name="same bursts .05 on both", draw=independent, shared=_both(0.05)),
)
UNSEEN = (
    Kind(name="weight ramp 5-50 %", draw=independent, weights=(0.05, 0.1, 0.2, 0.35, 0.5)),
    Kind(name="ramp and retries 5", draw=clustered(5), weights=(0.05, 0.1, 0.2, 0.35, 0.5)),
    Kind(name="ramp and bursts .05", draw=bursts(0.05), weights=(0.05, 0.1, 0.2, 0.35, 0.5)),
    Kind(name="sticky sessions", draw=clustered(3), pod_spread=0.15),
    Kind(name="rate with the tide", draw=independent, shared=_tide),
)
INCIDENT = Kind(name="incident on both", draw=independent, shared=_incident)


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A service in one state of health: requests per second, and the stable's bad rate."""

    rps: float
    rate: float
    kind: Kind = IID


def pod_rates(service: Service, rng: np.random.Generator, pods: int) -> Array:
    """Draw the permanent rates of pods."""
    sd = service.kind.pod_spread
    return np.asarray(np.exp(rng.normal(-sd * sd / 2, sd, pods)) if sd else np.ones(pods))


def history(
    service: Service, rng: np.random.Generator, scrapes: int, spread: Array
) -> list[PodHistory]:
    """Draw what the stable's pods counted before the canary."""
    requests = rng.poisson(service.rps / (PODS + 1) * SCRAPE, (scrapes, PODS)).astype(np.float64)
    bad = _bad(service, rng, requests, spread, service.rate, None)
    return [
        PodHistory(bad=tuple(bad[:, pod].tolist()), requests=tuple(requests[:, pod].tolist()))
        for pod in range(PODS)
    ]


def strata(
    service: Service, rng: np.random.Generator, scrapes: int, spread: Array, canary_rate: float
) -> list[Stratum]:
    """Draw one run: what both arms count per scrape."""
    weights = np.array(service.kind.weights)
    share = weights[np.arange(scrapes) * len(weights) // scrapes][:, None]
    volume = service.rps * SCRAPE
    canary_all = rng.poisson(volume * share).astype(np.float64)
    stable_all = rng.poisson(volume * (1 - share) / PODS, (scrapes, PODS)).astype(np.float64)
    both = service.kind.shared
    shared = both(rng, scrapes, service.rate)[:, None] if both else None
    own = pod_rates(service, rng, 1)
    canary_bad = _bad(service, rng, canary_all, own, canary_rate, shared)
    stable_bad = _bad(service, rng, stable_all, spread, service.rate, shared)
    columns = (
        canary_bad[:, 0].tolist(),
        canary_all[:, 0].tolist(),
        stable_bad.sum(1).tolist(),
        stable_all.sum(1).tolist(),
    )
    return [Stratum(*row, SCRAPE) for row in zip(*columns, strict=True)]


def _bad(
    service: Service,
    rng: np.random.Generator,
    requests: Array,
    spread: Array,
    rate: float,
    shared: Array | None,
) -> Array:
    kind = service.kind
    if shared is not None:
        rates = np.broadcast_to(np.minimum(shared * rate / service.rate, 1.0), requests.shape)
        return rng.binomial(requests.astype(np.int64), rates).astype(np.float64)
    if not kind.pod_spread:
        return kind.draw(rng, requests, rate)
    columns = [
        kind.draw(rng, requests[:, [pod]], min(1.0, rate * float(own)))
        for pod, own in enumerate(spread)
    ]
    return np.concatenate(columns, axis=1)
