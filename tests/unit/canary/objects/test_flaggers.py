"""Which Deployments tell that a Flagger works on a namespace."""

from typing import Any

import pytest

from canary.model.values import Json
from canary.objects.flaggers import at_work, sign_of

CANARY = {"apiVersion": "flagger.app/v1beta1", "kind": "Canary", "name": "web", "uid": "u"}
OWN = {"name": "NS", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}}


def deployment(*, replicas: int | None = 1, owner: Json | None = None, **container: Any) -> Json:
    spec: Json = {"template": {"spec": {"containers": [{"name": "c", "image": "x", **container}]}}}
    metadata: Json = {"name": "d", "namespace": "flux-system"}
    if owner is not None:
        metadata["ownerReferences"] = [owner]
    return {
        "metadata": metadata,
        "spec": spec if replicas is None else {**spec, "replicas": replicas},
    }


FLAGGER = "ghcr.io/fluxcd/flagger:1.44.0"
EVERYWHERE = {
    "Flagger's own image": deployment(image=FLAGGER),
    "a mirror's, by digest": deployment(image="mirror:5000/flagger@sha256:00"),
    "no tag": deployment(image="flagger"),
    "no size": deployment(replicas=None, image=FLAGGER),
    "an image of one's own, by its program": deployment(command=["./flagger", "-log-level=info"]),
    "the same in its arguments": deployment(args=["/usr/bin/flagger"]),
    "an empty namespace": deployment(image=FLAGGER, args=["-namespace="]),
    "a variable that is not known": deployment(image=FLAGGER, args=["-namespace=$(NS)"]),
    "an option without its value": deployment(image=FLAGGER, args=["-namespace"]),
}
IN_ONE = {
    "one word": (deployment(image=FLAGGER, args=["-namespace=prod"]), "prod"),
    "two dashes": (deployment(image=FLAGGER, args=["--namespace=prod"]), "prod"),
    "two words": (deployment(image=FLAGGER, command=["flagger", "-namespace", "prod"]), "prod"),
    "a variable": (
        deployment(image=FLAGGER, args=["-namespace=$(NS)"], env=[{"name": "NS", "value": "prod"}]),
        "prod",
    ),
    "the pod's own": (
        deployment(image=FLAGGER, args=["-namespace=$(NS)"], env=[OWN]),
        "flux-system",
    ),
    "what Flagger makes of a target": (deployment(owner=CANARY), "flux-system"),
    "the same, at 0": (deployment(owner=CANARY, replicas=0), "flux-system"),
}
NONE = {
    "an app": deployment(),
    "its load tester": deployment(image="ghcr.io/fluxcd/flagger-loadtester:0.38.0"),
    "an app of the name": deployment(image="shop/flagger-ui:1"),
    "a path of the name": deployment(image="flagger/app:1"),
    "scaled to 0": deployment(image=FLAGGER, replicas=0),
    "an option of the name": deployment(args=["serve", "flagger"]),
    "another owner": deployment(owner={**CANARY, "apiVersion": "other.app/v1"}),
    "an owner of another kind": deployment(owner={**CANARY, "kind": "MetricTemplate"}),
    "no containers": {"metadata": {"name": "d"}, "spec": {"template": {}}},
}


@pytest.mark.parametrize("row", EVERYWHERE)
def test_one_that_names_no_namespace_works_on_all(row: str) -> None:
    sign = sign_of(EVERYWHERE[row])
    assert sign is not None
    assert at_work([sign], "prod") == "Deployment flux-system/d runs Flagger"


@pytest.mark.parametrize("row", IN_ONE)
def test_one_that_names_a_namespace_works_there_alone(row: str) -> None:
    obj, namespace = IN_ONE[row]
    sign = sign_of(obj)
    assert sign is not None
    assert at_work([sign], namespace).startswith("Deployment flux-system/d ")
    assert at_work([sign], "other") == ""


@pytest.mark.parametrize("row", NONE)
def test_others_tell_of_none(row: str) -> None:
    assert sign_of(NONE[row]) is None


def test_the_same_is_said_whatever_comes_first() -> None:
    found = [sign for obj in EVERYWHERE.values() if (sign := sign_of(obj)) is not None]
    assert at_work(found, "prod") == at_work(found[::-1], "prod")
    assert at_work([], "prod") == ""
