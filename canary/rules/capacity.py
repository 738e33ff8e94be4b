"""Whether the stable can take all of the traffic back.

While a canary takes half of the traffic, an autoscaler makes the stable half as large. All traffic
at once would then be twice what its pods can serve. What they cannot serve is left with the canary
until they have grown: that share would be lost in any case, so nobody is worse off for it, however
bad the candidate is. The autoscaler is told by the load that comes back to it; its target's size is
never written here.
"""

import math
from datetime import timedelta
from typing import Final

from canary.model.joining import largest
from canary.model.state import State
from canary.model.steps import canary_size
from canary.model.strategy import Kind, Strategy
from canary.model.values import FULL
from canary.model.world import CanaryAbsent, CanaryPresent
from canary.rules.context import Observed

HEADROOM: Final = 1.25
"""How much more than usual a stable pod takes for a while: autoscalers aim at 80 % and less."""
LONGEST: Final = timedelta(minutes=3)
"""How long a refused candidate keeps a share at most, whatever the stable's size is."""


def pods_for_all(state: State, replicas: int) -> int:
    """Return how many pods the stable needs for all of the traffic, as its size tells.

    Args:
        state: the run, with the size that the stable had with all of the traffic.
        replicas: the size that it has with what the canary leaves it.

    """
    share = FULL - (state.weight or state.withheld)
    if not state.full_size or replicas >= state.full_size:
        return replicas
    if share <= 0:
        return state.full_size
    return min(state.full_size, math.ceil(replicas * FULL / share))


def canary_pods(
    state: State, strategy: Strategy, replicas: int, canary: CanaryAbsent | CanaryPresent
) -> int:
    """Return how many pods the canary needs, for the largest share that it has or may get.

    Steps that were made smaller in mid-run take nothing from the share that it has already. Where
    its pods share the traffic by their number, none goes in mid-run: which one would, is not told.

    Args:
        state: the run.
        strategy: what the run follows now.
        replicas: the stable's present size.
        canary: what there is of it.

    """
    shares = (*strategy.shares, state.weight, state.withheld)
    if strategy.kind is Kind.PODS:
        stays = canary.replicas if isinstance(canary, CanaryPresent) and state.begun else 0
        return max(largest(shares, replicas), stays)
    return canary_size(pods_for_all(state, replicas), shares)


def missing(state: State, replicas: int) -> int:
    """Return how many pods the stable needs for all of the traffic if it has fewer; else 0.

    Args:
        state: the run.
        replicas: the stable's present size.

    """
    needed = pods_for_all(state, replicas)
    return needed if state.weight and needed > replicas else 0


def share_to_keep(observed: Observed, state: State) -> int:
    """Return the share, in percent, that is left with a canary until the stable can take it.

    Args:
        observed: the world.
        state: the run that ends, with the share that the canary has and the pods that are needed.

    """
    canary = observed.canary
    if not state.needed or isinstance(canary, CanaryAbsent) or not canary.serves:
        return 0
    ready = sum(r.ready for r in observed.revisions if r.template_hash == state.stable)
    takes = math.floor(FULL * HEADROOM * ready / state.needed)
    return min(state.weight, max(0, FULL - takes))
