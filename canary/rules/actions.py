"""What a decision asks for: each action is a value, idempotent when it is carried out."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import Final

from canary.model.asking import Ask
from canary.model.state import State
from canary.model.traffic import Traffic

MAX_WHY: Final = 1000
"""Characters of a refusal's evidence that are kept on the target."""


@dataclass(frozen=True, slots=True)
class SaveState:
    """Write the decision's state into `Canary.status`."""


@dataclass(frozen=True, slots=True)
class SetTraffic:
    """Give the canary this traffic on every route."""

    traffic: Traffic


@dataclass(frozen=True, slots=True)
class EnsureCanary:
    """Make the canary Deployment and Service run the target's template."""

    replicas: int


@dataclass(frozen=True, slots=True)
class EnsureRoute:
    """Make the own route, where the Canary asks for one."""


@dataclass(frozen=True, slots=True)
class DeleteCanary:
    """Delete the canary Deployment and Service, and leave the routes as the team wrote them."""


class Pause(Enum):
    """What a write does to the target's pause."""

    STANDS = "stands"
    SET = "set"
    CLEARED = "cleared"


@dataclass(frozen=True, slots=True)
class MarkTarget:
    """Write annotations of ours to the target, None removes one, and its pause with them."""

    marks: Mapping[str, str | None]
    pause: Pause = Pause.STANDS


@dataclass(frozen=True, slots=True)
class ScaleDownRevision:
    """Scale the ReplicaSet of this template hash to 0, so that the old one grows back."""

    template_hash: str


@dataclass(frozen=True, slots=True)
class EmptyForgotten:
    """Scale the ReplicaSets of a canary before to 0 that the cluster has left behind."""


@dataclass(frozen=True, slots=True)
class ParkRevisions:
    """Leave the Deployment controller no choice but the stable: park what it could prefer.

    What carries the stable's template is put back, should it be parked.
    """

    stable: str


@dataclass(frozen=True, slots=True)
class PutBackRevisions:
    """Put parked ReplicaSets back: those of one template, or all of them where it is None."""

    template_hash: str | None = None


@dataclass(frozen=True, slots=True)
class MarkRefused:
    """Remember the refused candidate on the target and end its progress condition."""

    message: str


@dataclass(frozen=True, slots=True)
class EndProgress:
    """End the target's progress condition without a verdict: the candidate is not remembered."""

    message: str


@dataclass(frozen=True, slots=True)
class ReopenProgress:
    """Take the verdict of an earlier run from the target's progress condition."""


@dataclass(frozen=True, slots=True)
class Emit:
    """A Kubernetes event on the Canary and the target."""

    reason: str
    message: str
    warning: bool = False


Action = (
    SaveState
    | SetTraffic
    | EnsureCanary
    | EnsureRoute
    | DeleteCanary
    | MarkTarget
    | ScaleDownRevision
    | EmptyForgotten
    | ParkRevisions
    | PutBackRevisions
    | MarkRefused
    | EndProgress
    | ReopenProgress
    | Emit
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One answer of `decide`: the next state and why, what to do in order, when to look again.

    `asks` are all questions that stand after it: others are cancelled.
    """

    state: State
    actions: tuple[Action, ...] = ()
    asks: tuple[Ask, ...] = ()
    requeue_after: timedelta | None = None

    @property
    def taken_at_once(self) -> SetTraffic | None:
        """The write that takes all traffic from a version that is decided against, None without.

        It is the first of the actions, and can be taken back; what comes after it cannot.
        """
        first = next(iter(self.actions), None)
        against = any(isinstance(it, MarkRefused | EndProgress) for it in self.actions)
        if against and isinstance(first, SetTraffic) and first.traffic.is_nothing:
            return first
        return None

    @property
    def reason(self) -> str:
        """The CamelCase reason, as status, condition and event have it."""
        return self.state.reason

    @property
    def message(self) -> str:
        """Why, for a person."""
        return self.state.message
