"""Each kind of route as the laws need it: its dialect, generated routes, and where things stand."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import pytest
from hypothesis import strategies as st

from canary.model.values import Json
from canary.routes.contour import HttpProxies
from canary.routes.dialect import Dialect
from canary.routes.grpc import GrpcRoutes
from canary.routes.istio import VirtualServices
from canary.routes.traefik import IngressRoutes, TraefikServices
from tests.unit.canary.routes import rules
from tests.unit.canary.routes.rules import HTTP, NAMES, ROUTES, RULES, SPACE, WEIGHTS

Routes = st.SearchStrategy[Json]
WEIGHTED = "weighted"
"""Field of the only rule that a TraefikService has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind. `route` makes one of rules, `ref` a backend; `any_route`, `any_rule` are drawn.

    `at` gives a rule other conditions than those at other places have.
    """

    dialect: Dialect
    rules: str
    refs: str
    route: Callable[..., Json]
    ref: Callable[..., Json]
    any_route: Routes
    any_rule: Routes
    at: Callable[[Json, int], None]
    most: int
    name: Callable[[Json], str] = itemgetter("name")
    called: str = ""
    """What tests call it, where several are of one dialect."""

    @property
    def absent_is_one(self) -> bool:
        """Whether a weight that is absent is 1, as the Gateway API has it."""
        return self.dialect.kind not in {"HTTPProxy", "VirtualService"}

    @property
    def all_absent_is_even(self) -> bool:
        """Whether several weights that are absent or 0 mean the same for each."""
        return self.dialect.kind == "HTTPProxy"

    def rules_of(self, route: Json) -> list[Json]:
        """Return the rules of a route, to be changed in place."""
        if self.rules == WEIGHTED:
            return [route["spec"][WEIGHTED]]
        found: list[Json] = route["spec"].setdefault(self.rules, [])
        return found

    def refs_of(self, rule: Json) -> list[Json]:
        """Return the backends of a rule that have traffic, to be changed in place."""
        return [it for it in rule.get(self.refs) or [] if not it.get("mirror")]

    def counts(self, rule: Json) -> list[int]:
        """Return what the weights of a rule's backends come to."""
        weights = [it.get("weight") for it in self.refs_of(rule)]
        if self.absent_is_one:
            return [1 if it is None else it for it in weights]
        even = self.all_absent_is_even or len(weights) == 1
        return [1] * len(weights) if even and not any(weights) else [it or 0 for it in weights]

    def single(self, *refs: Json) -> Json:
        """Return a route of one rule with these backends."""
        return self.route({self.refs: list(refs)})


def _http_at(rule: Json, place: int) -> None:
    rule["matches"] = [{"path": {"type": "PathPrefix", "value": f"/{place}"}}]


def _grpc_at(rule: Json, place: int) -> None:
    rule["matches"] = [{"method": {"service": f"shop.v{place}"}}]


def _proxy_at(rule: Json, place: int) -> None:
    rule["conditions"] = [{"prefix": f"/{place}"}]


def grpc_route(*found: Json) -> Json:
    """Return a GRPCRoute of the tests' namespace."""
    return {**rules.route(*found), "kind": "GRPCRoute"}


def in_a_mesh(*found: Json, notes: dict[str, str] | None = None) -> Json:
    """Return an HTTPRoute whose parent is one of the Services that it leads to."""
    made = rules.route(*found, notes=notes)
    parent = {"group": "", "kind": "Service", "name": "web", "port": 80}
    return {**made, "spec": {"parentRefs": [parent], "rules": made["spec"]["rules"]}}


GRPC_RESTS: Routes = st.sampled_from(
    [
        {},
        {"matches": [{"method": {"type": "Exact", "service": "shop.Cart"}}]},
        {"matches": [{"headers": [{"type": "Exact", "name": "user", "value": "beta"}]}]},
        {
            "filters": [
                {"type": "RequestHeaderModifier", "requestHeaderModifier": {"remove": ["x"]}}
            ]
        },
    ]
)
GRPC_RULES: Routes = st.builds(
    lambda rest, refs: {**rest, "backendRefs": refs}, GRPC_RESTS, st.lists(rules.REFS, max_size=5)
)


