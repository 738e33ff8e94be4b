"""The world at one moment: what a decision may look at."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, StrEnum
from typing import Final

from canary.contract import Command
from canary.model.fates import Broken, Fates, Serving, Unready
from canary.model.joining import Joining
from canary.model.strategy import Hook
from canary.model.traffic import NOTHING, Traffic

_SKEW: Final = timedelta(seconds=2)
"""Times of creation are in whole seconds, and so is what the API server's clock is known by."""


class Hold(Enum):
    """Whose pause it is."""

    NONE = "none"
    OURS = "ours"
    THEIRS = "theirs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The Deployment the team owns; `history_limit` is how many old ReplicaSets it keeps.

    `uid` tells it from one of the same name that was there before, and `created` is when it was
    made. `rollout_failed` is why its rolling update does not go on, `rollout_failed_at` since when,
    None where that is not known, and `progress_deadline` after how long without progress its
    controller says so. `outlived` is whether it carries the mark of a hold that was ended past
    Headgate.
    """

    hold: Hold
    template_hash: str
    replicas: int
    stable_mark: str = ""
    promoting_mark: str = ""
    seen_mark: str = ""
    refused_mark: str = ""
    enabled: bool = True
    commands: frozenset[Command] = frozenset()
    pause_value: str = ""
    approve_value: str = ""
    requested_by: str = ""
    rollout_complete: bool = False
    rollout_failed: str = ""
    rollout_failed_at: datetime | None = None
    progress_deadline: timedelta = timedelta(minutes=10)
    history_limit: int = 10
    uid: str = ""
    created: datetime | None = None
    outlived: bool = False


class Place(Enum):
    """How a ReplicaSet stands to the target's Deployment controller.

    OWNED: it is counted with, scaled and cleaned up. PARKED: Headgate keeps it out of the
    controller's sight. ADRIFT: the labels are right, the controller has not adopted it yet.
    """

    OWNED = "owned"
    PARKED = "parked"
    ADRIFT = "adrift"


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """A ReplicaSet of the target.

    `created` is its time of creation as the API server writes it, `number` its revision in
    `kubectl rollout history`, 0 where it has none.
    """

    name: str
    template_hash: str
    replicas: int
    ready: int
    created: str = ""
    number: int = 0
    place: Place = Place.OWNED


@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryPod:
    """A pod of the target's canary, of whatever template.

    `newest` is whether it is of the template that the canary was made from last, `leaving` whether
    it is being deleted, and `left_at` since when, `ended` whether it will never run again: the API
    server keeps such pods for hours.
    """

    name: str
    created: datetime
    newest: bool = True
    leaving: bool = False
    left_at: datetime | None = None
    ended: bool = False
    astray: bool = False

    @property
    def stays(self) -> bool:
        """Whether it may go on running."""
        return not (self.leaving or self.ended)

    def since(self, began: datetime) -> bool:
        """Tell whether it was made in a run that began then, as far as the clocks can tell."""
        return self.created >= began - _SKEW


@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryAbsent:
    """There is no canary Deployment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryPresent:
    """The canary Deployment and its pods.

    `trouble` is why a pod cannot come up, if one cannot, `crash` how a container ended that was
    started again, `fates` what became of each pod that the API server still knows. `rolling` says
    what its Deployment still has to do where it is not `current`, `pods_denied` why the API server
    does not let its pods be made, `made_at` is when the Deployment was, `pods` are those of every
    template that the API server still knows. `forgotten` names the ReplicaSets of a canary before
    that are there still.
    """

    template_hash: str
    replicas: int
    ready: int
    restarts: int = 0
    trouble: str = ""
    crash: str = ""
    current: bool = True
    fates: Fates = ()
    rolling: str = ""
    pods_denied: str = ""
    made_at: datetime | None = None
    pods: tuple[CanaryPod, ...] = ()
    forgotten: tuple[str, ...] = ()

    @property
    def serves(self) -> bool:
        """Whether any pod can answer: one that is being deleted is ready and is sent nothing."""
        if not self.fates:
            return self.ready > 0
        return any(isinstance(fate, Serving) for fate in self.fates)

    @property
    def misses_by_no_fault(self) -> bool:
        """Whether the pods that are missing were taken, or are still starting."""
        own = any(isinstance(fate, Unready | Broken) for fate in self.fates)
        return bool(self.fates) and not own


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """The split on the routes: `traffic` is what the canary gets by them.

    `routes` counts the routes that lead to the stable Service; with none, nothing can be shifted.
    `even` is whether every route carries the same, else it is the largest; `confirmed` whether the
    gateway has taken the last write. `declined` says which routes a gateway does not follow with
    the canary in them, so that it has to come out or stays out; `unheard` which have not heard of
    its Service, so that its share is nobody's; `lag` which gateways have not seen the last write,
    and are waited for. `carried_for` is how long all that tell have had this traffic, None where
    none does; `stood_for` how long it has been seen as it stands, whoever tells. Without a route,
    `joining` has the canary's pods that are in the Service itself, or may be; it counts as one
    route then.
    """

    traffic: Traffic = NOTHING
    routes: int = 0
    even: bool = True
    confirmed: bool = True
    problem: str = ""
    declined: str = ""
    unheard: str = ""
    lag: str = ""
    carried_for: timedelta | None = None
    stood_for: timedelta | None = None
    joining: Joining | None = None

    @property
    def weight(self) -> int:
        """The canary's share in percent, of what matches where the traffic is matched."""
        return self.traffic.weight

    def lacks(self, traffic: Traffic) -> bool:
        """Tell whether there are routes, and one of them carries something else."""
        if self.joining is not None:
            return self.joining.lacks(traffic.weight)
        return bool(self.routes) and (self.traffic != traffic or not self.even)


@dataclass(frozen=True, slots=True, kw_only=True)
class HookResult:
    """What a hook answered; `faulty` is whether that was no word of its own, or nothing at all."""

    hook: Hook
    ok: bool
    message: str = ""
    faulty: bool = False


class OnUnsuitable(StrEnum):
    """What becomes of a hold whose target can have no canary."""

    HOLD = "hold"
    RELEASE = "release"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsuitable:
    """The target can have no canary: why, with how to mend it, and what the admin wants then."""

    why: str
    then: OnUnsuitable = OnUnsuitable.HOLD


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """The admin's times: `drain` is how long connections to pods without traffic may finish.

    `confirm` bounds the wait for a gateway to report that it has taken a route, `poll` is the
    pause between two looks at something that announces no change.
    """

    drain: timedelta = timedelta(seconds=5)
    confirm: timedelta = timedelta(seconds=30)
    poll: timedelta = timedelta(seconds=1)
