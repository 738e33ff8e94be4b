"""A real API server shows the webhook its certificate, and the webhook lets nobody else in.

The API server is one of the test's own: the flag for it is read at its start.
"""

import base64
import os
import ssl
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml

from canary.contract import HOLD, NAMESPACE_ENABLED, NAMESPACE_LABEL
from tests.cluster.kit import MANIFESTS, Json, Kubectl, wait_for, web
from tests.cluster.own_api_server import OwnServer, free_port, own_api_server, running
from tests.sharing import ROOT

pytestmark = pytest.mark.cluster
NAME = "kube-apiserver"
IMAGE = "docker.io/headgate/demo"


@dataclass(frozen=True)
class Authorities:
    """Who signs for the webhook, and who for its clients."""

    serving: trustme.CA
    clients: trustme.CA
    folder: Path

    def let_in(self, authority: trustme.CA) -> None:
        fresh = self.folder / "clients.new"
        authority.cert_pem.write_to_path(fresh)
        fresh.rename(self.folder / "clients.crt")


def admission(folder: Path, host: str, pair: trustme.LeafCert) -> Path:
    """Write what --admission-control-config-file names, and all that is named by it."""
    pair.cert_chain_pems[0].write_to_path(folder / "client.crt")
    pair.private_key_pem.write_to_path(folder / "client.key")
    shown = {"client-certificate": "client.crt", "client-key": "client.key"}
    user = {key: str(folder / file) for key, file in shown.items()}
    users = {"apiVersion": "v1", "kind": "Config", "users": [{"name": host, "user": user}]}
    (folder / "clients.kubeconfig").write_text(yaml.safe_dump(users))
    configuration = {
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "WebhookAdmissionConfiguration",
        "kubeConfigFile": str(folder / "clients.kubeconfig"),
    }
    plugin = {"name": "MutatingAdmissionWebhook", "configuration": configuration}
    file = folder / "admission.yaml"
    file.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "apiserver.config.k8s.io/v1",
                "kind": "AdmissionConfiguration",
                "plugins": [plugin],
            }
        )
    )
    return file


@contextmanager
def webhook(authorities: Authorities, port: int) -> Iterator[None]:
    folder = authorities.folder
    pair = authorities.serving.issue_cert("localhost")
    pair.cert_chain_pems[0].write_to_path(folder / "tls.crt")
    pair.private_key_pem.write_to_path(folder / "tls.key")
    authorities.let_in(authorities.clients)
    env = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "HEADGATE_PORT": str(port),
        "HEADGATE_PROBES_PORT": (probes := str(free_port())),
        "HEADGATE_TLS_CERT": str(folder / "tls.crt"),
        "HEADGATE_TLS_KEY": str(folder / "tls.key"),
        "HEADGATE_CLIENT_CA": str(folder / "clients.crt"),
        "HEADGATE_CLIENT_NAMES": NAME,
    }
    with running(folder / "webhook.log", [sys.executable, "-m", "webhook"], env, ROOT):
        wait_for("the webhook", lambda: _ready(probes), 60)
        yield


def _ready(port: str) -> bool:
    """Ask the probes, which want no certificate of anybody."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz") as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, ConnectionError):
        return False


def configuration(url: str, authority: trustme.CA) -> Json:
    """Return the manifest with its first webhook alone, at an address of ours."""
    found: Json = yaml.safe_load((MANIFESTS / "webhook-configuration.yaml").read_text())
    bundle = base64.b64encode(authority.cert_pem.bytes()).decode()
    (targets,) = [it for it in found["webhooks"] if it["name"] == "targets.headgate.dev"]
    found["webhooks"] = [{**targets, "clientConfig": {"url": url, "caBundle": bundle}}]
    return found


@pytest.fixture
def authorities(tmp_path: Path) -> Authorities:
    return Authorities(trustme.CA(), trustme.CA(), tmp_path)


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def server(
    admin: Kubectl, authorities: Authorities, port: int, tmp_path: Path
) -> Iterator[OwnServer]:
    pair = authorities.clients.issue_cert(NAME)
    file = admission(tmp_path, f"localhost:{port}", pair)
    flag = f"--admission-control-config-file={file}"
    with (
        own_api_server(tmp_path, admin.program, flag) as server,
        webhook(authorities, port),
    ):
        yield server


def push(kubectl: Kubectl, version: str) -> tuple[int, str]:
    done = kubectl.run("set", "image", "deployment/web", f"web={IMAGE}:{version}")
    return done.returncode, done.stderr


def test_the_webhook_takes_reviews_of_the_api_server_alone(
    server: OwnServer, authorities: Authorities, port: int
) -> None:
    kubectl = server.kubectl
    url = f"https://localhost:{port}/targets"
    kubectl.apply(configuration(url, authorities.serving))
    kubectl("create", "namespace", "prod")
    kubectl("label", "namespace", "prod", f"{NAMESPACE_LABEL}={NAMESPACE_ENABLED}")
    team = kubectl.within("prod")
    team.apply(web(f"{IMAGE}:1.0"))

    wait_for("a held update", lambda: _held(team), 30)

    with pytest.raises((urllib.error.URLError, ConnectionError)):
        _post(url, authorities)

    authorities.let_in(trustme.CA())
    refused = wait_for("an update that is refused", lambda: _refused(team), 30)
    assert "targets.headgate.dev" in refused
    authorities.let_in(authorities.clients)
    wait_for("an update that is taken", lambda: push(team, "1.2")[0] == 0, 30)


def _held(team: Kubectl) -> bool:
    """Push until the API server has heard of the webhook, and say whether it was asked.

    It may hear of it between the two: the second is held then, and the next would be its end.
    """
    for version in ("1.1", "1.0"):
        code, said = push(team, version)
        assert code == 0, said
        if HOLD in (team.get("deployment", "web")["metadata"].get("annotations") or {}):
            return True
    return False


def _refused(team: Kubectl) -> str:
    code, said = push(team, f"2.{os.urandom(2).hex()}")
    return said if code else ""


def _post(url: str, authorities: Authorities) -> Any:
    """Send a review without a certificate."""
    context = ssl.create_default_context()
    authorities.serving.configure_trust(context)
    return urllib.request.urlopen(url, data=b"{}", context=context, timeout=10)  # noqa: S310
