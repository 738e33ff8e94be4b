"""What became of a canary's pods, and whether it happened to one run or to many at once."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from canary.model.values import Key


class Taking(StrEnum):
    """How the cluster, or a person, took a pod that did nothing wrong."""

    EVICTED = "was evicted"
    PREEMPTED = "was preempted by the scheduler"
    TAINTED = "was deleted because of its node's taint"
    ORPHANED = "was deleted because its node is gone"
    BY_KUBELET = "was ended by its node"
    REJECTED = "was not taken by its node"
    DISRUPTED = "was taken by the cluster"
    DELETED = "was deleted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """The pod is ready."""

    pod: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Starting:
    """The pod has not been ready yet since its containers were started; `why` says what for.

    `since` is when the last of its containers that run was started.
    """

    pod: str
    why: str = ""
    since: datetime | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """The pod is going or gone by another's doing; `words` are the API server's."""

    pod: str
    how: Taking
    words: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unheard:
    """The node is not ready or not heard of: its containers were ready when last reported."""

    pod: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unready:
    """The containers run, were ready, and are not any more, by their own probes."""

    pod: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """The pod ended by itself: a container did, or it went over a limit of its own."""

    pod: str
    why: str


Fate = Serving | Starting | Taken | Unheard | Unready | Broken
Fates = tuple[Fate, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """A run lost pods that served, and did not break them itself."""

    key: Key
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Calm:
    """No more runs than one by one have lost pods of late; `since` is when this began to be heard.

    None where nobody says so.
    """

    since: datetime | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """Many runs lost pods at once: `lost` of `running`, the last of them at `latest`."""

    lost: int
    running: int
    latest: datetime


Weather = Calm | Incident
"""How the cluster is doing, as far as the runs under way can tell."""
