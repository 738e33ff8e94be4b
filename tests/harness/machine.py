"""Random events upon a target, and what must be so whatever happens.

The team's writes go through the webhook's code, the analyzer is the real one but for what it asks,
and the API server is the one in memory.
"""

import asyncio
import logging
import math
from collections.abc import Awaitable, Mapping
from datetime import timedelta
from typing import Any, ClassVar, Final

import structlog
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from analyzer.ports import ProviderError
from canary.contract import NAMESPACE_LABEL, Command
from canary.model.strategy import Hook
from canary.model.world import HookResult
from runtime.resources import NAMESPACES
from tests.fakes.loop import ImpatientLoop
from tests.harness.client import Open
from tests.harness.controllers import Health
from tests.harness.faults import Fault, Trap
from tests.harness.judged import Judged
from tests.harness.stage import ADMIN, SPACE, Stage
from tests.harness.team import Team

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
HOOK: Final = {"name": "gate", "type": "rollout", "url": "http://gate", "timeout": "20s"}
ANALYSES: Final[tuple[Mapping[str, Any], ...]] = (
    {},
    {"threshold": 1},
    {"stepWeights": [10, 40, 100]},
    {"webhooks": [HOOK]},
    {"webhooks": [{**HOOK, "type": "pre-rollout"}, {**HOOK, "name": "o", "type": "post-rollout"}]},
    {"stepWeights": [900]},
)
A_WHILE: Final = 60.0
"""Seconds in which all that has happened is seen, also where writes fail first."""
QUIET: Final = 4000.0
"""Seconds in which every run ends once nothing happens any more."""


class Hooks:
    """Answers hooks at once, late, with a refusal, or never."""

    def __init__(self) -> None:
        self.ok = True
        self.late = 0.0

    async def call(self, hook: Hook, payload: Mapping[str, Any]) -> HookResult:
        """Answer as the script says."""
        del payload
        await asyncio.sleep(self.late)
        return HookResult(hook=hook, ok=self.ok, message="" if self.ok else "no")


