"""The API server in memory and its controllers pass the contract that a real one passes."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from tests.contract.applies import APPLIES
from tests.contract.deployments import DEPLOYED
from tests.contract.objects import OBJECTS
from tests.contract.place import NEVER_READY, Look, Place
from tests.harness.api import ApiServer
from tests.harness.client import Client
from tests.harness.controllers import Health, Surroundings

START = datetime(2026, 1, 1, tzinfo=UTC)


def _health(image: str) -> Health:
    return Health.NEVER_READY if image == NEVER_READY else Health.GOOD


@dataclass
class InMemory:
    """A namespace in memory, whose controllers work while somebody waits for them."""

    namespace: str = "contract"
    seconds: int = 0

    def __post_init__(self) -> None:
        self.api = ApiServer(lambda: START + timedelta(seconds=self.seconds))
        self.server = Client(self.api)
        self.others = Surroundings(self.api, health=_health)

    async def until(self, what: str, look: Look) -> None:
        """Let controllers work until there is something to see."""
        for _ in range(100):
            if await look():
                return
            self.seconds += 1
            self.others.step()
        raise AssertionError(f"{what}: never")

    async def rest(self) -> None:
        """Let controllers work until they have nothing to do."""
        self.others.settle()


@pytest.mark.parametrize("check", [*OBJECTS, *APPLIES, *DEPLOYED], ids=lambda it: it.__name__)
async def test_in_memory(check: Callable[[Place], Awaitable[None]]) -> None:
    await check(InMemory())
