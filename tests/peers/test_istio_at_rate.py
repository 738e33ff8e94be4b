"""Releases at 500 requests per second through a real Istio: none is lost because of a switch.

API server, controllers, Headgate's own processes, Istio and its Envoy are real. The node is played,
so that no container is needed: its pods are servers of the demo app.
"""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import pytest
import yaml

from canary.contract import NAMESPACE_ENABLED, NAMESPACE_LABEL
from canary.model.values import Json
from runtime.resources import VIRTUALSERVICES
from sandbox import addons, builds, downloads, paths
from sandbox.gateways import PILOT_BUILD
from sandbox.versions import ENVOY, ETCD, GO, KUBECTL, KUBERNETES_BUILD, PROMETHEUS_BUILD
from tests.bench.figures import Section, table
from tests.bench.releases import STABLE
from tests.bench.scale.cluster import analyzer, control_plane
from tests.bench.switches import RATE, Stage
from tests.bench.watches import watching
from tests.cluster.kit import MANIFESTS, Kubectl, canary, service, web
from tests.cluster.own_api_server import free_port, running
from tests.peers.gateways import HOST
from tests.peers.istio import gateway, written
from tests.peers.played_node import NODE, played_node

pytestmark = [pytest.mark.peer, pytest.mark.timeout(3600)]
SPACE: Final = "prod"
SCRAPED: Final = "5s"


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    if builds.missing([KUBERNETES_BUILD, PROMETHEUS_BUILD]):
        pytest.skip("this machine has no Kubernetes: the sandbox was never built here")
    downloads.ensure_python_tools((GO, ETCD, KUBECTL, ENVOY))
    builds.ensure((PILOT_BUILD,))
    with ExitStack() as stack:
        scale = stack.enter_context(control_plane(tmp_path))
        kubectl = scale.kubectl
        kubectl("apply", "--server-side", "-f", "-", stdin=yaml.safe_dump_all(addons.istio_crds()))
        kubectl("apply", "-f", str(MANIFESTS / "route-rights/istio/rights.yaml"))
        stack.enter_context(played_node(kubectl, tmp_path))
        kubectl("create", "namespace", SPACE)
        kubectl("label", "namespace", SPACE, f"{NAMESPACE_LABEL}={NAMESPACE_ENABLED}")
        port = stack.enter_context(gateway(kubectl, tmp_path))
        settings = {
            "HEADGATE_METRICS_SERVER": stack.enter_context(prometheus(kubectl, tmp_path)),
            "HEADGATE_METRICS_SCRAPE_INTERVAL": SCRAPED,
            "HEADGATE_LOG_LEVEL": "info",
        }
        stack.enter_context(analyzer(scale, settings))
        own = kubectl.within(SPACE)
        own.apply(team(), service(), to_the_service(), judged())
        own("rollout", "status", "deployment/web", "--timeout=60s")
        seen = stack.enter_context(watching(scale.admin, SPACE, VIRTUALSERVICES))
        yield Stage(
            kubectl=own,
            gateway="127.0.0.1",
            port=port,
            host=HOST,
            seen=seen,
            resource=VIRTUALSERVICES,
        )


@contextmanager
def prometheus(kubectl: Kubectl, folder: Path) -> Iterator[str]:
    """Run one that scrapes all pods which ask for it, as the sandbox's does; return its URL."""
    [config] = [it for it in addons.our_manifests("prometheus") if it["kind"] == "ConfigMap"]
    found = yaml.safe_load(config["data"]["prometheus.yaml"])
    found["scrape_configs"] = [it for it in found["scrape_configs"] if it["job_name"] == "pods"]
    for place in found["scrape_configs"][0]["kubernetes_sd_configs"]:
        place["kubeconfig_file"] = str(kubectl.kubeconfig)
    file, port = folder / "prometheus.yaml", free_port()
    file.write_text(yaml.safe_dump(found))
    command: list[str | Path] = [
        paths.binary(PROMETHEUS_BUILD, "prometheus"),
        f"--config.file={file}",
        f"--storage.tsdb.path={folder / 'prometheus'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
    ]
    with running(folder / "prometheus.log", command):
        yield f"http://127.0.0.1:{port}"


def team() -> Json:
    found = web(STABLE)
    # Nobody schedules here, and there are no accounts.
    found["spec"]["template"]["spec"] |= {"nodeName": NODE, "automountServiceAccountToken": False}
    return found


def to_the_service() -> Json:
    destination = {"host": "web", "port": {"number": 80}}
    # Istio asks twice more unless told otherwise: what is lost is to be seen.
    rule = {"retries": {"attempts": 0}, "route": [{"destination": destination}]}
    spec = {"hosts": [HOST], "gateways": ["public"], "http": [rule]}
    return written("VirtualService", "web", spec)


def judged() -> Json:
    metric = {
        "name": "request-success-rate",
        "thresholdRange": {"min": 99},
        "interval": "1m",
    }
    found = canary(SPACE, stepWeight=25, threshold=3, webhooks=[], metrics=[metric])
    found["spec"]["provider"] = "istio"
    return found


def test_no_request_is_lost_by_a_promotion_or_a_refusal(stage: Stage) -> None:
    found = stage.figures()
    title = f"{RATE:.0f} requests/s through Istio by VirtualService"
    sys.stdout.write(f"{table([Section(title, found)])}\n")
    assert [it for it in found if it.binding and not it.is_kept] == []
