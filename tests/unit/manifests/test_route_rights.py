"""Each kind of route but the first is granted by a component of its own, and by nothing else."""

import pytest

from analyzer.routers.kinds import BESIDE, RESOURCES, RIGHTS, WATCHED
from canary.routes.known import DIALECTS
from runtime.resources import HTTPROUTES, INGRESSROUTES, LINKERD_HTTPROUTES, REFERENCEGRANTS
from tests.unit.manifests.installation import ROUTE_RIGHTS, documents, objects, the

MADE = ["get", "list", "create", "patch"]
MADE_KINDS = set(RIGHTS) - {INGRESSROUTES.kind}
"""Kinds of which Headgate makes objects of its own."""
READ = {
    "linkerd": (LINKERD_HTTPROUTES, ["list"]),
    "other-namespaces": (REFERENCEGRANTS, ["list", "watch"]),
}
"""Components by which a kind is read alone."""
MORE = {path.name: documents(path / "rights.yaml") for path in ROUTE_RIGHTS}


def test_every_known_kind_has_its_resource_and_its_rights() -> None:
    assert set(RESOURCES) == {it.kind for it in DIALECTS}
    assert set(RIGHTS) == set(WATCHED) - {HTTPROUTES.kind}
    assert set(RIGHTS.values()) == set(MORE) - set(READ)
    assert all(WATCHED[kind].optional for kind in RIGHTS)


def test_the_installation_grants_nothing_on_them() -> None:
    plurals = {WATCHED[kind].plural for kind in RIGHTS}
    granted = {
        plural for it in objects() for rule in it.get("rules", ()) for plural in rule["resources"]
    }

    assert not plurals & granted


@pytest.mark.parametrize("kind", RIGHTS)
def test_a_component_grants_its_kind_to_the_analyzer(kind: str) -> None:
    role, binding = MORE[RIGHTS[kind]]
    resource, account = WATCHED[kind], the("ServiceAccount", "headgate-analyzer")["metadata"]
    goes = [] if kind in RESOURCES else ["delete"]  # what stands beside a team's own goes again
    comes = ["create"] if kind in MADE_KINDS else []
    verbs = ["get", "list", "watch", *comes, "patch", *goes]

    made = [
        {"apiGroups": [it.group], "resources": [it.plural], "verbs": MADE}
        for it in BESIDE.values()
        if it.group == resource.group
    ]
    others = [
        it.plural
        for name, it in WATCHED.items()
        if RIGHTS.get(name) == RIGHTS[kind] and name != kind
    ]
    mine = [it for it in role["rules"] if it["resources"] not in [[name] for name in others]]
    assert len(role["rules"]) == len(mine) + len(others)
    assert mine == [
        {"apiGroups": [resource.group], "resources": [resource.plural], "verbs": verbs},
        *made,
    ]
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    assert binding["subjects"] == [
        {
            "kind": "ServiceAccount",
            "name": account["name"],
            "namespace": account["namespace"],
        }
    ]


@pytest.mark.parametrize("name", READ)
def test_what_is_not_split_is_read_and_no_more(name: str) -> None:
    role, _ = MORE[name]
    resource, verbs = READ[name]
    assert role["rules"] == [
        {"apiGroups": [resource.group], "resources": [resource.plural], "verbs": verbs}
    ]
    assert resource.optional
