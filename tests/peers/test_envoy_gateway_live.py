"""A plain Envoy, told by a real Envoy Gateway what to do, carries what is written on an HTTPRoute.

It has no infrastructure of its own here: it reads an API server, and serves xDS with certificates
of a fixed place, which it finds in a file system of its own.
"""

import base64
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest
import yaml

from canary.model.traffic import NOTHING, Comparison, Condition, RequestMatch, Traffic
from canary.model.values import Json
from sandbox import addons, builds, downloads, paths, shell
from sandbox.gateways import ENVOY_GATEWAY_BUILD
from sandbox.versions import ENVOY
from tests.cluster.own_api_server import free_port, running
from tests.peers.gateways import (
    Shop,
    Visitor,
    answer,
    answers,
    http_route,
    of_gateway_api,
    see_users_kept,
    service,
    shop,
    until,
    until_alone,
    until_met,
    until_share,
)

pytestmark = [pytest.mark.peer, pytest.mark.timeout(3600)]
CONTROLLER: Final = "gateway.envoyproxy.io/gatewayclass-controller"
SYSTEM: Final = "envoy-gateway-system"
XDS: Final = 18000
"""Where it serves xDS: this is no setting of its own."""
INSIDER: Final = RequestMatch(
    headers=(Condition(name="X-Canary", by=Comparison.PREFIX, value="in"),)
)
MATCHING: Final = {"X_Canary": "insider"}
WITH_CERTS: Final = """\
set -e
root=$1 certs=$2
shift 2
mount -t tmpfs none "$root"
for it in /*; do
  if [ -L "$it" ]; then cp -a "$it" "$root$it"
  elif [ -d "$it" ]; then mkdir "$root$it" && mount --rbind "$it" "$root$it"
  fi
done
mkdir -p "$root/certs"
mount --bind "$certs" "$root/certs"
exec chroot "$root" "$@"
"""
"""Runs a program that has these certificates in /certs, and leaves nothing behind."""


@contextmanager
def envoy_gateway(cluster: Shop, folder: Path) -> Iterator[Path]:
    """Run one that reads the API server of a shop; return where its proxies' certificates lie."""
    root, script = folder / "root", folder / "with-certs.sh"
    program = paths.binary(ENVOY_GATEWAY_BUILD, ENVOY_GATEWAY_BUILD.programs[0])
    env = {
        **os.environ,
        "KUBECONFIG": str(cluster.server.folder / "admin.kubeconfig"),
        "ENVOY_GATEWAY_NAMESPACE": SYSTEM,
    }
    # As its chart does before it is started.
    make: list[str | Path] = [program, "certgen", "--disable-topology-injector"]
    shell.output(make, what="certificates of Envoy Gateway", env=env)
    own, theirs = (certificates(cluster, name, folder) for name in ("envoy-gateway", "envoy"))
    root.mkdir()
    script.write_text(WITH_CERTS)
    kubernetes = {"leaderElection": {"disable": True}}
    config = {
        "apiVersion": "gateway.envoyproxy.io/v1alpha1",
        "kind": "EnvoyGateway",
        "gateway": {"controllerName": CONTROLLER},
        "provider": {
            "type": "Custom",
            "custom": {"resource": {"type": "Kubernetes", "kubernetes": kubernetes}},
        },
    }
    file = folder / "envoy-gateway.yaml"
    file.write_text(yaml.safe_dump(config))
    command: list[str | Path] = [
        *("unshare", "--mount", "--propagation", "private", "sh", script, root, own),
        program,
        "server",
        "--config-path",
        file,
    ]
    with running(folder / "envoy-gateway.log", command, env):
        yield theirs


def certificates(cluster: Shop, name: str, folder: Path) -> Path:
    """Write the files of a Secret of Envoy Gateway's own; return their folder."""
    found = folder / f"certs-{name}"
    found.mkdir()
    secret = cluster.server.kubectl.within(SYSTEM).get("secret", name)
    for file, text in secret["data"].items():
        (found / file).write_bytes(base64.b64decode(text))
    return found


@contextmanager
def envoy(certs: Path, folder: Path) -> Iterator[None]:
    """Run one that is the proxy of Gateway public."""
    config = folder / "envoy.yaml"
    config.write_text(yaml.safe_dump(bootstrap(certs)))
    command: list[str | Path] = [downloads.tool_path(ENVOY), "-c", config, "--use-dynamic-base-id"]
    with running(folder / "envoy.log", [*command, "-l", "warning"]):
        yield


