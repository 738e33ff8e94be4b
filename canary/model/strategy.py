"""What a Canary asks for: validated, with every default filled in."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Any, Final

from canary.evidence.policy import Policy
from canary.model.announcement import Alert
from canary.model.steps import Step, is_compared
from canary.model.values import Json


class HookType(StrEnum):
    """Flagger's hook types.

    Those that confirm something are gates: they are asked until they agree. A rollback hook that
    agrees refuses the candidate, and an event hook is told what is said of a run.
    """

    CONFIRM_ROLLOUT = "confirm-rollout"
    PRE_ROLLOUT = "pre-rollout"
    ROLLOUT = "rollout"
    CONFIRM_TRAFFIC_INCREASE = "confirm-traffic-increase"
    CONFIRM_PROMOTION = "confirm-promotion"
    POST_ROLLOUT = "post-rollout"
    ROLLBACK = "rollback"
    EVENT = "event"


GATES: Final = frozenset(
    {HookType.CONFIRM_ROLLOUT, HookType.CONFIRM_TRAFFIC_INCREASE, HookType.CONFIRM_PROMOTION}
)
"""The types of hooks that a run waits for as long as they do not agree."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hook:
    """One entry of `analysis.webhooks`. `timeout` bounds one call, `retries` follow a failure.

    With `muted` no alert speaks of it. `admins` is whether it is the admin's own, who may name any
    address.
    """

    name: str
    type: HookType
    url: str
    timeout: timedelta = timedelta(seconds=10)
    retries: int = 0
    verify_tls: bool = True
    metadata: Mapping[str, str] = field(default_factory=dict)
    muted: bool = False
    admins: bool = False


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


class Kind(StrEnum):
    """How a candidate comes to its traffic.

    CANARY: a growing share of it. AB: all requests that match, for a number of checks. BLUE_GREEN:
    none for a number of checks, then all at once. PODS: a growing share, by the number of its pods
    in the team's Service.
    """

    CANARY = "canary"
    AB = "a/b"
    BLUE_GREEN = "blue/green"
    PODS = "by pods"

    @property
    def grows(self) -> bool:
        """Whether its steps are shares that grow."""
        return self in {Kind.CANARY, Kind.PODS}


