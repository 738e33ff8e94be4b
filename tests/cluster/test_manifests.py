"""The manifests on a real API server: what is accepted, what is sent for review, who may do what.

Most writes are dry runs on the server: they go through validation and admission like any other and
leave nothing behind.
"""

import json
import os
import subprocess
import time
from base64 import b64encode
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import trustme
import yaml

from canary.contract import (
    ANALYZER_USER,
    NAMESPACE_ENABLED,
    NAMESPACE_LABEL,
    NAMESPACE_UNMANAGED,
)
from tests.cluster.kit import MANIFESTS
from tests.cluster.kit import Kubectl as AdminKubectl
from tests.unit.manifests.flagger_objects import (
    ACCEPTED,
    EVERY_AFFINITY_FIELD,
    EVERY_SERVICE_FIELD,
    MAIN_JOB,
    REJECTED,
    canary,
)
from tests.unit.manifests.writes import (
    ASKED,
    BY_ANALYZER,
    CREATIONS_ASKED,
    CREATIONS_NEVER_ASKED,
    DEPLOYMENTS,
    NEVER_ASKED,
    OTHER_USER,
    ROUTES,
    ROUTES_ASKED,
    ROUTES_NEVER_ASKED,
    TEAM,
    deployment,
)

pytestmark = pytest.mark.cluster