def service(name: str, weight: int | None = None, **more: Any) -> Json:
    """Return a backend of an HTTPProxy, without a weight for None."""
    found = {"name": name, "port": 80, **more}
    return found if weight is None else {**found, "weight": weight}


def proxy(*routes: Json, notes: dict[str, str] | None = None) -> Json:
    """Return an HTTPProxy of the tests' namespace."""
    return {
        "apiVersion": "projectcontour.io/v1",
        "kind": "HTTPProxy",
        "metadata": {"name": "shop", "namespace": SPACE, "annotations": notes or {}},
        "spec": {"virtualhost": {"fqdn": "shop.example"}, "routes": deepcopy(list(routes))},
    }


SERVICES = st.builds(
    lambda name, weight, extra: service(name, weight, **extra),
    NAMES,
    st.one_of(WEIGHTS, st.none(), st.none(), st.just(0)),
    st.sampled_from([{}, {}, {"port": 8080}, {"protocol": "h2c"}]),
)
MIRRORS = st.builds(
    lambda weight: service("shadow", weight, mirror=True), st.sampled_from([None, 0, 20, 100])
)
CONDITIONS: Routes = st.sampled_from(
    [
        {},
        {"conditions": [{"prefix": "/"}]},
        {"conditions": [{"prefix": "/api"}]},
        {"conditions": [{"exact": "/x"}, {"header": {"name": "x-canary", "regex": "insider"}}]},
        {"timeoutPolicy": {"response": "10s"}, "loadBalancerPolicy": {"strategy": "Cookie"}},
    ]
)


def _proxy_rule(rest: Json, services: list[Json], mirror: list[Json], place: int) -> Json:
    return {**rest, "services": [*services[:place], *mirror, *services[place:]]}


PROXY_RULES: Routes = st.builds(
    _proxy_rule,
    CONDITIONS,
    st.lists(SERVICES, max_size=5),
    st.one_of(st.just([]), st.just([]), st.lists(MIRRORS, min_size=1, max_size=1)),
    st.integers(0, 3),
)
REDIRECTS: Routes = st.just({"requestRedirectPolicy": {"scheme": "https"}})


def destination(name: str, weight: int | None = None, **more: Any) -> Json:
    """Return an entry of a VirtualService's route, without a weight for None."""
    found = {"destination": {"host": name, **more.pop("destination", {})}, **more}
    return found if weight is None else {**found, "weight": weight}


def virtual(*http: Json, notes: dict[str, str] | None = None, **lists: list[Json]) -> Json:
    """Return a VirtualService of the tests' namespace."""
    found = {"http": list(http), **lists}
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "shop", "namespace": SPACE, "annotations": notes or {}},
        "spec": {
            "hosts": ["shop.example"],
            **deepcopy({field: it for field, it in found.items() if it}),
        },
    }


def tcp_virtual(*tcp: Json, notes: dict[str, str] | None = None) -> Json:
    """Return a VirtualService of TCP routes alone."""
    return virtual(notes=notes, tcp=list(tcp))


def host_of(entry: Json) -> str:
    """Return the name of a destination's Service."""
    return str(entry["destination"]["host"]).partition(".")[0]


