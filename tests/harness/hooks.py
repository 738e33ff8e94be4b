"""Hooks as their services answer them: at once, late or never, and with a yes or a no."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from canary.model.strategy import Hook, HookType
from canary.model.world import HookResult

NEVER: Final = float("inf")
"""Seconds of an answer that does not come, whatever the one who asks has as a deadline."""


@dataclass(frozen=True, slots=True)
class Says:
    """What a kind of hooks answers, and after how many seconds."""

    ok: bool = True
    late: float = 0.0


@dataclass(frozen=True, slots=True)
class Given:
    """One answer: which kind of hook gave it, for which image it was asked, and when it came."""

    kind: HookType
    image: str
    ok: bool
    at: float


_USUAL: Final = Says()
_USUALLY: Final[Mapping[HookType, Says]] = {HookType.ROLLBACK: Says(ok=False)}
"""A rollback hook that agrees ends every run."""


@dataclass
class Hooks:
    """Answers by what each kind of hooks says now.

    Args:
        candidate: the image that is asked about.
        says: what kinds say that do not answer as usual.
        given: all answers, in order.

    """

    candidate: Callable[[], str]
    says: dict[HookType, Says] = field(default_factory=lambda: dict(_USUALLY))
    given: list[Given] = field(default_factory=list)

    async def call(self, hook: Hook, payload: Mapping[str, Any]) -> HookResult:
        """Answer, or be given up at the hook's own timeout, or hang for ever."""
        del payload
        says, image = self.says.get(hook.type, _USUAL), self.candidate()
        if says.late == NEVER:
            await asyncio.Event().wait()
        timeout = hook.timeout.total_seconds()
        await asyncio.sleep(min(says.late, timeout))
        if says.late > timeout:
            return HookResult(hook=hook, ok=False, message="no answer in time", faulty=True)
        now = asyncio.get_running_loop().time()
        self.given.append(Given(hook.type, image, says.ok, now))
        return HookResult(hook=hook, ok=says.ok, message="" if says.ok else "no")

    def come_round(self) -> None:
        """Answer as usual from now on."""
        self.says = dict(_USUALLY)
