"""Scaled to 0 and up again, by anybody and at any moment, a held target runs its stable version."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from canary.contract import Reason
from canary.model.state import Phase
from canary.model.world import Place
from runtime.resources import DEPLOYMENTS
from tests.cluster.runtime_kit import own_namespace
from tests.cluster.scaling_kit import Scaled
from tests.cluster.scaling_steps import half_way_undone, held, in_phase, scaled_at_random, until

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("undisturbed")]


@pytest.fixture
async def target(cluster_kubeconfig: Path) -> AsyncIterator[Scaled]:
    async with own_namespace(cluster_kubeconfig) as (cluster, namespace):
        yield Scaled(cluster, namespace)


async def down_and_up(target: Scaled, replicas: int, version: str) -> None:
    await target.scale(0, by_autoscaler=False)
    await target.rolled_out(version)
    await target.scale(replicas, by_autoscaler=False)
    await target.rolled_out(version)


async def test_a_refused_version_that_rolled_half_way_does_not_come_back(target: Scaled) -> None:
    await target.deploy("1.0", replicas=3, minReadySeconds=3)
    async with target.analyzed():
        await half_way_undone(target, "1.1")
        await target.rolled_out("1.0")
        target.versions.clear()
        await down_and_up(target, 3, "1.0")
        assert target.versions == {"1.0"}
        assert target.state().phase is Phase.FAILED
        assert (await target.read())["spec"]["paused"] is True


async def test_an_older_version_does_not_come_back(target: Scaled) -> None:
    await target.deploy("1.0", "1.1", "1.0")
    before = await target.history()
    async with target.analyzed():
        target.versions.clear()
        await target.push("1.2")
        await held(target)
        await down_and_up(target, 2, "1.0")
        assert target.versions == {"1.0"}
        await target.push("1.0")

        async def as_before() -> bool:
            return await target.history() == before

        await until("the same history", as_before)


async def test_at_0_replicas_nothing_of_the_app_runs_and_the_run_waits(target: Scaled) -> None:
    await target.deploy("1.0")
    async with target.analyzed():
        await target.push("1.1")
        await held(target)
        await until("a canary", lambda: _has_canary(target))
        await target.scale(0, by_autoscaler=False)
        await until("no canary", lambda: _has_no_canary(target))
        assert target.state().reason == Reason.SCALED_TO_ZERO
        await target.scale(2, by_autoscaler=True)
        await target.rolled_out("1.0")
        await until("a canary", lambda: _has_canary(target))


async def test_scaled_to_0_while_a_promotion_rolls_it_is_held_again(target: Scaled) -> None:
    await target.deploy("1.0", replicas=3, minReadySeconds=3)
    target.judge_every("1s")
    async with target.analyzed():
        await target.push("1.1")
        await in_phase(target, Phase.PROMOTING)

        async def rolls() -> bool:
            return len([one for one in await target.revisions() if one.replicas]) > 1

        await until("pods of both", rolls)
        target.judge_every("1h")
        await target.scale(0, by_autoscaler=False)
        await in_phase(target, Phase.PROGRESSING)
        await target.rolled_out("1.0")  # none of any other
        assert (await target.read())["spec"]["paused"] is True
        target.versions.clear()
        await target.scale(3, by_autoscaler=False)
        await target.rolled_out("1.0")
        assert target.versions == {"1.0"}


async def test_an_analyzer_that_comes_too_late_brings_the_stable_back(target: Scaled) -> None:
    await target.deploy("1.0", "1.1", "1.0")
    async with target.analyzed():

        async def known() -> bool:
            return bool(target.state().stable)

        await until("what serves", known)
    await target.push("bad")
    await target.scale(0, by_autoscaler=False)
    await target.rolled_out("1.1")  # none at all
    await target.scale(2, by_autoscaler=False)
    await target.rolled_out("1.1")  # as any paused Deployment does
    async with target.analyzed():

        async def stable_is_back() -> bool:
            assert await target.ready(), "nothing serves meanwhile"
            return await target.is_rolled_out("1.0")

        await until("the stable", stable_is_back)
    assert target.versions == {"1.0"}


async def test_without_a_history_the_stable_survives(target: Scaled) -> None:
    await target.deploy("1.0", revisionHistoryLimit=0)
    async with target.analyzed():
        await target.push("1.1")
        await held(target)
        await until("a copy", lambda: _is_parked(target))
        for replicas in (1, 2):
            await down_and_up(target, replicas, "1.0")
            await until("a copy", lambda: _is_parked(target))
        assert target.versions <= {"1.0"}


@pytest.mark.slow
@pytest.mark.timeout(300, func_only=True)
async def test_at_random_moments_no_other_version_ever_runs(target: Scaled) -> None:
    await scaled_at_random(target, cycles=6, seed=1)


async def _has_canary(target: Scaled) -> bool:
    found = await target.cluster.list(
        DEPLOYMENTS, target.namespace, label_selector="headgate.dev/target=web"
    )
    return bool(found.items)


async def _has_no_canary(target: Scaled) -> bool:
    return not await _has_canary(target)


async def _is_parked(target: Scaled) -> bool:
    return any(one.place is Place.PARKED for one in await target.revisions())