CRDS = ("canaries", "metrictemplates", "alertproviders")
SERVER_SIDE = ("--server-side", "--force-conflicts")
NOWHERE = "https://127.0.0.1:1/"

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Kubectl:
    """kubectl that names no namespace by itself; `run` reports, `ok` insists."""

    program: str
    kubeconfig: Path

    def run(self, *args: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(  # noqa: S603 - arguments of these tests
            [self.program, *args],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            env={**os.environ, "KUBECONFIG": str(self.kubeconfig)},
        )

    def ok(self, *args: str, stdin: str = "") -> str:
        done = self.run(*args, stdin=stdin)
        assert done.returncode == 0, f"kubectl {' '.join(args)}: {done.stderr or done.stdout}"
        return done.stdout

    def read(self, *args: str, stdin: str = "") -> Json:
        found: Json = json.loads(self.ok(*args, "-o", "json", stdin=stdin))
        return found


def stream(objects: Iterable[Json]) -> str:
    """Give these objects to kubectl in one go; as JSON, since it takes a bare `n` for a no."""
    return "\n".join(json.dumps(it) for it in objects)


@pytest.fixture(scope="module")
def kubectl(whole: AdminKubectl) -> Kubectl:
    """Return kubectl while Headgate is whole: half installed, it stops every enabled namespace."""
    return Kubectl(whole.program, whole.kubeconfig)


@pytest.fixture(scope="module")
def namespace(kubectl: Kubectl) -> Iterator[str]:
    """Give a namespace of our own, as hardened as the one that Headgate is installed in."""
    name = f"manifests-{uuid4().hex[:8]}"
    manifest = yaml.safe_load((MANIFESTS / "namespace.yaml").read_text())
    manifest["metadata"]["name"] = name
    kubectl.ok("apply", *SERVER_SIDE, "-f", "-", stdin=json.dumps(manifest))
    yield name
    kubectl.ok("delete", "namespace", name, "--wait=false")


@pytest.fixture(scope="module")
def crds(kubectl: Kubectl) -> Kubectl:
    """Install the CRDs. They stay: other tests and users of the cluster may count on them."""
    kubectl.ok("apply", *SERVER_SIDE, "-k", str(MANIFESTS / "crds"))
    names = [f"crd/{plural}.flagger.app" for plural in CRDS]
    kubectl.ok("wait", "--for=condition=Established", "--timeout=60s", *names)
    return kubectl


# --- the custom resources ---------------------------------------------------------------------


@pytest.mark.usefixtures("crds")
def test_crds_are_served_and_explained(kubectl: Kubectl) -> None:
    explained = kubectl.ok("explain", "canary.spec.analysis", "--api-version=flagger.app/v1beta1")

    assert "stepWeights" in explained


@pytest.mark.usefixtures("crds")
def test_main_job_is_accepted_as_written_and_kept_whole(kubectl: Kubectl, namespace: str) -> None:
    text = MAIN_JOB.replace("namespace: prod}", f"namespace: {namespace}}}")
    kubectl.ok("apply", "--validate=strict", "-f", "-", stdin=text)

    for written in yaml.safe_load_all(text):
        kind, name = written["kind"], written["metadata"]["name"]
        stored = kubectl.read("get", kind, name, "-n", namespace)
        assert stored["spec"] == written["spec"]

    again = kubectl.ok("apply", "--validate=strict", "-f", "-", stdin=text).splitlines()
    assert [line.rsplit(" ", 1)[1] for line in again] == ["unchanged", "unchanged"]


@pytest.fixture(scope="module")
def taken(crds: Kubectl, namespace: str) -> set[str]:
    """Names of the rows that the API server takes, with all their fields; one dry run for all.

    The rows to reject come first, so that those accepted after them show that each was tried.
    """
    rows = list((REJECTED | ACCEPTED).values())
    documents = [row | {"metadata": {"name": f"row-{n}"}} for n, row in enumerate(rows)]
    done = crds.run(
        *("create", "-n", namespace, "--dry-run=server", "--validate=strict", "-f", "-"),
        stdin=stream(documents),
    )
    return {line.split()[0].partition("/")[2] for line in done.stdout.splitlines()}


ROWS = [*REJECTED, *ACCEPTED]


@pytest.mark.parametrize("row", ACCEPTED)
def test_accepted(taken: set[str], row: str) -> None:
    assert f"row-{ROWS.index(row)}" in taken


@pytest.mark.parametrize("row", REJECTED)
def test_rejected(taken: set[str], row: str) -> None:
    assert f"row-{ROWS.index(row)}" not in taken


@pytest.mark.usefixtures("crds")
def test_no_field_of_a_service_or_a_cookie_is_pruned(kubectl: Kubectl, namespace: str) -> None:
    written = canary(
        service=EVERY_SERVICE_FIELD, analysis={"sessionAffinity": EVERY_AFFINITY_FIELD}
    )
    stored = kubectl.read(
        *("create", "-n", namespace, "--dry-run=server", "--validate=strict", "-f", "-"),
        stdin=json.dumps(written | {"metadata": {"name": "every-field"}}),
    )

    assert stored["spec"] == written["spec"]


@pytest.mark.usefixtures("crds")
def test_defaults_are_those_of_flagger(kubectl: Kubectl, namespace: str) -> None:
    written = canary(
        service={
            "port": 80,
            "gatewayRefs": [{"name": "g"}],
            "mirror": [{"backendRef": {"name": "m", "port": 80}}],
        },
        analysis={"sessionAffinity": {"cookieName": "c"}},
    )
    stored = kubectl.read(
        *("create", "-n", namespace, "--dry-run=server", "-f", "-"),
        stdin=json.dumps(written | {"metadata": {"name": "defaults"}}),
    )["spec"]

    assert stored["service"]["gatewayRefs"] == [
        {"name": "g", "group": "gateway.networking.k8s.io", "kind": "Gateway"}
    ]
    assert stored["service"]["mirror"][0]["backendRef"] == {
        "name": "m",
        "port": 80,
        "group": "",
        "kind": "Service",
    }
    assert stored["analysis"]["sessionAffinity"] == {"cookieName": "c", "maxAge": 86400}


@pytest.mark.usefixtures("crds")
def test_status_keeps_the_record_of_a_run_and_shows_why(kubectl: Kubectl, namespace: str) -> None:
    stored = canary() | {"metadata": {"name": "shown"}}
    kubectl.ok("create", "-n", namespace, "-f", "-", stdin=json.dumps(stored))
    message = "error-rate is 20.1, above 1 by 19.1"
    status: Json = {
        "observedGeneration": 1,
        "phase": "Failed",
        "canaryWeight": 0,
        "failedChecks": 3,
        "iterations": 0,
        "lastAppliedSpec": "5f7c",
        "lastPromotedSpec": "9b1d",
        "lastTransitionTime": "2026-03-01T12:00:00Z",
        "trackedConfigs": {"configmap/web": "5f7c"},
        "conditions": [
            {"type": "Promoted", "status": "False", "reason": "Refused", "message": message}
        ],
        "run": {"candidate": "5f7c", "checks": [{"value": 20.1, "deep": {"er": [1, None]}}]},
    }
    kubectl.ok(
        *("patch", "canary", "shown", "-n", namespace, "--subresource=status", "--type=merge"),
        *("-p", json.dumps({"status": status})),
    )

    assert kubectl.read("get", "canary", "shown", "-n", namespace)["status"] == status
    header, row = kubectl.ok("get", "canary", "shown", "-n", namespace).splitlines()
    assert header.split() == ["NAME", "STATUS", "WEIGHT", "LASTTRANSITIONTIME"]
    assert row.split() == ["shown", "Failed", "0", "2026-03-01T12:00:00Z"]
    wide = kubectl.ok("get", "canary", "shown", "-n", namespace, "-o", "wide")
    assert message in wide
    assert "Refused" in wide


# --- the conditions under which the API server asks the webhook -------------------------------


def configuration(name: str, **changes: Any) -> Json:
    """Give the product's webhooks with nobody there to answer, and with these changes."""
    manifest: Json = yaml.safe_load((MANIFESTS / "webhook-configuration.yaml").read_text())
    manifest["metadata"]["name"] = name
    for webhook in manifest["webhooks"]:
        webhook.update({"clientConfig": {"url": NOWHERE}, "failurePolicy": "Fail", **changes})
    return manifest


def only_in(namespace: str) -> Json:
    return {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}}