SPELLED = ("", "", "", f".{SPACE}", f".{SPACE}.svc.cluster.local", ".other", ".example.com")
DESTINATIONS = st.builds(
    lambda name, where, weight, place, more: destination(
        f"{name}{where}", weight, **more, destination=place
    ),
    NAMES,
    st.sampled_from(SPELLED),
    st.one_of(WEIGHTS, st.none(), st.none(), st.just(0)),
    st.sampled_from([{}, {}, {"port": {"number": 8080}}, {"subset": "v1"}]),
    st.sampled_from(
        [{}, {}, {"headers": {"response": {"add": {"x-a": "1"}, "remove": ["server"]}}}]
    ),
)
TCP_DESTINATIONS = DESTINATIONS.map(
    lambda entry: {key: it for key, it in entry.items() if key != "headers"}
)
ASKED_FOR: Routes = st.sampled_from(
    [
        {},
        {"match": [{"uri": {"prefix": "/api"}}], "timeout": "10s"},
        {
            "match": [{"headers": {"user": {"exact": "insider"}}}, {"port": 8080}],
            "name": "insiders",
        },
        {"rewrite": {"uri": "/"}, "headers": {"response": {"add": {"Set-Cookie": "a=b"}}}},
        {"mirror": {"host": "shadow"}, "mirrorPercentage": {"value": 10}},
        {"mirrors": [{"destination": {"host": "shadow"}, "percentage": {"value": 1.5}}]},
    ]
)
VIRTUAL_RULES: Routes = st.builds(
    lambda rest, found: {**rest, "route": found}, ASKED_FOR, st.lists(DESTINATIONS, max_size=5)
)
DELEGATES: Routes = st.just({"match": [{"uri": {"prefix": "/cart"}}], "delegate": {"name": "cart"}})
CONNECTIONS: Routes = st.sampled_from([{}, {"match": [{"port": 3306}]}])
TCP_RULES: Routes = st.builds(
    lambda rest, found: {**rest, "route": found},
    CONNECTIONS,
    st.lists(TCP_DESTINATIONS, max_size=5),
)


def rules_named(found: Json) -> list[Json]:
    """Return the rules of a route that name their backends, or answer by themselves."""
    redirect = {"type": "RequestRedirect", "requestRedirect": {"scheme": "https"}}
    rules = found["spec"]["rules"]
    return [it for it in rules if it.get("backendRefs") or redirect in it.get("filters", ())]


def _virtual_at(rule: Json, place: int) -> None:
    rule["match"] = [{"uri": {"prefix": f"/{place}"}}]


def _tcp_at(rule: Json, place: int) -> None:
    rule["match"] = [{"port": 3306 + place}]


def ingress_route(*routes: Json, notes: dict[str, str] | None = None) -> Json:
    """Return an IngressRoute of the tests' namespace; a route that matches nothing else has all."""
    return {
        "apiVersion": "traefik.io/v1alpha1",
        "kind": "IngressRoute",
        "metadata": {"name": "shop", "namespace": SPACE, "annotations": notes or {}},
        "spec": {
            "entryPoints": ["web"],
            "routes": [
                {"match": "Host(`shop.example`)", "kind": "Rule", **deepcopy(it)} for it in routes
            ],
        },
    }


def traefik_service(*weighted: Json, notes: dict[str, str] | None = None) -> Json:
    """Return a TraefikService of the tests' namespace, of the first of these lists alone."""
    return {
        "apiVersion": "traefik.io/v1alpha1",
        "kind": "TraefikService",
        "metadata": {"name": "shop", "namespace": SPACE, "annotations": notes or {}},
        "spec": {WEIGHTED: deepcopy(weighted[0]) if weighted else {}},
    }


BALANCED = st.builds(
    lambda name, weight, extra: service(name, weight, **extra),
    NAMES,
    st.one_of(WEIGHTS, st.none(), st.none(), st.just(0)),
    st.sampled_from(
        [
            {},
            {},
            {"kind": "Service", "namespace": SPACE},
            {"kind": "TraefikService"},
            {"namespace": "other"},
            {"port": "http", "scheme": "h2c", "passHostHeader": False},
            {"sticky": {"cookie": {"name": "lb"}}, "strategy": "p2c"},
        ]
    ),
)
ROUTED: Routes = st.sampled_from(
    [
        {},
        {"match": "PathPrefix(`/api`)", "middlewares": [{"name": "limit"}]},
        {"match": "Host(`shop.example`) && Header(`x`, `y`)", "priority": 20},
        {"match": "PathPrefix(`/`)", "priority": 21},
    ]
)
INGRESS_RULES: Routes = st.builds(
    lambda rest, services: {**rest, "services": services}, ROUTED, st.lists(BALANCED, max_size=5)
)
UNSERVED: Routes = st.just({"match": "Path(`/old`)", "middlewares": [{"name": "moved"}]})
STUCK: Routes = st.sampled_from([{}, {"sticky": {"cookie": {"name": "version"}}}])
TRAEFIK_RULES: Routes = st.builds(
    lambda rest, services: {**rest, "services": services}, STUCK, st.lists(BALANCED, max_size=5)
)


