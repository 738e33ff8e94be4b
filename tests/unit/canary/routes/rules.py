"""Generated HTTPRoutes: all that a team may write in a rule, and what it may change later."""

from copy import deepcopy
from datetime import timedelta
from typing import Any

from hypothesis import strategies as st

from canary.model.traffic import (
    Affinity,
    Comparison,
    Condition,
    RequestMatch,
    SameSite,
    Traffic,
)
from canary.model.values import Json
from canary.routes.gateway_api import HttpRoutes
from canary.routes.http_parts import MOST
from canary.routes.mark import Declined, Mark, TargetSplit

SPACE = "prod"
HTTP = HttpRoutes()


def ref(name: str, weight: int | None = 1, **more: Any) -> Json:
    """Return a backend as the API server stores it, or without a weight for None."""
    found = {"group": "", "kind": "Service", "name": name, "port": 80, **more}
    return found if weight is None else {**found, "weight": weight}


def route(*rules: Json, notes: dict[str, str] | None = None) -> Json:
    """Return a route of the tests' namespace."""
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "shop", "namespace": SPACE, "annotations": notes or {}},
        "spec": {"hostnames": ["shop.example"], "rules": deepcopy(list(rules))},
    }


def split(target: str, weight: int) -> TargetSplit:
    return TargetSplit(stable=target, canary=f"{target}-canary", traffic=Traffic(weight))


def mark(**weights: int) -> Mark:
    """Return a mark of these targets with these shares."""
    return Mark(splits={target: split(target, weight) for target, weight in weights.items()})


def weights_of(rule: Json) -> dict[str, int]:
    return {it["name"]: it.get("weight", 1) for it in rule["backendRefs"]}


WEIGHTS = st.one_of(
    st.sampled_from([0, 1, 2, 99, 100, 101, 10_000, 10_001, MOST - 1, MOST]),
    st.integers(0, 200),
    st.integers(0, MOST),
)
NAMES = st.sampled_from(["web", "api", "blog"])
EXTRAS: st.SearchStrategy[Json] = st.sampled_from(
    [
        {},
        {},
        {"port": 8080},
        {"namespace": SPACE},
        {"namespace": "other"},
        {"kind": "InferencePool", "group": "inference.networking.k8s.io"},
        {"kind": "Service", "group": "serving.knative.dev"},
        {
            "filters": [
                {"type": "RequestHeaderModifier", "requestHeaderModifier": {"remove": ["x"]}}
            ]
        },
    ]
)
REFS = st.builds(
    lambda name, weight, extra: ref(name, weight, **extra),
    NAMES,
    st.one_of(WEIGHTS, st.none()),
    EXTRAS,
)
RESTS: st.SearchStrategy[Json] = st.sampled_from(
    [
        {},
        {"matches": [{"path": {"type": "PathPrefix", "value": "/"}}]},
        {"matches": [{"path": {"type": "PathPrefix", "value": "/api"}}]},
        {"timeouts": {"request": "10s"}, "name": "slow"},
        {"filters": [{"type": "URLRewrite", "urlRewrite": {"hostname": "x.example"}}]},
    ]
)
RULES = st.builds(
    lambda rest, refs: {**rest, "backendRefs": refs}, RESTS, st.lists(REFS, max_size=5)
)
BARE_RULES: st.SearchStrategy[Json] = st.just(
    {"filters": [{"type": "RequestRedirect", "requestRedirect": {"scheme": "https"}}]}
)
ROUTES = st.lists(st.one_of(RULES, RULES, RULES, BARE_RULES), max_size=4).map(
    lambda rules: route(*rules)
)
SHARES = st.integers(0, 100)

CONDITIONS = st.builds(
    Condition,
    name=st.sampled_from(["x-canary", "cookie", "user"]),
    by=st.sampled_from(Comparison),
    value=st.sampled_from(["insider", "a.b", "^(.*;)?(canary=always)(;.*)?$"]),
)
MATCHES = st.builds(
    RequestMatch,
    headers=st.lists(CONDITIONS, max_size=2).map(tuple),
    params=st.lists(CONDITIONS, max_size=1).map(tuple),
)
AFFINITIES = st.builds(
    Affinity,
    cookie=st.sampled_from(["canary", "flagger-cookie"]),
    primary_cookie=st.sampled_from(["", "primary"]),
    max_age=st.integers(1, 100_000).map(lambda seconds: timedelta(seconds=seconds)),
    domain=st.sampled_from(["", "shop.example"]),
    path=st.sampled_from(["", "/"]),
    http_only=st.booleans(),
    secure=st.booleans(),
    same_site=st.none() | st.sampled_from(SameSite),
    partitioned=st.booleans(),
    value=st.sampled_from(["", "0123456789abcdef"]),
)
TRAFFIC = st.one_of(
    st.builds(Traffic, SHARES),
    st.builds(
        Traffic,
        SHARES,
        match=st.lists(MATCHES, max_size=2).map(tuple),
        mirror=st.one_of(st.just(0), SHARES),
        affinity=st.none() | AFFINITIES,
    ),
)
DECLINED = st.builds(
    Declined,
    shape=st.sampled_from(["", "01234567"]),
    run=st.sampled_from(["", "0123456789abcdef"]),
    text=st.sampled_from(["", "01234567"]),
    said=st.sampled_from(["", "no RequestMirror", 'a "quoted" word']),
    unsure=st.booleans(),
)
TAKEN = st.sampled_from(["", "01234567"])