@dataclass(frozen=True, slots=True)
class Gate:
    """A namespace whose reviews all fail, so that a write tells whether it is sent for one."""

    kubectl: Kubectl
    namespace: str

    def asks(self, *command: str, stdin: str = "", webhook: str = "targets") -> bool:
        """Whether the API server asks the webhook about this write."""
        options = ("-n", self.namespace, "--dry-run=server")
        while True:
            done = self.kubectl.run(*command, *options, stdin=stdin)
            if "the object has been modified" not in done.stderr:
                break  # else a controller wrote between kubectl's read and its write
        asked = f'failed calling webhook "{webhook}.headgate.dev"' in done.stderr
        assert asked == (done.returncode != 0), done.stderr
        return asked

    def close(self) -> None:
        """Put the webhooks in place and wait until the API server uses them."""
        manifest = configuration(self.namespace, **only_in(self.namespace))
        self.kubectl.ok("create", "-f", "-", stdin=json.dumps(manifest))
        for _ in range(60):
            if self.asks(*ASKED["image"].command("deployment")):
                return
            time.sleep(0.5)
        pytest.fail("the API server does not use the webhook configuration")

    def open(self) -> None:
        self.kubectl.run("delete", "mutatingwebhookconfiguration", self.namespace)


@pytest.fixture(scope="module")
def has_routes(kubectl: Kubectl) -> bool:
    """Whether the cluster serves HTTPRoutes."""
    group = kubectl.ok("api-resources", "--api-group=gateway.networking.k8s.io", "-o", "name")
    return "httproutes" in group


@pytest.fixture(scope="module")
def gate(kubectl: Kubectl, *, has_routes: bool) -> Iterator[Gate]:
    gate = Gate(kubectl, f"manifests-{uuid4().hex[:8]}")
    kubectl.ok("create", "namespace", gate.namespace)
    # An installed analyzer is to leave the marks where they are.
    unmanaged = f"{NAMESPACE_LABEL}={NAMESPACE_UNMANAGED}"
    kubectl.ok("label", "namespace", gate.namespace, unmanaged)
    try:
        users = ("--user", ANALYZER_USER, "--user", OTHER_USER)
        role = ("create", "rolebinding", "writers", "--clusterrole=cluster-admin", *users)
        kubectl.ok(*role, "-n", gate.namespace)
        objects = [*DEPLOYMENTS, *(ROUTES if has_routes else ())]
        kubectl.ok("create", "-n", gate.namespace, "-f", "-", stdin=stream(objects))
        gate.close()
        yield gate
    finally:
        gate.open()
        kubectl.run("delete", "namespace", gate.namespace, "--wait=false")


