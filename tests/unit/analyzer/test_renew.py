"""What the release before has stored is written anew, by one write for each object."""

from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from analyzer.act import Actor, Overtaken
from analyzer.observe import Scene
from analyzer.records import Records, state_of
from analyzer.routers.gateway_api import GatewayApiRouter
from canary.contract import HOLD, REFUSED, STABLE
from canary.former import current_state
from canary.hashing import short_hash, template_hash
from canary.model.state import Phase, State
from canary.model.world import CanaryAbsent, Observed, Split
from canary.reading import known_templates, read_target
from canary.status import status_from_state
from canary.strategy import Defaults
from runtime.errors import Conflict
from runtime.resources import DEPLOYMENTS, Resource
from tests.fakes.cluster import Untouched
from tests.fakes.hook_caller import FakeHookCaller
from tests.fakes.objects import Json, canary, deployment
from tests.fakes.world import KEY, STRATEGY

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
T1, T2, T3 = (deployment(image=f"web:{n}")["spec"]["template"] for n in (1, 2, 3))
S1, S2 = short_hash(T1), short_hash(T2)
L1, L2 = template_hash(T1), template_hash(T2)


class Cluster(Untouched):
    """Stores one target and its Canary, refuses writes that rest on an older object."""

    def __init__(self, target: Json, record: Json) -> None:
        self.target, self.record = target, record
        self.writes = 0

    async def get(self, resource: Resource, namespace: str, name: str) -> Json:
        assert (namespace, name) == ("prod", "web")
        return deepcopy(self.target if resource is DEPLOYMENTS else self.record)

    async def merge_patch(
        self, resource: Resource, namespace: str, name: str, patch: Json, *, subresource: str = ""
    ) -> Json:
        assert (namespace, name) == ("prod", "web")
        if resource is not DEPLOYMENTS:
            assert subresource == "status"
            self.record["status"] = patch["status"]
        else:
            metadata = self.target["metadata"]
            if patch["metadata"]["resourceVersion"] != metadata["resourceVersion"]:
                raise Conflict(409, "Conflict", "somebody else wrote")
            assert patch.keys() == {"metadata"}
            metadata["annotations"] |= patch["metadata"]["annotations"]
            self.touch()
        self.writes += 1
        return deepcopy(self.target)

    def touch(self) -> None:
        """Let somebody write to the target."""
        version = int(self.target["metadata"]["resourceVersion"])
        self.target["metadata"]["resourceVersion"] = str(version + 1)


def refused_by_the_release_before() -> Cluster:
    marks = {HOLD: S2, STABLE: S1, REFUSED: S2, "team.example/note": S2}
    target = deployment(image="web:2", paused=True, annotations=marks)
    target["metadata"]["resourceVersion"] = "7"
    state = State(
        phase=Phase.FAILED,
        candidate=S2,
        stable=S1,
        undoing=S2,
        changed_at=NOW,
        evidence={"candidate": S2, "verdict": "Refuse"},
    )
    record = canary()
    record["status"] = status_from_state(state, previous={}, generation=1, now=NOW)
    return Cluster(target, record)


def look(cluster: Cluster) -> Scene:
    """Read what is stored, with the ReplicaSet of the stable."""
    target, record = deepcopy(cluster.target), deepcopy(cluster.record)
    owner = {"uid": target["metadata"]["uid"], "controller": True}
    old = {"metadata": {"name": "web-1", "ownerReferences": [owner]}, "spec": {"template": T1}}
    known = known_templates(target, [old])
    return Scene(
        key=KEY,
        target=target,
        canary=record,
        state=current_state(state_of(record), known),
        strategy=STRATEGY,
        service=None,
        selector_key="app",
        observed=Observed(
            key=KEY,
            target=read_target(target, enabled=True, known=known),
            revisions=(),
            strategy=STRATEGY,
            canary=CanaryAbsent(),
            split=Split(),
        ),
        known=known,
    )


def actor(cluster: Cluster) -> Actor:
    return Actor(cluster, GatewayApiRouter(cluster), FakeHookCaller(), Records(cluster, Defaults()))


async def test_marks_and_status_of_a_refused_version_are_written_anew_once() -> None:
    cluster = refused_by_the_release_before()
    assert await actor(cluster).renew(look(cluster), NOW)
    notes, status = cluster.target["metadata"]["annotations"], cluster.record["status"]
    assert notes == {HOLD: L2, STABLE: L1, REFUSED: L2, "team.example/note": S2}
    assert (status["lastAppliedSpec"], status["lastPromotedSpec"]) == (L2, L1)
    assert (status["run"]["undoing"], status["run"]["evidence"]["candidate"]) == (L2, L2)
    assert status["phase"] == "Failed"
    assert cluster.writes == 2
    assert not await actor(cluster).renew(look(cluster), NOW)
    assert cluster.writes == 2


async def test_a_death_between_the_two_writes_leaves_the_other_to_the_next_look() -> None:
    cluster = refused_by_the_release_before()
    scene = look(cluster)
    await Records(cluster, Defaults()).save(scene.canary, scene.state, NOW)
    assert await actor(cluster).renew(look(cluster), NOW)
    assert cluster.target["metadata"]["annotations"][REFUSED] == L2
    assert cluster.writes == 2


async def test_a_write_by_somebody_else_in_between_is_kept() -> None:
    cluster = refused_by_the_release_before()
    scene = look(cluster)
    cluster.target["metadata"]["annotations"][HOLD] = "unknown"
    cluster.touch()
    assert await actor(cluster).renew(scene, NOW)
    notes = cluster.target["metadata"]["annotations"]
    assert (notes[HOLD], notes[STABLE]) == ("unknown", L1)


async def test_another_template_meanwhile_is_looked_at_first() -> None:
    cluster = refused_by_the_release_before()
    scene = look(cluster)
    cluster.target["spec"]["template"] = T3
    cluster.touch()
    with pytest.raises(Overtaken):
        await actor(cluster).renew(scene, NOW)


async def test_a_target_of_this_release_costs_no_write() -> None:
    cluster = refused_by_the_release_before()
    cluster.target["metadata"]["annotations"] = {HOLD: L2, STABLE: L1, REFUSED: L2}
    state = replace(look(cluster).state, post_rollout_called=True)
    cluster.record["status"] = status_from_state(state, previous={}, generation=1, now=NOW)
    assert not await actor(cluster).renew(look(cluster), NOW)
    assert cluster.writes == 0
