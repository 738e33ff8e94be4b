"""More objects than one list may have: what looks at all of them goes page by page."""

import pytest
from structlog.testing import capture_logs

from analyzer.loop.leftovers import LeftoverSweep
from analyzer.loop.listing import gathered, place_of
from analyzer.loop.surroundings import Surroundings
from analyzer.loop.sweeper import Anywhere, Sweeper
from analyzer.uninstall import Candidates, Uninstall
from canary.contract import (
    HOLD,
    MANAGED_BY,
    MANAGED_BY_LABEL,
    PARKED,
    PARKED_FROM,
    SPLIT,
    STABLE,
    TARGET_LABEL,
)
from canary.model.canary_labels import canary_labels
from canary.model.hashing import template_hash
from canary.model.traffic import Traffic
from canary.model.values import Json, Key
from canary.routes.mark import Mark, TargetSplit
from runtime.errors import Expired
from runtime.resources import CANARIES, DEPLOYMENTS, HTTPROUTES, PODS, REPLICASETS, SERVICES
from tests.fakes.long_lists import Long
from tests.fakes.made import FLAGGERS, applied, former, made
from tests.fakes.objects import annotated, deployment

WEB, OTHER = (Key(namespace=namespace, name="web") for namespace in ("prod", "other"))
TEMPLATES = [deployment(image=image)["spec"]["template"] for image in ("web:1", "web:2")]
STABLE_HASH, CANDIDATE_HASH = map(template_hash, TEMPLATES)


def held(store: Long, key: Key) -> None:
    """Store a target that is held while its stable serves, its canary, and a route to both."""
    target = deployment(image="web:2", paused=True)
    target["metadata"] |= {"namespace": key.namespace, "uid": f"uid-{key.namespace}"}
    marks = {HOLD: CANDIDATE_HASH, STABLE: STABLE_HASH}
    uid = store.put(DEPLOYMENTS, annotated(target, dict(marks)))["metadata"]["uid"]
    metadata: Json = {
        "namespace": key.namespace,
        "labels": {"app": "web"},
        "ownerReferences": [{"kind": "Deployment", "name": "web", "uid": uid, "controller": True}],
    }
    spec = {"replicas": 3, "template": TEMPLATES[0]}
    store.put(REPLICASETS, {"metadata": {**metadata, "name": "web-old"}, "spec": spec})
    metadata = {
        **metadata,
        "name": "web-canary",
        "labels": {MANAGED_BY_LABEL: MANAGED_BY, TARGET_LABEL: "web"},
    }
    store.put(SERVICES, {"metadata": metadata, "spec": {"selector": {TARGET_LABEL: "web"}}})
    store.put(DEPLOYMENTS, {**deployment(), "metadata": metadata})
    mark = Mark(splits={"web": TargetSplit(stable="web", canary="web-canary", traffic=Traffic(50))})
    metadata = {
        "namespace": key.namespace,
        "name": "shop",
        "annotations": {SPLIT: mark.dump()},
    }
    refs = [{"name": name, "port": 80, "weight": 50} for name in ("web", "web-canary")]
    spec = {"rules": [{"backendRefs": refs}]}
    store.put(HTTPROUTES, {"kind": "HTTPRoute", "metadata": metadata, "spec": spec})


def others(store: Long, number: int) -> None:
    for one in range(number):
        store.put(DEPLOYMENTS, deployment(name=f"app-{one}"))


def is_free(store: Long, key: Key) -> bool:
    target = store.now(DEPLOYMENTS, key.namespace, key.name)
    assert target is not None
    template = target["spec"]["template"]
    free = "paused" not in target["spec"] and not target["metadata"]["annotations"]
    return free and template_hash(template) == STABLE_HASH


def backends(store: Long, key: Key) -> list[str]:
    route = store.now(HTTPROUTES, key.namespace, "shop")
    assert route is not None
    return [ref["name"] for ref in route["spec"]["rules"][0]["backendRefs"]]


