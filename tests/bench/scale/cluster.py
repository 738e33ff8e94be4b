"""A control plane of the measurement's own: API server, controllers, and a node that is played.

Nothing of it is shared with the sandbox: the ports are free ones, the files lie in one folder, and
every process ends with the context that started it. The pods are kwok's: they become ready a second
after they are bound, and cost no container. Nobody schedules: the templates name the node.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from canary.contract import ANALYZER_USER, SYSTEM_NAMESPACE
from runtime.resources import HTTPROUTES
from sandbox import addons, builds, downloads, paths
from sandbox.versions import ETCD, KUBECTL, KUBERNETES_BUILD, KWOK_BUILD, PROMETHEUS_BUILD
from tests.bench.scale.webhooks import Webhooks
from tests.cluster.kit import MANIFESTS, Kubectl, wait_for
from tests.cluster.own_api_server import free_port, own_api_server, running

Json = dict[str, Any]
NODE: Final = "played"
READY_AFTER_MS: Final = 1000
"""Between the moment in which a pod is seen and that in which it is ready."""
CONTROLLERS: Final = (
    "deployment-controller",
    "replicaset-controller",
    "endpointslice-controller",
    "garbage-collector-controller",
    "namespace-controller",
)
"""The controllers a Deployment needs. None watches nodes: the one here has a lease that a busy
machine would let run out, and with it every pod."""
APPLIED: Final = (
    "crds",
    "rbac/analyzer.yaml",
    "rbac/analyzer-secrets.yaml",
    "marks-policy.yaml",
    "templates-policy.yaml",
)
AUDIT_MEGABYTES: Final = 4000
"""More than a row writes: the log is read as one file."""
LEASE_SECONDS: Final = 300
"""Of the played node, so that its renewal cannot starve; the default is 40."""


class MissingError(Exception):
    """A program is not in the cache; the message says which, and how it comes there."""


@dataclass(frozen=True, slots=True)
class Scale:
    """The running control plane; `audit_log` has a line for each request of the analyzer."""

    kubectl: Kubectl
    analyzer: Path
    folder: Path
    audit_log: Path
    webhooks: Webhooks

    @property
    def admin(self) -> Path:
        """The kubeconfig of one who may do everything."""
        return self.kubectl.kubeconfig


def ready() -> None:
    """Build kwok unless the cache has it.

    Raises:
        MissingError: there is no Kubernetes in the cache.

    """
    if builds.missing([KUBERNETES_BUILD, PROMETHEUS_BUILD]):
        raise MissingError(
            "no Kubernetes or no Prometheus in the cache: make sandbox-up builds it once"
        )
    downloads.ensure_python_tools()
    builds.ensure([KWOK_BUILD])


def versions() -> list[str]:
    """Return the line that says what the control plane is made of."""
    parts = (
        f"Kubernetes {KUBERNETES_BUILD.version}",
        f"etcd {ETCD.version}",
        f"kwok {KWOK_BUILD.version}",
        f"Prometheus {PROMETHEUS_BUILD.version}",
    )
    return [f"cluster  {', '.join(parts)}; all on the same cores"]


@contextmanager
def scale_cluster(folder: Path) -> Iterator[Scale]:
    """Start one whose pods kwok plays."""
    with control_plane(folder) as scale, _kwok(folder, scale.kubectl):
        yield scale


@contextmanager
def control_plane(folder: Path) -> Iterator[Scale]:
    """Start one without a node, with Headgate's objects in it and its webhook in front of it."""
    kubectl_program = str(downloads.tool_path(KUBECTL))
    log = folder / "audit.log"
    flags = [
        "--authorization-mode=RBAC",
        # Pods of this measurement have no account: no controller makes one.
        "--disable-admission-plugins=ServiceAccount",
        "--service-cluster-ip-range=10.96.0.0/12",
        "--max-requests-inflight=2000",
        "--max-mutating-requests-inflight=1000",
        *_audited(folder / "audit-policy.yaml", log),
    ]
    with ExitStack() as stack:
        own = stack.enter_context(own_api_server(folder, kubectl_program, *flags))
        stack.enter_context(
            running(folder / "controllers.log", _controllers(own.kubectl), _plain_lists())
        )
        own.kubectl("create", "namespace", SYSTEM_NAMESPACE)
        for name in APPLIED:
            flag = "-k" if (MANIFESTS / name).is_dir() else "-f"
            own.kubectl("apply", "--server-side", flag, str(MANIFESTS / name))
        _routes(own.kubectl)
        webhooks = stack.enter_context(Webhooks.serving(folder / "webhook", own.kubectl))
        yield Scale(own.kubectl, own.analyzer, folder, log, webhooks)


def _audited(policy: Path, log: Path) -> list[str]:
    """Have each request of the analyzer logged, and of writes to routes what they say."""
    users = {"users": [ANALYZER_USER]}
    routes = {"group": HTTPROUTES.group, "resources": [HTTPROUTES.plural]}
    rules = [
        {"level": "Request", "verbs": ["patch", "update"], "resources": [routes], **users},
        {"level": "Metadata", **users},
        {"level": "None"},
    ]
    stages = ["RequestReceived"]
    kind = {"apiVersion": "audit.k8s.io/v1", "kind": "Policy"}
    policy.write_text(yaml.safe_dump({**kind, "omitStages": stages, "rules": rules}))
    return [
        f"--audit-policy-file={policy}",
        f"--audit-log-path={log}",
        f"--audit-log-maxsize={AUDIT_MEGABYTES}",
    ]


