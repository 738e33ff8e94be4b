"""A world in miniature for the rules: a target, its ReplicaSets, a canary, a route, and time.

It carries out actions as the cluster would, can stop after any of them as a killed process does,
and rolls a resumed Deployment one pod at a time. Questions are answered at once, after a time, or
never, as its script says; a process that dies takes what is out with it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from canary.contract import COMMANDS, DOMAIN, HOLD, Command
from canary.evidence.counters import Stratum
from canary.evidence.judge import Judge, JudgeState
from canary.evidence.plan import CountPlan
from canary.evidence.report import Weighing
from canary.model.asking import (
    Answer,
    Ask,
    HookAnswer,
    HookAsk,
    MetricsAnswer,
    MetricsAsk,
    OwnCount,
    Pending,
    Sample,
    Standing,
)
from canary.model.fates import Calm, Fate, Serving, Unready, Weather
from canary.model.joining import Joining, Member
from canary.model.state import State
from canary.model.strategy import HookType, InvalidStrategy, Kind, Metric, Strategy
from canary.model.traffic import NOTHING, Traffic
from canary.model.values import Key
from canary.model.world import (
    CanaryAbsent,
    CanaryPod,
    CanaryPresent,
    Hold,
    Place,
    Revision,
    Split,
    Target,
    Unsuitable,
)
from canary.rules.actions import (
    Action,
    Decision,
    DeleteCanary,
    Emit,
    EmptyForgotten,
    EndProgress,
    EnsureCanary,
    EnsureRoute,
    MarkRefused,
    MarkTarget,
    ParkRevisions,
    Pause,
    PutBackRevisions,
    ReopenProgress,
    SaveState,
    ScaleDownRevision,
    SetTraffic,
)
from canary.rules.context import Observed
from canary.rules.decide import decide
from canary.rules.parking import to_park
from canary.spec.in_force import in_force
from canary.spec.steps import linear
from tests.fakes.deployment_controller import chosen

KEY = Key(namespace="prod", name="web")
METRIC = Metric(name="error-rate", source="errors", maximum=1)
PLAN = CountPlan(name="error-rate", maximum=0.01)
STRATEGY = Strategy(
    interval=timedelta(minutes=1),
    threshold=3,
    steps=linear((10, 20, 30, 40, 50)),
    metrics=(METRIC,),
    service_name="web",
)
METRICS = "metrics"
"""What the script calls the questions about metrics."""
NEVER = timedelta(days=1000)
START = datetime(2026, 1, 1, tzinfo=UTC)


def _name(ask: Ask) -> str:
    return METRICS if isinstance(ask, MetricsAsk) else ask.hook


@dataclass
class World:
    """What the cluster stores, and what its pods do. Change it as a user would."""

    template: str = "v1"
    paused: bool = False
    held: bool = False
    marks: dict[str, str] = field(default_factory=dict)
    commands: set[Command] = field(default_factory=set)
    pause_value: str = ""
    faulty_hooks: set[str] = field(default_factory=set)
    replicas: int = 4
    uid: str = ""
    target_made_at: datetime | None = None
    pods_denied: str = ""
    ending: tuple[CanaryPod, ...] = ()
    rolling: str = ""
    made_at: datetime | None = None
    pods_at: datetime = START
    gone: tuple[str, ...] = ()
    counts: dict[str, OwnCount] = field(default_factory=dict)
    reach: timedelta | None = None
    pods: dict[str, int] = field(default_factory=lambda: {"v1": 4})
    born: list[str] = field(default_factory=lambda: ["v1"])
    parked: set[str] = field(default_factory=set)
    canary: str = ""
    canary_size: int = 0
    canary_ready: bool = True
    trouble: str = ""
    restarts: int = 0
    crash: str = ""
    traffic: Traffic = NOTHING
    routes: int = 1
    joined: frozenset[str] = frozenset()
    confirmed: bool = True
    lag: str = ""
    unheard: str = ""
    carried_for: timedelta | None = None
    stood_for: timedelta | None = None
    values: dict[str, float | None] = field(default_factory=dict)
    refuse_hooks: set[str] = field(default_factory=set)
    state: State = State()
    strategy: Strategy | InvalidStrategy = STRATEGY
    problems: tuple[str, ...] = ()
    unsuitable: Unsuitable | None = None
    misfit: str = ""
    unrouted: str = ""
    unserved: str = ""
    outdated: str = ""
    exclusive: str = ""
    enabled: bool = True
    now: datetime = START
    events: list[str] = field(default_factory=list)
    weights: list[int] = field(default_factory=list)
    latency: dict[str, timedelta] = field(default_factory=dict)
    full: set[str] = field(default_factory=set)
    out: dict[Ask, datetime] = field(default_factory=dict)
    answers: dict[Ask, Answer] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    puts: list[HookAsk] = field(default_factory=list)
    metrics_asked: int = 0
    post_rollouts: list[str] = field(default_factory=list)
    verdict: str = ""
    given_up: str = ""
    fates: tuple[Fate, ...] = ()
    weather: Weather = Calm()
    not_followed: tuple[str, ...] = ()
    defaults: Mapping[str, str] = field(default_factory=dict)
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
            self.marks.pop("promoting", None)

    def command(self, command: Command, value: str = "now") -> None:
        """Annotate the target."""
        self.commands.add(command)
        self.pause_value = value

    # --- what the analyzer does ----------------------------------------------------------------

    def observe(self) -> Observed:
        """Read everything, as `analyzer.loop.observe` does."""
        wanted = {self.template: self.replicas} if self.replicas else {}
        complete = not self.paused and self.pods == wanted
        hold = (Hold.OURS if self.held else Hold.THEIRS) if self.paused else Hold.NONE
        present = CanaryPresent(
            template_hash=self.canary,
            replicas=self.canary_size,
            ready=self.ready,
            trouble=self.trouble,
            restarts=self.restarts,
            crash=self.crash,
            pods_denied=self.pods_denied,
            rolling=self.rolling,
            made_at=self.made_at,
            current=not self.rolling,
            fates=self.fates or self._usual_fates(),
            pods=tuple(
                CanaryPod(name=f"web-canary-{self.canary}-{number}", created=self.pods_at)
                for number in range(self.canary_size)
            )
            + self.ending,
            forgotten=("web-canary-old",) if any(pod.astray for pod in self.ending) else (),
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
                approve_value=self.pause_value,
                requested_by="alice",
                rollout_complete=complete,
                uid=self.uid,
                created=self.target_made_at,
            ),
            revisions=self.revisions(),
            strategy=self.strategy,
            canary=present if self.canary else CanaryAbsent(),
            split=self.split(),
            problems=self.problems,
            unsuitable=self.unsuitable,
            misfit=self.misfit if self.canary else "",
            unrouted="" if self.routes else self.unrouted,
            unserved=self.unserved if self.canary else "",
            outdated=self.outdated if self.canary else "",
            exclusive=self.exclusive,
            standing=self.standing(),
            weighing=self.weigh(),
            weather=self.weather,
            defaults=self.defaults,
            not_followed=self.not_followed,
            in_force=in_force(self.strategy),
            counts=self.counts,
            gone=self.gone if self.canary else (),
        )

    def split(self) -> Split:
        """Return the split on the routes, or of the Service's pods."""
        if (joining := self.joining()) is not None:
            share = Traffic(round(joining.share)) if joining.serving else NOTHING
            return Split(traffic=share, routes=1, confirmed=self.confirmed, joining=joining)
        return Split(
            traffic=self.traffic if self.routes else NOTHING,
            routes=self.routes,
            confirmed=self.confirmed,
            lag=self.lag,
            unheard=self.unheard,
            carried_for=self.carried_for,
            stood_for=self.stood_for,
        )

    def joining(self) -> Joining | None:
        """Return the canary's pods that may be in the Service, where they share its traffic."""
        if not isinstance(self.strategy, Strategy) or self.strategy.kind is not Kind.PODS:
            return None
        names = [f"web-canary-{self.canary}-{number}" for number in range(self.canary_size)]
        members = (
            Member(name=name, ready=number < self.ready, joined=name in self.joined)
            for number, name in enumerate(names if self.canary else ())
        )
        return Joining(members=tuple(members), stable=sum(self.pods.values()))

    @property
    def weight(self) -> int:
        """The canary's share on the routes, in percent."""
        return self.traffic.weight

    @weight.setter
    def weight(self, weight: int) -> None:
        self.traffic = Traffic(weight)

    @property
    def ready(self) -> int:
        """The canary's ready pods."""
        if self.fates:
            return sum(isinstance(fate, Serving) for fate in self.fates)
        return self.canary_size if self.canary_ready else 0

    def _usual_fates(self) -> tuple[Fate, ...]:
        """Return pods that serve, or that fail their own probes."""
        fate = Serving if self.canary_ready else Unready
        return tuple(fate(pod=f"web-canary-{number}") for number in range(self.canary_size))

    def revisions(self) -> tuple[Revision, ...]:
        """Return the ReplicaSets, in the order in which they came to be."""
        return tuple(
            Revision(
                name=f"web-{template}",
                template_hash=template,
                replicas=self.pods.get(template, 0),
                ready=self.pods.get(template, 0),
                created=f"{at:06}",
                number=at,
                place=Place.PARKED if template in self.parked else Place.OWNED,
            )
            for at, template in enumerate((*self.born, *(set(self.pods) - set(self.born))))
        )

    def weigh(self) -> Weighing | None:
        """Judge what the canary answers at each look, if it has traffic."""
        stratum = self.strata.get(self.template)
        if not isinstance(self.strategy, Strategy) or not self.canary or stratum is None:
            return None
        if self.state.is_without_share:
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

    # --- what the inquirer does ----------------------------------------------------------------

    def standing(self) -> Standing:
        """Return what is known of the questions; those whose time has come are answered."""
        for ask, due in tuple(self.out.items()):
            if due <= self.now:
                del self.out[ask]
                self.answers[ask] = self.answer(ask)
        return Standing(
            answers=tuple(self.answers.values()),
            pending=tuple(Pending(ask=ask, queued=_name(ask) in self.full) for ask in self.out),
        )

    def put(self, asks: tuple[Ask, ...]) -> None:
        """From now on these questions stand, and no others."""
        self.out = {ask: due for ask, due in self.out.items() if ask in asks}
        self.answers = {ask: one for ask, one in self.answers.items() if ask in asks}
        for ask in asks:
            if ask in self.out or ask in self.answers:
                continue
            self.out[ask] = self.now + self.latency.get(_name(ask), timedelta(0))
            if isinstance(ask, MetricsAsk):
                self.metrics_asked += 1
            else:
                self.calls.append(ask.hook)
                self.puts.append(ask)
                if ask.type is HookType.POST_ROLLOUT:
                    self.post_rollouts.append(str(self.state.phase))

    def answer(self, ask: Ask) -> Answer:
        """Return what metrics and hooks say now."""
        if not isinstance(ask, MetricsAsk):
            faulty = ask.hook in self.faulty_hooks
            ok = not faulty and ask.hook not in self.refuse_hooks
            return HookAnswer(ask=ask, ok=ok, message="no", faulty=faulty)
        assert isinstance(self.strategy, Strategy)
        value = self.values.get(self.template, 0.0)
        baseline = self.values.get(self.marks.get("stable", ""), 0.0)
        until = self._waits_until()
        if until is not None:
            waits = (Sample(metric=m, waits_until=until) for m in self.strategy.metrics)
            return MetricsAnswer(ask=ask, samples=tuple(waits))
        samples = tuple(
            Sample(metric=m, value=value, baseline=baseline) for m in self.strategy.metrics
        )
        return MetricsAnswer(ask=ask, samples=samples)

    def _waits_until(self) -> datetime | None:
        """Return until when queries that reach back `reach` find samples of the canary before."""
        former = self.state.former_until
        if self.reach is None or former is None or self.now - self.reach >= former:
            return None
        return former + self.reach

    def die(self) -> None:
        """Lose all that only a process knows."""
        self.out.clear()
        self.answers.clear()

    # --- what the analyzer does, again ---------------------------------------------------------

    def decide(self) -> Decision:
        """Look, and decide."""
        return decide(self.state, self.observe(), self.now)

    def reconcile(self, crash_after: int | None = None) -> Decision:
        """Reconcile once; with `crash_after` the process dies after so many actions.

        One more than there are actions dies after the questions were put.
        """
        decision = self.decide()
        self.carry_out(decision, crash_after)
        return decision

    def carry_out(self, decision: Decision, crash_after: int | None = None) -> None:
        """Do what was decided, then put what is asked."""
        for action in decision.actions[:crash_after]:
            self.act(action, decision.state)
        if crash_after is None or crash_after > len(decision.actions):
            self.put(decision.asks)
        if crash_after is not None:
            self.die()

    def roll(self) -> None:
        """Let the Deployment controller do one step."""
        if not self.paused and self.template not in self.born:
            self.born.append(self.template)
        assert self.paused or self.template not in self.parked, (
            "a second ReplicaSet of one template"
        )
        aside = {h: n for h, n in self.pods.items() if h in self.parked}
        own = {h: n for h, n in self.pods.items() if h not in self.parked}
        old = [h for h, n in own.items() if h != self.template and n]
        if not self.paused and old:
            own[old[0]] -= 1
            own[self.template] = own.get(self.template, 0) + 1
        alive = [h for h, n in own.items() if n]
        if not self.replicas:
            own = {}
        elif len(alive) == 1:  # a Deployment scales its only active ReplicaSet
            own = {alive[0]: self.replicas}
        elif not alive and (one := chosen(self.revisions(), self.template)) is not None:
            own = {one.template_hash: self.replicas}
        self.pods = aside | {h: n for h, n in own.items() if n}

    def run(self, until: timedelta = timedelta(hours=1), crash_at: int | None = None) -> None:
        """Reconcile until nothing is left to do, or until the time is over.

        Args:
            until: the longest time.
            crash_at: the number of the write, over the whole run, before which the process dies;
                questions that are put count as one.

        """
        end, done = self.now + until, 0
        while self.now < end:
            decision = self.decide()
            steps = len(decision.actions) + (2 if decision.asks else 1)
            limit = None if crash_at is None or crash_at >= done + steps else crash_at - done
            self.carry_out(decision, limit)
            done += steps
            if limit is not None:
                crash_at = None  # it dies once, and its successor starts at once
                continue
            self.roll()
            if self._is_done(decision):
                return
            self.now += max(self.next_look(decision), timedelta(milliseconds=100))

    def _is_done(self, decision: Decision) -> bool:
        rests = decision.requeue_after is None and not decision.actions and not self.out
        return rests and self._settled()

    def next_look(self, decision: Decision) -> timedelta:
        """Return when to look again: what is scraped or answered wakes the reconcile."""
        after = timedelta(0) if decision.requeue_after is None else decision.requeue_after
        if self.out and decision.requeue_after is None:
            after = timedelta(days=1)
        answered = [due - self.now for due in self.out.values()]
        return min(after, *answered, timedelta(seconds=5) if self.strata else after)

    def _settled(self) -> bool:
        return self.paused or set(self.pods) == ({self.template} if self.replicas else set())

    def act(self, action: Action, state: State) -> None:  # noqa: C901, PLR0912 - one case each
        """Carry out one action."""
        match action:
            case SaveState():
                self.state = state
            case SetTraffic(traffic):
                if (joining := self.joining()) is not None:
                    self.joined = joining.wanted(traffic.weight)
                if traffic != self.traffic and (self.routes or joining is not None):
                    self.traffic = traffic
                    self.weights.append(traffic.weight)
            case EnsureCanary(replicas):
                self.made_at = self.made_at if self.canary else self.now
                self.pods_at = self.pods_at if self.canary == self.template else self.now
                self.gone = ()
                fewer = self.canary != self.template or replicas < self.canary_size
                assert not (fewer and self.joined), "pods went away while they were in the Service"
                self.canary, self.canary_size = self.template, replicas
            case DeleteCanary():
                assert self.traffic.is_nothing, "pods went away while they had traffic"
                assert not self.joined, "pods went away while they were in the Service"
                self.canary = ""
            case MarkTarget(marks, pause):
                self.mark(marks, pause)
            case ScaleDownRevision(wanted):
                if not self.replicas or set(self.pods) - {wanted}:
                    self.pods.pop(wanted, None)
            case EmptyForgotten():
                self.ending = tuple(
                    replace(pod, astray=False, leaving=True, left_at=self.now)
                    if pod.astray
                    else pod
                    for pod in self.ending
                )
            case ParkRevisions(stable):
                found = to_park(self.revisions(), candidate=self.template, stable=stable)
                self.parked |= {one.template_hash for one in found}
            case PutBackRevisions(template):
                self.parked -= self.parked if template is None else {template}
            case EndProgress(message):
                self.given_up = message
            case MarkRefused(message):
                self.marks["refused"] = state.candidate
                self.verdict = message
            case Emit(message=message):
                if message not in self.events[-3:]:
                    self.events.append(message)
            case EnsureRoute() | ReopenProgress():
                pass

    def mark(self, marks: Mapping[str, str | None], pause: Pause) -> None:
        """Write annotations, and the pause, to the target."""
        self.commands -= {command for command in COMMANDS if command in marks}
        self.held = marks.get(HOLD, "x" if self.held else None) is not None
        for name in ("stable", "promoting", "refused"):
            if (key := f"{DOMAIN}/{name}") in marks:
                self.marks.pop(name, None)
                self.marks |= {name: value} if (value := marks[key]) is not None else {}
        if pause is not Pause.STANDS:
            self.paused = pause is Pause.SET
