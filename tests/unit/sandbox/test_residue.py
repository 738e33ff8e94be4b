"""What belongs to a sandbox is told from what only looks like it."""

import json
from pathlib import Path

from sandbox import paths, processes, residue

OVERLAY = f"overlay rw,lowerdir={paths.CONTAINERD_ROOT}/snapshots/1/fs"


def test_a_container_is_known_by_its_root_mount() -> None:
    assert residue.in_container(f"600 500 0:70 / / rw - overlay {OVERLAY}\n")


def test_a_service_with_a_copy_of_our_mounts_is_not_a_container() -> None:
    table = (
        "22 1 254:0 / / rw - ext4 /dev/root rw\n"
        f"600 22 0:70 / {paths.CONTAINERD_RUN}/task/rootfs rw - overlay {OVERLAY}\n"
    )
    assert not residue.in_container(table)


def test_another_runtimes_container_is_not_ours() -> None:
    table = "600 500 0:70 / / rw - overlay overlay rw,lowerdir=/var/lib/docker/overlay2/l\n"
    assert not residue.in_container(table)


def test_mounts_are_listed_innermost_first_with_escapes_undone() -> None:
    table = (
        "22 1 254:0 / / rw - ext4 /dev/root rw\n"
        f"30 22 254:0 / {paths.STATE}/kubelet rw - ext4 /dev/root rw\n"
        f"31 30 0:40 / {paths.STATE}/kubelet/pods/a\\040b rw - tmpfs tmpfs rw\n"
        f"32 22 0:41 / {paths.STATE}-other rw - tmpfs tmpfs rw\n"
    )
    assert residue.parse_mounts(table) == [
        paths.STATE / "kubelet/pods/a b",
        paths.STATE / "kubelet",
    ]


def test_shims_are_known_by_the_socket_they_report_to() -> None:
    ours = f"/usr/bin/containerd-shim-runc-v2\0-address\0{paths.CONTAINERD_SOCKET}\0"
    theirs = "/usr/bin/containerd-shim-runc-v2\0-address\0/run/containerd/containerd.sock\0"
    assert residue.is_shim(ours)
    assert not residue.is_shim(theirs)
    assert not residue.is_shim("")


def test_pod_network_names_namespace_and_host_device() -> None:
    record = {
        "containerId": "abc",
        "result": {
            "interfaces": [
                {"name": "veth1", "mac": "x"},
                {"name": "eth0", "sandbox": "/var/run/netns/cni-1"},
            ]
        },
    }
    found = residue.parse_pod_network(json.dumps(record))
    assert found == residue.PodNetwork("abc", (Path("/var/run/netns/cni-1"),), ("veth1",))


def test_a_broken_record_of_cni_names_nothing() -> None:
    assert residue.parse_pod_network("{") == residue.PodNetwork("", (), ())


def test_start_time_is_read_past_a_name_with_spaces_and_parentheses() -> None:
    rest = " ".join(["S", *(str(n) for n in range(1, 30))])
    assert processes.parse_start_time(f"42 (odd ) name) {rest}") == 19


def test_a_zombie_does_not_run() -> None:
    rest = " ".join(["Z", *(str(n) for n in range(1, 30))])
    assert processes.parse_start_time(f"42 (gone) {rest}") is None
