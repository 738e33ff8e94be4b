"""What the release before has stored is written anew, by one write for each object."""

from datetime import UTC, datetime

import pytest
from prometheus_client import CollectorRegistry

from analyzer.loop.act import Actor
from analyzer.loop.observe import Observer, Scene
from analyzer.loop.reconciler import Reconciler
from analyzer.loop.records import Records, state_of
from analyzer.loop.sampling import Sampler
from analyzer.loop.telemetry import RunMetrics
from analyzer.routers.adopted import AdoptedRoutes
from canary.contract import (
    CANDIDATE,
    HOLD,
    MANAGED_BY,
    MANAGED_BY_LABEL,
    REFUSED,
    STABLE,
    TARGET_LABEL,
)
from canary.model.hashing import short_hash, template_hash
from canary.model.state import Phase, State, current_state
from canary.model.traffic import Traffic
from canary.model.values import Key
from canary.model.world import CanaryAbsent, Split, Timing
from canary.objects.status import status_from_state
from canary.objects.workloads import known_templates, read_target
from canary.rules.context import Observed
from canary.spec.canary import Defaults
from runtime.resources import (
    CANARIES,
    DEPLOYMENTS,
    ENDPOINTSLICES,
    HTTPROUTES,
    REPLICASETS,
    SERVICES,
)
from runtime.writes import Overtaken
from tests.fakes.bench import NoWeigher
from tests.fakes.inquirer import FakeInquirer
from tests.fakes.known import OneTarget
from tests.fakes.objects import Json, annotated, canary, changed, deployment, endpoints
from tests.fakes.stored import Stored
from tests.fakes.world import KEY, STRATEGY

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
T1, T2, T3 = (deployment(image=f"web:{n}")["spec"]["template"] for n in (1, 2, 3))
S1, S2 = short_hash(T1), short_hash(T2)
L1, L2 = template_hash(T1), template_hash(T2)


def cluster_of(target: Json, record: Json) -> Stored:
    cluster = Stored()
    cluster.put(DEPLOYMENTS, target)
    cluster.put(CANARIES, record)
    return cluster


def target_of(cluster: Stored) -> Json:
    obj = cluster.now(DEPLOYMENTS, "prod", "web")
    assert obj is not None
    return obj


def record_of(cluster: Stored) -> Json:
    obj = cluster.now(CANARIES, "prod", "web")
    assert obj is not None
    return obj


def marks_of(cluster: Stored) -> Json:
    """Return what the test has annotated or the analyzer has written."""
    return dict(target_of(cluster)["metadata"]["annotations"])


def writes(cluster: Stored) -> list[str]:
    return [call for call in cluster.calls if call != "get"]


def refused_by_the_release_before() -> Stored:
    marks = {HOLD: S2, STABLE: S1, REFUSED: S2, "team.example/note": S2}
    target = deployment(image="web:2", paused=True, annotations=marks)
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
    return cluster_of(target, record)


def look(cluster: Stored) -> Scene:
    """Read what is stored, with the ReplicaSet of the stable."""
    target, record = target_of(cluster), record_of(cluster)
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
        labels=None,
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


def actor(cluster: Stored) -> Actor:
    return Actor(cluster, AdoptedRoutes(cluster), Records(cluster))


async def test_marks_and_status_of_a_refused_version_are_written_anew_once() -> None:
    cluster = refused_by_the_release_before()
    assert await actor(cluster).renew(look(cluster), NOW)
    status = record_of(cluster)["status"]
    assert marks_of(cluster) == {HOLD: L2, STABLE: L1, REFUSED: L2, "team.example/note": S2}
    assert (status["lastAppliedSpec"], status["lastPromotedSpec"]) == (L2, L1)
    assert (status["run"]["undoing"], status["run"]["evidence"]["candidate"]) == (L2, L2)
    assert status["phase"] == "Failed"
    assert writes(cluster) == ["merge_patch status", "merge_patch"]
    assert not await actor(cluster).renew(look(cluster), NOW)
    assert len(writes(cluster)) == 2


