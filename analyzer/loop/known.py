"""What a reconcile asks of the informers, so that idle targets cost no call."""

from datetime import timedelta
from typing import Protocol

from canary.model.values import Json, Key
from canary.objects.desired import canary_name
from runtime.resources import DEPLOYMENTS
from runtime.writes import Gettable, stored


class Index(Protocol):
    """What the informers have heard last."""

    def target(self, key: Key) -> Json | None:
        """Return the Deployment of a key; None also where only its name is kept."""

    def has_target(self, key: Key) -> bool:
        """Tell whether there is a Deployment of a key, however little of it is kept."""

    def canary(self, key: Key) -> Json | None:
        """Return the Canary that a target follows."""

    def outdone(self, key: Key) -> Json | None:
        """Return the Canary that was made for a target and gave way to its team's."""

    def made_in(self, key: Key) -> timedelta:
        """Return after what time a Canary may be made for a target that has none."""

    def missed_in(self, key: Key) -> timedelta:
        """Return after what time a target that was deleted is not about to be created anew."""

    def enabled(self, namespace: str) -> bool:
        """Tell whether a namespace carries the label."""

    def ending(self, namespace: str) -> bool:
        """Tell whether a namespace is being deleted."""

    def unmanaged(self, namespace: str) -> bool:
        """Tell whether the admin keeps Headgate's hands off a namespace."""

    def flagger(self, namespace: str) -> str:
        """Return what tells that a Flagger works on a namespace, "" where nothing does."""

    def split(self, key: Key) -> bool:
        """Tell whether a route carries a split of a target."""

    def rivals(self, key: Key) -> tuple[Json, ...]:
        """Return the team's Canaries of a target beside the one that it follows."""

    def doubt(self, key: Key) -> None:
        """Have the next look at a target read what there is."""

    def doubted(self, key: Key) -> bool:
        """Tell whether there may be more of a target than is known; told once."""


def beside(key: Key) -> Key:
    """Return the key of what has the name of a target's canary Deployment.

    Args:
        key: the target.

    """
    return Key(namespace=key.namespace, name=canary_name(key.name))


async def heard_of(index: Index, cluster: Gettable, key: Key) -> Json | None:
    """Return a target by what is kept of it, or as it is stored where that is too little.

    Namespaces that have just been labelled are read so, and targets that are too large to keep.

    Args:
        index: what the informers know.
        cluster: the API server.
        key: the target.

    Raises:
        ApiError: it cannot be read.

    """
    known = index.target(key)
    if known is None and index.has_target(key):
        return await stored(cluster, DEPLOYMENTS, key.namespace, key.name)
    return known