@pytest.mark.parametrize("row", ASKED)
def test_webhook_is_asked_about(gate: Gate, row: str) -> None:
    assert gate.asks(*ASKED[row].command("deployment"))


@pytest.mark.parametrize("row", NEVER_ASKED)
def test_webhook_is_never_asked_about(gate: Gate, row: str) -> None:
    assert not gate.asks(*NEVER_ASKED[row].command("deployment"))


@pytest.mark.parametrize("row", CREATIONS_ASKED)
def test_webhook_is_asked_about_a_creation(gate: Gate, row: str) -> None:
    manifest = json.dumps(CREATIONS_ASKED[row])
    assert gate.asks("create", "-f", "-", stdin=manifest, webhook="creations")
    assert not gate.asks("create", "-f", "-", *BY_ANALYZER, stdin=manifest, webhook="creations")


@pytest.mark.parametrize("row", CREATIONS_NEVER_ASKED)
def test_webhook_is_never_asked_about_a_creation(gate: Gate, row: str) -> None:
    manifest = json.dumps(CREATIONS_NEVER_ASKED[row])
    assert not gate.asks("create", "-f", "-", stdin=manifest, webhook="creations")


@pytest.mark.parametrize("row", ROUTES_ASKED)
def test_webhook_is_asked_about_a_route(gate: Gate, row: str, *, has_routes: bool) -> None:
    if not has_routes:
        pytest.skip("this cluster serves no HTTPRoutes")
    assert gate.asks(*ROUTES_ASKED[row].command("httproute"), webhook="routes")


@pytest.mark.parametrize("row", ROUTES_NEVER_ASKED)
def test_webhook_is_never_asked_about_a_route(gate: Gate, row: str, *, has_routes: bool) -> None:
    if not has_routes:
        pytest.skip("this cluster serves no HTTPRoutes")
    assert not gate.asks(*ROUTES_NEVER_ASKED[row].command("httproute"), webhook="routes")


def test_the_ways_of_the_clients(gate: Gate) -> None:
    same = json.dumps(deployment("plain", marks={TEAM: "shop"}))
    new = same.replace("web:1", "web:2")
    apply = ("apply", "-f", "-")
    as_flux = (*apply, *SERVER_SIDE, "--field-manager=kustomize-controller")

    assert not gate.asks(*apply, stdin=same)
    assert not gate.asks(*as_flux, stdin=same)
    assert not gate.asks("replace", "-f", "-", stdin=same)
    assert gate.asks(*apply, stdin=new)
    assert gate.asks(*as_flux, stdin=new)
    assert gate.asks("replace", "-f", "-", stdin=new)
    assert gate.asks("set", "image", "deployment/plain", "web=web:2")
    assert not gate.asks("scale", "deployment/plain", "--replicas=2")
    assert not gate.asks("autoscale", "deployment/plain", "--max=2")
    assert not gate.asks("delete", "deployment/plain")
    assert not gate.asks("create", "-f", "-", stdin=same.replace('"plain"', '"fresh"'))


def test_apply_keeps_the_pause_of_a_held_target_and_asks_nobody(gate: Gate) -> None:
    manifest = deployment("held")
    del manifest["metadata"]["annotations"]
    del manifest["spec"]["paused"]
    flux = ("apply", "-f", "-", *SERVER_SIDE, "--field-manager=kustomize-controller")

    assert not gate.asks(*flux, stdin=json.dumps(manifest))
    assert gate.asks("replace", "-f", "-", stdin=json.dumps(manifest))


