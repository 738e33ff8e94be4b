"""Looks again and again: certificates are renewed in time, a lost caBundle comes back."""

import asyncio
import random
from dataclasses import dataclass, field
from typing import Final, Never

import structlog

from certs.bootstrap import Bootstrap, UnusableAuthority
from runtime.backoff import Backoff
from runtime.errors import ApiError, patience_of
from runtime.writes import Overtaken

LOOK_EVERY: Final = 30.0
"""Seconds between two looks: three reads, and a write only where something is due."""

log = structlog.get_logger("certs")


@dataclass(slots=True)
class Rotation:
    """Keeps the certificates as they should be. `done` tells whether they ever were."""

    bootstrap: Bootstrap
    look_every: float = LOOK_EVERY
    done: bool = False
    backoff: Backoff = field(default_factory=lambda: Backoff(first=0.5, cap=30.0))

    async def run(self) -> Never:
        """Look until cancelled; failures of the API server are waited out."""
        while True:  # noqa: ASYNC110 - a clock is what is waited for
            await asyncio.sleep(await self._look())

    async def _look(self) -> float:
        """Look once and return after how many seconds to look again."""
        try:
            await self.bootstrap.ensure()
        except (ApiError, Overtaken, UnusableAuthority) as error:
            delay = max(self.backoff.next(), patience_of(error))
            log.warning("certificates not ensured", error=str(error), retry_in=delay)
            return delay
        self.backoff.reset()
        self.done = True
        # Jitter is no secret; replicas and clusters must not look all at once.
        return self.look_every * random.uniform(0.8, 1.2)  # noqa: S311
