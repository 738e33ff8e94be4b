"""The same webhook in Go, by controller-runtime: what ours is measured beside."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from sandbox import builds, paths
from sandbox.versions import GoProgram
from tests.bench.scale.webhooks import Webhooks, listens
from tests.cluster.kit import wait_for
from tests.cluster.own_api_server import free_port, running

PEER_BUILD: Final = GoProgram(
    name="peer",
    module="sigs.k8s.io/controller-runtime",
    version="v0.25.2",
    packages=(".",),
    programs=("peer",),
    expected_seconds=90,
    main=(Path(__file__).parent / "testdata/peer.go").read_text(),
)
LABEL: Final = {"peer.example/canary": "enabled"}
"""Of namespaces whose updates the API server sends to the peer."""


@contextmanager
def peer(folder: Path, webhooks: Webhooks) -> Iterator[None]:
    """Run it, and have the API server call it for namespaces with its label."""
    builds.ensure([PEER_BUILD])
    folder.mkdir()
    webhooks.write_certificate(folder)
    port = free_port()
    command: list[str | Path] = [paths.binary(PEER_BUILD, "peer"), str(port), folder]
    with running(folder / "log", command):
        wait_for("the peer", lambda: listens(port), 30)
        webhooks.configure(f"https://127.0.0.1:{port}", "peer", LABEL)
        yield
