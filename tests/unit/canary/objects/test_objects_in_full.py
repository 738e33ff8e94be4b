"""What a run writes to the API server, every field of it, kept as text."""

from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from canary.contract import (
    HOLD,
    PARKED,
    PARKED_FROM,
)
from canary.model.canary_labels import CanaryLabels, canary_labels
from canary.model.former import Identities
from canary.model.strategy import Strategy
from canary.objects import copied, desired, parking, placement, policies, workloads
from canary.spec.steps import linear
from tests.fakes.objects import Json
from tests.unit.canary.objects.drawn import target
from tests.unit.canary.objects.in_words import kept

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
WORN = {"app": "web", "tier": "front"}
STRATEGY = Strategy(
    interval=timedelta(seconds=10), threshold=1, steps=linear((50,)), service_name="web"
)


def the_target() -> Json:
    found = target(WORN, {"matchLabels": {"app": "web"}})
    found["metadata"] |= {
        "labels": {"team": "payments", "helm.sh/chart": "web-1.0"},
        "annotations": {"example.com/owner": "payments@example.com", HOLD: "abc"},
    }
    pod = found["spec"]["template"]["spec"]
    found["spec"]["template"]["metadata"]["creationTimestamp"] = None
    pod["initContainers"] = [{"name": "first", "image": "first:1"}]
    about = {"labelSelector": {"matchLabels": {"app": "web"}}, "topologyKey": "zone"}
    others = {"labelSelector": {"matchLabels": {"app": "db"}}, "topologyKey": "zone"}
    far = {**about, "namespaces": ["elsewhere"]}
    near = {**about, "namespaces": ["prod"]}
    chosen = {**about, "namespaceSelector": {}}
    nobody = {"topologyKey": "zone"}
    pod["topologySpreadConstraints"] = [deepcopy(about), deepcopy(others), deepcopy(nobody)]
    terms = [about, others, far, near, chosen]
    pod["affinity"] = {
        kind: {
            "requiredDuringSchedulingIgnoredDuringExecution": deepcopy(terms),
            "preferredDuringSchedulingIgnoredDuringExecution": [
                {"weight": 1, "podAffinityTerm": deepcopy(term)} for term in terms
            ],
        }
        for kind in ("podAffinity", "podAntiAffinity")
    }
    return found


def the_service() -> Json:
    return {
        "metadata": {
            "name": "web",
            "labels": {"team": "payments", "monitored": "yes"},
            "annotations": {"external-dns.alpha.kubernetes.io/hostname": "web.example", "a": "b"},
        },
        "spec": {
            "type": "LoadBalancer",
            "clusterIP": "10.0.0.1",
            "selector": {"tier": "front"},
            "sessionAffinity": "ClientIP",
            "publishNotReadyAddresses": True,
            "ports": [
                {"name": "a", "port": 80, "targetPort": "http", "nodePort": 30000},
                {"name": "b", "port": 81, "protocol": "UDP", "appProtocol": "x"},
            ],
        },
    }


def labels_of(found: Json) -> CanaryLabels:
    return canary_labels(found, [the_service()], stable="web", own="web-canary")


