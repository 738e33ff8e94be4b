"""Fifty times to 0 and up again at random moments: no pod of another version than the stable's.

`SCALING_CYCLES` and `SCALING_SEED` say how often, and at which moments.
"""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.cluster.runtime_kit import own_namespace
from tests.cluster.scaling_kit import Scaled
from tests.cluster.scaling_steps import scaled_at_random

CYCLES = int(os.environ.get("SCALING_CYCLES", "50"))
SEED = int(os.environ.get("SCALING_SEED", "1"))
pytestmark = [pytest.mark.soak, pytest.mark.timeout(300 + 40 * CYCLES)]


@pytest.fixture
async def target(cluster_kubeconfig: Path) -> AsyncIterator[Scaled]:
    async with own_namespace(cluster_kubeconfig) as (cluster, namespace):
        yield Scaled(cluster, namespace)


async def test_with_an_analyzer_of_its_own_that_is_killed_at_any_write(target: Scaled) -> None:
    await scaled_at_random(target, cycles=CYCLES, seed=SEED)
