"""The values that the rules work on. All are frozen; what is absent has a value of its own."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum, StrEnum
from typing import Any, Final

from canary.contract import Command
from canary.evidence.policy import Policy
from canary.weighing import Weighing

Json = dict[str, Any]
FULL: Final = 100
"""Percent: a weight that is all of the traffic."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Key:
    """Namespace and name of a target: all that a work queue carries."""

    namespace: str
    name: str

    def __str__(self) -> str:
        """Write the key as events and logs show it, in Flagger's order."""
        return f"{self.name}.{self.namespace}"


# --- strategy: what a Canary asks for ---------------------------------------------------------


class HookType(StrEnum):
    """Flagger's hook types that a run calls."""

    PRE_ROLLOUT = "pre-rollout"
    ROLLOUT = "rollout"
    POST_ROLLOUT = "post-rollout"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hook:
    """One entry of `analysis.webhooks`. `timeout` bounds one call, `retries` follow a failure."""

    name: str
    type: HookType
    url: str
    timeout: timedelta = timedelta(seconds=10)
    retries: int = 0
    verify_tls: bool = True
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateRef:
    """Where the MetricTemplate of a metric is."""

    namespace: str
    name: str


class Builtin(StrEnum):
    """Metrics that need no template."""

    SUCCESS_RATE = "request-success-rate"
    DURATION = "request-duration"


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One entry of `analysis.metrics`: exactly one of a template, a query, or a built-in.

    `minimum` and `maximum` are inclusive bounds in the metric's own unit (percent for
    request-success-rate, milliseconds for request-duration). With `leeway` the bound gives way to
    the stable's own value times (1 + leeway) where that is laxer, so that an application that is
    slow already is not refused for being itself.
    """

    name: str
    source: TemplateRef | str | Builtin
    interval: timedelta = timedelta(minutes=1)
    minimum: float | None = None
    maximum: float | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    leeway: float | None = None


class NoDataPolicy(StrEnum):
    """What a metric without a value means once it has lasted `no_data_after`."""

    HOLD = "hold"
    FAIL = "fail"
    PASS = "pass"  # noqa: S105 - a policy, not a password


class FailureCount(StrEnum):
    """How failed checks add up to the threshold."""

    CONSECUTIVE = "consecutive"
    CUMULATIVE = "cumulative"


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayRoute:
    """What an own route is made of, from `Canary.spec.service` (Flagger's fields)."""

    parents: tuple[Json, ...]
    hosts: tuple[str, ...] = ()
    rule: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Strategy:
    """How a candidate becomes production: validated, with every default filled in.

    `weights` are the canary's shares in percent, rising; the target is promoted after the last
    one has passed. `service_name` is the Service whose traffic is split.

    `policy` is how sure the evidence has to be. With `gate` every weight after the first, and the
    promotion, also ask for non-inferiority, and with `error_budget` for so much that was counted
    that the larger share costs no more bad answers than these at worst, until the next tick; where
    that is not shown within `decide_within` of the run's start, the policy says what follows.
    `bake` is how long a full-size canary is judged at
    weight 100 before the promotion, while all old pods are left.
    """

    interval: timedelta
    threshold: int
    weights: tuple[int, ...]
    metrics: tuple[Metric, ...] = ()
    hooks: tuple[Hook, ...] = ()
    service_name: str = ""
    service_port: int | None = None
    target_port: int | str | None = None
    own_route: GatewayRoute | None = None
    progress_deadline: timedelta = timedelta(seconds=600)
    ready_percent: int = 100
    skip_analysis: bool = False
    suspended: bool = False
    metrics_server: str = ""
    no_data: NoDataPolicy = NoDataPolicy.HOLD
    no_data_after: timedelta = timedelta(minutes=10)
    failure_count: FailureCount = FailureCount.CONSECUTIVE
    health_is_enough: bool = False
    policy: Policy = Policy()
    gate: bool = False
    error_budget: int | None = None
    decide_within: timedelta = timedelta(hours=1)
    bake: timedelta = timedelta(0)
    ignored: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class InvalidStrategy:
    """A Canary that cannot be followed: every problem, each with how to mend it."""

    problems: tuple[str, ...]


# --- state: what Canary.status remembers ------------------------------------------------------


class Phase(StrEnum):
    """Flagger's phases, as `kubectl get canary` shows them."""

    INITIALIZED = "Initialized"
    PROGRESSING = "Progressing"
    PROMOTING = "Promoting"
    FINALISING = "Finalising"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"


RUNNING_PHASES = frozenset({Phase.PROGRESSING, Phase.PROMOTING, Phase.FINALISING})


class Outcome(StrEnum):
    """What one check of one metric, hook or health rule said; SHARED: the stable fails it too."""

    PASSED = "passed"
    FAILED = "failed"
    SHARED = "shared"
    NO_DATA = "no-data"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check on record: the value, the bound it was held against and by how much it missed."""

    name: str
    outcome: Outcome
    message: str
    value: float | None = None
    bound: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What a run remembers between two reconciles; lives in `Canary.status` and nowhere else.

    `failed_checks` counts toward the strategy's threshold. `checked_at` is when the last analysis
    tick was, `changed_at` when the phase last changed, `stepped_at` when the weight did,
    `no_data_since` since when a metric has had no value, `incident_since` since when both versions
    have missed a bound. `undoing` is the hash of a candidate whose
    half-way promotion is taken back, `forced` whether a person promoted it and so answers for it.
    `evidence` is the judge's own record.
    """

    phase: Phase = Phase.INITIALIZED
    candidate: str = ""
    stable: str = ""
    weight: int = 0
    failed_checks: int = 0
    started_at: datetime | None = None
    changed_at: datetime | None = None
    checked_at: datetime | None = None
    stepped_at: datetime | None = None
    no_data_since: datetime | None = None
    incident_since: datetime | None = None
    pre_rollout_passed: bool = False
    paused: bool = False
    undoing: str = ""
    post_rollout_called: bool = False
    forced: bool = False
    reason: str = ""
    message: str = ""
    checks: tuple[Check, ...] = ()
    restarts: int = 0
    evidence: Mapping[str, Any] = field(default_factory=dict)


# --- observed: the world at one moment --------------------------------------------------------


class Hold(Enum):
    """Whose pause it is."""

    NONE = "none"
    OURS = "ours"
    THEIRS = "theirs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The Deployment the team owns."""

    hold: Hold
    template_hash: str
    replicas: int
    stable_mark: str = ""
    promoting_mark: str = ""
    refused_mark: str = ""
    enabled: bool = True
    commands: frozenset[Command] = frozenset()
    pause_value: str = ""
    requested_by: str = ""
    rollout_complete: bool = False
    rollout_failed: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """A ReplicaSet of the target."""

    name: str
    template_hash: str
    replicas: int
    ready: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryAbsent:
    """There is no canary Deployment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryPresent:
    """The canary Deployment and its pods.

    `trouble` is why a pod cannot come up, if one cannot, `crash` how a container ended that was
    started again.
    """

    template_hash: str
    replicas: int
    ready: int
    restarts: int = 0
    trouble: str = ""
    crash: str = ""
    current: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """The split on the routes: `weight` is the canary's share in percent.

    `routes` counts the routes that lead to the stable Service; with none, nothing can be shifted.
    `even` is whether every route carries the same share, `confirmed` whether the gateway has
    taken the last write.
    """

    weight: int = 0
    routes: int = 0
    even: bool = True
    confirmed: bool = True
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What was read for one metric: `value` of the canary, `baseline` of the stable."""

    metric: Metric
    value: float | None = None
    baseline: float | None = None
    source: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HookResult:
    """What a hook answered."""

    hook: Hook
    ok: bool
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """Everything `decide` may look at: read in one go, never changed."""

    key: Key
    target: Target
    revisions: tuple[Revision, ...]
    strategy: Strategy | InvalidStrategy
    canary: CanaryAbsent | CanaryPresent
    split: Split
    problems: tuple[str, ...] = ()
    samples: tuple[Sample, ...] = ()
    hooks: tuple[HookResult, ...] = ()
    weighing: Weighing | None = None
    asked: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """The admin's times: `drain` is how long connections to pods without traffic may finish.

    `confirm` bounds the wait for a gateway to report that it has taken a route, `poll` is the
    pause between two looks at something that announces no change.
    """

    drain: timedelta = timedelta(seconds=5)
    confirm: timedelta = timedelta(seconds=30)
    poll: timedelta = timedelta(seconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Questions:
    """What the world is to be asked before a decision: metrics, and hooks of one type.

    With `baselines` the stable is asked too where the canary misses a bound.
    """

    metrics: bool = False
    baselines: bool = False
    hooks: HookType | None = None
