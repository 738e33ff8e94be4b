"""What counts for the identity of a template, and what means the same as its absence."""

import gc
import json
import tracemalloc
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.model.defaulted import DEFAULTS
from canary.model.hashing import short_hash, template_hash
from tests.fakes.objects import Json

CONTAINERS = ("initContainers", "containers")
PROBES = ("livenessProbe", "readinessProbe", "startupProbe")


def rich() -> Json:
    """Return a template as teams write it, with something in most of what Kubernetes defaults."""
    return {
        "metadata": {
            "labels": {"app": "web", "tier": ""},
            "annotations": {"note": "", "port": "1"},
        },
        "spec": {
            "serviceAccountName": "shop",
            "initContainers": [
                {
                    "name": "migrate",
                    "image": "registry.example:5000/shop/migrate",
                    "args": ["up", ""],
                    "resources": {"limits": {"cpu": "1", "memory": "1Gi"}},
                }
            ],
            "containers": [
                {
                    "name": "web",
                    "image": "registry.example/shop/web:1.41.0",
                    "ports": [{"containerPort": 8080, "name": "http"}, {"containerPort": 9090}],
                    "env": [
                        {"name": "LEVEL", "value": "info"},
                        {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
                        {"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "cpu"}}},
                        {"name": "F", "valueFrom": {"fileKeyRef": {"key": "k", "path": "p"}}},
                    ],
                    "livenessProbe": {"httpGet": {"port": "http"}, "periodSeconds": 5},
                    "readinessProbe": {"grpc": {"port": 9090}},
                    "startupProbe": {"httpGet": {"port": 8080, "path": "/started"}},
                    "lifecycle": {"preStop": {"httpGet": {"port": 8080, "path": "/bye"}}},
                    "securityContext": {"runAsUser": 0, "readOnlyRootFilesystem": False},
                    "resources": {
                        "limits": {"cpu": "1", "memory": "1Gi"},
                        "requests": {"cpu": "100m"},
                    },
                    "volumeMounts": [{"name": "config", "mountPath": "/etc/web"}],
                },
                {"name": "proxy", "image": "proxy@sha256:00"},
            ],
            "nodeSelector": {"gpu": ""},
            "tolerations": [{"key": "spot", "value": "yes"}],
            "topologySpreadConstraints": [
                {"maxSkew": 1, "topologyKey": "zone", "labelSelector": {}, "x": "kept"}
            ],
            "volumes": [
                {"name": "config", "configMap": {"name": "web"}},
                {"name": "key", "secret": {"secretName": "web", "defaultMode": 256}},
                {"name": "host", "hostPath": {"path": "/var/log"}},
                {"name": "nothing"},
                {"name": "image", "image": {"reference": "model:latest"}},
                {
                    "name": "all",
                    "projected": {
                        "sources": [
                            {"serviceAccountToken": {"path": "token"}},
                            {"downwardAPI": {"items": [{"fieldRef": {"fieldPath": "a"}}]}},
                        ]
                    },
                },
                {
                    "name": "disk",
                    "ephemeral": {"volumeClaimTemplate": {"spec": {"storageClassName": ""}}},
                },
            ],
            "hopes": {"for": {"a": []}, "newer": 1},
        },
    }


# --- what an API server of 1.36 stores ----------------------------------------------------------


def stored(template: Json) -> Json:
    """Return the template with what the API server writes into it, and into its pods."""
    full = deepcopy(template)
    full["metadata"].setdefault("creationTimestamp", None)
    spec = full["spec"]
    for field, value in {
        "restartPolicy": "Always",
        "dnsPolicy": "ClusterFirst",
        "schedulerName": "default-scheduler",
        "terminationGracePeriodSeconds": 30,
        "securityContext": {},
        "enableServiceLinks": True,
    }.items():
        spec.setdefault(field, value)
    spec.setdefault("serviceAccount", spec["serviceAccountName"])
    for container in (one for kind in CONTAINERS for one in spec[kind]):
        _store_container(container)
    for volume in spec["volumes"]:
        _store_volume(volume)
    return full


def _store_container(container: Json) -> None:
    image = container["image"].rpartition("/")[2]
    latest = ":" not in image or image.endswith(":latest")
    container.setdefault("imagePullPolicy", "Always" if latest else "IfNotPresent")
    container.setdefault("terminationMessagePath", "/dev/termination-log")
    container.setdefault("terminationMessagePolicy", "File")
    resources = container.setdefault("resources", {})
    if "limits" in resources:
        resources["requests"] = {**resources["limits"], **resources.get("requests", {})}
    for port in container.get("ports", ()):
        port.setdefault("protocol", "TCP")
    for entry in container.get("env", ()):
        _store_source(entry.get("valueFrom", {}))
    for probe in (container[kind] for kind in PROBES if kind in container):
        probe |= {"timeoutSeconds": 1, "successThreshold": 1, "failureThreshold": 3}
        probe.setdefault("periodSeconds", 10)
        if "grpc" in probe:
            probe["grpc"].setdefault("service", "")
        _store_get(probe)
    _store_get(container.get("lifecycle", {}).get("preStop", {}))


def _store_source(source: Json) -> None:
    for kind, field, value in (
        ("fieldRef", "apiVersion", "v1"),
        ("resourceFieldRef", "divisor", "0"),
        ("fileKeyRef", "optional", False),
    ):
        if kind in source:
            source[kind].setdefault(field, value)


def _store_get(handler: Json) -> None:
    if "httpGet" in handler:
        handler["httpGet"].setdefault("path", "/")
        handler["httpGet"].setdefault("scheme", "HTTP")


def _store_volume(volume: Json) -> None:
    if len(volume) == 1:
        volume["emptyDir"] = {}
    for source in (volume.get(kind) for kind in ("configMap", "secret", "projected")):
        if source is not None:
            source.setdefault("defaultMode", 420)
    if "hostPath" in volume:
        volume["hostPath"].setdefault("type", "")
    if "image" in volume:
        volume["image"].setdefault("pullPolicy", "Always")
    for source in volume.get("projected", {}).get("sources", ()):
        _store_projection(source)
    if "ephemeral" in volume:
        claim = volume["ephemeral"]["volumeClaimTemplate"]
        claim.setdefault("metadata", {"creationTimestamp": None})
        claim["spec"].setdefault("volumeMode", "Filesystem")
        claim["spec"].setdefault("resources", {})


def _store_projection(source: Json) -> None:
    if "serviceAccountToken" in source:
        source["serviceAccountToken"].setdefault("expirationSeconds", 3600)
    for item in source.get("downwardAPI", {}).get("items", ()):
        item["fieldRef"].setdefault("apiVersion", "v1")


# --- walking over a template --------------------------------------------------------------------

Place = tuple[Any, Any]
"""A dict or list, and the key or index in it."""


def places(value: Any) -> Iterator[Place]:
    """Yield every place in a template, outermost first."""
    keys = list(value) if isinstance(value, dict) else range(len(value))
    for key in keys:
        yield value, key
        if isinstance(value[key], dict | list):
            yield from places(value[key])


def leaves(template: Json) -> list[Place]:
    return [(at, key) for at, key in places(template) if not isinstance(at[key], dict | list)]


def another(value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    return value + 1 if isinstance(value, int) else f"{value or ''}x"


def same(one: Any, other: Any) -> bool:
    return bool(template_hash(one) == template_hash(other))


# --- the identity -------------------------------------------------------------------------------


def test_an_identity_has_128_bits() -> None:
    assert len(template_hash(rich())) == 32
    assert int(template_hash(rich()), 16) < 2**128


def test_what_is_remembered_of_a_template_does_not_grow_with_its_length() -> None:
    templates = [rich() for _ in range(100)]
    for number, template in enumerate(templates):
        template["metadata"]["annotations"]["note"] = f"{number:05}" * 3000
    tracemalloc.start()
    try:
        assert len({template_hash(one) for one in templates}) == len(templates)
        gc.collect()
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 100 * 1000  # each is of 15 kB


def test_a_hash_leaves_the_template_as_it_is() -> None:
    template = stored(rich())
    template_hash(template)
    assert template == stored(rich())


def test_what_the_api_server_writes_into_a_template_is_no_other_version() -> None:
    assert stored(rich()) != rich()
    assert same(stored(rich()), rich())


@pytest.mark.parametrize("form", ["stored", "in_pods"])
def test_what_kubernetes_itself_makes_of_a_template_is_no_other_version(form: str) -> None:
    """The file has what `SetObjectDefaults_Deployment` and `SetDefaults_Pod` of 1.36.3 made."""
    path = Path(__file__).with_name("defaulted_by_1_36_3.json")
    templates = json.loads(path.read_text(encoding="utf-8"))
    assert templates[form] != templates["said"]
    assert same(templates[form], templates["said"])


def additions(said: Any, full: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the ways to what one template has and the other has not."""
    for key in list(full) if isinstance(full, dict) else range(len(full)):
        if isinstance(full, dict) and key not in said:
            yield (*way, key)
        elif isinstance(full[key], dict | list):
            yield from additions(said[key], full[key], (*way, key))


ADDED = sorted(additions(rich(), stored(rich())), key=str)


@given(st.sets(st.sampled_from(ADDED)))
def test_nor_is_any_part_of_it(unwritten: set[tuple[Any, ...]]) -> None:
    """An API server of another release writes some of it and not the rest."""
    part = stored(rich())
    for *way, last in unwritten:
        here: Any = part
        for step in way:
            here = here[step]
        del here[last]
    assert same(part, rich())


@given(st.data())
def test_any_other_value_is_another_version(data: st.DataObject) -> None:
    before = data.draw(st.sampled_from([rich, lambda: stored(rich())]))()
    after = deepcopy(before)
    counted = [(at, key) for at, key in leaves(after) if key != "creationTimestamp"]
    at, key = data.draw(st.sampled_from(counted))
    at[key] = another(at[key])
    assert not same(before, after)


@given(st.data())
def test_whatever_the_team_says_itself_counts(data: st.DataObject) -> None:
    after = rich()
    said = [
        (at, key) for at, key in places(after) if isinstance(at, list) or at[key] not in ({}, [])
    ]
    at, key = data.draw(st.sampled_from(said))
    del at[key]
    assert not same(rich(), after)


@given(st.data())
def test_the_order_of_keys_does_not_count_and_that_of_lists_does(data: st.DataObject) -> None:
    def shuffled(value: Any) -> Any:
        if isinstance(value, dict):
            keys = data.draw(st.permutations(list(value)))
            return {key: shuffled(value[key]) for key in keys}
        return [shuffled(one) for one in value] if isinstance(value, list) else value

    assert same(shuffled(rich()), rich())
    turned = rich()
    lists = [at[key] for at, key in places(turned) if isinstance(at[key], list) and at[key][1:]]
    data.draw(st.sampled_from(lists)).reverse()
    assert not same(turned, rich())


def test_a_restart_and_the_label_of_a_replicaset_do_not_count() -> None:
    other = rich()
    other["metadata"]["annotations"]["kubectl.kubernetes.io/restartedAt"] = "2026-01-01T00:00:00Z"
    other["metadata"]["labels"]["pod-template-hash"] = "5f7c"
    assert same(other, rich())
    bare = {"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": "now"}}, "spec": {}}
    assert same(bare, {"spec": {}})


# --- the table, entry by entry ------------------------------------------------------------------


ABSENT = object()


def at_path(path: str, value: Any = ABSENT) -> Json:
    """Return a template with a value at the first place that a path of the table speaks of.

    Every object on the way gets a field of its own, so that it does not go for being empty.
    """
    template: Json = {"mine": 1}
    here = template
    *way, last = [step.split("|")[0] for step in path.split(".")]
    for step in way:
        here[step] = {"mine": 1}
        here = here[step]
    if value is not ABSENT:
        here[last] = value
    return template


@pytest.mark.parametrize(("path", "default"), DEFAULTS, ids=[path for path, _ in DEFAULTS])
def test_a_default_means_the_same_as_its_absence_and_nothing_else_does(
    path: str, default: Any
) -> None:
    absent = at_path(path)
    assert same(at_path(path, default), absent)
    other = {"mine": 1} if isinstance(default, dict) else another(default)
    assert not same(at_path(path, other), absent)


def test_no_two_entries_of_the_table_speak_of_the_same_place() -> None:
    paths = [path for path, _ in DEFAULTS]
    assert len(paths) == len(set(paths))


@pytest.mark.parametrize(
    ("place", "empty"),
    [
        ("spec.volumes.projected", {}),
        ("spec.volumes.kindOfNextYear", {}),
        ("spec.volumes.projected.sources.kindOfNextYear", {}),
        ("spec.containers.env.valueFrom.kindOfNextYear", {}),
        ("spec.containers.livenessProbe.kindOfNextYear", {}),
        ("spec.initContainers.lifecycle.preStop.kindOfNextYear", {}),
        ("spec.topologySpreadConstraints.labelSelector", {}),
        ("spec.containers.securityContext.seLinuxOptions", {}),
        ("spec.volumes.ephemeral.volumeClaimTemplate.spec.selector", {}),
        ("spec.volumes.ephemeral.volumeClaimTemplate.spec.storageClassName", ""),
    ],
)
def test_where_emptiness_says_something_it_counts(place: str, empty: Any) -> None:
    assert not same(at_path(place, empty), at_path(place))
    assert same(at_path(place, None), at_path(place))


@pytest.mark.parametrize("empty", [{}, [], "", None])
@pytest.mark.parametrize("path", ["spec.next", "spec.containers.next", "metadata.next"])
def test_an_unknown_field_counts_unless_it_is_empty(path: str, empty: Any) -> None:
    absent = at_path(path)
    assert same(at_path(path, empty), absent)
    values: tuple[Any, ...] = (False, 0, {"auto": {}}, [{}], "x")
    for value in values:
        assert not same(at_path(path, value), absent)


def test_an_unknown_field_is_not_looked_into() -> None:
    auto, manual = (at_path("spec.next", {way: {}}) for way in ("auto", "manual"))
    assert not same(auto, manual)


def pulled(image: str, policy: str) -> Json:
    return {"spec": {"containers": [{"image": image, "imagePullPolicy": policy}]}}


@pytest.mark.parametrize(
    ("image", "policy"),
    [
        ("web", "Always"),
        ("web:latest", "Always"),
        ("registry.example:5000/shop/web", "Always"),
        ("registry.example:5000/shop/web:latest", "Always"),
        ("web:latest@sha256:00", "Always"),
        ("web:1", "IfNotPresent"),
        ("registry.example:5000/shop/web:1.41.0", "IfNotPresent"),
        ("web@sha256:00", "IfNotPresent"),
        ("web:1@sha256:00", "IfNotPresent"),
    ],
)
def test_the_pull_policy_that_follows_from_the_image_does_not_count(
    image: str, policy: str
) -> None:
    unsaid = {"spec": {"containers": [{"image": image}]}}
    assert same(pulled(image, policy), unsaid)
    other = {"Always": "IfNotPresent", "IfNotPresent": "Always"}[policy]
    assert not same(pulled(image, other), unsaid)
    assert not same(pulled(image, "Never"), unsaid)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("automountServiceAccountToken", True),
        ("preemptionPolicy", "PreemptLowerPriority"),
        ("serviceAccountName", "default"),
        ("priority", 0),
    ],
)
def test_a_value_whose_absence_leaves_the_choice_to_others_counts(field: str, value: Any) -> None:
    assert not same({"spec": {field: value}}, {"spec": {}})


def test_a_request_counts_unless_its_limit_says_the_same() -> None:
    def resources(**requests: str) -> Json:
        limits = {"cpu": "1", "memory": "1Gi"}
        one = {"resources": {"limits": limits, "requests": requests}, "name": "web"}
        return {"spec": {"containers": [one]}}

    assert same(resources(cpu="1", memory="1Gi"), resources())
    assert same(resources(cpu="1", memory="1Mi"), resources(memory="1Mi"))
    assert not same(resources(cpu="100m"), resources())


def test_a_service_account_s_old_name_counts_only_where_it_says_something_else() -> None:
    said = {"spec": {"serviceAccountName": "shop"}}
    assert same({"spec": {"serviceAccountName": "shop", "serviceAccount": "shop"}}, said)
    assert not same({"spec": {"serviceAccountName": "shop", "serviceAccount": "x"}}, said)


def test_the_former_hash_is_what_former_releases_computed() -> None:
    """Written down from a release that had no other: 40 bits of everything that is stored."""
    template = {
        "metadata": {"creationTimestamp": None, "labels": {"app": "web"}},
        "spec": {"containers": [{"name": "app", "image": "web:1"}]},
    }
    assert short_hash(template) == "0f8214e142"
