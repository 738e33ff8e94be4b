"""What leads to a Service where no route does that is split."""

import pytest

from canary.model.values import Json
from canary.routes.elsewhere import MOST_ABROAD, found_elsewhere, led_abroad

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


@pytest.mark.parametrize(
    ("route", "abroad"),
    [
        (made("HTTPRoute", refs(namespace="edge")), (("edge", "web"),)),
        (made("HTTPRoute", refs(namespace="prod")), ()),
        (made("HTTPRoute", refs()), ()),
        (made("HTTPRoute", refs(namespace="edge", kind="Pool")), ()),
        (made("HTTPRoute", refs(namespace="e" * 64)), ()),
        (made("HTTPRoute", refs(namespace="edge", name="w" * 64)), ()),
        (made("HTTPRoute", {"rules": [{**WEB, "namespace": 1}, {"host": 1}, {"host": "."}]}), ()),
        (made("VirtualService", istio("web")), ()),
        (made("VirtualService", istio("web.prod.svc")), ()),
        (made("VirtualService", istio("web.edge.svc.cluster.local")), (("edge", "web"),)),
        (made("VirtualService", istio("web.edge")), (("edge", "web"),)),
        ({"kind": "HTTPRoute", "metadata": {"name": "r", "namespace": "prod"}}, ()),
    ],
)
def test_which_services_of_other_namespaces_a_route_names(
    route: Json, abroad: tuple[tuple[str, str], ...]
) -> None:
    assert led_abroad(route) == abroad
    for namespace, service in abroad:
        assert found_elsewhere([route], service, namespace) == (f"{route['kind']} prod/r",)


@pytest.mark.parametrize(("count", "told"), [(MOST_ABROAD, True), (MOST_ABROAD + 1, False)])
def test_of_too_many_services_of_other_namespaces_none_is_told(count: int, *, told: bool) -> None:
    rules = [{**WEB, "namespace": f"n-{it}"} for it in range(count)]
    found = led_abroad(made("HTTPRoute", {"rules": [*rules, *rules]}))
    assert (None if found is None else len(found)) == (count if told else None)


def test_what_leads_there_is_found_however_deep_it_is() -> None:
    deep: Json = {"backendRefs": [WEB]}
    for _ in range(5_000):
        deep = {"x": [deep]}
    assert found_elsewhere([made("HTTPProxy", deep)], "web", "prod") == ("HTTPProxy r",)
