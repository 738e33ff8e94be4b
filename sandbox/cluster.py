"""`up` and `status`: the order in which the parts start, and who may start them."""

import os
import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from sandbox import (
    addons,
    builds,
    cleanup,
    control_plane,
    downloads,
    firewall,
    images,
    network,
    node,
    owner,
    paths,
    processes,
    residue,
)
from sandbox.dockerfiles import Recipe
from sandbox.report import SandboxError, say, step

PARTS = (
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "containerd",
    "kubelet",
    "kube-proxy",
)
PORTS = (
    network.API_PORT,
    network.ETCD_PORT,
    network.ETCD_PEER_PORT,
    network.CONTROLLER_PORT,
    network.SCHEDULER_PORT,
    network.PROXY_HEALTH_PORT,
    network.PROXY_METRICS_PORT,
)


def require_root() -> None:
    """Containers, bridges and firewall rules are root's."""
    if os.geteuid() != 0:
        raise SandboxError("the sandbox starts containers and needs root: run it with sudo")


def prepare() -> images.Store:
    """Everything that is downloaded or built once, without touching a running sandbox."""
    downloads.ensure_debian_packages()
    downloads.ensure_python_tools()
    store = images.Store()
    # The base image waits for the network, the builds for the processors.
    with ThreadPoolExecutor(max_workers=1) as pool:
        base = pool.submit(images.ensure_base, store)
        builds.ensure()
        base.result()
    images.ensure_system(store)
    return store


def up() -> None:
    """Bring the sandbox up, or what of it is missing; returns when all of it works."""
    require_root()
    mine = owner.Owner(str(paths.CHECKOUT), processes.boot_id())
    claim = _claim(mine)
    store = prepare()
    if claim is owner.Claim.STALE:
        say("  removing what an ended sandbox left behind")
        cleanup.down()
    if claim is not owner.Claim.OURS:
        _refuse_collisions()
    paths.STATE.mkdir(parents=True, exist_ok=True)
    paths.LOGS.mkdir(exist_ok=True)
    cleanup.remember()
    owner.save(paths.OWNER, mine)
    _start(store)


def _claim(mine: owner.Owner) -> owner.Claim:
    alive = bool(processes.running(paths.PIDS) or residue.shims())
    claim = owner.claim(owner.load(paths.OWNER), mine, alive=alive)
    # A folder without an owner file is a sandbox that was cut off while it began or ended.
    if claim is owner.Claim.FREE and paths.STATE.exists():
        return owner.Claim.STALE
    return claim


def _refuse_collisions() -> None:
    firewall.refuse_foreign()
    for port in PORTS:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError as error:
                raise SandboxError(f"port {port} is in use by another program") from error


def _start(store: images.Store) -> None:
    with step("control plane ready"):
        network.ensure_bridge()
        control_plane.begin()
        node.start_containerd()
        images.load(store, [node.PAUSE_IMAGE])
        control_plane.finish()
    with step("node ready"):
        node.start_kubelet_and_proxy()
        node.wait_ready()
    images.load(store, images.system_names())
    addons.apply()
    addons.wait()


def load_images(recipes: Sequence[Recipe]) -> list[str]:
    """Build what changed and give it to the node if it runs; returns the images' names."""
    store = prepare()
    names = images.ensure_built(store, recipes)
    if "containerd" in processes.running(paths.PIDS):
        images.load(store, names)
    return names


def status() -> list[str]:
    """Lines that tell what runs, for whom."""
    holder = owner.load(paths.OWNER)
    if holder is None:
        found = residue.leftovers()
        return ["down", *(f"left behind: {line}" for line in found)]
    alive = processes.running(paths.PIDS)
    dead = [part for part in PARTS if part not in alive]
    lines = [
        f"{'up' if not dead else 'incomplete'}, for the checkout {holder.checkout}",
        f"running: {', '.join(alive) or 'nothing'}",
    ]
    if dead:
        lines.append(f"not running: {', '.join(dead)}")
    if "kube-apiserver" in alive:
        lines.append(f"node ready: {'yes' if node.node_ready() else 'no'}")
    return [*lines, f"kubeconfig: {paths.KUBECONFIG}", f"logs: {paths.LOGS}"]