def _ingress_at(rule: Json, place: int) -> None:
    rule["match"] = f"PathPrefix(`/{place}`)"


def _traefik_at(rule: Json, place: int) -> None:
    rule["sticky"] = {"cookie": {"name": f"version-{place}"}}


KINDS = (
    Kind(
        dialect=HTTP,
        rules="rules",
        refs="backendRefs",
        route=rules.route,
        ref=rules.ref,
        any_route=ROUTES,
        any_rule=RULES,
        at=_http_at,
        most=1_000_000,
    ),
    Kind(
        dialect=HTTP,
        rules="rules",
        refs="backendRefs",
        route=in_a_mesh,
        ref=rules.ref,
        any_route=ROUTES.map(lambda found: in_a_mesh(*rules_named(found))),
        any_rule=RULES.filter(itemgetter("backendRefs")),
        at=_http_at,
        most=1_000_000,
        called="HTTPRoute-mesh",
    ),
    Kind(
        dialect=GrpcRoutes(),
        rules="rules",
        refs="backendRefs",
        route=grpc_route,
        ref=rules.ref,
        any_route=st.lists(GRPC_RULES, max_size=4).map(lambda found: grpc_route(*found)),
        any_rule=GRPC_RULES,
        at=_grpc_at,
        most=1_000_000,
    ),
    Kind(
        dialect=HttpProxies(),
        rules="routes",
        refs="services",
        route=proxy,
        ref=service,
        any_route=st.lists(
            st.one_of(PROXY_RULES, PROXY_RULES, PROXY_RULES, REDIRECTS), max_size=4
        ).map(lambda found: proxy(*found)),
        any_rule=PROXY_RULES,
        at=_proxy_at,
        most=2**32 - 1,
    ),
    Kind(
        dialect=VirtualServices(),
        rules="http",
        refs="route",
        route=virtual,
        ref=destination,
        any_route=st.builds(
            lambda http, tcp, tls: virtual(*http, tcp=tcp, tls=tls),
            st.lists(st.one_of(VIRTUAL_RULES, VIRTUAL_RULES, DELEGATES), max_size=4),
            st.lists(TCP_RULES, max_size=1),
            st.lists(TCP_RULES, max_size=1),
        ),
        any_rule=VIRTUAL_RULES,
        at=_virtual_at,
        most=2**31 - 1,
        name=host_of,
    ),
    Kind(
        dialect=VirtualServices(),
        rules="tcp",
        refs="route",
        route=tcp_virtual,
        ref=destination,
        any_route=st.lists(TCP_RULES, max_size=4).map(lambda found: tcp_virtual(*found)),
        any_rule=TCP_RULES,
        at=_tcp_at,
        most=2**31 - 1,
        name=host_of,
        called="VirtualService-tcp",
    ),
    Kind(
        dialect=IngressRoutes(),
        rules="routes",
        refs="services",
        route=ingress_route,
        ref=service,
        any_route=st.lists(
            st.one_of(INGRESS_RULES, INGRESS_RULES, INGRESS_RULES, UNSERVED), max_size=4
        ).map(lambda found: ingress_route(*found)),
        any_rule=INGRESS_RULES,
        at=_ingress_at,
        most=1_000_000,
    ),
    Kind(
        dialect=TraefikServices(),
        rules=WEIGHTED,
        refs="services",
        route=traefik_service,
        ref=service,
        any_route=TRAEFIK_RULES.map(traefik_service),
        any_rule=TRAEFIK_RULES,
        at=_traefik_at,
        most=1_000_000,
    ),
)
every_kind = pytest.mark.parametrize(
    "kind", KINDS, ids=[it.called or it.dialect.kind for it in KINDS]
)
