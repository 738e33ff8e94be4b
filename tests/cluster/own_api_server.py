"""An API server of a test's own, with flags that the cluster's has not: etcd, no controllers."""

import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pytest

from canary.contract import ANALYZER_USER
from sandbox import control_plane, downloads, paths, pki
from sandbox.versions import ETCD, KUBERNETES_BUILD
from tests.cluster.kit import Kubectl, wait_for

START_SECONDS = 60.0
STOP_SECONDS = 10.0
_GIVEN = set[int]()
"""Ports that were given, at which whoever has asked may not listen yet."""


def free_port() -> int:
    """Return a port of the loopback that nobody listens at, another one each time."""
    while True:
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            port = int(one.getsockname()[1])
        if port not in _GIVEN:
            _GIVEN.add(port)
            return port


@contextmanager
def running(
    log: Path,
    command: Sequence[str | Path],
    env: dict[str, str] | None = None,
    cwd: Path | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program while the context lasts."""
    with ExitStack() as stack:
        output: IO[bytes] = stack.enter_context(log.open("ab"))
        process = subprocess.Popen(  # noqa: S603 - our own programs
            [str(part) for part in command], stdout=output, stderr=output, env=env, cwd=cwd
        )
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@dataclass(frozen=True, slots=True)
class OwnServer:
    """Where it is; `analyzer` is the kubeconfig of who has the analyzer's name, and no more."""

    kubectl: Kubectl
    folder: Path
    analyzer: Path


@contextmanager
def own_api_server(folder: Path, kubectl: str, *flags: str) -> Iterator[OwnServer]:
    """Start one with these flags, and end it.

    Args:
        folder: for its files.
        kubectl: the program.
        flags: beside those that it needs to start at all.

    """
    server = paths.binary(KUBERNETES_BUILD, "kube-apiserver")
    if not server.exists():
        pytest.skip("this machine has no kube-apiserver: the sandbox was never built here")
    port, client, peer = (free_port() for _ in range(3))
    keys = folder / "pki"
    users = (
        pki.Identity("admin", "admin", "system:masters"),
        pki.Identity("analyzer", ANALYZER_USER),
    )
    pki.create(keys, (*users, _serving()))
    config, analyzer = (folder / f"{user.file}.kubeconfig" for user in users)
    for file, user in ((config, "admin"), (analyzer, "analyzer")):
        pair = keys / f"{user}.crt", keys / f"{user}.key"
        file.write_text(
            control_plane.kubeconfig(f"https://127.0.0.1:{port}", keys / "ca.crt", *pair)
        )
    with (
        running(folder / "etcd.log", _etcd(folder, client, peer)),
        running(
            folder / "apiserver.log",
            [
                server,
                f"--etcd-servers=http://127.0.0.1:{client}",
                "--bind-address=127.0.0.1",
                f"--secure-port={port}",
                "--endpoint-reconciler-type=none",
                f"--tls-cert-file={keys / 'apiserver.crt'}",
                f"--tls-private-key-file={keys / 'apiserver.key'}",
                f"--client-ca-file={keys / 'ca.crt'}",
                f"--service-account-key-file={keys / 'sa.pub'}",
                f"--service-account-signing-key-file={keys / 'sa.key'}",
                "--service-account-issuer=https://own.example",
                "--service-cluster-ip-range=10.99.0.0/24",
                "--profiling=false",
                *flags,
            ],
        ) as process,
    ):
        own = Kubectl(config, kubectl)

        def ready() -> bool:
            assert process.poll() is None, (folder / "apiserver.log").read_text()[-2000:]
            return own.run("get", "--raw", "/readyz").returncode == 0

        wait_for("an API server", ready, START_SECONDS)
        yield OwnServer(own, folder, analyzer)


def _serving() -> pki.Identity:
    return pki.Identity("apiserver", "kube-apiserver", names=("localhost", "127.0.0.1"))


def _etcd(folder: Path, client: int, peer: int) -> list[str | Path]:
    ours, others = f"http://127.0.0.1:{client}", f"http://127.0.0.1:{peer}"
    return [
        downloads.tool_path(ETCD),
        f"--data-dir={folder / 'etcd'}",
        f"--listen-client-urls={ours}",
        f"--advertise-client-urls={ours}",
        f"--listen-peer-urls={others}",
        f"--initial-advertise-peer-urls={others}",
        f"--initial-cluster=default={others}",
        "--unsafe-no-fsync",
        "--log-level=warn",
    ]
