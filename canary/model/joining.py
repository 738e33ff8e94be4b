"""A share of the traffic by the number of pods: which of the canary's are in the team's Service.

A Service without mesh or gateway sends each of its ready pods about as much. So the canary's share
is that of its pods among them, and comes in whole pods.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from canary.model.values import FULL

MOST: Final = 50
"""The largest share, in percent: a canary is never larger than its target."""


def pods_for(weight: int, stable: int) -> int:
    """Return how many canary pods come nearest to a share of all requests, and not above it.

    One is taken where that would be none: `c / (c + stable) <= weight / 100`, solved for c.

    Args:
        weight: the share in percent, at most `MOST` of it is given.
        stable: pods beside the canary's that requests go to.

    """
    if not weight:
        return 0
    share = min(weight, MOST)
    return max(1, stable * share // (FULL - share))


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A pod of the canary: `joined` is whether it has the labels that the Service selects by."""

    name: str
    ready: bool
    joined: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Joining:
    """The canary's pods, and how many `stable` ones are ready in the Service beside them."""

    members: tuple[Member, ...] = ()
    stable: int = 0

    @property
    def joined(self) -> frozenset[str]:
        """The names of the pods that are in."""
        return frozenset(one.name for one in self.members if one.joined)

    @property
    def serving(self) -> int:
        """How many of them are ready: the Service sends nothing to the others."""
        return sum(one.joined and one.ready for one in self.members)

    @property
    def share(self) -> float:
        """What part of the requests they get, in percent."""
        return share_of(self.serving, self.stable)

    def wanted(self, weight: int) -> frozenset[str]:
        """Return the names of the pods that are to be in; those that are stay, as far as they go.

        Args:
            weight: the share in percent.

        """
        ready = sorted(
            (one for one in self.members if one.ready), key=lambda one: (not one.joined, one.name)
        )
        return frozenset(one.name for one in ready[: pods_for(weight, self.stable)])

    def lacks(self, weight: int) -> bool:
        """Tell whether pods are to join or to leave for a share, or none is there to give it.

        Args:
            weight: the share in percent.

        """
        wanted = self.wanted(weight)
        return wanted != self.joined or (weight > 0 and not wanted)

    def planned(self, weight: int) -> tuple[int, float]:
        """Return how many pods a share comes to, and what part of the requests, in percent.

        Args:
            weight: the share that is asked for, in percent.

        """
        pods = len(self.wanted(weight))
        return pods, share_of(pods, self.stable)


def share_of(canary: int, stable: int) -> float:
    """Return which part of the requests so many canary pods get, in percent with one decimal.

    Args:
        canary: pods of the canary that are ready in the Service.
        stable: all others that are.

    """
    return round(FULL * canary / (canary + stable), 1) if canary else 0.0


def largest(weights: Iterable[int], stable: int) -> int:
    """Return how many pods the canary needs for the largest of some shares.

    Args:
        weights: shares in percent.
        stable: pods of the target.

    """
    return max(1, max((pods_for(weight, stable) for weight in weights), default=1))
