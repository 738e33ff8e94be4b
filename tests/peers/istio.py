"""A real Istio without a mesh: pilot-discovery, and a plain Envoy that it makes a gateway."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import yaml

from canary.model.values import Json
from sandbox import downloads, paths
from sandbox.gateways import PILOT_BUILD
from sandbox.versions import ENVOY
from tests.cluster.kit import Kubectl
from tests.cluster.own_api_server import free_port, running
from tests.peers.gateways import HOST, own_address

SYSTEM: Final = "istio-system"
GATEWAY: Final = {"istio": "public"}
OF_PLAIN_ENVOY: Final = {
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
def gateway(kubectl: Kubectl, folder: Path) -> Iterator[int]:
    """Run a gateway of the namespace prod, called public; return the port where it listens.

    Args:
        kubectl: of one who may do everything, with whose rights Istio reads the API server.
        folder: for files and logs.

    """
    found = free_port()
    server = {"port": {"number": found, "name": "http", "protocol": "HTTP"}, "hosts": [HOST]}
    spec = {"selector": GATEWAY, "servers": [server]}
    kubectl("create", "namespace", SYSTEM)
    kubectl.within("prod").apply(written("Gateway", "public", spec))
    with pilot(kubectl.kubeconfig, folder) as xds, envoy(xds, folder):
        yield found


@contextmanager
def pilot(kubeconfig: Path, folder: Path) -> Iterator[int]:
    """Run one that reads an API server; return the port of its xDS."""
    port, web, metrics = (free_port() for _ in range(3))
    mesh = folder / "mesh.yaml"
    mesh.write_text(yaml.safe_dump({"enableAutoMtls": False, "enablePrometheusMerge": False}))
    command: list[str | Path] = [
        paths.binary(PILOT_BUILD, PILOT_BUILD.programs[0]),
        "discovery",
        f"--kubeconfig={kubeconfig}",
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


def written(kind: str, name: str, spec: Json) -> Json:
    """Return an object of Istio's."""
    api_version = "networking.istio.io/v1"
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name}, "spec": spec}
