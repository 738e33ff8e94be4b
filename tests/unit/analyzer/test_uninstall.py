"""An uninstall in a cluster that does not stand still meanwhile."""

from typing import Any

import pytest

from analyzer.uninstall import ANALYZER, Candidates, Uninstall
from canary.contract import (
    HOLD,
    MANAGED_BY,
    MANAGED_BY_LABEL,
    SPLIT,
    STABLE,
    SYSTEM_NAMESPACE,
    TARGET_LABEL,
)
from canary.model.hashing import short_hash, template_hash
from canary.model.traffic import Traffic
from canary.model.values import Json
from canary.routes.gateway_api import HttpRoutes
from canary.routes.mark import Mark, TargetSplit
from canary.routes.nginx import Companions
from runtime.errors import ApiError, Forbidden, Invalid
from runtime.resources import (
    CANARIES,
    DEPLOYMENTS,
    HTTPROUTES,
    INGRESSES,
    REPLICASETS,
    SERVICES,
    Resource,
)
from tests.fakes.made import FLAGGERS, applied, former, made
from tests.fakes.objects import annotated, deployment
from tests.fakes.stored import Stored

OLD_TEMPLATE = deployment(image="web:1")["spec"]["template"]
NEW_TEMPLATE = deployment(image="web:2")["spec"]["template"]
OLD, NEW = template_hash(OLD_TEMPLATE), template_hash(NEW_TEMPLATE)


def held(store: Stored) -> Json:
    target = annotated(deployment(image="web:2", paused=True), {HOLD: NEW, STABLE: OLD})
    return store.put(DEPLOYMENTS, target)


def cluster() -> Stored:
    store = Stored()
    analyzer = deployment(name=ANALYZER)
    analyzer["metadata"]["namespace"] = SYSTEM_NAMESPACE
    store.put(DEPLOYMENTS, analyzer)
    uid = held(store)["metadata"]["uid"]
    for name, image, replicas in (("web-old", "web:1", 3), ("web-new", "web:2", 0)):
        template = deployment(image=image)["spec"]["template"]
        metadata = {
            "name": name,
            "namespace": "prod",
            "labels": {"app": "web"},
            "ownerReferences": [{"uid": uid, "controller": True}],
        }
        spec = {"replicas": replicas, "template": template}
        store.put(REPLICASETS, {"metadata": metadata, "spec": spec})
    ours = {MANAGED_BY_LABEL: MANAGED_BY, TARGET_LABEL: "web"}
    for resource, name in (
        (DEPLOYMENTS, "web-canary"),
        (SERVICES, "web-canary"),
        (SERVICES, "web"),
    ):
        store.put(
            resource,
            {
                "metadata": {
                    "name": name,
                    "namespace": "prod",
                    "labels": ours,
                    "ownerReferences": [{"kind": "Deployment", "name": "web", "uid": uid}],
                },
                "spec": {"selector": {"app": "web"} if name == "web" else {TARGET_LABEL: "web"}},
            },
        )
    return store


def image_of(target: Json) -> str:
    return str(target["spec"]["template"]["spec"]["containers"][0]["image"])


@pytest.mark.parametrize(
    ("candidates", "image", "said"),
    [
        (Candidates.STABLE, "web:1", "web.prod: keeps its stable version"),
        (Candidates.RELEASE, "web:2", "web.prod: its new version is released"),
    ],
)
async def test_a_target_that_is_written_meanwhile_is_let_go_as_it_is_then(
    candidates: Candidates, image: str, said: str
) -> None:
    store, lines = cluster(), list[str]()

    def scaled_by_the_team() -> None:
        target = store.now(DEPLOYMENTS, "prod", "web")
        assert target is not None
        target["spec"]["replicas"] = 9
        store.put(DEPLOYMENTS, target)

    def say(line: str) -> None:
        lines.append(line)
        if line.startswith("all traffic of web.prod"):
            store.meanwhile = scaled_by_the_team

    await Uninstall(store, candidates, 0.0, say).run()
    target = store.now(DEPLOYMENTS, "prod", "web")
    assert target is not None
    assert image_of(target) == image
    assert target["spec"]["replicas"] == 9
    assert "paused" not in target["spec"]
    assert not target["metadata"]["annotations"]
    assert said in lines
    assert store.calls.count("merge_patch") == 2
    left = {(plural, name) for plural, _, name in store.objects if plural != "replicasets"}
    assert left == {("deployments", "web"), ("services", "web")}


