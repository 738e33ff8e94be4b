"""Elections on Leases of a real API server: the rules that hold in memory hold here."""

import asyncio
from pathlib import Path

import pytest

from runtime.lease import Terms
from runtime.resources import LEASES
from tests.cluster.runtime_kit import own_namespace
from tests.unit.runtime.election import CONTRACT, Led, Rule, electing, stopped

pytestmark = pytest.mark.cluster


@pytest.mark.parametrize("rule", CONTRACT, ids=lambda rule: rule.__name__)
async def test_contract(cluster_kubeconfig: Path, rule: Rule) -> None:
    # As in memory, with times that a busy API server keeps too.
    terms = Terms(duration=6.0, renew_deadline=4.0, retry=0.5)
    async with own_namespace(cluster_kubeconfig) as (cluster, namespace):
        await rule(electing(cluster, namespace, terms), terms)


async def test_lease_is_one_that_the_api_accepts_and_people_can_read(
    cluster_kubeconfig: Path,
) -> None:
    terms = Terms(duration=3.0, renew_deadline=2.0, retry=0.5)
    async with (
        own_namespace(cluster_kubeconfig) as (cluster, namespace),
        asyncio.TaskGroup() as group,
    ):
        led = Led([], "pod-1")
        task = group.create_task(electing(cluster, namespace, terms)("pod-1").run(led.work))
        await led.started.wait()
        spec = (await cluster.get(LEASES, namespace, "test"))["spec"]
        assert (spec["holderIdentity"], spec["leaseDurationSeconds"]) == ("pod-1", 3)
        assert spec["acquireTime"] <= spec["renewTime"]
        await stopped(task)
        released = (await cluster.get(LEASES, namespace, "test"))["spec"]
        assert released.get("holderIdentity", "") == ""
