"""Every container is hardened, watched and found by what points to it."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from canary.contract import MANAGED_BY_LABEL, SYSTEM_NAMESPACE
from tests.unit.manifests.installation import (
    ALERTS,
    BASES,
    CLIENTS,
    COMPONENTS,
    GRAFANA,
    LOAD_TESTERS,
    MANIFESTS,
    METRIC_RIGHTS,
    POD_SHARES,
    ROUTE_RIGHTS,
    files,
    objects,
    of_kind,
    the,
)
from webhook.settings import read_settings

DEPLOYMENTS = {it["metadata"]["name"]: it for it in of_kind("Deployment")}
PROCESSES = ("headgate-webhook", "headgate-analyzer", "headgate-certs")
HIGHEST_OF_USERS = 1_000_000_000
"""The API server keeps what is above for itself (scheduling.HighestUserDefinablePriority)."""
every_deployment = pytest.mark.parametrize("name", DEPLOYMENTS)
every_process = pytest.mark.parametrize("name", PROCESSES)


def pod(name: str) -> dict[str, Any]:
    spec: dict[str, Any] = DEPLOYMENTS[name]["spec"]["template"]["spec"]
    return spec


def container(name: str) -> dict[str, Any]:
    only: dict[str, Any]
    (only,) = pod(name)["containers"]
    return only


def test_the_processes_and_the_load_tester_are_all_there_is() -> None:
    assert set(DEPLOYMENTS) == {*PROCESSES, "flagger-loadtester"}


def test_every_file_is_named_by_a_kustomization() -> None:
    bases = (*BASES, *COMPONENTS, *LOAD_TESTERS, METRIC_RIGHTS, POD_SHARES, *ROUTE_RIGHTS)
    named = {path for base in bases for path in files(base)}

    named |= {ALERTS / name for name in ("kustomization.yaml", "rules.yaml")}
    named.add(GRAFANA / "kustomization.yaml")
    named |= {CLIENTS / name for name in ("kustomization.yaml", "webhook.yaml")}
    assert set(MANIFESTS.rglob("*.yaml")) == named


@every_deployment
def test_pod_runs_as_nobody_in_particular(name: str) -> None:
    context = pod(name)["securityContext"]

    assert context["runAsNonRoot"] is True
    assert context["runAsUser"] == context["runAsGroup"] == 65532
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers"} & set(pod(name))


@every_deployment
def test_container_can_gain_nothing(name: str) -> None:
    assert container(name)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


@every_deployment
def test_no_volume_reaches_the_node(name: str) -> None:
    kinds = {kind for volume in pod(name).get("volumes", []) for kind in set(volume) - {"name"}}

    assert kinds <= {"secret", "emptyDir"}


@every_deployment
def test_container_says_what_memory_it_needs_and_where_it_ends(name: str) -> None:
    resources = container(name)["resources"]

    assert {"cpu", "memory"} == set(resources["requests"])
    assert resources["limits"]["memory"] in {"128Mi", "256Mi", "512Mi"}


@every_deployment
def test_probes_ask_ports_that_are_open(name: str) -> None:
    ports = {port["name"] for port in container(name)["ports"]}

    assert container(name)["livenessProbe"]["httpGet"]["path"] == "/healthz"
    assert container(name)["readinessProbe"]["httpGet"]["path"] == "/readyz"
    for probe in ("livenessProbe", "readinessProbe"):
        assert container(name)[probe]["httpGet"]["port"] in ports


@every_deployment
def test_probes_and_scrapes_use_the_port_that_the_process_is_told(name: str) -> None:
    probed = container(name)["readinessProbe"]["httpGet"]["port"]
    (port,) = [it for it in container(name)["ports"] if it["name"] == probed]
    env = {it["name"]: it.get("value") for it in container(name)["env"]}
    annotations = DEPLOYMENTS[name]["spec"]["template"]["metadata"]["annotations"]

    told = env["HEADGATE_PROBES_PORT" if probed == "probes" else "HEADGATE_PORT"]
    assert told == str(port["containerPort"])
    assert annotations["prometheus.io/port"] == str(port["containerPort"])
    assert annotations["prometheus.io/scrape"] == "true"


@every_process
def test_process_is_the_module_of_its_name(name: str) -> None:
    module = name.removeprefix("headgate-")

    assert container(name)["command"] == ["python", "-m", module]
    assert pod(name)["serviceAccountName"] == name
    assert the("ServiceAccount", name)["automountServiceAccountToken"] is False


@pytest.mark.parametrize("name", ["headgate-webhook", "flagger-loadtester"])
def test_who_needs_no_api_gets_no_token(name: str) -> None:
    assert pod(name)["automountServiceAccountToken"] is False


@pytest.mark.parametrize("name", ["headgate-webhook", "headgate-analyzer"])
def test_replicas_are_two_and_spread_over_nodes(name: str) -> None:
    (spread,) = pod(name)["topologySpreadConstraints"]

    assert DEPLOYMENTS[name]["spec"]["replicas"] == 2
    assert spread["topologyKey"] == "kubernetes.io/hostname"
    assert spread["whenUnsatisfiable"] == "ScheduleAnyway"
    assert spread["labelSelector"] == DEPLOYMENTS[name]["spec"]["selector"]


@pytest.mark.parametrize(
    ("name", "budget"),
    [("headgate-webhook", {"minAvailable": 1}), ("headgate-analyzer", {"maxUnavailable": 1})],
)
def test_disruption_budget_leaves_one(name: str, budget: dict[str, int]) -> None:
    assert the("PodDisruptionBudget", name)["spec"] == {
        **budget,
        "selector": DEPLOYMENTS[name]["spec"]["selector"],
    }


@pytest.mark.parametrize(
    ("service", "port", "container_port"),
    [("headgate-webhook", 443, 8443), ("flagger-loadtester", 80, 8080)],
)
def test_service_leads_to_its_pods(service: str, port: int, container_port: int) -> None:
    spec = the("Service", service)["spec"]
    labels = DEPLOYMENTS[service]["spec"]["template"]["metadata"]["labels"]
    named = {it["name"]: it["containerPort"] for it in container(service)["ports"]}
    (only,) = spec["ports"]

    assert spec["selector"].items() <= labels.items()
    assert (only["port"], named[only["targetPort"]]) == (port, container_port)


@every_deployment
def test_selector_meets_the_pods_of_this_deployment_only(name: str) -> None:
    met = [
        other
        for other, it in DEPLOYMENTS.items()
        if DEPLOYMENTS[name]["spec"]["selector"]["matchLabels"].items()
        <= it["spec"]["template"]["metadata"]["labels"].items()
    ]

    assert met == [name]


def test_the_kubelet_waits_for_the_certificate_of_the_webhook() -> None:
    (volume,) = pod("headgate-webhook")["volumes"]
    (mount,) = container("headgate-webhook")["volumeMounts"]
    env = {it["name"]: it.get("value") for it in container("headgate-webhook")["env"]}

    assert "optional" not in volume["secret"]
    assert env["HEADGATE_TLS_CERT"] == f"{mount['mountPath']}/tls.crt"
    assert env["HEADGATE_TLS_KEY"] == f"{mount['mountPath']}/tls.key"
    assert mount["readOnly"] is True


def test_the_component_for_clients_changes_the_webhook_as_its_settings_say() -> None:
    (patch,) = yaml.safe_load((CLIENTS / "kustomization.yaml").read_text())["patches"]
    change = yaml.safe_load((CLIENTS / patch["path"]).read_text())
    (changed,) = change["spec"]["template"]["spec"]["containers"]
    (volume,) = change["spec"]["template"]["spec"]["volumes"]
    (mount,) = changed["volumeMounts"]
    settings = read_settings({it["name"]: it["value"] for it in changed["env"]})

    name = change["metadata"]["name"]
    assert (change["kind"], name) == ("Deployment", "headgate-webhook")
    assert change["metadata"]["namespace"] == SYSTEM_NAMESPACE
    assert changed["name"] == container(name)["name"]
    assert (mount["name"], mount["readOnly"]) == (volume["name"], True)
    assert settings.client_ca == Path(mount["mountPath"]) / "ca.crt"
    assert settings.client_names == {"kube-apiserver"}


def test_the_webhook_is_the_last_to_be_put_out() -> None:
    (named,) = of_kind("PriorityClass")

    assert pod("headgate-webhook")["priorityClassName"] == named["metadata"]["name"]
    assert named["value"] == HIGHEST_OF_USERS
    assert named["globalDefault"] is False
    others = {name for name in DEPLOYMENTS if "priorityClassName" in pod(name)}
    assert others == {"headgate-webhook"}


def test_namespace_admits_hardened_pods_only() -> None:
    labels = the("Namespace", SYSTEM_NAMESPACE)["metadata"]["labels"]

    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


@pytest.mark.parametrize("base", BASES, ids=lambda base: base.name)
def test_image_is_named_and_tagged_in_one_place(base: Any) -> None:
    images = yaml.safe_load((base / "kustomization.yaml").read_text())["images"]
    used = {
        container(it["metadata"]["name"])["image"]
        for it in objects(base)
        if it["kind"] == "Deployment"
    }

    assert {image["name"] for image in images} == used
    assert {image["newTag"] for image in images} == {"dev"}


def test_load_tester_goes_to_the_namespace_that_the_admin_names() -> None:
    assert all("namespace" not in it["metadata"] for it in objects(MANIFESTS / "loadtester"))


def test_load_tester_is_not_gated_itself() -> None:
    assert DEPLOYMENTS["flagger-loadtester"]["spec"]["strategy"] == {"type": "Recreate"}


def test_installation_is_not_taken_for_something_that_a_run_made() -> None:
    assert all(MANAGED_BY_LABEL not in it["metadata"].get("labels", {}) for it in objects())
