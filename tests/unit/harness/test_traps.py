"""Flagger's traps: what its code does with people's writes in mid-run, and what happens here.

One row each of what reading Flagger 1.44 has shown: a version that serves without a judgement, one
that is lost, a run that never ends, an app that goes down. A row plays the same scenes with the
webhook, the analyzer and the cluster's controllers, and says what the team gets.
"""

import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import pytest

from canary.contract import Command
from runtime.errors import Unavailable
from runtime.resources import CANARIES, HTTPROUTES, PODS
from tests.fakes.hook_caller import FakeHookCaller
from tests.harness.client import Write
from tests.harness.controllers import Health, is_ready
from tests.harness.middles import edit, is_at_a_step
from tests.harness.played import play
from tests.harness.stage import PLACE, Stage
from tests.harness.stories import BAD, Story, annotate, begun, has_traffic, push, scale
from tests.harness.team import Team

T = TypeVar("T")
A_WHILE: Final = 60.0
GATES: Final = [
    {"name": "rollout", "type": "confirm-rollout", "url": "http://gates"},
    {"name": "before", "type": "pre-rollout", "url": "http://gates"},
    {"name": "promotion", "type": "confirm-promotion", "url": "http://gates"},
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trap:
    """One of Flagger's, and how a run ends here that comes to it.

    Args:
        theirs: what Flagger does.
        plays: the scenes.
        phase: how it ends.
        serves: the image that serves then.
        released: how often each image was let roll.
        analysis: what the Canary says beside its steps.
        replicas: of the target.

    """

    theirs: str
    plays: Callable[[Stage], Awaitable[None]]
    phase: str
    serves: str
    released: Mapping[str, int] = field(default_factory=dict)
    analysis: Mapping[str, Any] = field(default_factory=dict)
    replicas: int = 4


def hooks(stage: Stage) -> FakeHookCaller:
    assert isinstance(stage.hooks, FakeHookCaller)
    return stage.hooks


def called(stage: Stage, name: str) -> int:
    """Return how often a hook was called."""
    return sum(hook == name for hook, _ in hooks(stage).calls)


async def phase(stage: Stage, name: str) -> None:
    await stage.until(name, lambda: stage.phase() == name)


async def refused(stage: Stage, image: str) -> None:
    await stage.until("refused", lambda: stage.refused_image() == image)
    await stage.until("cleaned", lambda: not stage.canary_image())


# --- another version in mid-run -----------------------------------------------------------------


async def in_the_middle(stage: Stage) -> None:
    await begun(stage)
    await push(stage, "web:2")
    await has_traffic(stage, "web:2")
    assert (called(stage, "rollout"), called(stage, "before")) == (1, 1)
    await push(stage, "web:3")
    await stage.until("no traffic", lambda: not stage.weight())
    await has_traffic(stage, "web:3")
    assert (called(stage, "rollout"), called(stage, "before")) == (2, 2)


async def at_the_last_gate(stage: Stage) -> None:
    hooks(stage).script("promotion", 403)
    await begun(stage)
    await push(stage, "web:2")
    await phase(stage, "WaitingPromotion")
    assert stage.status()["canaryWeight"] == stage.weight() == 50, "what is sent is what is said"
    await push(stage, "web:3")
    await has_traffic(stage, "web:3")
    hooks(stage).script("promotion", 200)


async def while_it_rolls(stage: Stage) -> None:
    await begun(stage)
    await push(stage, "web:2")
    await phase(stage, "Promoting")
    stage.bad["web:2"] = Health.NEVER_READY
    await stage.until("half-way", lambda: stage.sizes().get("web:2", 0) > 0)
    await push(stage, "web:3")
    await stage.until("undone", lambda: stage.serving() == {"web:1": 4})
    assert (stage.sizes()["web:2"], stage.weight()) == (0, 0), "before anything else is judged"


async def while_it_drains(stage: Stage) -> None:
    await begun(stage)
    await push(stage, "web:2")
    await phase(stage, "Finalising")
    await push(stage, "web:3")
    await has_traffic(stage, "web:3")
    assert stage.serving() == {"web:2": 4}, "what was promoted serves beside it"


async def in_the_instant_of_the_promotion(stage: Stage) -> None:
    """Push when all is decided, and the write that releases the version is under way."""

    @dataclass
    class Faster:
        done: bool = False

        async def passes(self, write: Write, arrive: Callable[[], T]) -> T:
            releases = write.kind == "merge_patch deployments" and stage.phase() == "Promoting"
            if releases and not self.done:
                self.done = True
                await push(stage, "web:3")
            return arrive()

    await begun(stage)
    gate = Faster()
    stage.gate = gate
    stage.installation.gate(gate)
    await push(stage, "web:2")
    await stage.until("another was faster", lambda: gate.done)
    await has_traffic(stage, "web:3")
    assert stage.serving() == {"web:1": 4}


async def at_the_very_beginning(stage: Stage) -> None:
    """Push before Headgate has ever looked at the target."""
    await push(stage, "web:2")
    await has_traffic(stage, "web:2")
    assert stage.serving() == {"web:1": 4}


async def at_the_first_gate(stage: Stage) -> None:
    hooks(stage).script("rollout", 403)
    await begun(stage)
    await push(stage, "web:2")
    await phase(stage, "Waiting")
    await push(stage, "web:3")
    await stage.wait(A_WHILE)
    assert (stage.phase(), stage.canary_image()) == ("Waiting", "")
    hooks(stage).script("rollout", 200)


async def beside_a_shift_back(stage: Stage) -> None:
    """Supersede a run whose traffic is to come back in steps."""
    await begun(stage)
    await push(stage, "web:2")
    await has_traffic(stage, "web:2")
    await push(stage, "web:3")
    await phase(stage, "Finalising")
    await stage.until("in steps", lambda: stage.weight() == 30)


# --- back to what serves ------------------------------------------------------------------------


async def back_in_the_middle(stage: Stage) -> None:
    await begun(stage)
    await push(stage, "web:2")
    await has_traffic(stage, "web:2")
    await push(stage, "web:1")


async def back_at_the_first_gate(stage: Stage) -> None:
    hooks(stage).script("rollout", 403)
    await begun(stage)
    await push(stage, "web:2")
    await phase(stage, "Waiting")
    await push(stage, "web:1")
    await phase(stage, "Initialized")
    hooks(stage).script("rollout", 200)
    await stage.wait(A_WHILE)
    assert stage.canary_image() == ""


async def back_after_a_refusal(stage: Stage) -> None:
    stage.answers.values["web:2"] = BAD
    await begun(stage)
    await push(stage, "web:2")
    await refused(stage, "web:2")
    await push(stage, "web:1")


# --- refused, and once more ---------------------------------------------------------------------


async def once_more(stage: Stage) -> None:
    """Push a refused version again, which starts nothing, then ask for it."""
    stage.answers.values["web:2"] = BAD
    await begun(stage)
    await push(stage, "web:2")
    await refused(stage, "web:2")
    await push(stage, "web:1")
    await phase(stage, "Initialized")
    await push(stage, "web:2")
    await stage.wait(A_WHILE)
    assert (stage.phase(), stage.serving()) == ("Failed", {"web:1": 4})
    stage.answers.values["web:2"] = 0.0
    await annotate(stage, Command.RETRY)


async def while_nothing_can_be_written(stage: Stage) -> None:
    """Push after a refusal, into an API server that takes no write of ours for a while."""

    @dataclass
    class Shut:
        open: bool = True

        async def passes(self, write: Write, arrive: Callable[[], T]) -> T:
            del write
            if not self.open:
                raise Unavailable(500, "InternalError", "etcdserver: leader changed")
            return arrive()

    gate = Shut()
    stage.gate = gate
    stage.answers.values["web:2"] = BAD
    await begun(stage)
    stage.installation.gate(gate)
    await push(stage, "web:2")
    await refused(stage, "web:2")
    gate.open, stage.writable_since = False, math.inf
    await push(stage, "web:3")
    await stage.wait(A_WHILE)
    stage.installation.kill()
    await stage.wait(A_WHILE)
    assert stage.serving() == {"web:1": 4}
    gate.open, stage.writable_since = True, stage.seconds()


# --- a rollout that fails, a stable that is broken ----------------------------------------------


async def a_rollout_that_fails(stage: Stage) -> None:
    """Have the promoted version's pods crash in the target; push a fix."""
    await begun(stage)
    await push(stage, "web:2")
    await phase(stage, "Promoting")
    stage.bad["web:2"] = Health.CRASHES
    await stage.until("half-way", lambda: stage.sizes().get("web:2", 0) > 0)
    for pod in stage.api.peek(PODS):
        if pod["metadata"]["name"].startswith("web-canary-"):
            await stage.team.delete(PODS, "prod", pod["metadata"]["name"])
    await refused(stage, "web:2")
    assert (stage.weight(), stage.serving()) == (0, {"web:1": 4})
    await push(stage, "web:3")
    await has_traffic(stage, "web:3")
    assert stage.serving() == {"web:1": 4}


async def a_fix_for_what_is_broken(stage: Stage) -> None:
    """Have the version that serves fail, when nothing is under way; push the fix."""
    await begun(stage)
    stage.bad["web:1"] = Health.CRASHES
    for pod in stage.target_pods():
        await stage.team.delete(PODS, "prod", pod["metadata"]["name"])
    await stage.until("nothing serves", lambda: not stage.serving())
    await stage.wait(620)
    await push(stage, "web:2")
    await has_traffic(stage, "web:2")


async def nothing_to_run(stage: Stage) -> None:
    """Scale to 0 in mid-run: no pod is as ready as all of none."""
    await begun(stage)
    await push(stage, "web:2")
    await has_traffic(stage, "web:2")
    await scale(stage, 0)
    await stage.wait(A_WHILE)
    assert (stage.weight(), stage.canary_image(), stage.target_pods()) == (0, "", [])
    assert stage.phase() == "Progressing"
    await scale(stage, 4)


async def never_ready(stage: Stage) -> None:
    """Have a canary that does not start until its deadline has passed."""
    await begun(stage)
    stage.bad["web:2"] = Health.NEVER_READY
    await push(stage, "web:2")
    await phase(stage, "Failed")
    assert "canary pods are ready after 600 s" in str(stage.status()["conditions"])
    assert "Refused" in stage.said(), "an event and its alert"


async def right_after_a_crash(stage: Stage) -> None:
    """Push a fix while pods of the version that was refused for a crash are still there."""
    await begun(stage)
    stage.bad["web:2"] = Health.CRASHES
    await push(stage, "web:2")
    await stage.until("refused", lambda: stage.refused_image() == "web:2")
    await push(stage, "web:3")


# --- edits --------------------------------------------------------------------------------------


async def other_weights(stage: Stage) -> None:
    """Edit the list so that the weight of now is in it no more."""
    await begun(stage)
    await push(stage, "web:2")
    await stage.until("20 %", lambda: stage.weight() == 20)
    await edit(stage, analysis={"stepWeights": [15, 60]})
    await stage.until("another weight", lambda: stage.weight() != 20)
    assert stage.weight() == 60


async def mirrored_for_ever(stage: Stage) -> None:
    """Mirror before the first weight, where no route tells whether it was done."""
    await begun(stage)
    await push(stage, "web:2")
    await stage.until("a copy", lambda: is_at_a_step(stage, "web:2"))
    assert stage.weight() == 0
    await has_traffic(stage, "web:2")


async def an_edited_route(stage: Stage) -> None:
    """Apply the route again with another host and path while a version has its share."""
    await begun(stage)
    await push(stage, "web:2")
    await has_traffic(stage, "web:2")
    had = stage.weight()
    spec = stage.route["spec"]
    match = {"path": {"type": "PathPrefix", "value": "/shop"}}
    rules = [{**spec["rules"][0], "matches": [match]}]
    stage.route = {**stage.route, "spec": {**spec, "hostnames": ["shop.test"], "rules": rules}}
    await stage.team.apply(HTTPROUTES, stage.route)
    await stage.wait(1)
    assert (stage.weight(), stage.phase()) == (had, "Progressing")
    assert called(stage, "before") == 1, "nothing begins again"


async def an_edited_route_at_the_end(stage: Stage) -> None:
    """Apply the route while the traffic comes back in steps."""
    await begun(stage)
    await push(stage, "web:2")
    await phase(stage, "Finalising")
    await Team(stage).applies_route(7)


async def another_interval(stage: Stage) -> None:
    """Edit the interval again and again: two tickers would count twice."""
    await begun(stage)
    stage.answers.values["web:2"] = BAD
    await push(stage, "web:2")
    await has_traffic(stage, "web:2")
    for interval in ("20s", "10s", "30s"):
        await edit(stage, analysis={"interval": interval})
    await stage.until("a failed check", lambda: stage.status()["failedChecks"] == 1)
    await stage.wait(20)
    assert stage.status()["failedChecks"] == 1


async def at_rest(stage: Stage) -> None:
    """Look at a refused version for a while: nothing is written for it."""
    stage.answers.values["web:2"] = BAD
    await begun(stage)
    await push(stage, "web:2")
    await refused(stage, "web:2")
    await stage.wait(A_WHILE)
    before = stage.api.version
    await stage.wait(900)
    assert stage.api.version == before
    assert all(map(is_ready, stage.target_pods()))


async def without_its_canary(stage: Stage) -> None:
    """Delete the Canary of a target at rest: it is no part of what serves."""
    await begun(stage)
    await push(stage, "web:2")
    await phase(stage, "Succeeded")
    await stage.team.delete(CANARIES, *PLACE)
    await stage.wait(A_WHILE)
    assert stage.serving() == {"web:2": 4}


_TWO: Final = {"web:2": 1}
_THREE: Final = {"web:3": 1}
TRAPS: Final = (
    Trap(
        theirs="a new image in mid-run is analysed without confirm-rollout being asked again",
        plays=in_the_middle,
        phase="Succeeded",
        serves="web:3",
        released=_THREE,
        analysis={"webhooks": GATES},
    ),
    Trap(
        theirs="at confirm-promotion the status says weight 0 while traffic flows",
        plays=at_the_last_gate,
        phase="Succeeded",
        serves="web:3",
        released=_THREE,
        analysis={"webhooks": GATES},
    ),
    Trap(
        theirs="a new image in Promoting is not noticed until the one before has succeeded",
        plays=while_it_rolls,
        phase="Succeeded",
        serves="web:3",
        released={"web:2": 1, "web:3": 1},
    ),
    Trap(
        theirs="a new image in Finalising: the target is scaled to 0, then a run starts",
        plays=while_it_drains,
        phase="Succeeded",
        serves="web:3",
        released={"web:2": 1, "web:3": 1},
    ),
    Trap(
        theirs="a new image between analysis and promotion is copied to production unanalysed",
        plays=in_the_instant_of_the_promotion,
        phase="Succeeded",
        serves="web:3",
        released=_THREE,
    ),
    Trap(
        theirs="an image pushed while Initializing is never deployed nor analysed",
        plays=at_the_very_beginning,
        phase="Succeeded",
        serves="web:2",
        released=_TWO,
    ),
    Trap(
        theirs="in Waiting, whatever is live when the gate opens is what runs",
        plays=at_the_first_gate,
        phase="Succeeded",
        serves="web:3",
        released=_THREE,
        analysis={"webhooks": GATES},
    ),
    Trap(
        theirs="after a restart in mid-run stepWeightPromotion is ignored",
        plays=beside_a_shift_back,
        phase="Succeeded",
        serves="web:3",
        released=_THREE,
        analysis={"stepWeightPromotion": 20},
    ),
    Trap(
        theirs="a revert in mid-run goes on, promotes the old image and starts one more run",
        plays=back_in_the_middle,
        phase="Initialized",
        serves="web:1",
    ),
    Trap(
        theirs="in Waiting even an image that serves already is run",
        plays=back_at_the_first_gate,
        phase="Initialized",
        serves="web:1",
        analysis={"webhooks": GATES},
    ),
    Trap(
        theirs="a revert of a failed image changes nothing: Failed remains",
        plays=back_after_a_refusal,
        phase="Initialized",
        serves="web:1",
    ),
    Trap(
        theirs="a retry needs a change of the template",
        plays=once_more,
        phase="Succeeded",
        serves="web:2",
        released=_TWO,
    ),
    Trap(
        theirs="a new image after a failure is lost if anything fails in its first tick",
        plays=while_nothing_can_be_written,
        phase="Succeeded",
        serves="web:3",
        released=_THREE,
    ),
    Trap(
        theirs="a failed promotion: the next image sends all traffic to the broken primary",
        plays=a_rollout_that_fails,
        phase="Succeeded",
        serves="web:3",
        released={"web:2": 1, "web:3": 1},
    ),
    Trap(
        theirs="pods of the version before are counted for the next one",
        plays=right_after_a_crash,
        phase="Succeeded",
        serves="web:3",
        released=_THREE,
    ),
    Trap(
        theirs="a fix for a primary past its deadline is marked Failed, never analysed",
        plays=a_fix_for_what_is_broken,
        phase="Succeeded",
        serves="web:2",
        released=_TWO,
    ),
    Trap(
        theirs="0 replicas count as ready",
        plays=nothing_to_run,
        phase="Succeeded",
        serves="web:2",
        released=_TWO,
    ),
    Trap(
        theirs="past the progress deadline nothing is announced",
        plays=never_ready,
        phase="Failed",
        serves="web:1",
    ),
    Trap(
        theirs="a weight that stepWeights lacks after an edit is followed by 100",
        plays=other_weights,
        phase="Succeeded",
        serves="web:2",
        released=_TWO,
    ),
    Trap(
        theirs="mirror with stepWeight repeats the mirrored step for ever",
        plays=mirrored_for_ever,
        phase="Succeeded",
        serves="web:2",
        released=_TWO,
        analysis={"mirror": True},
    ),
    Trap(
        theirs="an edit of hosts or matches in mid-run sets the weight to 0 and begins again",
        plays=an_edited_route,
        phase="Succeeded",
        serves="web:2",
        released=_TWO,
        analysis={"webhooks": GATES},
    ),
    Trap(
        theirs="with stepWeightPromotion and weight 0 it never leaves Promoting",
        plays=an_edited_route_at_the_end,
        phase="Succeeded",
        serves="web:2",
        released=_TWO,
        analysis={"stepWeightPromotion": 20},
    ),
    Trap(
        theirs="a changed interval starts a second ticker beside the first",
        plays=another_interval,
        phase="Failed",
        serves="web:1",
    ),
    Trap(
        theirs="an idle failed Canary is written at every tick",
        plays=at_rest,
        phase="Failed",
        serves="web:1",
    ),
    Trap(
        theirs="deleting the Canary leaves 0 pods",
        plays=without_its_canary,
        phase="",
        serves="web:2",
        released=_TWO,
    ),
)


@pytest.mark.parametrize("trap", TRAPS, ids=lambda trap: trap.plays.__name__)
def test_here_it_goes_as_the_team_means_it(trap: Trap) -> None:
    never = {"web:2", "web:3"} - trap.released.keys()
    play(
        Story(
            name=trap.theirs,
            plays=trap.plays,
            phase=trap.phase,
            serves=trap.serves,
            released=trap.released,
            never=frozenset(never),
            stage={"replicas": trap.replicas, "analysis": trap.analysis},
        )
    )


def test_every_scene_has_its_row() -> None:
    assert len({trap.plays for trap in TRAPS}) == len(TRAPS)
