"""A real API server and its controllers pass the contract that the one in memory passes.

Nothing of Headgate's is installed for it. Each check has a namespace of its own.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from runtime.kube import Cluster
from runtime.resources import NAMESPACES
from tests.contract.applies import APPLIES
from tests.contract.deployments import DEPLOYED
from tests.contract.objects import OBJECTS
from tests.contract.place import Look, Place, polled

pytestmark = pytest.mark.cluster
DEADLINE = 60.0
REST = 0.7
"""Seconds in which a controller does what it does at once."""


@dataclass(frozen=True)
class Real:
    """A namespace of a real cluster."""

    server: Cluster
    namespace: str

    async def until(self, what: str, look: Look) -> None:
        """Wait until there is something to see."""
        await polled(what, look, DEADLINE)

    async def rest(self) -> None:
        """Give controllers time for what they might do: nothing announces that they do not."""
        await asyncio.sleep(REST)


@pytest.fixture
async def place(cluster_kubeconfig: Path) -> AsyncIterator[Real]:
    name = f"hg-model-{uuid.uuid4().hex[:8]}"
    async with Cluster.connect(cluster_kubeconfig) as cluster:
        await cluster.create(NAMESPACES, {"metadata": {"name": name}})
        try:
            yield Real(cluster, name)
        finally:
            await cluster.delete(NAMESPACES, None, name)


@pytest.mark.parametrize("check", [*OBJECTS, *APPLIES, *DEPLOYED], ids=lambda it: it.__name__)
async def test_real(place: Real, check: Callable[[Place], Awaitable[None]]) -> None:
    await check(place)
