"""Add-ons that run as pods: cluster DNS, Gateway API with Contour and Envoy, Prometheus."""

import json
import re
import string
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from sandbox import builds, control_plane, dns, images, network, shell
from sandbox.gateways import (
    ENVOY_GATEWAY_BUILD,
    KNATIVE_BUILD,
    TRAEFIK_BUILD,
    TRAEFIK_GATEWAY_API,
)
from sandbox.report import step
from sandbox.versions import (
    CONTOUR_BUILD,
    COREDNS_BUILD,
    GATEWAY_API_MODULE,
    GATEWAY_API_VERSION,
    ISTIO_API_MODULE,
    ISTIO_API_VERSION,
    PROMETHEUS_BUILD,
)

MANIFESTS = Path(__file__).resolve().parent / "manifests"
DEPLOYMENTS = (
    ("kube-system", "coredns"),
    ("projectcontour", "contour"),
    ("projectcontour", "envoy"),
    ("monitoring", "prometheus"),
)
PROMETHEUS_API = "/api/v1/namespaces/monitoring/services/prometheus:9090/proxy/api/v1"
CHECKED_NAME = f"prometheus.monitoring.svc.{network.CLUSTER_DOMAIN}"


def apply() -> None:
    """Apply all add-ons, the same result however often."""
    with step("applied CRDs, DNS, Contour, Envoy and Prometheus"):
        _apply(our_manifests("namespaces"))
        _apply([*our_manifests("dns"), *our_manifests("prometheus"), *crds()])
        kinds = ("gatewayclasses", "gateways", "httproutes")
        wait = ["wait", "--for=condition=Established", "--timeout=30s"]
        names = [f"crd/{kind}.gateway.networking.k8s.io" for kind in kinds]
        shell.output([*control_plane.kubectl(), *wait, *names], what="waiting for the Gateway API")
        _apply([*contour_roles(), *our_manifests("contour"), *our_manifests("gateway")])


def _apply(objects: Sequence[dict[str, Any]]) -> None:
    command = ["apply", "--server-side", "--force-conflicts", "--filename=-"]
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
    shell.output([*control_plane.kubectl(), *command], what="applying add-ons", stdin=text)


def our_manifests(name: str) -> list[dict[str, Any]]:
    """One of our files with names and addresses filled in."""
    text = (MANIFESTS / f"{name}.yaml").read_text(encoding="utf-8")
    filled = string.Template(text).substitute(
        CLUSTER_DOMAIN=network.CLUSTER_DOMAIN,
        DNS_IP=network.DNS_IP,
        COREDNS_IMAGE=images.system_image(COREDNS_BUILD),
        CONTOUR_IMAGE=images.system_image(CONTOUR_BUILD),
        PROMETHEUS_IMAGE=images.system_image(PROMETHEUS_BUILD),
        ENVOY_IMAGE=images.ENVOY_IMAGE,
    )
    return parse(filled)