class Machine(RuleBasedStateMachine):
    """One namespace, from the first event to the end of all runs."""

    steps: ClassVar[int] = 0
    """Events of all machines together."""

    def __init__(self) -> None:
        super().__init__()
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
        self.loop = ImpatientLoop()
        self.hooks = Hooks()
        self.stop = asyncio.Event()

    @initialize(replicas=st.integers(1, 4), own=st.booleans())
    def begin(self, replicas: int, *, own: bool) -> None:
        """Install everything."""

        async def furnish() -> None:
            self.stage = Stage(replicas=replicas, own_canary=own)
            self.stage.hooks = self.hooks

        self.loop.run_until_complete(furnish())
        self.team = Team(self.stage)
        self.judged = Judged(self.stage)
        self.play = self.loop.create_task(self._play())
        self._do(asyncio.sleep(3))

    async def _play(self) -> None:
        async with self.stage.playing():
            await self.stop.wait()

    def _do(self, event: Awaitable[object]) -> None:
        """Let an event happen, and time pass that it takes to be seen."""

        async def happen() -> None:
            await event
            await asyncio.sleep(0.1)

        Machine.steps += 1
        self.loop.run_until_complete(happen())
        if self.play.done():
            self.play.result()
        assert self.judged.wrong == [], (self.judged.wrong, self.stage.summary())

    # --- the team ---------------------------------------------------------------------------------

    @rule(image=IMAGES)
    def push(self, image: str) -> None:
        """Write another image."""
        self._do(self.team.push(image))

    @rule(image=IMAGES, pause=PAUSES)
    def push_and_wait(self, image: str, pause: float) -> None:
        """Write another image, and see what comes of it."""
        self._do(self.team.push(image))
        self._do(asyncio.sleep(pause))

    @rule(image=IMAGES)
    def apply(self, image: str) -> None:
        """Apply a manifest."""
        self._do(self.team.applies(image))

    @rule(image=IMAGES)
    def replace(self, image: str) -> None:
        """Put a manifest in place of what is there."""
        self._do(self.team.replaces(image))

    @rule(image=IMAGES)
    def put_back(self, image: str) -> None:
        """Read, change, put."""
        self._do(self.team.puts_back(image))

    @rule()
    def undo(self) -> None:
        """Take the last rollout back."""
        self._do(self.team.undoes())

    @rule(when=st.integers(1, 3))
    def restart(self, when: int) -> None:
        """Restart all pods."""
        self._do(self.team.restarts(f"2026-01-0{when}"))

    @rule(replicas=st.integers(0, 4))
    def scale(self, replicas: int) -> None:
        """Scale by hand or by an autoscaler."""
        self._do(self.team.scales(replicas))

    @rule(replicas=st.integers(1, 4))
    def sleep_and_wake(self, replicas: int) -> None:
        """Scale to nothing and up again."""
        self._do(self.team.scales(0))
        self._do(asyncio.sleep(15))
        self._do(self.team.scales(replicas))

    @rule(image=IMAGES, again=st.booleans())
    def delete(self, image: str, *, again: bool) -> None:
        """Delete the target, and maybe make it anew."""
        self._do(self.team.deletes())
        if again:
            self._do(self.team.creates(image))

    @rule(image=IMAGES)
    def create(self, image: str) -> None:
        """Make the target where there is none."""
        self._do(self.team.creates(image))

    @rule()
    def save(self) -> None:
        """Save a copy of the target."""
        self.team.saves()

    @rule(anew=st.booleans())
    def restore(self, *, anew: bool) -> None:
        """Bring the saved copy back."""
        self._do(self.team.restores(anew=anew))

    @rule(paused=st.booleans())
    def pause(self, *, paused: bool) -> None:
        """Pause or resume."""
        self._do(self.team.pauses(paused=paused))

    @rule(command=st.sampled_from(sorted(Command)), value=st.sampled_from(["now", "false"]))
    def command(self, command: Command, value: str) -> None:
        """Give a command."""
        self._do(self.team.annotates(str(command), value))

    @rule(weight=st.sampled_from([1, 1, 7]))
    def apply_route(self, weight: int) -> None:
        """Apply the route."""
        self._do(self.team.applies_route(weight))

    @rule(analysis=st.sampled_from(ANALYSES))
    def write_canary(self, analysis: Mapping[str, Any]) -> None:
        """Write the Canary."""
        self._do(self.team.writes_canary(**analysis))

    @rule()
    def delete_canary(self) -> None:
        """Delete the Canary."""
        self._do(self.team.deletes_canary())

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
        self._do(self.team.loses_a_pod(which, canarys=canarys))

    @rule(up=st.booleans())
    def gateway(self, *, up: bool) -> None:
        """Have the gateway take routes, or not."""
        self.stage.others.gateway_up = up

    @rule(up=st.booleans())
    def route_webhook(self, *, up: bool) -> None:
        """Have the webhook for routes answer, or not."""
        self.stage.webhook.routes_up = up

    @rule(ok=st.booleans(), late=st.sampled_from([0.0, 5.0, 1_000.0]))
    def hook(self, late: float, *, ok: bool) -> None:
        """Have hooks answer otherwise."""
        self.hooks.ok, self.hooks.late = ok, late

    @rule(on=st.booleans())
    def label(self, *, on: bool) -> None:
        """Put the namespace's label on, or take it off."""
        labels = {NAMESPACE_LABEL: "enabled" if on else None}
        patch = {"metadata": {"labels": labels}}
        self.stage.api.merge_patch(NAMESPACES, ("", SPACE), patch, ADMIN)
        self._do(asyncio.sleep(0))

    # --- Headgate ---------------------------------------------------------------------------------

    @rule()
    def kill(self) -> None:
        """End the analyzer."""
        self.stage.installation.kill()
        self._do(asyncio.sleep(2))

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
        self._do(asyncio.sleep(pause))
        if pause > A_WHILE:
            self.judged.looked_at()

    # --- the end ----------------------------------------------------------------------------------

    def teardown(self) -> None:
        """Let the world go quiet: every run ends, and nothing is left of it."""
        try:
            if hasattr(self, "play") and not self.judged.wrong:
                self._go_quiet()
        finally:
            self.loop.run_until_complete(self._end())
            self.loop.close()
            structlog.reset_defaults()

    def _go_quiet(self) -> None:
        stage = self.stage
        gate = Open()
        stage.gate = gate
        stage.installation.gate(gate)
        stage.bad.clear()
        stage.others.gateway_up = stage.webhook.routes_up = True
        self.hooks.ok, self.hooks.late = True, 0.0
        stage.answers.values = dict.fromkeys(stage.answers.values, 0.0)
        self._do(self.team.writes_canary())
        if stage.has_target():
            self._do(self.team.annotates(str(Command.PAUSE), "false"))
            self._do(asyncio.sleep(5))
            self._do(self.team.pauses(paused=False))
            self._do(self.team.scales(2))
        self.loop.run_until_complete(stage.until("the end of all runs", self.judged.rests, QUIET))
        self._do(asyncio.sleep(120))
        assert self.judged.rests(), stage.summary()
        self.judged.settle()

    async def _end(self) -> None:
        self.stop.set()
        if hasattr(self, "play"):
            await asyncio.wait([self.play])
