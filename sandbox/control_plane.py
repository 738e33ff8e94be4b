"""etcd, the API server, the controller manager and the scheduler."""

import base64
import subprocess
from collections.abc import Sequence
from pathlib import Path

import yaml

from sandbox import audit, downloads, network, paths, pki, processes, shell
from sandbox.versions import ETCD, KUBECTL, KUBERNETES_BUILD

CONTROLLER_USER = "system:kube-controller-manager"
IDENTITIES = (
    pki.Identity(
        "apiserver",
        "kube-apiserver",
        names=(
            "localhost",
            "kubernetes",
            "kubernetes.default",
            "kubernetes.default.svc",
            f"kubernetes.default.svc.{network.CLUSTER_DOMAIN}",
            "127.0.0.1",
            network.API_SERVICE_IP,
            network.NODE_IP,
        ),
    ),
    pki.Identity("admin", "admin", "system:masters"),
    pki.Identity("kubelet-client", "kube-apiserver-kubelet-client", "system:masters"),
    pki.Identity("controller-manager", CONTROLLER_USER),
    pki.Identity("scheduler", "system:kube-scheduler"),
    pki.Identity("proxy", "system:kube-proxy"),
    pki.Identity("front-proxy", "front-proxy-client"),
    pki.Identity(
        "kubelet",
        f"system:node:{network.NODE_NAME}",
        "system:nodes",
        (network.NODE_NAME, "127.0.0.1", network.NODE_IP),
    ),
)
USERS = ("admin", "controller-manager", "scheduler", "proxy", "kubelet")


def kubeconfig(server: str, authority: Path, certificate: Path, key: Path) -> str:
    """A kubeconfig that holds its certificates, so that it can be copied elsewhere."""
    cluster = {"server": server, "certificate-authority-data": _base64(authority)}
    user = {"client-certificate-data": _base64(certificate), "client-key-data": _base64(key)}
    name = "headgate-sandbox"
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": name, "cluster": cluster}],
            "users": [{"name": name, "user": user}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
            "current-context": name,
        },
        sort_keys=False,
    )


def _base64(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode("ascii")


def kubeconfig_path(user: str) -> Path:
    """Where one component's kubeconfig lies."""
    return paths.STATE / f"{user}.kubeconfig"


def write_credentials() -> None:
    """Certificates and kubeconfigs, once per sandbox."""
    pki.create(paths.PKI, IDENTITIES)
    for user in USERS:
        path = kubeconfig_path(user)
        if not path.exists():
            path.touch(mode=0o600)
            path.write_text(
                kubeconfig(
                    f"https://127.0.0.1:{network.API_PORT}",
                    paths.PKI / "ca.crt",
                    paths.PKI / f"{user}.crt",
                    paths.PKI / f"{user}.key",
                ),
                encoding="utf-8",
            )


def begin() -> None:
    """Start etcd and the API server unless they run; other parts can start meanwhile."""
    write_credentials()
    _ensure("etcd", etcd_command())
    _ensure("kube-apiserver", api_server_command())


def finish() -> None:
    """Return when the API server serves, with the controllers started."""
    log = paths.LOGS / "kube-apiserver.log"
    shell.wait_for(ready, what="the API server", seconds=60, log=log)
    _ensure("kube-controller-manager", controller_manager_command())
    _ensure("kube-scheduler", scheduler_command())


def _ensure(name: str, command: Sequence[str | Path]) -> None:
    processes.ensure(paths.PIDS, paths.LOGS, name, command)


def ready() -> bool:
    """Whether the API server and its own controllers are ready."""
    command = [*kubectl(), "get", "--raw", "/readyz"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def kubectl() -> list[str]:
    """Kubectl as administrator of the sandbox."""
    return [str(downloads.tool_path(KUBECTL)), f"--kubeconfig={paths.KUBECONFIG}"]


def etcd_command() -> list[str | Path]:
    """A single member that does not wait for the disk: its data end with the sandbox."""
    client = f"http://127.0.0.1:{network.ETCD_PORT}"
    peer = f"http://127.0.0.1:{network.ETCD_PEER_PORT}"
    return [
        downloads.tool_path(ETCD),
        f"--data-dir={paths.STATE / 'etcd'}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        "--unsafe-no-fsync",
        "--log-level=warn",
    ]


def api_server_command() -> list[str | Path]:
    """The API server: what a cluster needs, features and admission at their defaults."""
    keys = paths.PKI
    return [
        paths.binary(KUBERNETES_BUILD, "kube-apiserver"),
        f"--etcd-servers=http://127.0.0.1:{network.ETCD_PORT}",
        "--bind-address=0.0.0.0",
        f"--secure-port={network.API_PORT}",
        f"--advertise-address={network.NODE_IP}",
        f"--tls-cert-file={keys / 'apiserver.crt'}",
        f"--tls-private-key-file={keys / 'apiserver.key'}",
        f"--client-ca-file={keys / 'ca.crt'}",
        f"--service-account-key-file={keys / 'sa.pub'}",
        f"--service-account-signing-key-file={keys / 'sa.key'}",
        f"--service-account-issuer=https://kubernetes.default.svc.{network.CLUSTER_DOMAIN}",
        f"--service-cluster-ip-range={network.SERVICE_CIDR}",
        f"--kubelet-client-certificate={keys / 'kubelet-client.crt'}",
        f"--kubelet-client-key={keys / 'kubelet-client.key'}",
        f"--kubelet-certificate-authority={keys / 'ca.crt'}",
        "--kubelet-preferred-address-types=InternalIP",
        f"--requestheader-client-ca-file={keys / 'ca.crt'}",
        "--requestheader-allowed-names=front-proxy-client",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        f"--proxy-client-cert-file={keys / 'front-proxy.crt'}",
        f"--proxy-client-key-file={keys / 'front-proxy.key'}",
        "--authorization-mode=Node,RBAC",
        "--allow-privileged=true",
        "--profiling=false",
        *audit.flags(),
    ]


def controller_manager_command() -> list[str | Path]:
    """The controller manager; alone, so it need not elect a leader."""
    config = kubeconfig_path("controller-manager")
    return [
        paths.binary(KUBERNETES_BUILD, "kube-controller-manager"),
        f"--kubeconfig={config}",
        f"--authentication-kubeconfig={config}",
        f"--authorization-kubeconfig={config}",
        "--bind-address=127.0.0.1",
        f"--secure-port={network.CONTROLLER_PORT}",
        f"--service-account-private-key-file={paths.PKI / 'sa.key'}",
        f"--root-ca-file={paths.PKI / 'ca.crt'}",
        f"--cluster-signing-cert-file={paths.PKI / 'ca.crt'}",
        f"--cluster-signing-key-file={paths.PKI / 'ca.key'}",
        "--use-service-account-credentials",
        "--leader-elect=false",
        "--allocate-node-cidrs=true",
        f"--cluster-cidr={network.CLUSTER_CIDR}",
        "--horizontal-pod-autoscaler-sync-period=5s",
        "--kube-api-qps=200",
        "--kube-api-burst=300",
    ]


def scheduler_command() -> list[str | Path]:
    """The scheduler, at its defaults."""
    config = kubeconfig_path("scheduler")
    return [
        paths.binary(KUBERNETES_BUILD, "kube-scheduler"),
        f"--kubeconfig={config}",
        f"--authentication-kubeconfig={config}",
        f"--authorization-kubeconfig={config}",
        "--bind-address=127.0.0.1",
        f"--secure-port={network.SCHEDULER_PORT}",
        "--leader-elect=false",
    ]
