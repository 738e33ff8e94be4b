"""Whatever the rules say: what is not ours gets no share, and nothing is made in its place."""

from dataclasses import replace

import pytest

from canary.contract import Reason
from canary.model.state import Phase, State
from canary.model.traffic import Traffic
from canary.model.world import Split
from canary.rules.actions import Action, Decision, Emit, EnsureCanary, EnsureRoute, SetTraffic
from canary.rules.context import Context
from canary.rules.decide import DEFAULT_TIMING, decide
from canary.rules.strangers import kept_from_strangers
from tests.fakes.bench import START
from tests.fakes.world import World

TAKEN = "Service web-canary exists and is not the canary of deployment web"
SAID = Emit(str(Reason.TAKEN), f"web.prod: {TAKEN}", warning=True)
OTHER = Emit("Advanced", "x")


def ctx(weight: int, *taken: str) -> Context:
    observed = replace(
        World().observe(), split=Split(traffic=Traffic(weight), routes=1), taken=taken
    )
    return Context(State(phase=Phase.PROGRESSING, weight=50), observed, START, DEFAULT_TIMING)


@pytest.mark.parametrize(
    ("weight", "actions", "kept"),
    [
        (0, (OTHER,), (OTHER,)),
        (0, (SetTraffic(Traffic(10)), OTHER), (OTHER, SAID)),
        (0, (OTHER, SetTraffic(Traffic(0))), (OTHER, SAID)),
        (50, (OTHER,), (SetTraffic(Traffic(0)), OTHER, SAID)),
        (50, (SetTraffic(Traffic(0)), OTHER), (SetTraffic(Traffic(0)), OTHER)),
        (50, (OTHER, SetTraffic(Traffic(60))), (SetTraffic(Traffic(0)), OTHER, SAID)),
        (0, (EnsureCanary(2), EnsureRoute(), OTHER), (OTHER, SAID)),
    ],
)
def test_a_share_goes_and_nothing_is_made(
    weight: int, actions: tuple[Action, ...], kept: tuple[Action, ...]
) -> None:
    decision = Decision(state=State(), actions=actions)
    assert kept_from_strangers(ctx(weight, TAKEN), decision).actions == kept
    assert kept_from_strangers(ctx(weight), decision) is decision


@pytest.mark.parametrize("phase", list(Phase))
def test_in_no_phase_does_a_stranger_keep_a_share(phase: Phase) -> None:
    seen = ctx(50, TAKEN).observed
    state = State(phase=phase, candidate=seen.target.template_hash, weight=50, changed_at=START)
    decision = decide(state, seen, START)
    assert SetTraffic(Traffic(0)) in decision.actions
    made = (EnsureCanary, EnsureRoute)
    assert not any(isinstance(action, made) for action in decision.actions)