async def test_the_stable_is_found_by_a_mark_of_the_release_before() -> None:
    store = cluster()
    marks = {HOLD: short_hash(NEW_TEMPLATE), STABLE: short_hash(OLD_TEMPLATE)}
    target = store.now(DEPLOYMENTS, "prod", "web")
    assert target is not None
    store.put(DEPLOYMENTS, annotated(target, dict(marks)))
    for name, pods in (("web-old", 1), ("web-new", 3)):  # as half-way through an undo
        revision = store.now(REPLICASETS, "prod", name)
        assert revision is not None
        revision["spec"]["replicas"] = pods
        store.put(REPLICASETS, {**revision, "status": {"readyReplicas": pods}})
    await Uninstall(store, Candidates.STABLE, 0.0, lambda _: None).run()
    target = store.now(DEPLOYMENTS, "prod", "web")
    assert target is not None
    assert image_of(target) == "web:1"


async def test_what_was_made_goes_and_what_a_team_has_written_over_it_stays() -> None:
    store = cluster()
    for name, obj in (("one", made()), ("two", applied(made(), FLAGGERS)), ("three", former())):
        store.put(CANARIES, {**obj, "metadata": {**obj["metadata"], "name": name}})
    await Uninstall(store, Candidates.STABLE, 0.0, lambda _: None).run()
    kept = [name for kind, _, name in store.objects if kind == CANARIES.plural]
    assert kept == ["two"]
    (left,) = [obj for (kind, _, _), obj in store.objects.items() if kind == CANARIES.plural]
    assert not left["metadata"].get("ownerReferences")
    assert left["spec"]["analysis"] == FLAGGERS


class Guarded(Stored):
    """Another webhook or a policy is against every write to one Deployment."""

    denial: ApiError = Forbidden(403, "Forbidden", "denied by policy: no changes on Fridays")

    async def merge_patch(
        self, resource: Resource, namespace: str, name: str, patch: Json, **rest: Any
    ) -> Json:
        if name == "frozen":
            raise self.denial
        return await super().merge_patch(resource, namespace, name, patch, **rest)


@pytest.mark.parametrize(
    "denial",
    [
        Forbidden(403, "Forbidden", "denied by policy: no changes on Fridays"),
        Invalid(422, "Invalid", "spec.template: too old a field"),
    ],
)
async def test_what_is_denied_on_one_target_is_said_and_lets_all_others_go(
    denial: ApiError,
) -> None:
    store, lines = Guarded(cluster().objects), list[str]()
    store.denial = denial
    frozen = annotated(deployment(name="frozen", paused=True), {HOLD: NEW, STABLE: OLD})
    store.objects = {("deployments", "prod", "frozen"): store.put(DEPLOYMENTS, frozen)} | (
        store.objects
    )
    await Uninstall(store, Candidates.STABLE, 0.0, lines.append).run()
    said = f"frozen.prod: left as it is, mend it by hand: {denial}"
    assert said in lines
    target = store.now(DEPLOYMENTS, "prod", "web")
    assert target is not None
    assert "paused" not in target["spec"]
    left = {(plural, name) for plural, _, name in store.objects if plural != "replicasets"}
    assert left == {("deployments", "web"), ("deployments", "frozen"), ("services", "web")}