@pytest.mark.parametrize(
    ("labels", "asks"),
    [
        ({}, False),
        ({NAMESPACE_LABEL: "disabled"}, False),
        ({NAMESPACE_LABEL: "true"}, False),
        ({NAMESPACE_LABEL: NAMESPACE_ENABLED}, True),
    ],
    ids=str,
)
def test_namespace_is_enabled_by_its_label_and_by_nothing_else(
    kubectl: Kubectl, labels: Json, *, asks: bool
) -> None:
    name = f"manifests-{uuid4().hex[:8]}"
    # The product's own selector; another one keeps every Deployment but these out of it.
    marked = {"objectSelector": {"matchLabels": {"manifests": name}}}
    control = f"{name}-control"
    objects = []
    for namespace, its_labels in ((name, labels), (control, {NAMESPACE_LABEL: NAMESPACE_ENABLED})):
        metadata = {"name": namespace, "labels": its_labels}
        objects.append({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
        target = deployment("plain")
        target["metadata"] |= {"namespace": namespace, "labels": {"manifests": name}}
        objects.append(target)
    try:
        kubectl.ok("create", "-f", "-", stdin=stream([*objects, configuration(name, **marked)]))
        image = ASKED["image"].command("deployment")
        for _ in range(60):
            if Gate(kubectl, control).asks(*image):
                break
            time.sleep(0.5)

        assert Gate(kubectl, name).asks(*image) is asks
    finally:
        kubectl.run("delete", "mutatingwebhookconfiguration", name)
        kubectl.run("delete", "namespace", name, control, "--wait=false")


# --- the installation -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def overlay(tmp_path_factory: pytest.TempPathFactory, namespace: str) -> Path:
    """Give the installation under names of our own, so that it meets no other."""
    folder = tmp_path_factory.mktemp("overlay").resolve()
    kustomization = {
        "resources": [os.path.relpath(MANIFESTS, folder)],
        "namespace": namespace,
        "namePrefix": f"{namespace}-",
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    return folder


@pytest.mark.usefixtures("crds")
def test_installation_is_valid_and_its_pods_meet_the_restricted_standard(
    kubectl: Kubectl, overlay: Path
) -> None:
    dry = ("apply", *SERVER_SIDE, "--dry-run=server", "--validate=strict")
    done = kubectl.run(*dry, "-k", str(overlay))

    assert (done.returncode, done.stderr) == (0, "")


def test_load_tester_goes_to_any_namespace_of_the_restricted_standard(
    kubectl: Kubectl, namespace: str
) -> None:
    dry = ("apply", "--dry-run=server", "--validate=strict", "-n", namespace)
    done = kubectl.run(*dry, "-k", str(MANIFESTS / "loadtester"))

    assert (done.returncode, done.stderr) == (0, "")
    assert "service/flagger-loadtester created" in done.stdout


@pytest.mark.parametrize("base", ["", "loadtester"])
def test_network_policies_are_valid(
    kubectl: Kubectl, tmp_path: Path, namespace: str, base: str
) -> None:
    component = MANIFESTS / "network-policies" / base
    kustomization = {
        "components": [os.path.relpath(component, tmp_path.resolve())],
        "namespace": namespace,
    }
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))

    dry = ("apply", "--dry-run=server", "--validate=strict")
    done = kubectl.run(*dry, "-k", str(tmp_path))

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("networkpolicy.networking.k8s.io/") == (1 if base else 3)


@pytest.mark.usefixtures("crds")
def test_the_component_for_clients_is_valid(
    kubectl: Kubectl, tmp_path: Path, namespace: str
) -> None:
    component = MANIFESTS / "client-authentication"
    kustomization = {
        "resources": [os.path.relpath(MANIFESTS, tmp_path.resolve())],
        "components": [os.path.relpath(component, tmp_path.resolve())],
        "namespace": namespace,
        "namePrefix": f"{namespace}-",
    }
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))

    dry = ("apply", *SERVER_SIDE, "--dry-run=server", "--validate=strict", "-o", "yaml")
    done = kubectl.run(*dry, "-k", str(tmp_path))

    assert (done.returncode, done.stderr) == (0, "")
    assert "HEADGATE_CLIENT_CA" in done.stdout


RBAC_KINDS = ("ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding")


@dataclass(frozen=True, slots=True)
class Rights:
    """The accounts of the installation, under names of our own."""

    kubectl: Kubectl
    namespace: str

    def can(self, process: str, *question: str) -> bool:
        """Whether a process may; `.` in the question is its own namespace."""
        account = f"{self.namespace}-headgate-{process}"
        user = f"--as=system:serviceaccount:{self.namespace}:{account}"
        words = [self.namespace if word == "." else word for word in question]
        done = self.kubectl.run("auth", "can-i", *words, user)
        assert done.stdout.strip() in {"yes", "no"}, done.stderr
        return done.stdout.strip() == "yes"