def parse(text: str) -> list[dict[str, Any]]:
    """The objects of a YAML stream."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return [item for item in yaml.load_all(text, Loader=loader) if item]


def crds() -> list[dict[str, Any]]:
    """CRDs of the Gateway API and of Contour, read from their modules.

    Contour watches kinds that only the experimental set has.
    """
    gateway = Path(builds.module(GATEWAY_API_MODULE, GATEWAY_API_VERSION)["Dir"])
    files = [*sorted((gateway / "config/crd/experimental").glob("gateway*.yaml"))]
    files.append(_contour_examples() / "01-crds.yaml")
    return [item for file in files for item in parse(file.read_text(encoding="utf-8"))]


def newer_gateway_crds() -> list[dict[str, Any]]:
    """CRDs of the Gateway API that Traefik is made with; nothing here installs them."""
    module = Path(builds.module(GATEWAY_API_MODULE, TRAEFIK_GATEWAY_API)["Dir"])
    files = sorted((module / "config/crd/standard").glob("gateway*.yaml"))
    return [item for file in files for item in parse(file.read_text(encoding="utf-8"))]


def envoy_gateway_crds() -> list[dict[str, Any]]:
    """CRDs of Envoy Gateway, read from its module; nothing here installs them."""
    module = Path(builds.module(ENVOY_GATEWAY_BUILD.module, ENVOY_GATEWAY_BUILD.version)["Dir"])
    files = sorted((module / "charts/gateway-crds-helm/templates/generated").glob("*.yaml"))
    texts = (_without_conditions(file.read_text(encoding="utf-8")) for file in files)
    return [item for text in texts for item in parse(text)]


def _without_conditions(template: str) -> str:
    """Return a chart's file without the lines that are the chart's own."""
    return "\n".join(line for line in template.splitlines() if not line.startswith("{{"))


def istio_crds() -> list[dict[str, Any]]:
    """CRDs of Istio, read from its module; nothing here installs them."""
    module = Path(builds.module(ISTIO_API_MODULE, ISTIO_API_VERSION)["Dir"])
    file = module / "kubernetes/customresourcedefinitions.gen.yaml"
    return parse(file.read_text(encoding="utf-8"))


def traefik_crds() -> list[dict[str, Any]]:
    """CRDs of Traefik, read from its module; nothing here installs them."""
    module = Path(builds.module(TRAEFIK_BUILD.module, TRAEFIK_BUILD.version)["Dir"])
    folder = module / "docs/content/reference/dynamic-configuration"
    return parse((folder / "kubernetes-crd-definition-v1.yml").read_text(encoding="utf-8"))


def knative_crds() -> list[dict[str, Any]]:
    """CRDs of Knative Serving, and of what it is made with; nothing here installs them."""
    serving, networking, caching = _knative_modules()
    files = [
        *sorted((serving / "config/core/300-resources").glob("*.yaml")),
        *sorted((networking / "config").glob("*.yaml")),
        caching / "config/image.yaml",
    ]
    found = [item for file in files for item in parse(file.read_text(encoding="utf-8"))]
    return [item for item in found if item["kind"] == "CustomResourceDefinition"]


def knative_settings() -> list[dict[str, Any]]:
    """ConfigMaps without which Knative Serving does not start, as its own release has them."""
    serving, networking, _ = _knative_modules()
    files = [
        *sorted((serving / "config/core/configmaps").glob("*.yaml")),
        networking / "config/config-network.yaml",
    ]
    return [item for file in files for item in parse(file.read_text(encoding="utf-8"))]


def _knative_modules() -> list[Path]:
    """Where Knative's serving, networking and caching lie, as the first one names the others."""
    serving = builds.module(KNATIVE_BUILD.module, KNATIVE_BUILD.version)
    needed = Path(serving["GoMod"]).read_text(encoding="utf-8")
    others = re.findall(r"^\t(knative\.dev/(?:networking|caching)) (\S+)", needed, re.MULTILINE)
    found = [builds.module(*it) for it in sorted(others, reverse=True)]
    return [Path(it["Dir"]) for it in (serving, *found)]


def contour_roles() -> list[dict[str, Any]]:
    """What Contour may read and write, as its own release says."""
    return parse((_contour_examples() / "02-role-contour.yaml").read_text(encoding="utf-8"))


def _contour_examples() -> Path:
    module = builds.module(CONTOUR_BUILD.module, CONTOUR_BUILD.version)
    return Path(module["Dir"]) / "examples/contour"


def wait() -> None:
    """Return when every add-on was seen to work."""
    with step("add-ons ready"):
        for namespace, name in DEPLOYMENTS:
            rollout = ["rollout", "status", f"deployment/{name}", f"--namespace={namespace}"]
            shell.output(
                [*control_plane.kubectl(), *rollout, "--timeout=120s"], what=f"starting {name}"
            )
        shell.wait_for(dns_answers, what="cluster DNS", seconds=30, log=None)
        shell.wait_for(gateway_programmed, what="the Gateway", seconds=30, log=None)
        shell.wait_for(envoy_scraped, what="Prometheus' scrape of Envoy", seconds=40, log=None)


def dns_answers() -> bool:
    """Whether the cluster's DNS Service answers for a Service."""
    return dns.resolves(network.DNS_IP, CHECKED_NAME)


def gateway_programmed() -> bool:
    """Whether Contour took the Gateway."""
    kind = "gateways.gateway.networking.k8s.io/contour"
    found = _get(["get", kind, "--namespace=projectcontour", "--output=json"])
    conditions = found.get("status", {}).get("conditions", [])
    return any(c["type"] == "Programmed" and c["status"] == "True" for c in conditions)


def envoy_scraped() -> bool:
    """Whether Prometheus found Envoy through the API server and read it."""
    query = "query=up%7Bjob%3D%22envoy%22%7D"
    found = _get(["get", "--raw", f"{PROMETHEUS_API}/query?{query}"])
    samples = found.get("data", {}).get("result", [])
    return any(sample["value"][1] == "1" for sample in samples)


def _get(arguments: Sequence[str]) -> dict[str, Any]:
    command = [*control_plane.kubectl(), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return {}
    found: dict[str, Any] = json.loads(done.stdout)
    return found
