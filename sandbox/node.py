"""The node: containerd, kubelet and kube-proxy, beside any that the machine already runs."""

import json
import subprocess
from pathlib import Path

import yaml

from sandbox import control_plane, network, paths, processes, shell
from sandbox.cleanup import CGROUPS
from sandbox.versions import KUBERNETES_BUILD

CNI_PROGRAMS = Path("/usr/lib/cni")
PAUSE_IMAGE = "docker.io/headgate/pause:dev"
CONTAINERD_CONFIG = paths.STATE / "containerd.toml"
KUBELET_CONFIG = paths.STATE / "kubelet.yaml"
PROXY_CONFIG = paths.STATE / "kube-proxy.yaml"
RESOLV_CONF = paths.STATE / "resolv.conf"
# Of every processor, eight processes' worth: without it all pods together weigh as much as one.
POD_SHARES = {"cpu/k8s.io/cpu.shares": 8 * 1024, "k8s.io/cpu.weight": 8 * 100}
# The runtime's own mounts must not spread into the machine's mount table beyond the state folder.
CONTAINERD_TOML = """\
version = 2
root = "{root}"
state = "{run}"
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.aufs", "io.containerd.internal.v1.tracing"]
[grpc]
  address = "{socket}"
[plugins."io.containerd.grpc.v1.cri"]
  restrict_oom_score_adj = true
  sandbox_image = "{pause}"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{cni_programs}"
    conf_dir = "{cni_config}"
"""


def write_configuration() -> None:
    """Every configuration file of the node."""
    paths.CNI_CONFIG.mkdir(parents=True, exist_ok=True)
    network_list = network.cni_config(paths.STATE / "cni-data")
    _write(paths.CNI_CONFIG / "10-headgate.conflist", network_list)
    _write(
        CONTAINERD_CONFIG,
        CONTAINERD_TOML.format(
            root=paths.CONTAINERD_ROOT,
            run=paths.CONTAINERD_RUN,
            socket=paths.CONTAINERD_SOCKET,
            pause=PAUSE_IMAGE,
            cni_programs=CNI_PROGRAMS,
            cni_config=paths.CNI_CONFIG,
        ),
    )
    _write(KUBELET_CONFIG, yaml.safe_dump(kubelet_configuration()))
    _write(PROXY_CONFIG, yaml.safe_dump(proxy_configuration()))
    # Pods must not inherit the machine's search domains: their names would differ by machine.
    _write(RESOLV_CONF, f"nameserver {network.DNS_IP}\n")


def _write(path: Path, content: str) -> None:
    """Leave an unchanged file alone: kube-proxy ends when its configuration is written."""
    if not path.exists() or path.read_text(encoding="utf-8") != content:
        path.write_text(content, encoding="utf-8")


def start_containerd() -> None:
    """Start the container runtime and return when it answers."""
    write_configuration()
    processes.ensure(
        paths.PIDS, paths.LOGS, "containerd", ["containerd", "--config", CONTAINERD_CONFIG]
    )
    log = paths.LOGS / "containerd.log"
    shell.wait_for(containerd_ready, what="containerd", seconds=30, log=log)
    weigh_pods()


def weigh_pods(groups: Path = CGROUPS) -> None:
    """Let pods have the processors before what else the machine does, as on a node of their own.

    Args:
        groups: where the kernel shows its control groups, of version 1 or 2.

    """
    for name, shares in POD_SHARES.items():
        setting = groups / name
        if (setting.parent.parent / "cgroup.procs").exists():
            setting.parent.mkdir(exist_ok=True)
        if setting.exists():
            setting.write_text(str(shares), encoding="utf-8")


def containerd_ready() -> bool:
    """Whether containerd serves."""
    return subprocess.run([*ctr(), "version"], capture_output=True, check=False).returncode == 0


def ctr() -> list[str]:
    """Containerd's client, in the namespace of the kubelet."""
    return ["ctr", f"--address={paths.CONTAINERD_SOCKET}", "--namespace=k8s.io"]


def start_kubelet_and_proxy() -> None:
    """Start both; the node becomes Ready a little later."""
    processes.ensure(paths.PIDS, paths.LOGS, "kubelet", kubelet_command())
    processes.ensure(
        paths.PIDS,
        paths.LOGS,
        "kube-proxy",
        [paths.binary(KUBERNETES_BUILD, "kube-proxy"), f"--config={PROXY_CONFIG}"],
    )


def wait_ready() -> None:
    """Return when the node is Ready."""
    log = paths.LOGS / "kubelet.log"
    shell.wait_for(node_ready, what="the node", seconds=90, log=log)


def node_ready() -> bool:
    """Whether the API server says that the node is Ready."""
    command = [*control_plane.kubectl(), "get", "node", network.NODE_NAME, "--output=json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return False
    conditions = json.loads(done.stdout)["status"].get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def kubelet_command() -> list[str | Path]:
    """The kubelet with every path below the state folder."""
    return [
        paths.binary(KUBERNETES_BUILD, "kubelet"),
        f"--kubeconfig={control_plane.kubeconfig_path('kubelet')}",
        f"--config={KUBELET_CONFIG}",
        f"--root-dir={paths.KUBELET_ROOT}",
        f"--cert-dir={paths.STATE / 'kubelet-certs'}",
        f"--hostname-override={network.NODE_NAME}",
        f"--node-ip={network.NODE_IP}",
    ]


def kubelet_configuration() -> dict[str, object]:
    """Defaults, except for what a bare machine lacks and what shortens a test's waiting."""
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(paths.PKI / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "address": network.NODE_IP,
        "port": network.KUBELET_PORT,
        "healthzPort": 0,
        "tlsCertFile": str(paths.PKI / "kubelet.crt"),
        "tlsPrivateKeyFile": str(paths.PKI / "kubelet.key"),
        "containerRuntimeEndpoint": f"unix://{paths.CONTAINERD_SOCKET}",
        "podLogsDir": str(paths.STATE / "pod-logs"),
        "staticPodPath": "",
        "volumePluginDir": str(paths.STATE / "volume-plugins"),
        "clusterDNS": [network.DNS_IP],
        "clusterDomain": network.CLUSTER_DOMAIN,
        "resolvConf": str(RESOLV_CONF),
        "maxPods": 250,
        "syncFrequency": "5s",
        "nodeStatusUpdateFrequency": "5s",
        "serializeImagePulls": False,
        # No resource is set aside and nothing is evicted: the machine does other work too.
        "cgroupDriver": "cgroupfs",
        "cgroupsPerQOS": False,
        "enforceNodeAllocatable": [],
        "failCgroupV1": False,
        "failSwapOn": False,
        "evictionHard": {},
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "makeIPTablesUtilChains": False,
    }


def proxy_configuration() -> dict[str, object]:
    """kube-proxy in iptables mode; kernel settings it could do without are left alone."""
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": str(control_plane.kubeconfig_path("proxy"))},
        "hostnameOverride": network.NODE_NAME,
        "bindAddress": network.NODE_IP,
        "healthzBindAddress": f"127.0.0.1:{network.PROXY_HEALTH_PORT}",
        "metricsBindAddress": f"127.0.0.1:{network.PROXY_METRICS_PORT}",
        "mode": "iptables",
        "clusterCIDR": network.CLUSTER_CIDR,
        "iptables": {"minSyncPeriod": "200ms", "syncPeriod": "30s", "localhostNodePorts": False},
        "conntrack": {
            "maxPerCore": 0,
            "tcpEstablishedTimeout": "0s",
            "tcpCloseWaitTimeout": "0s",
        },
    }