_ROUTED: Final = frozenset({Kind.CANARY, Kind.AB})
"""Kinds that nothing but a route can carry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayRoute:
    """What an own route of the Gateway API is made of, from `Canary.spec.service`."""

    parents: tuple[Json, ...]
    hosts: tuple[str, ...] = ()
    rule: Mapping[str, Any] = field(default_factory=dict)
    kind: str = "HTTPRoute"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyRoute:
    """What an own HTTPProxy is made of, from the same: its routes without their services.

    It has no host: the team's own HTTPProxy includes it, as Flagger has it.
    """

    routes: tuple[Json, ...]
    kind: str = "HTTPProxy"


@dataclass(frozen=True, slots=True, kw_only=True)
class MeshRoute:
    """What an own VirtualService is made of, from the same: its only rule without destinations.

    `protocol` is the list that the rule stands in, `port` that of its destination, None where there
    is no need to say one. With a `traffic_policy` there are DestinationRules beside it.
    """

    hosts: tuple[str, ...] = ()
    gateways: tuple[str, ...] = ()
    protocol: str = "http"
    rule: Mapping[str, Any] = field(default_factory=dict)
    port: int | None = None
    traffic_policy: Mapping[str, Any] = field(default_factory=dict)
    kind: str = "VirtualService"


@dataclass(frozen=True, slots=True, kw_only=True)
class BalancedRoute:
    """What an own TraefikService is made of: a Service and its port, which every Canary names."""

    kind: str = "TraefikService"


OwnRoute = GatewayRoute | ProxyRoute | MeshRoute | BalancedRoute


@dataclass(frozen=True, slots=True, kw_only=True)
class Strategy:
    """How a candidate becomes production: validated, with every default filled in.

    `steps` are taken in order; the target is promoted when the last one may be left. `unrouted` are
    those that take their place where no route leads to the Service, empty where one is waited for;
    with `by_pods` they are shares by the number of pods, if the strategy has any.
    `back` is by how many percent a step the traffic returns to a target that has been promoted, 0
    for at once. `listeners` are the hooks that are told of every event.
    `service_name` is the Service whose traffic is split; with `any_service` one of another name may
    stand in front of the target, or none. `canary` is what the Canary itself is called, which hooks
    are told and queries may name, "" where it is called as its target. `routed_by` are the kinds of
    routes that are split, all that lead there where it is empty, and `ingress` the only Ingress,
    where one is named. With `health_is_enough` metrics that neither side has are passed over.

    Before the first step `ready_percent` of the canary's pods are ready, and before each one
    `stable_ready_percent` of the target's.

    `provider` is what routes, in Flagger's words, "" where nothing is said of it; it says whose
    series there may be. `recorded_window` is how far back a series looks that a recording rule has
    made.

    `ignored` are fields that are passed over, `unknown` what is wrong with annotations that are, in
    words. `policy` is how sure the evidence has to be. Where what a step needs is not shown within
    `decide_within` of the run's start, the policy says what follows.
    """

    interval: timedelta
    threshold: int
    steps: tuple[Step, ...]
    kind: Kind = Kind.CANARY
    unrouted: tuple[Step, ...] = ()
    by_pods: bool = False
    back: int = 0
    metrics: tuple[Metric, ...] = ()
    hooks: tuple[Hook, ...] = ()
    alerts: tuple[Alert, ...] = ()
    listeners: tuple[Hook, ...] = ()
    service_name: str = ""
    service_port: int | None = None
    target_port: int | str | None = None
    any_service: bool = False
    canary: str = ""
    own_route: OwnRoute | None = None
    routed_by: tuple[str, ...] = ()
    ingress: str = ""
    progress_deadline: timedelta = timedelta(seconds=600)
    ready_percent: int = 100
    stable_ready_percent: int = 0
    skip_analysis: bool = False
    suspended: bool = False
    provider: str = ""
    metrics_server: str = ""
    no_data: NoDataPolicy = NoDataPolicy.HOLD
    no_data_after: timedelta = timedelta(minutes=10)
    failure_count: FailureCount = FailureCount.CONSECUTIVE
    health_is_enough: bool = False
    policy: Policy = Policy()
    decide_within: timedelta = timedelta(hours=1)
    recorded_window: timedelta = timedelta(minutes=5)
    ignored: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()

    @property
    def weights(self) -> tuple[int, ...]:
        """The canary's share at each step, in percent."""
        return tuple(step.traffic.weight for step in self.steps)

    @property
    def iterations(self) -> int:
        """How many checks it takes at the traffic that it begins with; a canary that grows, one."""
        first = self.steps[0].traffic
        return sum(step.traffic == first for step in self.steps)

    @property
    def shares(self) -> tuple[int, ...]:
        """What the canary has to answer at each step, in percent of all requests at most."""
        return tuple(max(step.traffic.weight, step.traffic.mirror) for step in self.steps)

    @property
    def is_unrouted(self) -> bool:
        """Whether it takes the steps for which no route is needed."""
        return bool(self.unrouted) and self.steps == self.unrouted and self.kind not in _ROUTED

    @property
    def shares_by_pods(self) -> bool:
        """Whether its unrouted steps send requests to the canary: to its pods in the Service."""
        return any(step.traffic.weight for step in self.unrouted)

    @property
    def is_compared(self) -> bool:
        """Whether the stable serves like requests beside the canary at any step."""
        return any(is_compared(step.traffic) for step in self.steps)

    @property
    def gate(self) -> bool:
        """Whether a step asks for non-inferiority."""
        return any(step.needs.gate for step in self.steps)

    @property
    def error_budget(self) -> int | None:
        """How many bad answers one more step may cost at worst; the least, None for no limit."""
        budgets = [step.needs.error_budget for step in self.steps]
        return min((budget for budget in budgets if budget is not None), default=None)

    @property
    def bake(self) -> timedelta:
        """How long the last step lasts at least."""
        return self.steps[-1].lasts


@dataclass(frozen=True, slots=True, kw_only=True)
class InvalidStrategy:
    """A Canary that cannot be followed: every problem, each with how to mend it.

    `alerts` and `listeners` want to hear of that.
    """

    problems: tuple[str, ...]
    alerts: tuple[Alert, ...] = ()
    listeners: tuple[Hook, ...] = ()


def not_followed(strategy: Strategy | InvalidStrategy) -> tuple[str, ...]:
    """Say which fields and annotations stop nothing and are passed over; of an invalid one none."""
    if isinstance(strategy, InvalidStrategy):
        return ()
    said = (
        ("not supported yet and passed over", strategy.ignored),
        ("passed over", strategy.unknown),
    )
    return tuple(f"{how}: {', '.join(what)}" for how, what in said if what)