def bootstrap(certs: Path) -> Json:
    """Return what an Envoy knows before it is told: its cluster says of which Gateway it is."""
    source = {"ads": {}, "resource_api_version": "V3"}
    address = {"socket_address": {"address": "127.0.0.1", "port_value": XDS}}
    http = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    tls = "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"
    pair = {
        "certificate_chain": {"filename": str(certs / "tls.crt")},
        "private_key": {"filename": str(certs / "tls.key")},
    }
    context = {
        # It takes nothing less, and an Envoy offers no more than 1.2 by itself.
        "tls_params": {"tls_maximum_protocol_version": "TLSv1_3"},
        "tls_certificates": [pair],
        "validation_context": {"trusted_ca": {"filename": str(certs / "ca.crt")}},
    }
    xds = {
        "name": "xds",
        "type": "STATIC",
        "connect_timeout": "5s",
        "load_assignment": {
            "cluster_name": "xds",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
        "typed_extension_protocol_options": {
            http: {
                "@type": f"type.googleapis.com/{http}",
                "explicit_http_config": {"http2_protocol_options": {}},
            }
        },
        "transport_socket": {
            "name": "tls",
            "typed_config": {
                "@type": f"type.googleapis.com/{tls}",
                "common_tls_context": context,
            },
        },
    }
    return {
        "node": {"id": "public-1", "cluster": "prod/public"},
        "dynamic_resources": {
            "lds_config": source,
            "cds_config": source,
            "ads_config": {
                "api_type": "DELTA_GRPC",
                "transport_api_version": "V3",
                "grpc_services": [{"envoy_grpc": {"cluster_name": "xds"}}],
            },
        },
        "static_resources": {"clusters": [xds]},
    }


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    builds.ensure((ENVOY_GATEWAY_BUILD,))
    crds = [*addons.newer_gateway_crds(), *addons.envoy_gateway_crds()]
    with shop(tmp_path_factory.mktemp("envoy-gateway"), crds) as found:
        found.server.kubectl("create", "namespace", SYSTEM)
        yield found


@pytest.fixture(scope="module")
def port(cluster: Shop) -> Iterator[int]:
    """Return where the Gateway listens."""
    listens, folder = free_port(), cluster.server.folder
    kubectl = cluster.server.kubectl.within("prod")
    with envoy_gateway(cluster, folder) as certs, envoy(certs, folder):
        kubectl.apply(of_gateway_api("GatewayClass", "envoy", {"controllerName": CONTROLLER}))
        listener = {"name": "web", "protocol": "HTTP", "port": listens}
        spec = {"gatewayClassName": "envoy", "listeners": [listener]}
        kubectl.apply(of_gateway_api("Gateway", "public", spec))
        yield listens


@pytest.fixture
def led(cluster: Shop, port: int) -> Iterator[int]:
    """Have an HTTPRoute lead to the Service, until the test is over; return the Gateway's port."""
    kubectl = cluster.server.kubectl.within("prod")
    kubectl.apply(http_route({"backendRefs": [service("web")]}))
    until("the stable", lambda: answer(port) == "web")
    yield port
    cluster.clean()
    kubectl("delete", "httproutes", "--all")
    until("nobody", lambda: "web" not in answers(port, 20))


@pytest.mark.parametrize("share", [1, 20, 55, 100])
def test_a_share_is_carried_and_confirmed(cluster: Shop, led: int, share: int) -> None:
    cluster.split(Traffic(share))
    until_met(led, "web-canary", 400)
    until("a word of the gateway", cluster.confirmed)
    until_share(cluster, led, share)
    cluster.split(NOTHING)
    until_alone(led, "web")


def test_no_request_is_lost_when_shares_change(cluster: Shop, led: int) -> None:
    with Visitor(led) as one, Visitor(led) as other:
        for share in (10, 50, 100, 30):
            cluster.split(Traffic(share))
            until_share(cluster, led, share)
        cluster.split(NOTHING)
        until_alone(led, "web")
        cluster.clean()
        before = one.seen.total()
        until("more requests", lambda: one.seen.total() > before + 200)
    seen = one.seen + other.seen
    assert seen["web-canary"] > 0
    assert not one.failed + other.failed, f"{seen.total()} requests"


def test_what_matches_comes_to_the_canary_and_nothing_else_does(cluster: Shop, led: int) -> None:
    cluster.split(Traffic(100, match=(INSIDER,)))
    until("the canary", lambda: answer(led, **MATCHING) == "web-canary")
    until("a word of the gateway", cluster.confirmed)
    assert answers(led, 50, **MATCHING) == {"web-canary": 50}
    assert answers(led, 50) == {"web": 50}


def test_a_mirror_is_taken_and_the_stable_answers(cluster: Shop, led: int) -> None:
    cluster.split(Traffic(mirror=100))
    until("a word of the gateway", cluster.confirmed)
    before = cluster.asked("web-canary")
    assert answers(led, 100) == {"web": 100}
    until("copies", lambda: cluster.asked("web-canary") - before >= 100)


def test_users_are_kept(cluster: Shop, led: int) -> None:
    see_users_kept(cluster, led)