def test_what_a_run_makes() -> None:
    found = the_target()
    labels = labels_of(found)
    tuned = deepcopy(found)
    tuned["spec"] |= {"progressDeadlineSeconds": 30, "minReadySeconds": 5}
    del tuned["spec"]["template"]["spec"]["affinity"]
    del tuned["spec"]["template"]["spec"]["topologySpreadConstraints"]
    del tuned["spec"]["template"]["spec"]["initContainers"]
    noted = deepcopy(found)
    noted["spec"]["template"]["metadata"]["annotations"] = {"example.com/scrape": "yes"}
    bare = deepcopy(found)
    del bare["metadata"]["labels"], bare["metadata"]["annotations"]
    stands = desired.canary_workload(found, labels=labels, replicas=1)
    stands["spec"]["selector"] = {"matchLabels": dict(labels.pods)}
    strange = deepcopy(stands)
    strange["spec"]["selector"] = {"matchLabels": {"app": "web"}}
    other = replace(STRATEGY, service_port=8080, target_port="http")
    wide = deepcopy(found)
    wide["spec"]["selector"] = {"matchExpressions": [{"key": "app", "operator": "Exists"}]}
    kept(
        "made",
        workload=desired.canary_workload(found, labels=labels, replicas=3),
        workload_with_times=desired.canary_workload(tuned, labels=labels, replicas=1),
        template_of_one_that_joins=desired.canary_workload(
            noted, labels=replace(labels, joins={"app": "web"}), replicas=1
        )["spec"]["template"]["metadata"],
        metadata_of_a_bare_one=desired.canary_workload(bare, labels=labels, replicas=1)["metadata"],
        selector_that_stands=desired.canary_workload(
            found, labels=labels, replicas=1, standing=stands
        )["spec"]["selector"],
        selector_that_cannot=desired.canary_workload(
            found, labels=labels, replicas=1, standing=strange
        )["spec"]["selector"],
        keeps=[desired.keeps_selector(stands, labels), desired.keeps_selector(strange, labels)],
        service=desired.canary_service_of(
            found, labels=labels, strategy=STRATEGY, stable=the_service()
        ),
        service_without_a_stable=desired.canary_service_of(
            found, labels=labels, strategy=STRATEGY, stable=None
        ),
        service_without_a_stable_of_a_bare_one=desired.canary_service_of(
            bare, labels=labels, strategy=other, stable=None
        ),
        stable=desired.stable_service(found, strategy=STRATEGY),
        stable_with_ports=desired.stable_service(found, strategy=other),
        stable_of_a_wide_selector=desired.stable_service(wide, strategy=other),
        left_out=copied.carried(
            dict.fromkeys(
                (
                    "olm.x",
                    "olm",
                    "x.helm.sh/a",
                    "helm.sh",
                    "nothelm.sh/a",
                    "service.kubernetes.io/aws-x",
                ),
                "1",
            )
        ),
        nothing_carried=copied.carried(None),
    )


def test_rules_of_placement() -> None:
    found = the_target()
    labels = labels_of(found)
    own, pods = labels.template, labels.pods
    changed = next(key for key in own if pods.get(key) != own[key])
    value = own[changed]
    selectors: list[Json] = [
        {},
        {"matchLabels": own},
        {"matchLabels": {changed: value}, "x": "kept"},
        {"matchLabels": {"app": "db"}},
        {"matchExpressions": [{"key": changed, "operator": "In", "values": [value, "y"]}]},
        {"matchExpressions": [{"key": changed, "operator": "NotIn", "values": ["y"]}]},
        {"matchExpressions": [{"key": changed, "operator": "NotIn", "values": [pods[changed]]}]},
        {"matchExpressions": [{"key": changed, "operator": "Exists"}]},
        {
            "matchLabels": {changed: value},
            "matchExpressions": [
                {"key": changed, "operator": "In", "values": [value]},
                {"key": "zz", "operator": "DoesNotExist"},
            ],
        },
    ]
    kept(
        "placement",
        labels=[dict(sorted(own.items())), dict(sorted(pods.items()))],
        followed=[placement.followed(one, labels) for one in selectors],
    )


def policy(name: str, **spec: Any) -> Json:
    return {"metadata": {"name": name, "namespace": "prod"}, "spec": spec}


def test_policies_that_are_left_behind() -> None:
    labels = labels_of(the_target())
    mine: Json = {"matchLabels": WORN}
    all_: Json = {}
    other: Json = {"matchLabels": {"app": "db"}}
    here: Json = {"namespaceSelector": {}}
    there: Json = {"namespaceSelector": {"matchLabels": {"a": "b"}}}
    found = policies.left_behind(
        labels,
        network_policies=[
            policy("for-it", podSelector=mine),
            policy("for-all", podSelector=all_),
            policy("from-it", podSelector=other, ingress=[{}, {"from": [{"podSelector": mine}]}]),
            policy("to-it", podSelector=other, egress=[{"to": [{"podSelector": mine, **here}]}]),
            policy(
                "to-it-there", podSelector=other, egress=[{"to": [{"podSelector": mine, **there}]}]
            ),
            policy("from-egress", podSelector=other, egress=[{"from": [{"podSelector": mine}]}]),
            policy("by-address", podSelector=other, egress=[{"to": [{"ipBlock": {}}]}]),
        ],
        disruption_budgets=[
            policy("budget", selector=mine),
            policy("budget-of-all", selector=all_),
            policy("budget-of-others", selector=other),
        ],
    )
    kept("policies", found=found, message=policies.message(found, labels))