async def test_an_uninstall_goes_page_by_page_and_begins_again_where_that_took_too_long() -> None:
    store, lines = Long(slow=2), list[str]()
    others(store, 50)
    held(store, WEB)
    labels = {"app.kubernetes.io/component": "analyzer"}
    metadata = {"namespace": "prod", "name": "app-pod", "labels": labels}
    store.put(PODS, {"metadata": metadata, "spec": {}})  # of a team's own analyzer
    for name, obj in (("one", made()), ("two", applied(made(), FLAGGERS)), ("three", former())):
        store.put(CANARIES, {**obj, "metadata": {**obj["metadata"], "name": name}})
    await Uninstall(store, Candidates.STABLE, 0.0, lines.append).run()
    assert is_free(store, WEB)
    assert backends(store, WEB) == ["web"]
    left = {(plural, name) for plural, _, name in store.objects if not name.startswith("app-")}
    assert left == {
        ("deployments", "web"),
        ("replicasets", "web-old"),
        ("httproutes", "shop"),
        (CANARIES.plural, "two"),
    }
    assert "the CRDs stay, because teams own 1 canaries" in lines


async def test_an_uninstall_says_what_it_cannot_read_and_lets_all_others_go() -> None:
    store, lines = Long(), list[str]()
    for key in (OTHER, WEB):
        held(store, key)
    store.fat = {("httproutes", "other"), ("replicasets", "other")}
    await Uninstall(store, Candidates.STABLE, 0.0, lines.append).run()
    assert (is_free(store, OTHER), is_free(store, WEB)) == (False, True)
    assert (len(backends(store, OTHER)), len(backends(store, WEB))) == (2, 1)
    said = "left as it is, mend it by hand: TooLarge: a list of more than 16777216 bytes"
    assert f"web.other: {said}" in lines
    assert f"the routes of {OTHER}: {said}" in lines
    for resource in (SERVICES, DEPLOYMENTS):
        found = [store.now(resource, key.namespace, "web-canary") for key in (OTHER, WEB)]
        assert [one is not None for one in found] == [True, False]


class Index:
    """Knows of no split, and of no doubt."""

    def doubt(self, key: Key) -> None:
        """Forget it: whoever is woken here does not look."""

    def split_targets(self) -> tuple[Key, ...]:
        return ()

    async def synced(self) -> None:
        """Return at once."""


async def test_leftovers_are_found_page_by_page_and_of_each_kind_that_can_be_read() -> None:
    store, woken = Long(), list[Key]()
    others(store, 9)
    held(store, WEB)
    held(store, OTHER)
    await LeftoverSweep(store, Index(), woken.append).sweep()
    assert woken == [OTHER, WEB]
    store.fat, woken = {("services", "")}, []
    with capture_logs() as lines:
        await LeftoverSweep(store, Index(), woken.append).sweep()
    assert woken == [OTHER, WEB]
    assert [line["resource"] for line in lines] == ["services"]


@pytest.mark.parametrize("note", ['{"deployment":"gone"}', ""])
async def test_what_is_parked_is_found_page_by_page(note: str) -> None:
    store = Long(fat={("deployments", "prod")})
    others(store, 9)
    for number in range(5):
        metadata = {
            "namespace": "prod",
            "name": f"gone-{number}",
            "labels": {PARKED: "uid-gone"},
            "annotations": {PARKED_FROM: note},
        }
        spec = {"replicas": 0, "template": TEMPLATES[0]}
        store.put(REPLICASETS, {"metadata": metadata, "spec": spec})
    await Sweeper(store, Anywhere(), lambda _: None).sweep()
    assert not [name for plural, _, name in store.objects if plural == "replicasets"]
    assert store.pages_read[:3] == [2, 2, 1]


async def test_a_list_that_takes_too_long_every_time_ends() -> None:
    store = Long(slow=100)
    others(store, 9)
    with pytest.raises(Expired):
        await gathered(store, DEPLOYMENTS, place_of)
    assert store.pages_read == [2, 2, 2]


async def test_what_cannot_be_read_for_a_remark_is_said_and_ends_no_look() -> None:
    store = Long()
    said = await Surroundings(store).unrouted("prod", "web")
    assert said == (
        "no HTTPRoute, GRPCRoute, HTTPProxy, VirtualService, IngressRoute, TraefikService or "
        "Ingress of class nginx of its namespace leads to Service prod/web; what else does cannot "
        "be told: too many grpcroutes, httpproxies, httproutes, ingresses, ingressroutes, "
        "traefikservices, virtualservices to be read"
    )


async def test_policies_that_cannot_be_read_are_said() -> None:
    labels = canary_labels(deployment(), (), stable="", own="web-canary", worn=None)
    assert await Surroundings(Long()).forewarned("prod", labels) == ()
    fat = Long(fat={("networkpolicies", "prod")})
    (said,) = await Surroundings(fat).forewarned("prod", labels)
    assert said.endswith("canary's pods cannot be told: too many networkpolicies to be read")
