"""What admins do: rotate certificates, lose pods, uninstall. None of it may be felt by users."""

import base64
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from certs.bootstrap import Bootstrap
from certs.issue import Pair, issue_ca
from certs.settings import Settings
from runtime.kube import Cluster
from runtime.resources import SECRETS
from tests.cluster.conftest import enabled_namespace
from tests.cluster.kit import (
    Json,
    Kubectl,
    Traffic,
    canary,
    metric_template,
    route,
    service,
    serving,
    split_of,
    wait_for,
    web,
)

pytestmark = pytest.mark.cluster
GOOD, BETTER = "headgate/demo:1.0", "headgate/demo:1.1"
ROOT = Path(__file__).resolve().parents[2]
SETTINGS = Settings()


@contextmanager
def writing(kubectl: Kubectl) -> Iterator[list[str]]:
    """Write a changed template all the time, as dry runs that reach the webhook."""
    failures: list[str] = []
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            patch = {"spec": {"template": {"metadata": {"labels": {"try": str(number)}}}}}
            done = kubectl.run(
                "patch",
                "deployment",
                "web",
                "--dry-run=server",
                "-o",
                "name",
                "--patch",
                yaml.safe_dump(patch),
            )
            if done.returncode or "held as a canary" not in done.stderr:
                failures.append(done.stderr)

    threads = [threading.Thread(target=write, daemon=True) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield failures
    finally:
        stop.set()
        for thread in threads:
            thread.join(timeout=60)


@pytest.fixture
def team(alone: Kubectl) -> Iterator[Kubectl]:
    """Return an enabled namespace while no other test uses the installation."""
    with enabled_namespace(alone, f"prod-{uuid.uuid4().hex[:6]}") as kubectl:
        yield kubectl


REPLACE = ("python", "-m", "certs", "--replace-authority")


def annotations_of(kubectl: Kubectl, name: str) -> dict[str, str]:
    return kubectl.get("deployment", name)["metadata"].get("annotations") or {}


def serving_certificate(system: Kubectl) -> str:
    return str(system.get("secret", SETTINGS.serving_secret)["data"]["tls.crt"])


def every_pod_serves(system: Kubectl) -> bool:
    """Tell whether each webhook pod has loaded what the Secret holds now.

    Beside those that run there may be some that have ended, of the rollout before; one that ends
    after the pods were listed is looked at again.
    """
    wanted = base64.b64decode(serving_certificate(system)).decode()
    running = ("-l", "app.kubernetes.io/component=webhook", "--field-selector=status.phase=Running")
    pods = [pod["metadata"]["name"] for pod in system.items("pods", *running)]
    return bool(pods) and all(
        (loaded := system.run("exec", pod, "--", "cat", "/tls/tls.crt")).returncode == 0
        and loaded.stdout == wanted
        for pod in pods
    )


async def ensure(kubeconfig: Path, clock: Callable[[], datetime]) -> None:
    async with Cluster.connect(kubeconfig) as cluster:
        await Bootstrap(cluster, SETTINGS, clock).ensure()


async def put_authority(kubeconfig: Path, ca: Pair) -> None:
    """Make another authority the current one, with the present one as its predecessor."""
    async with Cluster.connect(kubeconfig) as cluster:
        secret = await cluster.get(SECRETS, SETTINGS.namespace, SETTINGS.ca_secret)
        before = secret["data"]["ca.crt"]
        secret["data"] = {
            "ca.crt": base64.b64encode(ca.certificate.encode()).decode(),
            "ca.key": base64.b64encode(ca.key.encode()).decode(),
            "previous.crt": before,
        }
        await cluster.replace(SECRETS, secret)


async def test_certificates_rotate_and_no_write_is_refused(
    alone: Kubectl, team: Kubectl, cluster_kubeconfig: Path
) -> None:
    team.apply(web(GOOD), service())
    team("rollout", "status", "deployment/web", "--timeout=120s", deadline=130)
    system = alone.within("headgate-system")
    system("scale", "deployment/headgate-certs", "--replicas=0")
    # It looks every half minute, and would renew what is near its end before this test does.
    certs = ("-l", "app.kubernetes.io/component=certs")
    wait_for("nobody else who renews", lambda: not system.items("pods", *certs), 60)
    made = datetime.now(UTC) - timedelta(hours=2)
    old = issue_ca("an authority near its end", now=made, lifetime=timedelta(hours=3))
    with writing(team) as failures:
        await put_authority(cluster_kubeconfig, old)
        await ensure(cluster_kubeconfig, lambda: made)
        wait_for("the old authority's certificate", lambda: every_pod_serves(system), 180)
        first = serving_certificate(system)
        await ensure(cluster_kubeconfig, lambda: datetime.now(UTC))
        second = serving_certificate(system)
        wait_for("the new authority's certificate", lambda: every_pod_serves(system), 180)
    assert first != second
    assert failures == []
    ca = system.get("secret", SETTINGS.ca_secret)["data"]
    assert base64.b64decode(ca["previous.crt"]).decode() == old.certificate


def test_an_authority_whose_key_has_leaked_is_trusted_no_more(
    alone: Kubectl, team: Kubectl
) -> None:
    team.apply(web(GOOD), service())
    team("rollout", "status", "deployment/web", "--timeout=120s", deadline=130)
    system = alone.within("headgate-system")
    leaked = system.get("secret", SETTINGS.ca_secret)["data"]["ca.crt"]

    def replaced() -> bool:  # as admins are told: again, where the one that looks was faster
        replace = ("exec", "deployment/headgate-certs", "--", *REPLACE)
        return system.run(*replace, deadline=60).returncode == 0

    wait_for("another authority", replaced, 60)

    now = system.get("secret", SETTINGS.ca_secret)["data"]["ca.crt"]
    webhooks = system.get("mutatingwebhookconfiguration", "headgate")["webhooks"]
    assert now != leaked
    assert {it["clientConfig"]["caBundle"] for it in webhooks} == {now}
    wait_for("the new authority's certificate", lambda: every_pod_serves(system), 180)
    # The API server takes a moment to use what it has stored; until then updates can be sent again.
    update = ("set", "env", "deployment/web", "VERSION=after")
    wait_for("an update that is taken", lambda: team.run(*update).returncode == 0, 60)
    wait_for("a hold", lambda: "headgate.dev/hold" in annotations_of(team, "web"), 30)


def test_a_webhook_pod_may_go_and_no_write_is_refused(alone: Kubectl, team: Kubectl) -> None:
    team.apply(web(GOOD), service())
    team("rollout", "status", "deployment/web", "--timeout=120s", deadline=130)
    system = alone.within("headgate-system")
    with writing(team) as failures:
        system("rollout", "restart", "deployment/headgate-webhook")
        system("rollout", "status", "deployment/headgate-webhook", "--timeout=180s", deadline=190)
    assert failures == []


@pytest.mark.parametrize(("mode", "image"), [("stable", GOOD), ("release", BETTER)])
def test_uninstall_is_not_felt(
    alone: Kubectl, team: Kubectl, cluster_kubeconfig: Path, gateway: str, mode: str, image: str
) -> None:
    host = f"{team.namespace}.example"
    objects: list[Json] = [web(GOOD), service(), route(host)]
    team.apply(*objects, metric_template(team.namespace), canary(team.namespace))
    team("rollout", "status", "deployment/web", "--timeout=120s", deadline=130)
    written = team.get("httproute", "web")
    with Traffic(gateway, host=host) as traffic:
        serving(traffic)
        team("set", "image", "deployment/web", f"web={BETTER}")
        wait_for("weight 10", lambda: split_of(team.get("httproute", "web")).get("web-canary"), 90)
        done = subprocess.run(  # noqa: S603 - our own module
            [
                sys.executable,
                "-m",
                "analyzer.uninstall",
                "--kubeconfig",
                str(cluster_kubeconfig),
                "--candidates",
                mode,
            ],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=400,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert "the CRDs stay, because teams own" in done.stdout
        team("rollout", "status", "deployment/web", "--timeout=120s", deadline=130)
    assert set(traffic.statuses) == {200}, traffic.statuses
    target = team.get("deployment", "web")
    assert target["spec"]["template"]["spec"]["containers"][0]["image"] == image
    assert not target["spec"].get("paused")
    assert not [k for k in target["metadata"]["annotations"] if k.startswith("headgate.dev/")]
    assert team.get("httproute", "web")["spec"] == written["spec"]
    wait_for("no canary", lambda: team.find("deployment", "web-canary") is None, 60)
    assert alone.find("mutatingwebhookconfiguration", "headgate") is None
    assert alone.find("validatingadmissionpolicybinding", "headgate-marks") is None
    assert alone.find("validatingadmissionpolicy", "headgate-records") is None
    wait_for("no namespace", lambda: alone.find("namespace", "headgate-system") is None, 300)
    assert alone.find("clusterrole", "headgate-analyzer") is None
    assert alone.find("priorityclass", "headgate-webhook") is None