def replica_set(name: str = "web-1", owner: str = "uid-web", **labels: str) -> Json:
    metadata: Json = {
        "name": name,
        "namespace": "prod",
        "labels": {"app": "web", "pod-template-hash": "1", **labels},
        "annotations": {"deployment.kubernetes.io/revision": "3"},
        "creationTimestamp": "2026-01-01T00:00:00Z",
    }
    if owner:
        metadata["ownerReferences"] = [
            {"uid": "someone", "controller": False},
            {"uid": owner, "controller": True},
        ]
    template = {
        "metadata": {"labels": {"app": "web", "pod-template-hash": "1"}},
        "spec": {"containers": [{"name": "app", "image": "web:1"}]},
    }
    return {
        "metadata": metadata,
        "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "web"}}, "template": template},
        "status": {"readyReplicas": 1},
    }


def test_parked_replica_sets() -> None:
    found, one = the_target(), replica_set()
    nameless = deepcopy(found)
    nameless["spec"]["selector"] = {"matchExpressions": [{"key": "x", "operator": "DoesNotExist"}]}
    notin = deepcopy(found)
    notin["spec"]["selector"] = {
        "matchExpressions": [{"key": "x", "operator": "NotIn", "values": ["b", "a"]}]
    }
    parked = parking.copied(one, found)
    assert parked is not None
    lost = deepcopy(parked)
    lost["metadata"]["annotations"] = {PARKED_FROM: "{"}
    strange = deepcopy(parked)
    strange["metadata"]["annotations"] = {PARKED_FROM: '{"labels":{"a":1,"b":null},"deployment":3}'}
    again = parking.copied(replica_set("web-1e"), found)
    unnumbered = replica_set()
    unnumbered["metadata"]["annotations"] = None
    texted = replica_set()
    texted["metadata"]["annotations"] = {"deployment.kubernetes.io/revision": "x"}
    other = deepcopy(one)
    other["metadata"]["name"] = "web-2"
    other["spec"]["template"]["metadata"]["labels"]["pod-template-hash"] = "2"
    different = deepcopy(other)
    different["spec"]["template"]["spec"]["containers"][0]["image"] = "web:2"
    kept(
        "parked",
        parking=parking.parking(one, found),
        parking_by_not_in=parking.parking(one, notin),
        parking_by_does_not_exist=parking.parking(one, nameless),
        copied=parked,
        copied_again=None if again is None else again["metadata"]["name"],
        put_back=parking.putting_back(parked),
        put_back_without_a_note=parking.putting_back(lost),
        put_back_with_a_strange_note=parking.putting_back(strange),
        put_back_what_is_not_parked=parking.putting_back(one),
        deployments=[parking.deployment_of(it) for it in (parked, lost, strange, one)],
        numbers=[parking.number_of(it) for it in (one, unnumbered, texted)],
        doubled=[
            parking.doubled(one, [one]),
            parking.doubled(one, [other]),
            parking.doubled(one, [one, different, other]),
            parking.doubled(one, [different]),
        ],
        places=[
            str(parking.place_of(it, found))
            for it in (
                one,
                replica_set(owner="other"),
                replica_set(owner=""),
                replica_set(owner="", app="db"),
                replica_set(owner="", **{PARKED: "uid-web"}),
                replica_set(owner="", **{PARKED: "other"}),
            )
        ],
        revisions=workloads.read_revisions(
            [one, replica_set("web-2", owner="other"), {**replica_set("web-3"), "status": None}],
            found,
        ),
        known=str(workloads.known_templates(found, [one]) == Identities()),
    )
