"""What the canary's objects carry: what makes the app work, and no tool's mark."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary import contract
from canary.objects.copied import LEFT_OUT, SERVICE_FIELDS, carried, carried_service_fields

PAGE = Path(__file__).parents[4] / "docs" / "what-the-canary-carries.md"


@pytest.mark.parametrize(
    "key",
    [
        "team",
        "app",
        "app.kubernetes.io/name",
        "app.kubernetes.io/part-of",
        "release",
        "prometheus.io/scrape",
        "prometheus.io/port",
        "projectcontour.io/upstream-protocol.h2c",
        "traefik.ingress.kubernetes.io/service.serversscheme",
        "konghq.com/protocol",
        "config.linkerd.io/opaque-ports",
        "networking.istio.io/exportTo",
        "service.kubernetes.io/topology-mode",
        "service.kubernetes.io/service-proxy-name",
        "tags.datadoghq.com/service",
        "nothelm.sh/mine",
        "example.com/fluxcd.io",
    ],
)
def test_what_makes_the_app_work_goes_along(key: str) -> None:
    assert carried({key: "x"}) == {key: "x"}


@pytest.mark.parametrize(
    "key",
    [
        "kubectl.kubernetes.io/last-applied-configuration",
        "deployment.kubernetes.io/revision",
        "meta.helm.sh/release-name",
        "helm.sh/chart",
        "app.kubernetes.io/managed-by",
        "app.kubernetes.io/instance",
        "kustomize.toolkit.fluxcd.io/name",
        "helm.toolkit.fluxcd.io/name",
        "reconcile.fluxcd.io/requestedAt",
        "fluxcd.io/automated",
        "argocd.argoproj.io/tracking-id",
        "external-dns.alpha.kubernetes.io/hostname",
        "service.beta.kubernetes.io/aws-load-balancer-type",
        "service.kubernetes.io/aws-load-balancer-type",
        "service.kubernetes.io/load-balancer-cleanup",
        "cloud.google.com/neg",
        "networking.gke.io/load-balancer-type",
        "autopilot.gke.io/resource-adjustment",
        "metallb.universe.tf/address-pool",
        "keel.sh/policy",
        "reloader.stakater.com/auto",
        "configmap.reloader.stakater.com/reload",
        "field.cattle.io/publicEndpoints",
        "applyset.kubernetes.io/part-of",
        "kapp.k14s.io/app",
        "olm.owner",
        "service.beta.openshift.io/serving-cert-secret-name",
        contract.TARGET_LABEL,
        *contract.INTERNAL_ANNOTATIONS,
        *sorted(contract.COMMANDS),
        contract.CANDIDATE,
    ],
)
def test_a_tools_mark_stays_behind(key: str) -> None:
    assert carried({key: "x", "team": "payments"}) == {"team": "payments"}


@given(st.dictionaries(st.text(max_size=20), st.text(max_size=5)))
def test_nothing_is_carried_that_was_not_there(notes: dict[str, str]) -> None:
    assert carried(notes).items() <= notes.items()


def test_nothing_may_be_there_at_all() -> None:
    assert carried(None) == {}


def test_each_key_has_one_row_and_a_reason() -> None:
    keys = [one.key for one in LEFT_OUT]
    assert len(keys) == len(set(keys))
    assert all(one.reason for one in LEFT_OUT)
    fields = [one.name for one in SERVICE_FIELDS]
    assert len(fields) == len(set(fields))


def test_a_services_ways_in_stay_its_own() -> None:
    ports = [
        {
            "name": "grpc",
            "port": 80,
            "targetPort": "grpc",
            "protocol": "TCP",
            "appProtocol": "kubernetes.io/h2c",
            "nodePort": 30080,
        },
        {"name": "metrics", "port": 81, "nodePort": 30081},
    ]
    spec = {
        "type": "LoadBalancer",
        "selector": {"app": "web"},
        "clusterIP": "10.0.0.1",
        "clusterIPs": ["10.0.0.1"],
        "externalIPs": ["192.0.2.1"],
        "loadBalancerIP": "192.0.2.2",
        "loadBalancerClass": "cloud",
        "loadBalancerSourceRanges": ["192.0.2.0/24"],
        "allocateLoadBalancerNodePorts": True,
        "healthCheckNodePort": 30082,
        "externalTrafficPolicy": "Local",
        "internalTrafficPolicy": "Local",
        "ports": ports,
        "publishNotReadyAddresses": True,
        "sessionAffinity": "ClientIP",
        "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 60}},
        "trafficDistribution": "PreferClose",
        "ipFamilies": ["IPv6", "IPv4"],
        "ipFamilyPolicy": "RequireDualStack",
        "ofTheFuture": True,
    }
    assert carried_service_fields({"spec": spec}) == {
        "ports": [
            {
                "name": "grpc",
                "port": 80,
                "targetPort": "grpc",
                "protocol": "TCP",
                "appProtocol": "kubernetes.io/h2c",
            },
            {"name": "metrics", "port": 81},
        ],
        "publishNotReadyAddresses": True,
        "sessionAffinity": "ClientIP",
        "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 60}},
        "trafficDistribution": "PreferClose",
        "ipFamilies": ["IPv6", "IPv4"],
        "ipFamilyPolicy": "RequireDualStack",
    }


def rows(heading: str) -> list[str]:
    """Return the rows of the table under a heading of the page."""
    text = PAGE.read_text()
    section = re.split(r"^## ", text, flags=re.MULTILINE)
    found = next(one for one in section if one.startswith(f"{heading}\n"))
    return [line for line in found.splitlines() if line.startswith("| `")]


def test_the_page_lists_what_is_left_out() -> None:
    reasons = dict.fromkeys(one.reason for one in LEFT_OUT)
    wanted = [
        f"| {', '.join(f'`{one.key}`' for one in LEFT_OUT if one.reason == reason)} | {reason} |"
        for reason in reasons
    ]
    assert rows("Labels and annotations that stay behind") == wanted


def test_the_page_lists_the_fields_of_a_service() -> None:
    wanted = [
        f"| `{one.name}` | {'yes' if one.carried else 'no'} | {one.reason} |"
        for one in SERVICE_FIELDS
    ]
    assert rows("The Service") == wanted
