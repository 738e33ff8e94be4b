"""The cluster of the tests: $KUBECONFIG if it is set, else this checkout's sandbox."""

import fcntl
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.cluster.kit import MANIFESTS, Kubectl, Traffic, wait_for
from tests.sharing import START_DEADLINE, in_sandbox, shared

INSTALLATION = Path(__file__).parent / "installation"
"""The manifests, with the rights to every kind of route."""
PROCESSES = ("headgate-certs", "headgate-webhook", "headgate-analyzer")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give tests on a cluster the time that pods take; begin with the longest.

    Each worker is given two to begin with, so that every second of the first is one of the longest.
    Those that want the installation for themselves come last: they wait for all others.
    """
    items.sort(key=_order)
    longest = [item for item in items if "slow" in item.keywords]
    others = items[len(longest) :]
    first = [item for pair in zip(longest, others, strict=False) for item in pair]
    items[:] = [*first, *longest[len(others) :], *others[len(longest) :]]
    for item in items:
        if "cluster" in item.keywords and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(START_DEADLINE))


def _order(item: pytest.Item) -> tuple[bool, bool, bool, bool]:
    alone = {"alone", "exclusive"} & set(getattr(item, "fixturenames", ()))
    # What was used is known when all others have run.
    last = "rights_used" in item.nodeid
    return last, "slow" not in item.keywords, bool(alone), "manifests" in item.nodeid


@contextmanager
def _once(name: str) -> Iterator[bool]:
    """Tell one of the workers to do something, while the others wait until it is done."""
    done = shared(f"{name}.done")
    with shared(f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield not done.exists()
        done.touch()


@contextmanager
def _cluster_use(how: int) -> Iterator[None]:
    """Use the installation together with other tests, or alone."""
    with shared("use.lock").open("w") as lock:
        fcntl.flock(lock, how)
        yield


@pytest.fixture(scope="session")
def cluster_kubeconfig() -> Path:
    """Return the kubeconfig of a cluster that is up."""
    if given := os.environ.get("KUBECONFIG"):
        return Path(given)
    with _once("up") as mine:
        if mine:
            was_up = in_sandbox("status").startswith("up")
            in_sandbox("up")
            if not was_up:
                shared("started").touch()
    return Path(in_sandbox("kubeconfig"))


@pytest.fixture(scope="session")
def admin(cluster_kubeconfig: Path) -> Kubectl:
    """Return kubectl with an admin's rights."""
    program = shutil.which("kubectl")
    if program is None:
        program = in_sandbox("kubectl")
    return Kubectl(cluster_kubeconfig, program)


@pytest.fixture(scope="session")
def installed(admin: Kubectl) -> Kubectl:
    """Install Headgate as its users do and wait until it is ready.

    With HEADGATE_INSTALLED set, what is installed already is what is tested.
    """
    with _once("install") as mine:
        if mine and not os.environ.get("HEADGATE_INSTALLED"):
            if "KUBECONFIG" not in os.environ:
                in_sandbox("images")
            install(admin)
    return admin


def install(admin: Kubectl) -> None:
    """Apply the manifests and wait until everything is ready."""
    system = admin.within("headgate-system")
    before = [name for name in PROCESSES if system.find("deployment", name)]
    admin("apply", "--server-side", "--force-conflicts", "-k", str(INSTALLATION))
    for name in before:
        # A pod of an image that was made anew under its old name is the old one until it restarts.
        # kubectl gives up where the Deployment is written to at the same time.
        wait_for(f"a restart of {name}", partial(_restarted, system, name), 30)
    for name in PROCESSES:
        system("rollout", "status", f"deployment/{name}", "--timeout=180s", deadline=200)
    wait_for("a caBundle in the webhook configuration", lambda: _ca_bundle(admin), 60)


def _restarted(system: Kubectl, name: str) -> bool:
    return system.run("rollout", "restart", f"deployment/{name}").returncode == 0


def _ca_bundle(admin: Kubectl) -> str:
    found = admin.get("mutatingwebhookconfiguration", "headgate")
    return str(found["webhooks"][0]["clientConfig"].get("caBundle", ""))


@pytest.fixture
def alone(installed: Kubectl) -> Iterator[Kubectl]:
    """Return kubectl for a test that changes the installation itself; it is made anew after it."""
    with _cluster_use(fcntl.LOCK_EX):
        yield installed
        install(installed)


@pytest.fixture
def exclusive(installed: Kubectl) -> Iterator[Kubectl]:
    """Return kubectl for a test that disturbs the installation, which mends itself afterwards."""
    with _cluster_use(fcntl.LOCK_EX):
        yield installed


@pytest.fixture(scope="module")
def whole(installed: Kubectl) -> Iterator[Kubectl]:
    """Return the same as `together` for all tests of a module."""
    with _cluster_use(fcntl.LOCK_SH):
        yield installed


@pytest.fixture
def together(installed: Kubectl) -> Iterator[Kubectl]:
    """Return kubectl while the installation is whole and nobody changes it."""
    with _cluster_use(fcntl.LOCK_SH):
        yield installed


@pytest.fixture
def undisturbed() -> Iterator[None]:
    """Keep off an uninstall, which takes Headgate's marks from every namespace."""
    with _cluster_use(fcntl.LOCK_SH):
        yield


@pytest.fixture
def namespace(together: Kubectl) -> Iterator[Kubectl]:
    """Return kubectl for a namespace of its own that is enabled, with the load tester in it."""
    with enabled_namespace(together, f"prod-{uuid.uuid4().hex[:6]}") as kubectl:
        yield kubectl


@pytest.fixture
def prod(together: Kubectl) -> Iterator[Kubectl]:
    """Return kubectl for the namespace that the main job's own objects name."""
    together("delete", "namespace", "prod", "--ignore-not-found", deadline=400)
    with enabled_namespace(together, "prod") as kubectl:
        yield kubectl


@contextmanager
def enabled_namespace(installed: Kubectl, name: str) -> Iterator[Kubectl]:
    """Make a namespace with the label and the load tester, and delete it in the end."""
    installed("create", "namespace", name)
    installed("label", "namespace", name, "headgate.dev/canary=enabled")
    kubectl = installed.within(name)
    kubectl("apply", "-k", str(MANIFESTS / "loadtester"))
    kubectl("rollout", "status", "deployment/flagger-loadtester", "--timeout=120s", deadline=130)
    try:
        yield kubectl
    finally:
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
