"""A world in miniature for the rules: a target, its ReplicaSets, a canary, a route, and time.

It carries out actions as the cluster would, can stop after any of them as a killed process does,
and rolls a resumed Deployment one pod at a time.
"""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from canary.actions import (
    Action,
    CallPostRollout,
    ClearCommands,
    Decision,
    DeleteCanary,
    Emit,
    EnsureCanary,
    EnsureRoute,
    ForgetRefused,
    HoldTarget,
    MarkRefused,
    ReleaseTarget,
    ReopenProgress,
    SaveState,
    ScaleDownRevision,
    SettleTarget,
    SetWeight,
)
from canary.contract import Command
from canary.decide import decide, questions
from canary.evidence.counters import Stratum
from canary.evidence.judge import Judge
from canary.evidence.judge import State as JudgeState
from canary.evidence.plan import CountPlan
from canary.model.asking import Sample
from canary.model.state import State
from canary.model.strategy import InvalidStrategy, Metric, Strategy
from canary.model.values import Key
from canary.model.world import (
    CanaryAbsent,
    CanaryPresent,
    Hold,
    HookResult,
    Observed,
    Questions,
    Revision,
    Split,
    Target,
)
from canary.weighing import Weighing

KEY = Key(namespace="prod", name="web")
METRIC = Metric(name="error-rate", source="errors", maximum=1)
PLAN = CountPlan(name="error-rate", maximum=0.01)
STRATEGY = Strategy(
    interval=timedelta(minutes=1),
    threshold=3,
    weights=(10, 20, 30, 40, 50),
    metrics=(METRIC,),
    service_name="web",
)
START = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class World:
    """What the cluster stores, and what its pods do. Change it as a user would."""

    template: str = "v1"
    paused: bool = False
    held: bool = False
    marks: dict[str, str] = field(default_factory=dict)
    commands: set[Command] = field(default_factory=set)
    pause_value: str = ""
    replicas: int = 4
    pods: dict[str, int] = field(default_factory=lambda: {"v1": 4})
    canary: str = ""
    canary_size: int = 0
    canary_ready: bool = True
    trouble: str = ""
    restarts: int = 0
    crash: str = ""
    weight: int = 0
    routes: int = 1
    values: dict[str, float | None] = field(default_factory=dict)
    refuse_hooks: set[str] = field(default_factory=set)
    state: State = State()
    strategy: Strategy | InvalidStrategy = STRATEGY
    problems: tuple[str, ...] = ()
    enabled: bool = True
    now: datetime = START
    events: list[str] = field(default_factory=list)
    weights: list[int] = field(default_factory=list)
    post_rollouts: list[str] = field(default_factory=list)
    verdict: str = ""
    strata: dict[str, Stratum] = field(default_factory=dict)
    seen: tuple[str, JudgeState] | None = None

    # --- what users do -------------------------------------------------------------------------

    def update(self, template: str) -> None:
        """Write a template, as the webhook lets it through."""
        stable = self.marks.get("stable", self.template)
        if template == stable:
            self.template, self.paused, self.held = template, False, False
            self.marks = {k: v for k, v in self.marks.items() if k == "refused"}
        elif template != self.template:
            self.template, self.paused, self.held = template, True, True
            self.marks["stable"] = stable

    def command(self, command: Command, value: str = "now") -> None:
        """Annotate the target."""
        self.commands.add(command)
        self.pause_value = value

    # --- what the analyzer does ----------------------------------------------------------------

    def observe(self) -> Observed:
        """Read everything, as `analyzer.observe` does."""
        complete = not self.paused and self.pods == {self.template: self.replicas}
        hold = (Hold.OURS if self.held else Hold.THEIRS) if self.paused else Hold.NONE
        present = CanaryPresent(
            template_hash=self.canary,
            replicas=self.canary_size,
            ready=self.canary_size if self.canary_ready else 0,
            trouble=self.trouble,
            restarts=self.restarts,
            crash=self.crash,
        )
        return Observed(
            key=KEY,
            target=Target(
                hold=hold,
                template_hash=self.template,
                replicas=self.replicas,
                stable_mark=self.marks.get("stable", ""),
                promoting_mark=self.marks.get("promoting", ""),
                refused_mark=self.marks.get("refused", ""),
                enabled=self.enabled,
                commands=frozenset(self.commands),
                pause_value=self.pause_value,
                requested_by="alice",
                rollout_complete=complete,
            ),
            revisions=tuple(
                Revision(name=f"web-{h}", template_hash=h, replicas=n, ready=n)
                for h, n in self.pods.items()
            ),
            strategy=self.strategy,
            canary=present if self.canary else CanaryAbsent(),
            split=Split(weight=self.weight if self.routes else 0, routes=self.routes),
            problems=self.problems,
            weighing=self.weigh(),
        )

    def weigh(self) -> Weighing | None:
        """Judge what the canary answers at each look, if it has traffic."""
        stratum = self.strata.get(self.template)
        if not isinstance(self.strategy, Strategy) or not self.canary or stratum is None:
            return None
        judge = Judge(self.strategy.policy, [PLAN])
        if self.seen is None or self.seen[0] != self.template:
            self.seen = (self.template, judge.start())
        if self.weight:
            self.seen = (self.template, judge.update(self.seen[1], {PLAN.name: stratum}))
        state = self.seen[1]
        return Weighing(
            candidate=self.template,
            verdict=judge.verdict(state),
            judge=judge,
            state=state,
            sources={PLAN.name: "pods (app)"},
            at=self.now.timestamp(),
        )

    def answer(self, observed: Observed, wanted: Questions) -> Observed:
        """Ask metrics and hooks."""
        if not wanted.metrics and wanted.hooks is None:
            return observed
        assert isinstance(self.strategy, Strategy)
        value = self.values.get(self.template, 0.0)
        baseline = self.values.get(self.marks.get("stable", ""), 0.0)
        samples = tuple(
            Sample(metric=m, value=value, baseline=baseline) for m in self.strategy.metrics
        )
        hooks = tuple(
            HookResult(hook=hook, ok=hook.name not in self.refuse_hooks, message="no")
            for hook in self.strategy.hooks
            if hook.type is wanted.hooks
        )
        return replace(observed, samples=samples if wanted.metrics else (), hooks=hooks, asked=True)

    def reconcile(self, crash_after: int | None = None) -> Decision:
        """Reconcile once; with `crash_after` the process dies after so many actions."""
        observed = self.observe()
        observed = self.answer(observed, questions(self.state, observed, self.now))
        decision = decide(self.state, observed, self.now)
        for action in decision.actions[:crash_after]:
            self.act(action, decision.state)
        return decision

    def roll(self) -> None:
        """Let the Deployment controller do one step."""
        old = [h for h, n in self.pods.items() if h != self.template and n]
        if not self.paused and old:
            self.pods[old[0]] -= 1
            self.pods[self.template] = self.pods.get(self.template, 0) + 1
        missing = self.replicas - sum(self.pods.values())
        alive = [h for h, n in self.pods.items() if n]
        if missing and len(alive) == 1:  # a paused Deployment scales its only active ReplicaSet
            self.pods[alive[0]] += missing
        self.pods = {h: n for h, n in self.pods.items() if n}

    def run(self, until: timedelta = timedelta(hours=1), crash_at: int | None = None) -> None:
        """Reconcile until nothing is left to do, or until the time is over.

        Args:
            until: the longest time.
            crash_at: the number of the action, over the whole run, after which the process dies.

        """
        end, done = self.now + until, 0
        while self.now < end:
            limit = None if crash_at is None or crash_at < done else crash_at - done
            decision = self.reconcile(limit)
            crashed = limit is not None and limit < len(decision.actions)
            done += len(decision.actions) if limit is None else min(limit, len(decision.actions))
            if crashed:
                crash_at = None  # it dies once, and its successor starts at once
                continue
            self.roll()
            if decision.requeue_after is None and not decision.actions and self._settled():
                return
            self.now += max(self._next(decision), timedelta(milliseconds=100))

    def _next(self, decision: Decision) -> timedelta:
        """Return when to look again: what is scraped wakes the reconcile before its time."""
        after = decision.requeue_after or timedelta(0)
        return min(after, timedelta(seconds=5)) if self.strata else after

    def _settled(self) -> bool:
        return self.paused or set(self.pods) == {self.template}

    def act(self, action: Action, state: State) -> None:  # noqa: C901, PLR0912 - one case each
        """Carry out one action."""
        match action:
            case SaveState():
                self.state = state
            case SetWeight(weight):
                if weight != self.weight and self.routes:
                    self.weight = weight
                    self.weights.append(weight)
            case EnsureCanary(replicas):
                self.canary, self.canary_size = self.template, replicas
            case DeleteCanary():
                assert self.weight == 0, "pods went away while they had traffic"
                self.canary = ""
            case ReleaseTarget(promoting):
                self.paused = self.held = False
                if promoting:
                    self.marks |= {"promoting": state.candidate, "stable": state.stable}
                else:
                    self.marks.pop("stable", None)
            case SettleTarget(keep_refused):
                self.held = False
                keep = {"refused"} if keep_refused else set()
                self.marks = {k: v for k, v in self.marks.items() if k in keep}
            case HoldTarget():
                self.paused = self.held = True
                self.marks.pop("promoting", None)
                self.marks["stable"] = state.stable
            case ScaleDownRevision(wanted):
                self.pods.pop(wanted, None)
            case MarkRefused(message):
                self.marks["refused"] = state.candidate
                self.verdict = message
            case ForgetRefused():
                self.marks.pop("refused", None)
            case ClearCommands(commands):
                self.commands -= commands
            case Emit(message=message):
                if message not in self.events[-3:]:
                    self.events.append(message)
            case CallPostRollout():
                self.post_rollouts.append(str(state.phase))
            case EnsureRoute() | ReopenProgress():
                pass
