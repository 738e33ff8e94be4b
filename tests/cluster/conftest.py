"""The cluster of the tests: $KUBECONFIG if it is set, else this checkout's sandbox."""

import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.kit import MANIFESTS, Kubectl, Traffic, wait_for

ROOT = Path(__file__).resolve().parents[2]
START_DEADLINE = 3000
"""Seconds: a cold cache means building Kubernetes from source."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give tests on a cluster the time that pods take."""
    for item in items:
        if "cluster" in item.keywords and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(START_DEADLINE))


def _sandbox(*arguments: str) -> str:
    done = subprocess.run(  # noqa: S603 - our own module
        [sys.executable, "-m", "sandbox", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=START_DEADLINE,
    )
    return done.stdout.strip()


@pytest.fixture(scope="session")
def cluster_kubeconfig() -> Iterator[Path]:
    """Return the kubeconfig of a cluster that is up; a sandbox that was started here is stopped."""
    if given := os.environ.get("KUBECONFIG"):
        yield Path(given)
        return
    was_up = "running" in _sandbox("status")
    _sandbox("up")
    yield Path(_sandbox("kubeconfig"))
    if not was_up:
        _sandbox("down")


@pytest.fixture(scope="session")
def admin(cluster_kubeconfig: Path) -> Kubectl:
    """Return kubectl with an admin's rights."""
    program = shutil.which("kubectl")
    if program is None:
        program = _sandbox("kubectl")
    return Kubectl(cluster_kubeconfig, program)


@pytest.fixture(scope="session")
def installed(admin: Kubectl) -> Kubectl:
    """Install Headgate as its users do and wait until it is ready.

    With HEADGATE_INSTALLED set, what is installed already is what is tested.
    """
    if os.environ.get("HEADGATE_INSTALLED"):
        return admin
    if "KUBECONFIG" not in os.environ:
        _sandbox("images")
    admin("apply", "--server-side", "-k", str(MANIFESTS))
    system = admin.within("headgate-system")
    for name in ("headgate-certs", "headgate-webhook", "headgate-analyzer"):
        # A pod of an image that was made anew under its old name is the old one until it restarts.
        system("rollout", "restart", f"deployment/{name}")
    for name in ("headgate-certs", "headgate-webhook", "headgate-analyzer"):
        system("rollout", "status", f"deployment/{name}", "--timeout=180s", deadline=200)
    wait_for("a caBundle in the webhook configuration", lambda: _ca_bundle(admin), 60)
    return admin


def _ca_bundle(admin: Kubectl) -> str:
    found = admin.get("mutatingwebhookconfiguration", "headgate")
    return str(found["webhooks"][0]["clientConfig"].get("caBundle", ""))


@pytest.fixture
def namespace(installed: Kubectl) -> Iterator[Kubectl]:
    """Return kubectl for a namespace of its own that is enabled, with the load tester in it."""
    name = f"prod-{uuid.uuid4().hex[:6]}"
    installed("create", "namespace", name)
    installed("label", "namespace", name, "headgate.dev/canary=enabled")
    kubectl = installed.within(name)
    kubectl("apply", "-k", str(MANIFESTS / "loadtester"))
    kubectl("rollout", "status", "deployment/flagger-loadtester", "--timeout=120s", deadline=130)
    yield kubectl
    installed("delete", "namespace", name, "--wait=false")


@pytest.fixture(scope="session")
def gateway(admin: Kubectl) -> str:
    """Return the address of the gateway's proxy as this machine reaches it."""
    envoy = admin.within("projectcontour").get("service", "envoy")
    return f"http://{envoy['spec']['clusterIP']}"


@pytest.fixture
def host(namespace: Kubectl) -> str:
    """Return a host name that no other test routes."""
    return f"{namespace.namespace}.example"


@pytest.fixture
def traffic(gateway: str, host: str) -> Iterator[Traffic]:
    """Send steady traffic through the gateway while the test runs."""
    with Traffic(gateway, host=host) as sender:
        yield sender
