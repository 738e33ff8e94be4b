"""Runs that something comes into the middle of: the strategies, the moments, what must be so."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from canary.model.state import Phase
from canary.model.strategy import HookType, Strategy
from canary.spec.canary import parse_strategy
from canary.spec.defaults import Defaults
from canary.spec.strategies import without_route
from tests.fakes.world import World

MATCH: Final = [{"headers": {"x-canary": {"exact": "insider"}}}]
METRICS: Final = [{"name": "error-rate", "query": "errors", "thresholdRange": {"max": 1}}]
HOOKS: Final = [
    {"name": "rollout", "type": "confirm-rollout", "url": "http://gate/"},
    {"name": "before", "type": "pre-rollout", "url": "http://gate/"},
    {"name": "promotion", "type": "confirm-promotion", "url": "http://gate/"},
]
BAD: Final = 5.0
PATIENCE: Final = timedelta(hours=3)
"""In which a run ends that nobody and nothing holds up."""


def strategy(provider: str = "gatewayapi:v1", **analysis: Any) -> Strategy:
    """Return what a Canary with this analysis asks for; with three hooks unless it says others."""
    said: dict[str, Any] = {
        "interval": "1m",
        "threshold": 2,
        "metrics": METRICS,
        "webhooks": HOOKS,
        **analysis,
    }
    beside = ("suspend", "skipAnalysis")
    skips: dict[str, Any] = {name: said.pop(name) for name in beside if name in said}
    spec: dict[str, Any] = {
        "provider": provider,
        "targetRef": {"kind": "Deployment", "name": "web"},
        "service": {"port": 80},
        "analysis": said,
        **skips,
    }
    found = parse_strategy(
        {"metadata": {"name": "web", "namespace": "prod"}, "spec": spec}, Defaults()
    )
    assert isinstance(found, Strategy), found
    return found


ANALYSES: Final[Mapping[str, Mapping[str, Any]]] = {
    "steps": {"stepWeight": 25, "maxWeight": 50},
    "step weights": {"stepWeights": [5, 50], "stepWeightPromotion": 50},
    "mirrored first": {"stepWeights": [20, 50], "mirror": True},
    "blue/green": {"iterations": 2},
    "blue/green, mirrored": {"iterations": 2, "mirror": True},
    "A/B": {"iterations": 2, "match": MATCH},
    "sticky": {"stepWeights": [20, 50], "sessionAffinity": {"cookieName": "met"}},
}
ROUTED: Final = tuple(ANALYSES)
STRATEGIES: Final[Mapping[str, Strategy]] = {
    **{name: strategy(**analysis) for name, analysis in ANALYSES.items()},
    "kubernetes": without_route(strategy("kubernetes", iterations=2)),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """A moment of the run of v2: what brings it about, and how it is told."""

    before: Callable[[World], None] = lambda _: None
    here: Callable[[World], bool]


def _at(phase: Phase) -> Callable[[World], bool]:
    return lambda world: world.state.phase is phase


def _shut(name: str) -> Callable[[World], None]:
    return lambda world: world.refuse_hooks.add(name)


def _waits_at(kind: HookType) -> Callable[[World], bool]:
    return lambda world: world.state.gate is not None and world.state.gate.kind is kind


def _unready(world: World) -> None:
    world.canary_ready = False


def _bad(world: World) -> None:
    world.values["v2"] = BAD


MOMENTS: Final[Mapping[str, Moment]] = {
    "held": Moment(here=lambda world: world.held),
    "at the first gate": Moment(before=_shut("rollout"), here=_waits_at(HookType.CONFIRM_ROLLOUT)),
    "starting": Moment(before=_unready, here=lambda world: world.canary == "v2"),
    "at the first step": Moment(here=lambda world: world.state.step == 0),
    "at the second step": Moment(here=lambda world: world.state.step == 1),
    "at the last gate": Moment(
        before=_shut("promotion"), here=_waits_at(HookType.CONFIRM_PROMOTION)
    ),
    "rolling": Moment(here=lambda world: world.pods == {"v1": 2, "v2": 2}),
    "draining": Moment(here=_at(Phase.FINALISING)),
    "promoted": Moment(here=lambda world: _at(Phase.SUCCEEDED)(world) and not world.canary),
    "being refused": Moment(before=_bad, here=_at(Phase.FAILED)),
    "refused": Moment(
        before=_bad, here=lambda world: _at(Phase.FAILED)(world) and not world.canary
    ),
}
GONE_OUT: Final = frozenset({"rolling", "draining", "promoted"})
"""Moments at which v2 was judged, and has pods in the target."""
IS_STABLE: Final = frozenset({"draining", "promoted"})
"""Moments at which v2 is what serves."""


@dataclass
class Run:
    """A world whose every look is held against what must be so.

    `steps` are the steps that each version took, `served` the versions that had pods in the target,
    `answered` those whose canary was sent anything.
    """

    world: World
    steps: dict[str, set[int]] = field(default_factory=dict)
    served: set[str] = field(default_factory=set)
    answered: set[str] = field(default_factory=set)
    since_refusal: set[str] = field(default_factory=set)

    def look(self) -> None:
        """Look once, as the analyzer does, and let the cluster do a step."""
        world = self.world
        decision = world.reconcile()
        world.roll()
        self._judge()
        resting = decision.requeue_after is None and not world.out
        assert not resting or not self._is_running(), f"nothing will look again: {world.state}"
        assert world.state.message or not self._is_running(), "it says nothing"
        world.now += max(world.next_look(decision), timedelta(milliseconds=100))

    def _is_running(self) -> bool:
        return self.world.state.phase not in {Phase.INITIALIZED, Phase.SUCCEEDED, Phase.FAILED}

    def _judge(self) -> None:
        world, state = self.world, self.world.state
        self.steps.setdefault(state.candidate, set()).add(state.step)
        if world.marks.get("refused"):
            self.since_refusal.add(world.marks["refused"])
        self.served |= {template for template, pods in world.pods.items() if pods}
        if not world.traffic.is_nothing:
            self.answered.add(world.canary)
            assert world.canary == state.candidate, "what is sent there is not for this version"
            assert world.canary not in self.since_refusal, f"{world.canary} was refused"
        if world.routes:
            assert world.traffic.weight == state.weight, "the status says another weight"

    def until(self, here: Callable[[World], bool], most: timedelta = PATIENCE) -> None:
        """Look until something is so.

        Raises:
            AssertionError: it does not come to that.

        """
        end = self.world.now + most
        while not here(self.world):
            assert self.world.now < end, f"it never came to that: {self.world.state}"
            self.look()

    def rest(self) -> None:
        """Look until nothing is left to do, and once more a day later."""
        self.until(self._rests)
        self.world.now += timedelta(days=1)
        before = (self.world.state, dict(self.world.pods), dict(self.world.marks))
        for _ in range(3):
            self.look()
        after = (self.world.state, dict(self.world.pods), dict(self.world.marks))
        assert before == after, "it did not stay so"

    def _rests(self, world: World) -> bool:
        decision = world.decide()
        settled = world.paused or set(world.pods) == {world.template}
        rests = decision.requeue_after is None and not (decision.actions or world.out)
        return rests and not self._is_running() and settled


def run_at(strategy: Strategy, moment: Moment) -> Run:
    """Return the run of v2, beside v1, at a moment."""
    world = World(strategy=strategy)
    if strategy.is_unrouted:
        world.routes = 0
    world.run()
    run = Run(world)
    moment.before(world)
    world.update("v2")
    run.until(moment.here)
    return run


def let_go(world: World) -> None:
    """Have nobody and nothing in the way any more."""
    world.refuse_hooks.clear()
    world.canary_ready = True


def assert_over(run: Run, phase: Phase, serves: str) -> None:
    """Look at what is left of it.

    Raises:
        AssertionError: something else than what is to be.

    """
    world = run.world
    assert (world.state.phase, world.pods) == (phase, {serves: world.replicas})
    assert (world.canary, world.traffic.is_nothing) == ("", True)
    held = phase is Phase.FAILED
    assert (world.paused, world.held) == (held, held)
    left = {"stable", "refused"} if held else {"refused"}
    assert world.marks.keys() <= left, world.marks
    assert held or not world.parked
    if held:
        assert world.marks["refused"] == world.template
        assert world.verdict