async def test_a_death_between_the_two_writes_leaves_the_other_to_the_next_look() -> None:
    cluster = refused_by_the_release_before()
    scene = look(cluster)
    await Records(cluster).save(scene.canary, scene.state, NOW)
    assert await actor(cluster).renew(look(cluster), NOW)
    assert marks_of(cluster)[REFUSED] == L2
    assert writes(cluster) == ["merge_patch status", "merge_patch"]


async def test_a_write_by_somebody_else_in_between_is_kept() -> None:
    cluster = refused_by_the_release_before()
    scene = look(cluster)
    cluster.put(DEPLOYMENTS, annotated(target_of(cluster), {"team.example/note": "new"}))
    assert await actor(cluster).renew(scene, NOW)
    assert (marks_of(cluster)[STABLE], marks_of(cluster)["team.example/note"]) == (L1, "new")


async def test_another_template_meanwhile_is_looked_at_first() -> None:
    cluster = refused_by_the_release_before()
    scene = look(cluster)
    cluster.put(DEPLOYMENTS, changed(target_of(cluster), template=T3))
    with pytest.raises(Overtaken):
        await actor(cluster).renew(scene, NOW)
    assert marks_of(cluster)[REFUSED] == S2


async def test_a_target_of_this_release_costs_no_write() -> None:
    cluster = refused_by_the_release_before()
    cluster.put(DEPLOYMENTS, annotated(target_of(cluster), {HOLD: L2, STABLE: L1, REFUSED: L2}))
    status = status_from_state(look(cluster).state, previous={}, generation=1, now=NOW)
    cluster.put(CANARIES, {**record_of(cluster), "status": status})
    assert not await actor(cluster).renew(look(cluster), NOW)
    assert writes(cluster) == []


# --- idle targets -------------------------------------------------------------------------------


class Index(OneTarget):
    """What the informers know: the one target, and its Canary."""

    def __init__(self, cluster: Stored) -> None:
        self._cluster = cluster

    def target(self, key: Key) -> Json | None:
        return self._cluster.now(DEPLOYMENTS, key.namespace, key.name)

    def canary(self, key: Key) -> Json | None:
        return self._cluster.now(CANARIES, key.namespace, key.name)

    def enabled(self, namespace: str) -> bool:
        return namespace == KEY.namespace


def reconciler(cluster: Stored) -> Reconciler:
    router = AdoptedRoutes(cluster)
    sampler = Sampler(cluster, {}, "")
    return Reconciler(
        cluster=cluster,
        index=Index(cluster),
        router=router,
        records=Records(cluster),
        observer=Observer(cluster, router, sampler, NoWeigher(), Defaults()),
        inquirer=FakeInquirer(),
        actor=actor(cluster),
        timing=Timing(),
        clock=lambda: NOW,
        metrics=RunMetrics.create(CollectorRegistry()),
    )


def at_rest(candidate: str, stable: str, phase: Phase) -> Stored:
    """Return a target at rest."""
    target = deployment(image="web:1", annotations={REFUSED: S2})
    state = State(
        phase=phase,
        candidate=candidate,
        stable=stable,
        changed_at=NOW,
        post_rollout_called=True,
        evidence={"candidate": candidate} if candidate else {},
    )
    record = canary()
    record["status"] = status_from_state(state, previous={}, generation=1, now=NOW)
    return cluster_of(target, record)


@pytest.mark.parametrize(
    ("candidate", "phase"), [("", Phase.INITIALIZED), (S1, Phase.SUCCEEDED)], ids=["never", "once"]
)
async def test_an_idle_target_rests_and_only_its_status_is_written_anew(
    candidate: str, phase: Phase
) -> None:
    cluster = at_rest(candidate, S1, phase)
    assert (await reconciler(cluster).reconcile(KEY)).requeue_after is None
    state = state_of(record_of(cluster))
    assert (state.stable, state.phase) == (L1, phase)
    assert state.candidate == (L1 if candidate else "")
    assert state.evidence == ({"candidate": L1} if candidate else {})
    assert marks_of(cluster) == {REFUSED: S2}
    await reconciler(cluster).reconcile(KEY)
    assert cluster.calls == ["merge_patch status"]


async def test_an_idle_target_of_this_release_costs_nothing() -> None:
    cluster = at_rest("", L1, Phase.INITIALIZED)
    await reconciler(cluster).reconcile(KEY)
    assert cluster.calls == []


