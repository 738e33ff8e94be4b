"""A namespace from the first random event to the end of all runs."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import ClassVar, Final

import structlog
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize

from canary.contract import Command
from runtime.resources import (
    HTTPPROXIES,
    HTTPROUTES,
    INGRESSES,
    INGRESSROUTES,
    TRAEFIKSERVICES,
    VIRTUALSERVICES,
)
from tests.fakes.loop import ImpatientLoop
from tests.harness.client import Open
from tests.harness.hooks import Hooks
from tests.harness.judged import Judged
from tests.harness.stage import Stage
from tests.harness.team import Team

_OTHERS: Final = (HTTPPROXIES, INGRESSES, VIRTUALSERVICES, INGRESSROUTES, TRAEFIKSERVICES)
_KINDS: Final = st.sampled_from([HTTPROUTES.kind] * len(_OTHERS) + [it.kind for it in _OTHERS])
QUIET: Final = 4000.0
"""Seconds in which every run ends once nothing happens any more."""


class Namespace(RuleBasedStateMachine):
    """Is furnished, takes events, and goes quiet. Which events there are is another's."""

    steps: ClassVar[int] = 0
    """Events of all machines together."""

    def __init__(self) -> None:
        super().__init__()
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
        self.loop = ImpatientLoop()
        self.stop = asyncio.Event()

    @initialize(replicas=st.integers(1, 4), own=st.booleans(), shared=st.booleans(), kind=_KINDS)
    def begin(
        self, replicas: int, kind: str = HTTPROUTES.kind, *, own: bool, shared: bool = False
    ) -> None:
        """Install everything."""

        async def furnish() -> None:
            self.stage = Stage(
                replicas=replicas,
                own_canary=own,
                kind=kind,
                shared=shared and kind == HTTPROUTES.kind,
            )

        self.loop.run_until_complete(furnish())
        self.hooks = Hooks(self.stage.candidate)
        self.stage.hooks = self.hooks
        self.team = Team(self.stage)
        self.judged = Judged(self.stage, hooks=self.hooks)
        self.play = self.loop.create_task(self._play())
        self.do(asyncio.sleep(3))

    async def _play(self) -> None:
        async with self.stage.playing():
            await self.stop.wait()

    def do(self, event: Awaitable[object]) -> None:
        """Let an event happen, and time pass that it takes to be seen."""

        async def happen() -> None:
            await event
            await asyncio.sleep(0.1)
            self.judged.look()

        Namespace.steps += 1
        self.loop.run_until_complete(happen())
        if self.play.done():
            self.play.result()
        assert self.judged.wrong == [], (self.judged.wrong, self.stage.summary())

    def have(self, event: Callable[[], object]) -> None:
        """Let something happen that takes no time."""

        async def happen() -> None:
            event()

        self.do(happen())

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
        stage.others.lost.clear()
        stage.others.gateway_up = stage.others.endpoints_up = stage.webhook.routes_up = True
        self.hooks.come_round()
        stage.answers.values = dict.fromkeys(stage.answers.values, 0.0)
        self.do(self.team.writes_canary())
        if stage.has_target():
            self.do(self.team.annotates(str(Command.PAUSE), "false"))
            self.do(asyncio.sleep(5))
            self.do(self.team.pauses(paused=False))
            self.do(self.team.scales(2))
        self.do(self.team.leads_back())
        self.do(self.team.resumes_next())
        self.do(self.team.scales_next(2))
        self.loop.run_until_complete(stage.until("the end of all runs", self.judged.rests, QUIET))
        self.do(asyncio.sleep(120))
        assert self.judged.rests(), stage.summary()
        self.judged.settle()

    async def _end(self) -> None:
        self.stop.set()
        if hasattr(self, "play"):
            await asyncio.wait([self.play])
