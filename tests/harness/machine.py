"""Random events upon a target, and what must be so whatever happens.

The team's writes go through the webhook's code, the analyzer is the real one but for what it asks,
and the API server is the one in memory.
"""

import asyncio
import math
from collections.abc import Callable, Mapping
from datetime import timedelta
from enum import Enum
from typing import Any, Final

from hypothesis import strategies as st
from hypothesis.stateful import rule

from analyzer.ports import ProviderError
from canary.contract import NAMESPACE_LABEL, Command
from canary.model.strategy import HookType
from runtime.resources import DEPLOYMENTS, NAMESPACES, SERVICES, Resource
from tests.harness.controllers import NODES, Health
from tests.harness.elder import NEWER, elder
from tests.harness.faults import Fault, Trap
from tests.harness.hooks import NEVER, Says
from tests.harness.namespace import Namespace
from tests.harness.stage import ADMIN, LAG, NAME, NEXT, SPACE
from tests.harness.team import Edit

IMAGES: Final = st.sampled_from([f"web:{number}" for number in range(1, 5)])
VALUES: Final[tuple[float | ProviderError | None, ...]] = (
    0.0,
    0.0,
    5.0,
    5.0,
    None,
    math.nan,
    ProviderError("the metrics server does not answer"),
)
PAUSES: Final = st.sampled_from([0.3, 1.0, 3.0, 11.0, 11.0, 31.0, 61.0, 700.0])
SLEEPS: Final = st.sampled_from([15.0, 15.0, 120.0])


def hooks(*kinds: HookType) -> dict[str, Any]:
    """Return the part of an analysis that has a hook of each of these kinds."""
    found = [
        {"name": str(it), "type": str(it), "url": "http://x", "timeout": "20s"} for it in kinds
    ]
    return {"webhooks": found}


GATES: Final = (
    HookType.CONFIRM_ROLLOUT,
    HookType.CONFIRM_TRAFFIC_INCREASE,
    HookType.CONFIRM_PROMOTION,
)
INSIDERS: Final = [{"headers": {"x-canary": {"exact": "insider"}}}]
ANALYSES: Final[tuple[Mapping[str, Any], ...]] = (
    {},
    {"threshold": 1},
    {"stepWeights": [10, 40, 100]},
    {"stepWeights": [900]},
    {"stepWeights": [30], "mirror": True},
    {"stepWeights": [30, 60], "sessionAffinity": {"cookieName": "met"}},
    {"iterations": 2},
    {"iterations": 2, "mirror": True, "stepWeightPromotion": 50},
    {"iterations": 2, "match": INSIDERS},
    hooks(HookType.ROLLOUT),
    hooks(HookType.PRE_ROLLOUT, HookType.POST_ROLLOUT),
    hooks(HookType.ROLLBACK),
    hooks(*GATES),
    {"iterations": 2, "match": INSIDERS, **hooks(HookType.CONFIRM_PROMOTION, HookType.ROLLBACK)},
    {"iterations": 2, **hooks(*GATES, HookType.ROLLBACK)},
)
GIVEN_BACK: Final = [it for it in ANALYSES if "rollback" in str(it)]
SELECTORS: Final = [{"app": "other"}, {"app": NAME, "tier": "front"}, {"tier": "front"}]
A_WHILE: Final = 60.0
"""Seconds in which all that has happened is seen, also where writes fail first."""


class Turn(Enum):
    """What becomes of a promotion that is half-way."""

    SUPERSEDED = "another version is pushed"
    ABORTED = "it is aborted"
    ASLEEP = "the target is scaled to 0"
    REFUSED = "its checks fail"


