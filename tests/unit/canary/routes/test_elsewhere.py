"""What leads to a Service where no route does that is split."""

import pytest

from canary.model.values import Json
from canary.routes.elsewhere import found_elsewhere

WEB = {"name": "web", "port": 80}


def made(kind: str, spec: Json, namespace: str = "prod") -> Json:
    return {"kind": kind, "metadata": {"name": "r", "namespace": namespace}, "spec": spec}


def refs(**fields: str) -> Json:
    return {"rules": [{"backendRefs": [{**WEB, **fields}]}]}


def istio(host: str) -> Json:
    return {"http": [{"route": [{"destination": {"host": host}}]}]}


def ingress(name: str) -> Json:
    backend = {"service": {"name": name, "port": {"number": 80}}}
    return {"rules": [{"http": {"paths": [{"backend": backend}]}}]}


@pytest.mark.parametrize(
    ("route", "found"),
    [
        (made("GRPCRoute", refs()), "GRPCRoute r"),
        (made("HTTPRoute", refs(namespace="prod"), "edge"), "HTTPRoute edge/r"),
        (made("HTTPRoute", refs(), "edge"), ""),
        (made("HTTPRoute", refs(namespace="edge")), ""),
        (made("HTTPRoute", refs(kind="Pool")), ""),
        (made("HTTPRoute", refs(name="api")), ""),
        (made("HTTPRoute", {"parentRefs": [{"name": "web"}]}), ""),
        (made("Ingress", ingress("web")), "Ingress r"),
        (made("Ingress", ingress("api")), ""),
        (made("HTTPProxy", {"routes": [{"services": [WEB]}]}), "HTTPProxy r"),
        (made("VirtualService", istio("web")), "VirtualService r"),
        (made("VirtualService", istio("web"), "edge"), ""),
        (made("VirtualService", istio("web.prod"), "edge"), "VirtualService edge/r"),
        (made("VirtualService", istio("web.prod.svc.cluster.local")), "VirtualService r"),
        (made("VirtualService", istio("web.example")), ""),
        ({"kind": "HTTPRoute", "metadata": {"name": "r"}}, ""),
    ],
)
def test_what_names_the_service(route: Json, found: str) -> None:
    assert found_elsewhere([route], "web", "prod") == ((found,) if found else ())


def test_what_leads_there_is_found_however_deep_it_is() -> None:
    deep: Json = {"backendRefs": [WEB]}
    for _ in range(5_000):
        deep = {"x": [deep]}
    assert found_elsewhere([made("HTTPProxy", deep)], "web", "prod") == ("HTTPProxy r",)
