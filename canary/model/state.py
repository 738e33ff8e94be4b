"""What a run remembers between two reconciles: what `Canary.status` stores."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from canary.contract import Reason
from canary.model.announcement import Announcement, Told
from canary.model.asking import Asked
from canary.model.former import Identities
from canary.model.gating import Approval, Gate
from canary.model.steps import BEFORE_FIRST
from canary.model.strategy import HookType, Kind
from canary.model.traffic import NOTHING, Traffic
from canary.model.values import Key


class Phase(StrEnum):
    """Flagger's phases, as `kubectl get canary` shows them."""

    INITIALIZED = "Initialized"
    PROGRESSING = "Progressing"
    PROMOTING = "Promoting"
    FINALISING = "Finalising"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"


WAITING_STAGES: Final = {
    HookType.CONFIRM_ROLLOUT: "Waiting",
    HookType.CONFIRM_PROMOTION: "WaitingPromotion",
}
"""Flagger's names for a run that waits at a gate; at one of the others it is Progressing."""
WITHOUT_TARGET: Final = "Initializing"
"""Flagger's name for what waits for its target."""
RUNNING_PHASES = frozenset({Phase.PROGRESSING, Phase.PROMOTING, Phase.FINALISING})


class Outcome(StrEnum):
    """What one check of one metric, hook or health rule said.

    SHARED: the stable fails it too; LOST: the cluster took pods that were to be looked at; WAITING:
    its query still finds samples of the canary before.
    """

    PASSED = "passed"
    FAILED = "failed"
    SHARED = "shared"
    NO_DATA = "no-data"
    WAITING = "waiting"
    LOST = "lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check on record: the value, the bound it was held against and by how much it missed.

    `source` is where the value is from, `query` what was asked for it, "" where nothing was.
    """

    name: str
    outcome: Outcome
    message: str
    value: float | None = None
    bound: float | None = None
    source: str = ""
    query: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What was said of a Canary's own words that nobody follows."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What a run remembers between two reconciles; lives in `Canary.status` and nowhere else.

    `step` is the index of the step that it is at, `round` the how-manyth check of that step comes
    next, `asked` the hooks that were called for it. `beside` is what the step says of the canary's
    traffic beside its `weight`, `kind` the strategy that the step is of. `failed_checks` counts
    toward the strategy's threshold. `checked_at` is when the last analysis tick was, `changed_at`
    when the phase last changed, `stepped_at` when the weight did,
    `no_data_since` since when a metric has had no value, `incident_since` since when both versions
    have missed a bound, `lost_since` since when pods are missing that the cluster took, `losses`
    how often all of them were, `withheld` the step's share that the stable serves meanwhile,
    `unready_since` since when all of them fail their own probes and the verdict on that is due.
    `full_size` is how many pods the stable had with all of the traffic, `needed` how many it needs
    for that again where it has fewer now, else 0. `undoing` is the hash of a candidate whose
    half-way promotion is taken back, `forced` whether a person promoted it and so answers for it.
    `denied_since` is since when the API server denies a write that the run needs, `denied_why` its
    words; `tries` counts the runs of this candidate that ended without a word against it.
    `traffic_since` is when this run's canary had its first traffic, `pods` are the names of all of
    its pods; `former_until` is when pods of a canary of before were there last.
    `target_uid` is the Deployment that all of this is about, "" where an earlier release wrote it.
    `defaults` are the admin's as they were when the run began, which hold until its end; `in_force`
    is what it is judged by, for people to see. `accepted` is what its Canary said when that could
    be followed last. `noticed` is what was said last of words of the Canary that nobody follows.
    `alerts` are announcements that are yet to be sent, `told` events that event hooks are yet to be
    told of, `waited_for` the reasons of this step by
    which people were waited for. `gate` is the one that it waits at, `gates_took` how long those
    before have kept it, `gated_until` until when, `approved` are gates that a person has opened and
    that it has not passed yet. `evidence` is the judge's own record. `share` is what part of the
    requests the canary's pods get, in percent, where that is told by their number.
    """

    phase: Phase = Phase.INITIALIZED
    candidate: str = ""
    stable: str = ""
    step: int = BEFORE_FIRST
    round: int = 0
    asked: tuple[Asked, ...] = ()
    weight: int = 0
    share: float | None = None
    beside: Traffic = NOTHING
    kind: Kind = Kind.CANARY
    failed_checks: int = 0
    started_at: datetime | None = None
    changed_at: datetime | None = None
    checked_at: datetime | None = None
    stepped_at: datetime | None = None
    no_data_since: datetime | None = None
    incident_since: datetime | None = None
    lost_since: datetime | None = None
    unready_since: datetime | None = None
    denied_since: datetime | None = None
    traffic_since: datetime | None = None
    former_until: datetime | None = None
    pods: tuple[str, ...] = ()
    denied_why: str = ""
    tries: int = 0
    target_uid: str = ""
    rollout_confirmed: bool = False
    pre_rollout_passed: bool = False
    paused: bool = False
    undoing: str = ""
    post_rollout_called: bool = False
    forced: bool = False
    reason: str = ""
    message: str = ""
    checks: tuple[Check, ...] = ()
    restarts: int = 0
    losses: int = 0
    withheld: int = 0
    full_size: int = 0
    needed: int = 0
    evidence: Mapping[str, Any] = field(default_factory=dict)
    defaults: Mapping[str, str] = field(default_factory=dict)
    in_force: Mapping[str, Any] = field(default_factory=dict)
    accepted: Mapping[str, Any] = field(default_factory=dict)
    noticed: tuple[Notice, ...] = ()
    alerts: tuple[Announcement, ...] = ()
    told: tuple[Told, ...] = ()
    waited_for: tuple[str, ...] = ()
    gate: Gate | None = None
    gated_until: datetime | None = None
    gates_took: timedelta = timedelta(0)
    approved: tuple[Approval, ...] = ()

    @property
    def run(self) -> str:
        """The identity of the run: a retried candidate has another one."""
        return f"{self.candidate}@{self.started_at.isoformat() if self.started_at else ''}"

    @property
    def traffic(self) -> Traffic:
        """What its canary gets now."""
        found = replace(self.beside, weight=self.weight)
        return NOTHING if found.is_nothing or self.is_without_share else found

    def traffic_of(self, key: Key) -> Traffic:
        """Return the same with cookies of this very run: those of another keep nobody in it.

        Args:
            key: the target.

        """
        return self.traffic.of_run(f"{key} {self.run}")

    @property
    def stage(self) -> str:
        """The phase as people are shown it: a gate has names of its own, and so has no target."""
        if self.phase is Phase.INITIALIZED and self.reason == Reason.NO_TARGET:
            return WITHOUT_TARGET
        if self.phase is not Phase.PROGRESSING or self.gate is None or not self.gate.told:
            return str(self.phase)
        return WAITING_STAGES.get(self.gate.kind, str(self.phase))

    @property
    def begun(self) -> bool:
        """Whether the run has taken its first step."""
        return self.step != BEFORE_FIRST

    @property
    def is_without_share(self) -> bool:
        """Whether the step's share is with the stable until the canary's pods are back."""
        return self.withheld > 0

    @property
    def out(self) -> tuple[Asked, ...]:
        """The hooks that have been called and have not answered."""
        return tuple(one for one in self.asked if one.is_out)


def current_state(state: State, known: Identities) -> State:
    """Return a stored state with the identities of today.

    Args:
        state: as it was read from `Canary.status`.
        known: the target's template and those of its ReplicaSets.

    """
    evidence = state.evidence
    if "candidate" in evidence:
        candidate = known.current(str(evidence["candidate"]))
        if candidate != evidence["candidate"]:
            evidence = {**evidence, "candidate": candidate}
    return replace(
        state,
        candidate=known.current(state.candidate),
        stable=known.current(state.stable),
        undoing=known.current(state.undoing),
        evidence=evidence,
    )