@pytest.fixture(scope="module")
def rights(kubectl: Kubectl, namespace: str, overlay: Path) -> Iterator[Rights]:
    built = yaml.safe_load_all(kubectl.ok("kustomize", str(overlay)))
    objects = stream(it for it in built if it["kind"] in RBAC_KINDS)
    rights = Rights(kubectl, namespace)
    try:
        kubectl.ok("create", "-f", "-", stdin=objects)
        for _ in range(60):
            if rights.can("analyzer", "get", "secrets"):
                break
            time.sleep(0.5)
        yield rights
    finally:
        kubectl.run("delete", "--ignore-not-found", "-f", "-", stdin=objects)


@pytest.mark.parametrize(
    ("process", "question"),
    [
        ("analyzer", "patch deployments.apps -n default"),
        ("analyzer", "patch deployments.apps --subresource=status -n default"),
        ("analyzer", "patch replicasets.apps --subresource=scale -n default"),
        ("analyzer", "patch replicasets.apps -n default"),
        ("analyzer", "patch canaries.flagger.app --subresource=status -n default"),
        ("analyzer", "watch canaries.flagger.app -A"),
        ("analyzer", "get secrets -n default"),
        ("analyzer", "create leases.coordination.k8s.io -n ."),
        ("analyzer", "update leases.coordination.k8s.io/headgate-analyzer -n ."),
        ("certs", "create secrets -n ."),
        ("certs", "update secrets/headgate-ca -n ."),
        ("certs", "get secrets/headgate-webhook-tls -n ."),
    ],
)
def test_process_may(rights: Rights, process: str, question: str) -> None:
    assert rights.can(process, *question.split())


@pytest.mark.parametrize(
    ("process", "question"),
    [
        ("analyzer", "list secrets -A"),
        ("analyzer", "watch secrets -n ."),
        ("analyzer", "update deployments.apps -n default"),
        ("analyzer", "update replicasets.apps -n default"),
        ("analyzer", "create pods -n default"),
        ("analyzer", "get pods -n default"),
        ("analyzer", "delete canaries.flagger.app -n default"),
        ("analyzer", "patch namespaces"),
        ("analyzer", "update leases.coordination.k8s.io/another -n ."),
        ("analyzer", "create leases.coordination.k8s.io -n default"),
        ("analyzer", "get mutatingwebhookconfigurations"),
        ("certs", "list secrets -n ."),
        ("certs", "get secrets/another -n ."),
        ("certs", "patch secrets/headgate-ca -n ."),
        ("certs", "get secrets/headgate-ca -n default"),
        ("certs", "patch mutatingwebhookconfigurations/another"),
        ("certs", "get deployments.apps -n ."),
        ("webhook", "get secrets -n ."),
        ("webhook", "get deployments.apps -n ."),
        ("webhook", "list namespaces"),
    ],
)
def test_process_may_not(rights: Rights, process: str, question: str) -> None:
    assert not rights.can(process, *question.split())


@pytest.mark.parametrize("options", [(), SERVER_SIDE], ids=["client", "server"])
def test_applying_again_keeps_the_ca_bundle(kubectl: Kubectl, options: tuple[str, ...]) -> None:
    name = f"manifests-{uuid4().hex[:8]}"
    service = {"service": {"name": "headgate-webhook", "namespace": "headgate-system"}}
    written = configuration(name, clientConfig=service, **only_in(name))
    bundle = b64encode(trustme.CA().cert_pem.bytes()).decode()
    patch = [
        {"op": "add", "path": f"/webhooks/{n}/clientConfig/caBundle", "value": bundle}
        for n, _ in enumerate(written["webhooks"])
    ]
    apply = ("apply", "-f", "-", *options)
    which = ("mutatingwebhookconfiguration", name)
    try:
        kubectl.ok(*apply, stdin=json.dumps(written))
        kubectl.ok("patch", *which, "--type=json", "-p", json.dumps(patch))
        kubectl.ok(*apply, stdin=json.dumps(written))
        kept = [it["clientConfig"]["caBundle"] for it in kubectl.read("get", *which)["webhooks"]]
    finally:
        kubectl.run("delete", *which)

    assert kept == [bundle] * len(written["webhooks"])
