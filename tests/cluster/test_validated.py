"""What `kubectl apply` prints of wrong and doubtful objects, and that it goes on without a webhook.

API server and webhook are the test's own: nobody else's objects are judged.
"""

import base64
import json
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import trustme
import yaml

from canary.contract import NAMESPACE_ENABLED, NAMESPACE_LABEL
from tests.cluster.kit import MANIFESTS, Json, Kubectl, wait_for
from tests.cluster.own_api_server import free_port, own_api_server, running
from tests.fakes.objects import canary
from tests.sharing import ROOT

pytestmark = pytest.mark.cluster
WRONG = canary(metrics=[{"name": "errors", "query": "sum(rate(x[1m])", "interval": "1m"}])
DOUBTFUL = canary()
DOUBTFUL["spec"]["revertOnDeletion"] = True
PROVIDER: Json = {
    "apiVersion": "flagger.app/v1beta1",
    "kind": "AlertProvider",
    "metadata": {"name": "chat", "namespace": "prod"},
    "spec": {"type": "slack", "address": "hooks.example/s3cret"},
}


def configuration(port: int, authority: trustme.CA) -> Json:
    """Return the manifest, at an address of ours."""
    return at_our_address("validating-webhook-configuration", port, authority)


def at_our_address(name: str, port: int, authority: trustme.CA) -> Json:
    """Return a manifest of webhooks, at an address of ours."""
    file = MANIFESTS / f"{name}.yaml"
    found: Json = yaml.safe_load(file.read_text(encoding="utf-8"))
    bundle = base64.b64encode(authority.cert_pem.bytes()).decode()
    for webhook in found["webhooks"]:
        path = webhook["clientConfig"]["service"]["path"]
        webhook["clientConfig"] = {"url": f"https://localhost:{port}{path}", "caBundle": bundle}
    return found


def _ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz") as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, ConnectionError):
        return False


def webhook(authority: trustme.CA, port: int, folder: Path, stack: ExitStack) -> None:
    """Serve one until the stack is left."""
    pair, probes = authority.issue_cert("localhost"), free_port()
    pair.cert_chain_pems[0].write_to_path(folder / "tls.crt")
    pair.private_key_pem.write_to_path(folder / "tls.key")
    env = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "HEADGATE_PORT": str(port),
        "HEADGATE_PROBES_PORT": str(probes),
        "HEADGATE_TLS_CERT": str(folder / "tls.crt"),
        "HEADGATE_TLS_KEY": str(folder / "tls.key"),
    }
    log = folder / "webhook.log"
    stack.enter_context(running(log, [sys.executable, "-m", "webhook"], env, ROOT))
    wait_for("the webhook", lambda: _ready(probes), 60)


@pytest.fixture
def team(admin: Kubectl, tmp_path: Path) -> Iterator[Kubectl]:
    with own_api_server(tmp_path, admin.program) as server:
        kubectl = server.kubectl
        kubectl("apply", "--server-side", "-k", str(MANIFESTS / "crds"))
        kubectl("create", "namespace", "prod")
        kubectl("label", "namespace", "prod", f"{NAMESPACE_LABEL}={NAMESPACE_ENABLED}")
        wait_for("the kinds", lambda: kubectl.run("get", "canaries", "-A").returncode == 0, 30)
        yield kubectl.within("prod")


def applied(team: Kubectl, obj: Json) -> tuple[int, str]:
    done = team.run("apply", "-f", "-", stdin=json.dumps(named(obj)))
    return done.returncode, done.stderr


def named(obj: Json) -> Json:
    """Return an object as a team has it in a file."""
    metadata = {key: obj["metadata"][key] for key in ("name", "namespace")}
    return {**obj, "metadata": metadata}


def test_wrong_objects_are_refused_and_without_a_webhook_all_are_taken(
    team: Kubectl, tmp_path: Path
) -> None:
    authority, port = trustme.CA(), free_port()
    with ExitStack() as stack:
        webhook(authority, port, tmp_path, stack)
        team.apply(configuration(port, authority))

        wait_for("a refusal", lambda: _refused(team), 30)
        code, said = applied(team, PROVIDER)
        assert code
        assert "alertproviders.headgate.dev" in said
        assert "address is no URL of http or https" in said

        code, said = applied(team, DOUBTFUL)
        assert (code, "Warning: headgate:" in said) == (0, True)
        assert "revertOnDeletion" in said

        # What is stored already is nobody's to refuse: a label, or the end of it.
        assert team.run("label", "canary", "web", "a=b").returncode == 0

    code, said = applied(team, WRONG)
    assert (code, "Warning" in said) == (0, False)


def _refused(team: Kubectl) -> bool:
    code, said = applied(team, WRONG)
    if not code:
        team("delete", "canary", "web")
        return False
    assert "canaries.headgate.dev" in said
    assert "headgate: metric errors: it is no PromQL" in said
    return "unclosed left parenthesis" in said
