"""Parked ReplicaSets at a real Deployment controller, which also says what the fake of it is worth.

Nothing of Headgate's is installed for it, and no pod has to run: whoever gets the pods is the
ReplicaSet whose `spec.replicas` is raised.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from analyzer.loop.parked import park, put_back
from analyzer.loop.revisions import replica_sets
from analyzer.loop.sweeper import Sweeper
from canary.model.hashing import template_hash
from canary.model.world import Place, Revision
from canary.objects.workloads import read_revisions
from runtime.kube import Cluster
from runtime.resources import DEPLOYMENTS, REPLICASETS
from tests.cluster.runtime_kit import own_namespace
from tests.fakes.deployment_controller import chosen

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("undisturbed")]
Json = dict[str, Any]
DEADLINE = 30.0
BY_LABEL: Json = {"matchLabels": {"app": "web"}}
BY_EXPRESSION: Json = {"matchExpressions": [{"key": "app", "operator": "In", "values": ["web"]}]}
BY_ABSENCE: Json = {"matchExpressions": [{"key": "foreign", "operator": "DoesNotExist"}]}
HISTORIES = ("a", "ab", "aba", "abc", "abca", "abcab", "bacb")


def template(version: str) -> Json:
    """Return a template as the API server stores it, so that its hash can be told beforehand."""
    container = {
        "name": "c",
        "image": f"headgate.invalid/none:{version}",
        "imagePullPolicy": "IfNotPresent",
        "resources": {},
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
    }
    pod = {
        "containers": [container],
        "dnsPolicy": "ClusterFirst",
        "restartPolicy": "Always",
        "schedulerName": "default-scheduler",
        "securityContext": {},
        "terminationGracePeriodSeconds": 0,
    }
    return {"metadata": {"labels": {"app": "web"}}, "spec": pod}


@pytest.fixture
async def place(cluster_kubeconfig: Path) -> AsyncIterator[tuple[Cluster, str]]:
    async with own_namespace(cluster_kubeconfig) as found:
        yield found


async def until(what: str, look: Callable[[], Awaitable[bool]]) -> None:
    try:
        async with asyncio.timeout(DEADLINE):
            while not await look():  # noqa: ASYNC110 - nothing announces it
                await asyncio.sleep(0.05)
    except TimeoutError as late:
        raise AssertionError(f"{what}: not within {DEADLINE:g} s") from late


@dataclass(frozen=True)
class Only:
    """One namespace is to be looked at: what other tests have parked meanwhile is theirs."""

    namespace: str

    def unmanaged(self, namespace: str) -> bool:
        return namespace != self.namespace

    async def synced(self) -> None:
        """Wait for nothing."""


class Target:
    """A Deployment at 0 replicas whose history has been written, and that is held now."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self._cluster = cluster
        self._namespace = namespace

    async def write(self, version: str, *, paused: bool = False) -> None:
        patch = {"spec": {"template": template(version), "paused": paused}}
        await self.patch(patch)
        await until("the controller's look", self._seen)

    async def scale(self, replicas: int) -> None:
        await self.patch({"spec": {"replicas": replicas}})
        await until("the controller's look", self._seen)

    async def read(self) -> Json:
        return await self._cluster.get(DEPLOYMENTS, self._namespace, "web")

    async def revisions(self) -> tuple[Revision, ...]:
        target = await self.read()
        return read_revisions(await replica_sets(self._cluster, target), target)

    async def history(self) -> set[tuple[str, int]]:
        """What `kubectl rollout history` shows."""
        return {(r.name, r.number) for r in await self.revisions() if r.place is Place.OWNED}

    async def made(self, versions: str, selector: Json) -> None:
        spec = {"replicas": 0, "selector": selector, "template": template(versions[0])}
        metadata = {"name": "web", "namespace": self._namespace}
        await self._cluster.create(DEPLOYMENTS, {"metadata": metadata, "spec": spec})
        for version in versions:
            await self.write(version)
            await until("its ReplicaSet", partial(self._newest_is, version))

    async def serves(self) -> str:
        """Return the hash of what gets the pods when it is scaled up, and scale it down again."""
        await self.scale(2)
        found: list[str] = []

        async def scaled() -> bool:
            found[:] = [r.template_hash for r in await self.revisions() if r.replicas == 2]
            return bool(found)

        await until("a ReplicaSet with pods", scaled)
        await self.scale(0)
        await until("none", self._is_at_0)
        assert len(found) == 1
        return found[0]

    async def settled(self, place: Place) -> None:
        """Wait until the controller has let go, or adopted, everything that was written."""

        async def clear() -> bool:
            target = await self.read()
            found = await replica_sets(self._cluster, target)
            owned = [bool(obj["metadata"].get("ownerReferences")) for obj in found]
            aside = [r.place is Place.PARKED for r in read_revisions(found, target)]
            free = all(has is not is_parked for has, is_parked in zip(owned, aside, strict=True))
            return free and (any(aside) if place is Place.PARKED else not any(aside))

        await until(f"all {place.value}", clear)

    async def gives(self, replicas: int, template: str) -> bool:
        """Tell whether these pods, and no others, are asked of this template."""
        return {(r.template_hash, r.replicas) for r in await self.revisions() if r.replicas} == {
            (template, replicas)
        }

    async def has(self, owned: int) -> bool:
        return len([r for r in await self.revisions() if r.place is Place.OWNED]) == owned

    async def patch(self, patch: Json) -> None:
        await self._cluster.merge_patch(DEPLOYMENTS, self._namespace, "web", patch)

    async def _seen(self) -> bool:
        target = await self.read()
        seen = (target.get("status") or {}).get("observedGeneration", 0)
        return bool(seen >= target["metadata"]["generation"])

    async def _newest_is(self, version: str) -> bool:
        newest = max(await self.revisions(), key=lambda r: r.number, default=None)
        return newest is not None and newest.template_hash == template_hash(template(version))

    async def _is_at_0(self) -> bool:
        return not any(revision.replicas for revision in await self.revisions())