class Machine(Namespace):
    """All that may happen to it."""

    # --- the team ---------------------------------------------------------------------------------

    @rule(image=IMAGES)
    def push(self, image: str) -> None:
        """Write another image."""
        self.do(self.team.push(image))

    @rule(image=IMAGES, pause=PAUSES)
    def push_and_wait(self, image: str, pause: float) -> None:
        """Write another image, and see what comes of it."""
        self.do(self.team.push(image))
        self.do(asyncio.sleep(pause))

    @rule(image=IMAGES)
    def apply(self, image: str) -> None:
        """Apply a manifest."""
        self.do(self.team.applies(image))

    @rule(image=IMAGES)
    def replace(self, image: str) -> None:
        """Put a manifest in place of what is there."""
        self.do(self.team.replaces(image))

    @rule(image=IMAGES)
    def put_back(self, image: str) -> None:
        """Read, change, put."""
        self.do(self.team.puts_back(image))

    @rule()
    def undo(self) -> None:
        """Take the last rollout back."""
        self.do(self.team.undoes())

    @rule(when=st.integers(1, 3))
    def restart(self, when: int) -> None:
        """Restart all pods."""
        self.do(self.team.restarts(f"2026-01-0{when}"))

    @rule(replicas=st.integers(0, 4))
    def scale(self, replicas: int) -> None:
        """Scale by hand or by an autoscaler."""
        self.do(self.team.scales(replicas))

    @rule(image=IMAGES, replicas=st.integers(0, 3), pause=PAUSES)
    def scale_replica_set(self, image: str, replicas: int, pause: float) -> None:
        """Scale a ReplicaSet of the target by hand; its controller may take that back."""
        self.do(self.team.scales_a_replica_set(image, replicas))
        self.do(asyncio.sleep(pause))

    @rule(replicas=st.integers(1, 4), pause=SLEEPS)
    def sleep_and_wake(self, replicas: int, pause: float) -> None:
        """Scale to nothing and up again."""
        self.do(self.team.scales(0))
        self.do(asyncio.sleep(pause))
        self.do(self.team.scales(replicas))

    @rule(image=IMAGES, again=st.booleans())
    def delete(self, image: str, *, again: bool) -> None:
        """Delete the target, and maybe make it anew."""
        self.do(self.team.deletes())
        if again:
            self.do(self.team.creates(image))

    @rule(image=IMAGES)
    def create(self, image: str) -> None:
        """Make the target where there is none."""
        self.do(self.team.creates(image))

    @rule()
    def save(self) -> None:
        """Save a copy of the target."""
        self.team.saves()

    @rule(anew=st.booleans())
    def restore(self, *, anew: bool) -> None:
        """Bring the saved copy back."""
        self.do(self.team.restores(anew=anew))

    @rule(paused=st.booleans())
    def pause(self, *, paused: bool) -> None:
        """Pause or resume."""
        self.do(self.team.pauses(paused=paused))

    @rule(command=st.sampled_from(sorted(Command)), value=st.sampled_from(["now", "false"]))
    def command(self, command: Command, value: str) -> None:
        """Give a command."""
        self.do(self.team.annotates(str(command), value))

    @rule(weight=st.sampled_from([1, 1, 7]))
    def apply_route(self, weight: int) -> None:
        """Apply the route."""
        self.do(self.team.applies_route(weight))

    @rule(edit=st.sampled_from(Edit), pause=PAUSES)
    def edit_route(self, edit: Edit, pause: float) -> None:
        """Apply the HTTPRoute with other rules."""
        self.do(self.team.edits_route(edit))
        self.do(asyncio.sleep(pause))

    @rule()
    def save_route(self) -> None:
        """Save a copy of the route."""
        self.team.saves_route()

    @rule(pause=PAUSES)
    def restore_route(self, pause: float) -> None:
        """Bring the saved copy of the route back, with whatever share it had."""
        self.do(self.team.restores_route())
        self.do(asyncio.sleep(pause))

    @rule(analysis=st.sampled_from(ANALYSES))
    def write_canary(self, analysis: Mapping[str, Any]) -> None:
        """Write the Canary."""
        self.do(self.team.writes_canary(**analysis))

    @rule()
    def delete_canary(self) -> None:
        """Delete the Canary."""
        self.do(self.team.deletes_canary())

    @rule(image=IMAGES, pause=PAUSES)
    def push_next(self, image: str, pause: float) -> None:
        """Write another image to the target that shares the route, if there is one."""
        self.do(self.team.push_next(image))
        self.do(asyncio.sleep(pause))

    @rule(replicas=st.integers(0, 4), pause=PAUSES)
    def scale_next(self, replicas: int, pause: float) -> None:
        """Scale the target that shares the route, if there is one."""
        self.do(self.team.scales_next(replicas))
        self.do(asyncio.sleep(pause))

    @rule(pause=PAUSES)
    def suspend(self, pause: float) -> None:
        """Have the Canary suspended for a while."""
        self.do(self.team.suspends(on=True))
        self.do(asyncio.sleep(pause))
        self.do(self.team.suspends(on=False))

    @rule(pause=PAUSES)
    def aim_elsewhere(self, pause: float) -> None:
        """Have the Canary name another target for a while, which may be there or not."""
        self.do(self.team.aims(NEXT))
        self.do(asyncio.sleep(pause))
        self.do(self.team.aims(NAME))

    @rule(resource=st.sampled_from([DEPLOYMENTS, SERVICES]), pause=PAUSES)
    def delete_what_is_made(self, resource: Resource, pause: float) -> None:
        """Have somebody delete what was made for a run."""
        self.do(self.team.deletes_what_is_made(resource))
        self.do(asyncio.sleep(pause))

    @rule(replicas=st.integers(0, 4), pause=PAUSES)
    def scale_what_is_made(self, replicas: int, pause: float) -> None:
        """Have somebody scale the canary's Deployment."""
        self.do(self.team.scales_what_is_made(replicas))
        self.do(asyncio.sleep(pause))

    @rule(pause=PAUSES)
    def lose_service(self, pause: float) -> None:
        """Delete the Service, and apply it again."""
        self.do(self.team.deletes_service())
        self.do(asyncio.sleep(pause))
        self.do(self.team.applies_service())

    @rule(selector=st.sampled_from(SELECTORS), pause=PAUSES)
    def select_others(self, selector: Mapping[str, str], pause: float) -> None:
        """Have the Service select other pods than the target's, or of several targets."""
        self.do(self.team.selects(selector))
        self.do(asyncio.sleep(pause))
        self.do(self.team.selects({"app": NAME}))

    @rule(pause=PAUSES)
    def lose_route(self, pause: float) -> None:
        """Delete the route, and apply it again."""
        self.do(self.team.deletes_route())
        self.do(asyncio.sleep(pause))
        self.do(self.team.creates_route())

    # --- the cluster ------------------------------------------------------------------------------

    @rule(image=IMAGES, health=st.sampled_from(Health))
    def health(self, image: str, health: Health) -> None:
        """Have an image fail from now on, or not."""
        self.stage.bad[image] = health

    @rule(image=IMAGES, value=st.sampled_from(VALUES))
    def metrics(self, image: str, value: float | ProviderError | None) -> None:
        """Have the metrics of an image say something else."""
        self.stage.answers.values[image] = value

    @rule(which=st.integers(0, 3), canarys=st.booleans())
    def lose_pod(self, which: int, *, canarys: bool) -> None:
        """Delete a pod."""
        self.do(self.team.loses_a_pod(which, canarys=canarys))

    @rule(up=st.booleans())
    def gateway(self, *, up: bool) -> None:
        """Have the gateway take routes, or not."""
        self.stage.others.gateway_up = up

    @rule(on=st.booleans())
    def forget(self, *, on: bool) -> None:
        """Have the garbage collector hear of no canary's end, or of all again."""
        self.stage.others.forgetful = on

    @rule(up=st.booleans())
    def slices(self, *, up: bool) -> None:
        """Have whoever writes EndpointSlices hear of what happens, or not."""
        self.stage.others.endpoints_up = up

    @rule(digest=st.sampled_from(["", "1", "2"]))
    def pin(self, digest: str) -> None:
        """Have somebody else's webhook pin images from now on, to another digest, or no more."""
        self.stage.webhook.pins = digest

    @rule(up=st.booleans())
    def route_webhook(self, *, up: bool) -> None:
        """Have the webhook for routes answer, or not."""
        self.stage.webhook.routes_up = up

    @rule(
        kind=st.sampled_from([*GATES, *GATES, *HookType]),
        ok=st.booleans(),
        late=st.sampled_from([0.0, 0.0, 5.0, 1_000.0, NEVER]),
    )
    def hook(self, kind: HookType, late: float, *, ok: bool) -> None:
        """Have hooks of a kind answer otherwise."""
        self.hooks.says[kind] = Says(ok=ok, late=late)

    @rule(image=IMAGES, analysis=st.sampled_from(GIVEN_BACK), pause=PAUSES)
    def give_back(self, image: str, analysis: Mapping[str, Any], pause: float) -> None:
        """Have a rollback hook agree in the middle of a run, and take that back later."""
        self.do(self.team.writes_canary(**analysis))
        self.do(self.team.push(image))
        self.do(asyncio.sleep(3))
        self.hooks.says[HookType.ROLLBACK] = Says(ok=True)
        self.do(asyncio.sleep(pause))
        self.hooks.says[HookType.ROLLBACK] = Says(ok=False)

    @rule(image=IMAGES, turn=st.sampled_from(Turn), other=IMAGES, pause=PAUSES)
    def half_way(self, image: str, turn: Turn, other: str, pause: float) -> None:
        """Have a promotion get stuck with some of its pods, and another turn taken then."""
        self.do(self.team.writes_canary(threshold=1, stepWeights=[50]))
        self.do(self._stuck(image))
        match turn:
            case Turn.SUPERSEDED:
                self.do(self.team.push(other))
            case Turn.ABORTED:
                self.do(self.team.annotates(str(Command.ABORT), "now"))
            case Turn.ASLEEP:
                self.do(self.team.scales(0))
            case Turn.REFUSED:
                self.stage.answers.values[image] = 5.0
        self.do(asyncio.sleep(pause))
        self.stage.bad.pop(image, None)

    async def _stuck(self, image: str) -> None:
        """Push what is good until it rolls, and have it roll no further."""
        if await self._pushed(image, lambda: self.stage.phase() == "Promoting"):
            self.stage.bad[image] = Health.NEVER_READY
        await asyncio.sleep(2 * LAG)

    async def _pushed(self, image: str, seen: Callable[[], bool]) -> bool:
        """Push what is good until something is seen of it; tell whether it ever was."""
        self.stage.bad.pop(image, None)
        self.stage.answers.values[image] = 0.0
        await self.team.push(image)
        try:
            await self.stage.until("it", seen, A_WHILE)
        except AssertionError:
            return False
        return True

    @rule(image=IMAGES, small=st.integers(1, 2), short=PAUSES, pause=PAUSES)
    def shrink(self, image: str, small: int, short: float, pause: float) -> None:
        """Have the stable shrink in mid-run, the candidate fail, and the stable grow again."""
        self.do(self.team.writes_canary(threshold=1, stepWeights=[50, 60]))
        self.do(self.team.scales(4))
        self.do(self._pushed(image, lambda: self.stage.weight() > 0))
        self.do(self.team.scales(small))
        self.stage.answers.values[image] = 5.0
        self.do(asyncio.sleep(short))
        self.do(self.team.scales(4))
        self.do(asyncio.sleep(pause))

    @rule(node=st.integers(0, NODES - 1), evicted=st.booleans())
    def lose_node(self, node: int, *, evicted: bool) -> None:
        """Hear nothing of a node any more, and maybe take its pods away."""
        self.have(lambda: self.stage.others.lose(node))
        if evicted:
            self.have(lambda: self.stage.others.evict(node))

    @rule(node=st.integers(0, NODES - 1))
    def find_node(self, node: int) -> None:
        """Hear of a node again."""
        self.stage.others.lost.discard(node)

    @rule(on=st.booleans())
    def label(self, *, on: bool) -> None:
        """Put the namespace's label on, or take it off."""
        labels = {NAMESPACE_LABEL: "enabled" if on else None}
        patch = {"metadata": {"labels": labels}}
        self.stage.api.merge_patch(NAMESPACES, ("", SPACE), patch, ADMIN)
        self.do(asyncio.sleep(0))

    # --- Headgate ---------------------------------------------------------------------------------

    @rule()
    def kill(self) -> None:
        """End the analyzer."""
        self.stage.installation.kill()
        self.do(asyncio.sleep(2))

    @rule(dropped=st.sets(st.sampled_from(NEWER)), marks=st.booleans(), strange=st.booleans())
    def upgrade(self, dropped: set[str], *, marks: bool, strange: bool) -> None:
        """Begin another version of the analyzer, with what the one before it has stored."""
        self.stage.installation.kill()
        self.have(lambda: elder(self.stage, dropped, marks=marks, strange=strange))
        self.do(asyncio.sleep(2))

    @rule(number=st.integers(0, 12), fault=st.sampled_from(Fault), times=st.integers(1, 3))
    def trap(self, number: int, fault: Fault, times: int) -> None:
        """Have something happen to one of the next writes."""
        kill = self.stage.installation.kill
        gate = Trap(number, fault, kill, times)
        self.stage.gate = gate
        self.stage.installation.gate(gate)

    @rule(seconds=st.sampled_from([-20, -1, 2, 60]))
    def clock(self, seconds: int) -> None:
        """Step the API server's clock."""
        self.stage.skew += timedelta(seconds=seconds)

    @rule(pause=PAUSES)
    def wait(self, pause: float) -> None:
        """Let time pass."""
        self.do(asyncio.sleep(pause))
        if pause > A_WHILE:
            self.judged.looked_at()