async def test_what_the_informers_know_overwrites_nothing_newer() -> None:
    cluster = at_rest("", S1, Phase.INITIALIZED)

    def start_a_run() -> None:
        record = record_of(cluster)
        record["status"]["phase"] = "Progressing"
        cluster.put(CANARIES, record)

    cluster.meanwhile = start_a_run
    assert (await reconciler(cluster).reconcile(KEY)).requeue_after is None
    status = record_of(cluster)["status"]
    assert (status["phase"], status["lastPromotedSpec"]) == ("Progressing", S1)


# --- a run under way ----------------------------------------------------------------------------


def run_of_the_release_before() -> Stored:
    """Return a run at 10 %, all of it as that release has stored it."""
    owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "uid-web"}
    marks = {HOLD: S2, STABLE: S1}
    state = State(
        phase=Phase.PROGRESSING,
        candidate=S2,
        stable=S1,
        weight=10,
        pre_rollout_passed=True,
        started_at=NOW,
        changed_at=NOW,
        checked_at=NOW,
        stepped_at=NOW,
        reason="Advanced",
    )
    record = canary()
    record["status"] = status_from_state(state, previous={}, generation=1, now=NOW)
    for unknown in ("step", "stepOf", "round", "asked"):
        record["status"]["run"].pop(unknown, None)
    cluster = cluster_of(deployment(image="web:2", paused=True, annotations=marks), record)
    owner["uid"] = target_of(cluster)["metadata"]["uid"]
    cluster.put(SERVICES, made("web", spec={"selector": {"app": "web"}, "ports": [{"port": 80}]}))
    own = made("web-canary", spec={"selector": {"app": "web-canary"}, "ports": [{"port": 80}]})
    ours = {
        "labels": {MANAGED_BY_LABEL: MANAGED_BY, TARGET_LABEL: "web"},
        "ownerReferences": [{**owner, "kind": "Deployment", "name": "web"}],
    }
    own["metadata"] |= ours
    cluster.put(SERVICES, own)
    old = made("web-1", spec={"replicas": 4, "template": T1}, status={"readyReplicas": 4})
    old["metadata"] |= {
        "labels": {"app": "web"},
        "ownerReferences": [{**owner, "controller": True}],
    }
    cluster.put(REPLICASETS, old)
    counts = {"replicas": 2, "readyReplicas": 2, "updatedReplicas": 2, "observedGeneration": 1}
    worn = {"app": "web-canary", TARGET_LABEL: "web"}
    spec = {
        "replicas": 2,
        "selector": {"matchLabels": {"app": "web-canary"}},
        "template": {**T2, "metadata": {"labels": worn}},
    }
    beside = made("web-canary", spec=spec, status=counts)
    beside["metadata"] |= {**ours, "annotations": {CANDIDATE: S2}, "generation": 1}
    cluster.put(DEPLOYMENTS, beside)
    cluster.put(ENDPOINTSLICES, endpoints("web-canary"))
    rules = [{"backendRefs": [{"name": "web", "port": 80}]}]
    cluster.put(HTTPROUTES, made("web", spec={"rules": rules}))
    return cluster


def made(name: str, **fields: Json) -> Json:
    return {"metadata": {"name": name, "namespace": "prod"}, **fields}


async def test_a_run_under_way_goes_on_and_its_canary_is_not_made_anew() -> None:
    cluster = run_of_the_release_before()
    await AdoptedRoutes(cluster).write_split(KEY, STRATEGY, Traffic(10))
    cluster.calls.clear()
    await reconciler(cluster).reconcile(KEY)
    assert writes_of(cluster) == ["merge_patch status", "merge_patch"]
    assert marks_of(cluster) == {HOLD: L2, STABLE: L1}
    before = cluster.now(DEPLOYMENTS, "prod", "web-canary")
    await reconciler(cluster).reconcile(KEY)
    state = state_of(record_of(cluster))
    assert (state.phase, state.candidate, state.stable) == (Phase.PROGRESSING, L2, L1)
    assert (state.weight, state.started_at, state.reason) == (10, NOW, "Advanced")
    assert cluster.now(DEPLOYMENTS, "prod", "web-canary") == before


def writes_of(cluster: Stored) -> list[str]:
    return [call for call in writes(cluster) if not call.startswith("list")]