@pytest.mark.parametrize(
    ("versions", "candidate"),
    [(versions, held) for versions in HISTORIES for held in "xb" if versions[-1] != held],
)
async def test_the_controller_chooses_as_its_fake_does_and_parked_it_has_no_choice(
    place: tuple[Cluster, str], versions: str, candidate: str
) -> None:
    cluster, namespace = place
    stable = template_hash(template(versions[-1]))
    wanted = template_hash(template(candidate))
    target = Target(cluster, namespace)
    await target.made(versions, BY_LABEL)
    await target.write(candidate, paused=True)
    expected = chosen(await target.revisions(), wanted)
    assert expected is not None
    assert await target.serves() == expected.template_hash
    before = await target.history()

    await park(cluster, await target.read(), stable=stable)
    places = {revision.place for revision in await target.revisions()}
    await target.settled(Place.PARKED if Place.PARKED in places else Place.OWNED)
    assert (expected.template_hash != stable) <= (Place.PARKED in places)
    for _ in range(2):
        assert await target.serves() == stable

    await put_back(cluster, await target.read())
    await target.settled(Place.OWNED)
    assert await target.history() == before


@pytest.mark.parametrize(
    "selector", [BY_LABEL, BY_EXPRESSION, BY_ABSENCE], ids=["labels", "expression", "absence"]
)
async def test_whatever_the_selector_a_parked_one_is_let_go_and_adopted_again(
    place: tuple[Cluster, str], selector: Json
) -> None:
    cluster, namespace = place
    target = Target(cluster, namespace)
    await target.made("aba", selector)
    await target.write("x", paused=True)
    before = await target.history()
    await park(cluster, await target.read(), stable=template_hash(template("a")))
    await target.settled(Place.PARKED)
    assert await target.serves() == template_hash(template("a"))
    await put_back(cluster, await target.read())
    await target.settled(Place.OWNED)
    assert await target.history() == before


async def test_a_candidate_that_is_an_old_version_rolls_from_the_replica_set_that_it_had(
    place: tuple[Cluster, str],
) -> None:
    cluster, namespace = place
    target = Target(cluster, namespace)
    await target.made("ab", BY_LABEL)
    await target.write("a", paused=True)
    names = {revision.name for revision in await target.revisions()}
    await park(cluster, await target.read(), stable=template_hash(template("b")))
    await target.settled(Place.PARKED)
    await put_back(cluster, await target.read(), template_hash(template("a")))
    await target.settled(Place.OWNED)
    await target.write("a")
    assert await target.serves() == template_hash(template("a"))
    assert {revision.name for revision in await target.revisions()} == names


async def test_what_a_hold_before_has_parked_serves_where_nobody_knows_the_stable(
    place: tuple[Cluster, str],
) -> None:
    cluster, namespace = place
    target = Target(cluster, namespace)
    await target.made("ab", BY_LABEL)
    for held in "ab":
        await target.write(held, paused=True)
        await park(cluster, await target.read(), stable="")
        await target.settled(Place.PARKED)
    assert {revision.template_hash: revision.place for revision in await target.revisions()} == {
        template_hash(template("a")): Place.OWNED,
        template_hash(template("b")): Place.PARKED,
    }
    assert await target.serves() == template_hash(template("a"))


async def test_without_a_history_the_stable_survives_every_0(place: tuple[Cluster, str]) -> None:
    cluster, namespace = place
    target, stable = Target(cluster, namespace), template_hash(template("a"))
    await target.made("a", BY_LABEL)
    await target.patch({"spec": {"revisionHistoryLimit": 0}})
    await target.scale(2)
    await until("the stable's pods", lambda: target.gives(2, stable))
    await target.write("x", paused=True)
    for replicas in (3, 1, 2):
        await park(cluster, await target.read(), stable=stable)  # a copy
        await target.scale(0)
        await until("the clean-up", lambda: target.has(0))
        await target.scale(replicas)
        await park(cluster, await target.read(), stable=stable)  # put back
        await until("the stable's pods", partial(target.gives, replicas, stable))
        await target.settled(Place.OWNED)


async def test_released_while_it_is_parked_its_double_takes_its_place(
    place: tuple[Cluster, str],
) -> None:
    cluster, namespace = place
    target = Target(cluster, namespace)
    await target.made("ab", BY_LABEL)
    await target.write("a", paused=True)
    await park(cluster, await target.read(), stable=template_hash(template("b")))
    await target.settled(Place.PARKED)
    await target.write("a")  # past Headgate

    async def doubled() -> bool:
        return len(await target.revisions()) == 3

    await until("a second ReplicaSet of the template", doubled)
    await put_back(cluster, await target.read())
    left = await target.revisions()
    assert {revision.place for revision in left} == {Place.OWNED}
    assert len(left) == 2


async def test_what_a_deployment_left_parked_is_swept(place: tuple[Cluster, str]) -> None:
    cluster, namespace = place
    target = Target(cluster, namespace)
    await target.made("aba", BY_LABEL)
    await target.write("x", paused=True)
    await park(cluster, await target.read(), stable=template_hash(template("a")))
    await target.settled(Place.PARKED)
    await cluster.delete(DEPLOYMENTS, namespace, "web")

    async def left(count: int) -> bool:
        return len((await cluster.list(REPLICASETS, namespace)).items) == count

    await until("nothing but what is parked", lambda: left(1))
    await Sweeper(cluster, Only(namespace), lambda _: None).sweep()
    await until("nothing", lambda: left(0))