def _controllers(kubectl: Kubectl) -> Sequence[str | Path]:
    config = kubectl.kubeconfig
    return [
        paths.binary(KUBERNETES_BUILD, "kube-controller-manager"),
        f"--kubeconfig={config}",
        f"--authentication-kubeconfig={config}",
        f"--authorization-kubeconfig={config}",
        "--bind-address=127.0.0.1",
        f"--secure-port={free_port()}",
        "--leader-elect=false",
        f"--controllers={','.join(CONTROLLERS)}",
        "--concurrent-deployment-syncs=20",
        "--concurrent-replicaset-syncs=20",
        "--kube-api-qps=5000",
        "--kube-api-burst=5000",
    ]


def _routes(kubectl: Kubectl) -> None:
    """Install the kinds of routes that the analyzer cannot do without: those of the Gateway API."""
    wanted = {"httproutes.gateway.networking.k8s.io", "grpcroutes.gateway.networking.k8s.io"}
    found = [it for it in addons.crds() if it["metadata"]["name"] in wanted]
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": found})
    kubectl("apply", "--server-side", "-f", "-", stdin=text)
    for name in sorted(wanted):
        kubectl("wait", "--for=condition=Established", "--timeout=30s", f"crd/{name}")


# --- the played node -----------------------------------------------------------------------------


@contextmanager
def _kwok(folder: Path, kubectl: Kubectl) -> Iterator[None]:
    config = folder / "stages.yaml"
    config.write_text(yaml.safe_dump_all(_stages()))
    command: list[str | Path] = [
        paths.binary(KWOK_BUILD, "kwok"),
        f"--kubeconfig={kubectl.kubeconfig}",
        f"--config={config}",
        "--manage-all-nodes",
        f"--node-lease-duration-seconds={LEASE_SECONDS}",
        "--cidr=10.1.0.0/16",
        f"--server-address=127.0.0.1:{free_port()}",
    ]
    with running(folder / "kwok.log", [*_first(), *command], _plain_lists()) as process:
        kubectl.apply({"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}})

        def is_ready() -> bool:
            assert process.poll() is None, (folder / "kwok.log").read_text()[-2000:]
            conditions = kubectl.get("node", NODE).get("status", {}).get("conditions") or ()
            return any(it["type"] == "Ready" and it["status"] == "True" for it in conditions)

        wait_for("the played node", is_ready, 60)
        yield


def _plain_lists() -> dict[str, str]:
    """Return an environment in which Go's client lists before it watches.

    It asks for a list by watch first, which this etcd does not have: each such watch fails, and is
    tried again ever more rarely, while pods wait to become ready.
    """
    return {**os.environ, "KUBE_FEATURE_WatchListClient": "false"}


def _first() -> list[str]:
    """Let it go before everything else here, where this machine lets us."""
    words = ["nice", "-n", "-10"]
    try:
        done = subprocess.run([*words, "true"], check=False)  # noqa: S603 - our own words
    except OSError:
        return []
    return [] if done.returncode else words


def _stages() -> list[Json]:
    """Return kwok's own stages of nodes and pods, with a second before a pod is ready."""
    module = builds.module(KWOK_BUILD.module, KWOK_BUILD.version)
    folder = Path(module["Dir"]) / "kustomize/stage"
    found = [
        yaml.safe_load((folder / name).read_text())
        for name in (
            "node/fast/node-initialize.yaml",
            "node/heartbeat/node-heartbeat.yaml",
            "pod/fast/pod-ready.yaml",
            "pod/fast/pod-delete.yaml",
        )
    ]
    for stage in found:
        if stage["metadata"]["name"] == "pod-ready":
            stage["spec"]["delay"] = {"durationMilliseconds": READY_AFTER_MS}
    return found


# --- the analyzer --------------------------------------------------------------------------------


@contextmanager
def analyzer(
    scale: Scale, variables: dict[str, str], *, profile: Path | None = None
) -> Iterator["Analyzer"]:
    """Run the analyzer as a process of its own, with the name and the rights that it has."""
    port = free_port()
    words = [sys.executable]
    if profile is not None:
        words += ["-m", "cProfile", "-o", str(profile)]
    settings = {
        "KUBECONFIG": str(scale.analyzer),
        "HEADGATE_PROBES_PORT": str(port),
        "POD_NAME": "measured",
        "POD_NAMESPACE": SYSTEM_NAMESPACE,
        **variables,
    }
    log = scale.folder / "analyzer.log"
    env = {**os.environ, **settings}
    root = Path(__file__).resolve().parents[3]
    with running(log, [*words, "-m", "analyzer"], env, root) as process:
        yield Analyzer(process, port, log)


@dataclass(frozen=True, slots=True)
class Analyzer:
    """The running process: its pid, its probes, its log."""

    process: "subprocess.Popen[bytes]"
    port: int
    log: Path
