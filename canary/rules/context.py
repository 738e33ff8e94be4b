"""What every rule looks at: the world as it was observed, the state of the run, the time."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final

from canary.evidence.report import Weighing
from canary.model.asking import OwnCount, Standing
from canary.model.fates import Calm, Weather
from canary.model.state import Phase, State
from canary.model.strategy import InvalidStrategy, Strategy
from canary.model.values import FULL, Key
from canary.model.world import (
    CanaryAbsent,
    CanaryPresent,
    Revision,
    Split,
    Target,
    Timing,
    Unsuitable,
)
from canary.rules.actions import Action, Decision, Emit, SaveState

IDLE_PHASES: Final = frozenset({Phase.INITIALIZED, Phase.SUCCEEDED})
RECHECK: Final = timedelta(seconds=30)
"""How often to look again at what only a person can mend."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """Everything `decide` may look at: read in one go, never changed.

    What is not in order is said in words, and is "" where all is well: `misfit` why the canary that
    stands has to go before it can be made anew, `unrouted` what was found where no route leads to
    the Service, `unserved` why the canary can take no traffic, `outdated` which pod that is gone
    its Service still sends requests to, `exclusive` what its pods keep from the target's. `taken`
    names what stands where the run's objects are to be and is not this target's, `left_over` is
    whether the canary's Service is there without its Deployment. `counts` is by metric what the
    run's own counters come to, `gone` names the objects of the run that are not there any more.
    `forewarned` is what a team is to know before a run begins, `unclear` what is not known of the
    queries that it is judged by. `defaults` are the admin's of now, for a run that begins, and
    `in_force` is what its `strategy` comes to. `accepted` is what the Canary says, empty where that
    cannot be followed. In the middle of a run `not_followed` says why it cannot, and the strategy
    is the one of before. `edited` is whether the status speaks of an earlier Canary than the one
    that was read.
    """

    key: Key
    target: Target
    revisions: tuple[Revision, ...]
    strategy: Strategy | InvalidStrategy
    canary: CanaryAbsent | CanaryPresent
    split: Split
    problems: tuple[str, ...] = ()
    standing: Standing = Standing()
    weighing: Weighing | None = None
    weather: Weather = Calm()
    unsuitable: Unsuitable | None = None
    misfit: str = ""
    taken: tuple[str, ...] = ()
    left_over: bool = False
    unrouted: str = ""
    unserved: str = ""
    outdated: str = ""
    exclusive: str = ""
    forewarned: tuple[str, ...] = ()
    unclear: tuple[str, ...] = ()
    counts: Mapping[str, OwnCount] = field(default_factory=dict)
    gone: tuple[str, ...] = ()
    defaults: Mapping[str, str] = field(default_factory=dict)
    in_force: Mapping[str, Any] = field(default_factory=dict)
    accepted: Mapping[str, Any] = field(default_factory=dict)
    not_followed: tuple[str, ...] = ()
    edited: bool = False

    def share(self, state: State) -> int:
        """Return what the canary answers in percent of the traffic, copies included.

        It is all where pods serve as they come up, and where it is tried with what comes past the
        routes, such as a load test.
        """
        unsplit = state.phase is Phase.PROMOTING or not self.split.routes
        apart = state.begun and state.traffic.is_nothing and not state.is_without_share
        carried = self.split.traffic
        return FULL if unsplit or apart else max(carried.weight, carried.mirror)


@dataclass(frozen=True, slots=True)
class Context:
    """Everything that a rule may look at."""

    state: State
    observed: Observed
    now: datetime
    timing: Timing

    @property
    def candidate(self) -> str:
        """Hash of the template that the target carries."""
        return self.observed.target.template_hash

    @property
    def same_candidate(self) -> bool:
        """Whether the target still carries the candidate that the state speaks of."""
        return self.state.candidate == self.candidate

    @property
    def has_failed(self) -> bool:
        """Whether the run of the candidate that the target carries has ended without it."""
        return self.state.phase is Phase.FAILED and self.same_candidate

    def since_change(self) -> timedelta:
        """Return how long the phase has lasted."""
        return self.now - (self.state.changed_at or self.now)

    def drained_for(self) -> timedelta:
        """Return for how long the canary's connections have had time to end.

        The phase is stored before the routes are written, and that write may have come late. It
        counts from when the gateways had it; where none tells, from when it stood on the routes.
        """
        split = self.observed.split
        had = split.stood_for if split.carried_for is None else split.carried_for
        return self.since_change() if had is None else min(had, self.since_change())


@dataclass(frozen=True, slots=True)
class Tick:
    """One look at a run that is under way.

    `strategy` is what its Canary asks for, `state` the one that this look leaves, as far as it is
    known; the one before is the context's.
    """

    ctx: Context
    strategy: Strategy
    state: State


def wait(ctx: Context, reason: str, message: str, after: timedelta) -> Decision:
    """Do nothing but look again; the message is stored when it is a new one."""
    state = replace(ctx.state, reason=str(reason), message=message)
    actions: tuple[Action, ...] = () if state == ctx.state else (SaveState(),)
    return Decision(state=state, actions=actions, requeue_after=after)


def warned(ctx: Context, decision: Decision) -> Decision:
    """Say in a warning event what is waited for, once per message."""
    state = decision.state
    if state.message == ctx.state.message:
        return decision
    said = Emit(state.reason, state.message, warning=True)
    return replace(decision, actions=(said, *decision.actions))


def look_again_in(decision: Decision) -> timedelta | None:
    """Return when to look again: Services are not watched, and one that has a share may go.

    What is to be announced is handed over at the next look.

    Args:
        decision: what was decided and done.

    """
    if decision.state.alerts or decision.state.told:
        return timedelta(0)
    after = decision.requeue_after
    return after if after is None or not decision.state.weight else min(after, RECHECK)
