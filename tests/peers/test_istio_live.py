"""A plain Envoy, told by a real Istio what to do, carries the shares that are written."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from canary.model.traffic import NOTHING, Comparison, Condition, RequestMatch, Traffic
from canary.model.values import Json
from sandbox import addons, builds, downloads, paths
from sandbox.gateways import PILOT_BUILD
from sandbox.versions import ENVOY
from tests.cluster.own_api_server import free_port, running
from tests.peers.gateways import (
    HOST,
    Shop,
    Visitor,
    answer,
    answers,
    own_address,
    shop,
    until,
    until_alone,
    until_met,
)

pytestmark = [pytest.mark.peer, pytest.mark.timeout(3600)]
INSIDER = RequestMatch(headers=(Condition(name="X-Canary", by=Comparison.PREFIX, value="in"),))
MATCHING = {"X_Canary": "insider"}
SYSTEM = "istio-system"
GATEWAY = {"istio": "public"}
OF_PLAIN_ENVOY = {
    # What only the Envoy of Istio's own build has.
    "PILOT_ENABLE_ALPN_FILTER": "false",
    "PILOT_ENABLE_METADATA_EXCHANGE": "false",
    # Nobody is told of admission, injection or certificates here.
    "ENABLE_CA_SERVER": "false",
    "PILOT_CERT_PROVIDER": "none",
    "VALIDATION_WEBHOOK_CONFIG_NAME": "",
    "INJECTION_WEBHOOK_CONFIG_NAME": "",
    "PILOT_ENABLE_GATEWAY_API": "false",
    "POD_NAMESPACE": SYSTEM,
    "POD_NAME": "istiod",
}


@contextmanager
def pilot(cluster: Shop, folder: Path) -> Iterator[int]:
    """Run one that reads the API server of a shop; return the port of its xDS."""
    port, web, metrics = (free_port() for _ in range(3))
    mesh = folder / "mesh.yaml"
    mesh.write_text(yaml.safe_dump({"enableAutoMtls": False, "enablePrometheusMerge": False}))
    command: list[str | Path] = [
        paths.binary(PILOT_BUILD, PILOT_BUILD.programs[0]),
        "discovery",
        f"--kubeconfig={cluster.server.folder / 'admin.kubeconfig'}",
        f"--meshConfig={mesh}",
        f"--grpcAddr=127.0.0.1:{port}",
        f"--httpAddr=127.0.0.1:{web}",
        f"--monitoringAddr=127.0.0.1:{metrics}",
        "--secureGRPCAddr=",
        "--httpsAddr=",
        f"--namespace={SYSTEM}",
        "--shutdownDuration=1s",
    ]
    with running(folder / "pilot.log", command, {**os.environ, **OF_PLAIN_ENVOY}, cwd=folder):
        yield port


@contextmanager
def envoy(xds: int, folder: Path) -> Iterator[None]:
    """Run one that is a gateway of the mesh."""
    config = folder / "envoy.yaml"
    config.write_text(yaml.safe_dump(bootstrap(xds)))
    command: list[str | Path] = [
        downloads.tool_path(ENVOY),
        "-c",
        config,
        "--use-dynamic-base-id",
        "-l",
        "warning",
    ]
    with running(folder / "envoy.log", command):
        yield


def bootstrap(xds: int) -> Json:
    """Return what an Envoy knows before it is told."""
    source = {"ads": {}, "resource_api_version": "V3"}
    address = {"socket_address": {"address": "127.0.0.1", "port_value": xds}}
    options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    return {
        "node": {
            "id": f"router~{own_address()}~gateway.prod~prod.svc.cluster.local",
            "cluster": "gateway",
            "metadata": {
                "CLUSTER_ID": "Kubernetes",
                "LABELS": GATEWAY,
                "NAMESPACE": "prod",
                "ISTIO_VERSION": "1.32.0",
                "INSTANCE_IPS": own_address(),
            },
        },
        "dynamic_resources": {
            "lds_config": source,
            "cds_config": source,
            "ads_config": {
                "api_type": "GRPC",
                "transport_api_version": "V3",
                "grpc_services": [{"envoy_grpc": {"cluster_name": "xds-grpc"}}],
            },
        },
        "static_resources": {
            "clusters": [
                {
                    "name": "xds-grpc",
                    "type": "STATIC",
                    "connect_timeout": "5s",
                    "load_assignment": {
                        "cluster_name": "xds-grpc",
                        "endpoints": [
                            {"lb_endpoints": [{"endpoint": {"address": address}}]},
                        ],
                    },
                    "typed_extension_protocol_options": {
                        options: {
                            "@type": f"type.googleapis.com/{options}",
                            "explicit_http_config": {"http2_protocol_options": {}},
                        }
                    },
                }
            ]
        },
    }


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    builds.ensure((PILOT_BUILD,))
    with shop(tmp_path_factory.mktemp("istio"), addons.istio_crds()) as found:
        found.server.kubectl("create", "namespace", SYSTEM)
        yield found


@pytest.fixture(scope="module")
def port(cluster: Shop) -> Iterator[int]:
    """Return where the gateway listens."""
    folder, found = cluster.server.folder, free_port()
    server = {"port": {"number": found, "name": "http", "protocol": "HTTP"}, "hosts": [HOST]}
    gateway = written("Gateway", "public", {"selector": GATEWAY, "servers": [server]})
    cluster.server.kubectl.within("prod").apply(gateway)
    with pilot(cluster, folder) as xds, envoy(xds, folder):
        yield found


def written(kind: str, name: str, spec: Json) -> Json:
    api_version = "networking.istio.io/v1"
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name}, "spec": spec}


def to(host: str) -> list[Json]:
    return [{"destination": {"host": host, "port": {"number": 80}}}]


@pytest.fixture
def led(cluster: Shop, port: int) -> Iterator[None]:
    """Have a VirtualService lead to the Service, until the test is over."""
    kubectl = cluster.server.kubectl.within("prod")
    http = [
        {"match": [{"uri": {"prefix": "/api"}}], "route": to("other")},
        {"route": to("web.prod.svc.cluster.local")},
    ]
    spec = {"hosts": [HOST], "gateways": ["public"], "http": http}
    kubectl.apply(written("VirtualService", "shop", spec))
    until("the stable", lambda: answer(port) == "web")
    yield
    cluster.clean()
    kubectl("delete", "virtualservices", "--all")


@pytest.mark.usefixtures("led")
@pytest.mark.parametrize("share", [20, 100])
def test_a_share_is_carried(cluster: Shop, port: int, share: int) -> None:
    cluster.split(Traffic(share))
    until_met(port, "web-canary")
    if share == 100:
        until_alone(port, "web-canary")
    found = answers(port, 1000)
    assert found.keys() <= {"web", "web-canary"}
    # Envoy draws for each request: 5 deviations of 1,000 draws.
    assert abs(found["web-canary"] - 10 * share) <= 64
    cluster.split(NOTHING)
    until_alone(port, "web")


@pytest.mark.usefixtures("led")
def test_no_request_is_lost_when_shares_change(cluster: Shop, port: int) -> None:
    with Visitor(port) as one, Visitor(port) as other:
        for share in (10, 50, 30):
            cluster.split(Traffic(share))
            until_met(port, "web-canary")
        cluster.split(Traffic(100))
        until_alone(port, "web-canary")
        cluster.split(NOTHING)
        until_alone(port, "web")
        cluster.serves("web-canary", ready=False)
        cluster.clean()
        before = one.seen.total()
        until("more requests", lambda: one.seen.total() > before + 200)
    cluster.serves("web-canary")
    seen = one.seen + other.seen
    assert seen["web-canary"] > 0
    assert not one.failed + other.failed, f"{seen.total()} requests"


@pytest.mark.usefixtures("led")
def test_what_matches_comes_to_the_canary_and_nothing_else_does(cluster: Shop, port: int) -> None:
    cluster.split(Traffic(100, match=(INSIDER,)))
    until("the canary", lambda: answer(port, **MATCHING) == "web-canary")
    assert answers(port, 50, **MATCHING) == {"web-canary": 50}
    assert answers(port, 50) == {"web": 50}
    assert answers(port, 20, X_Canary="an insider") == {"web": 20}
    assert answers(port, 50, "/api/1", **MATCHING) == {"other": 50}


@pytest.mark.usefixtures("led")
def test_copies_come_to_the_canary_and_the_stable_answers(cluster: Shop, port: int) -> None:
    before = cluster.asked("web-canary")
    cluster.split(Traffic(0, mirror=100))
    until("a copy", lambda: bool(answer(port)) and cluster.asked("web-canary") > before)
    before = cluster.asked("web-canary")
    assert answers(port, 100) == {"web": 100}
    until("all copies", lambda: cluster.asked("web-canary") == before + 100)


@pytest.mark.usefixtures("led")
def test_a_canary_is_treated_as_its_stable(cluster: Shop, port: int) -> None:
    """The rule that is made for its host is taken: TLS is asked of who does not speak it."""
    kubectl = cluster.server.kubectl.within("prod")
    spec = {"host": "web", "trafficPolicy": {"tls": {"mode": "SIMPLE"}}}
    kubectl.apply(written("DestinationRule", "web", spec))
    until("TLS", lambda: answer(port) == "503")
    cluster.split(Traffic(100))
    until("a rule", lambda: kubectl.run("get", "destinationrule", "web-canary").returncode == 0)
    until("TLS", lambda: set(answers(port, 20)) == {"503"})
    kubectl("delete", "destinationrules", "--all")
    until_alone(port, "web-canary")
