"""The sandbox's addresses, and what it changes in the machine's network."""

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path

from sandbox import shell

BRIDGE = "headgate0"
NODE_NAME = "headgate"
NODE_IP = "10.250.0.1"
NODE_PREFIX = 24
SERVICE_CIDR = "10.96.0.0/16"
API_SERVICE_IP = "10.96.0.1"
DNS_IP = "10.96.0.10"
CLUSTER_CIDR = "10.244.0.0/16"
POD_CIDR = "10.244.0.0/24"
CLUSTER_DOMAIN = "cluster.local"
API_PORT = 16443
ETCD_PORT = 16379
ETCD_PEER_PORT = 16380
CONTROLLER_PORT = 16257
SCHEDULER_PORT = 16259
PROXY_HEALTH_PORT = 16256
PROXY_METRICS_PORT = 16249
KUBELET_PORT = 16250

# CNI's `ptp` routes each pod by itself: a Service reached from a pod on the same node
# works without the br_netfilter module, which a bridge of pods would need.
CNI_NETWORK = "headgate-sandbox"
# Settings that the CNI plugins, the kubelet and kube-proxy change for their own needs.
SYSCTLS = (
    "net/ipv4/ip_forward",
    "net/ipv4/conf/all/route_localnet",
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
)


def cni_config(data_dir: Path) -> str:
    """The one CNI network list of the node."""
    subnet = {"subnet": POD_CIDR, "dataDir": str(data_dir), "routes": [{"dst": "0.0.0.0/0"}]}
    plugins = [
        {"type": "ptp", "ipMasq": True, "ipam": {"type": "host-local", **subnet}},
        {"type": "portmap", "capabilities": {"portMappings": True}},
        {"type": "firewall"},
    ]
    return json.dumps({"cniVersion": "0.4.0", "name": CNI_NETWORK, "plugins": plugins}, indent=2)


def ensure_bridge() -> None:
    """A device with the node's address: the kubelet refuses loopback."""
    if not Path(f"/sys/class/net/{BRIDGE}").exists():
        shell.output(["ip", "link", "add", BRIDGE, "type", "bridge"], what="adding a bridge")
    address = f"{NODE_IP}/{NODE_PREFIX}"
    shell.output(["ip", "address", "replace", address, "dev", BRIDGE], what=f"using {address}")
    shell.output(["ip", "link", "set", BRIDGE, "up"], what=f"raising {BRIDGE}")
    # A Service or pod that is not there must fail here: by the machine's default route the
    # request would leave it, and whatever answers there keeps the connection for good.
    for cidr in (SERVICE_CIDR, CLUSTER_CIDR):
        shell.output(["ip", "route", "replace", cidr, "dev", BRIDGE], what=f"routing {cidr}")


def settings() -> dict[str, str]:
    """The kernel settings that the sandbox's parts change, as they are now."""
    files = {name: Path("/proc/sys", name) for name in SYSCTLS}
    return {name: f.read_text(encoding="ascii").strip() for name, f in files.items() if f.exists()}


def put_back(values: Mapping[str, str]) -> None:
    """Restore settings; one that the kernel refuses does not stop the others."""
    for name, value in values.items():
        with contextlib.suppress(OSError):
            Path("/proc/sys", name).write_text(value, encoding="ascii")