async def test_what_stands_beside_an_ingress_goes_and_the_ingress_stays() -> None:
    store = cluster()
    backend = {"service": {"name": "gone", "port": {"number": 80}}}
    team: Json = {
        "kind": "Ingress",
        "metadata": {"name": "shop", "namespace": "prod"},
        "spec": {"ingressClassName": "nginx", "defaultBackend": backend},
    }
    split = TargetSplit(stable="gone", canary="gone-canary", traffic=Traffic(50))
    owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "gone", "uid": "u-9"}
    for one in (team, Companions("other.example").companion(team, "gone", split, owner)):
        store.put(INGRESSES, one)
    await Uninstall(store, Candidates.STABLE, 0.0, lambda _: None).run()
    assert [name for plural, _, name in store.objects if plural == "ingresses"] == ["shop"]


async def test_what_only_has_our_labels_stays_and_a_split_without_a_canary_goes() -> None:
    store = cluster()
    ours = {MANAGED_BY_LABEL: MANAGED_BY, TARGET_LABEL: "web"}
    target = store.now(DEPLOYMENTS, "prod", "web")
    assert target is not None
    owner = {"kind": "Deployment", "name": "web", "uid": target["metadata"]["uid"]}
    copies: list[tuple[Resource, Json]] = [
        (DEPLOYMENTS, {"name": "web-copy", "labels": ours, "ownerReferences": [owner]}),
        (SERVICES, {"name": "orphan-canary", "labels": ours}),
    ]
    for resource, metadata in copies:
        spec = {"selector": {TARGET_LABEL: "web"}} if resource is SERVICES else {}
        store.put(resource, {"metadata": {**metadata, "namespace": "prod"}, "spec": spec})
    mark = Mark(
        splits={"gone": TargetSplit(stable="gone", canary="gone-canary", traffic=Traffic(50))}
    )
    backends = [{"name": "gone", "port": 80, "weight": 1}]
    metadata = {"name": "gone", "namespace": "prod", "annotations": {SPLIT: mark.dump()}}
    plain: Json = {"rules": [{"backendRefs": backends}]}
    split = HttpRoutes().with_traffic({"metadata": metadata, "spec": plain}, mark)
    metadata["annotations"] = {SPLIT: split.mark.dump()}
    store.put(HTTPROUTES, {"kind": "HTTPRoute", "metadata": metadata, "spec": split.spec})
    await Uninstall(store, Candidates.STABLE, 0.0, lambda _: None).run()
    left = {(plural, name) for plural, _, name in store.objects if plural != "replicasets"}
    assert left == {
        ("deployments", "web"),
        ("deployments", "web-copy"),
        ("services", "web"),
        ("services", "orphan-canary"),
        ("httproutes", "gone"),
    }
    route = store.now(HTTPROUTES, "prod", "gone")
    assert route is not None
    assert route["spec"] == plain


async def test_a_split_of_another_namespace_s_target_goes_too() -> None:
    store = cluster()
    mark = Mark(
        splits={
            "other/gone": TargetSplit(
                stable="other/gone", canary="other/gone-canary", traffic=Traffic(50)
            )
        }
    )
    backends = [{"name": "gone", "namespace": "other", "port": 80, "weight": 1}]
    metadata = {"name": "edge", "namespace": "edge", "annotations": {SPLIT: mark.dump()}}
    plain: Json = {"rules": [{"backendRefs": backends}]}
    split = HttpRoutes().with_traffic({"metadata": metadata, "spec": plain}, mark)
    assert split.spec != plain
    metadata["annotations"] = {SPLIT: split.mark.dump()}
    store.put(HTTPROUTES, {"kind": "HTTPRoute", "metadata": metadata, "spec": split.spec})
    said: list[str] = []
    await Uninstall(store, Candidates.STABLE, 0.0, said.append).run()
    route = store.now(HTTPROUTES, "edge", "edge")
    assert route is not None
    assert route["spec"] == plain
    assert any("other" in it and "goes to its stable pods" in it for it in said)
