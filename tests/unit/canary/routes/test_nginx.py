"""What stands beside an Ingress of ingress-nginx: which of its rules, and what the canary gets."""

from copy import deepcopy
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.contract import BESIDE, MANAGED_BY_LABEL, SPLIT, TARGET_LABEL
from canary.model.traffic import NOTHING, Affinity, Comparison, Condition, RequestMatch, Traffic
from canary.model.values import Json
from canary.routes.mark import TargetSplit, mark_of
from canary.routes.nginx import (
    Companions,
    beside,
    companion_name,
    leads_to,
    never_carried,
)

NGINX = Companions()
OWNER = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "u-1"}
P = "nginx.ingress.kubernetes.io"
USUAL = {f"{P}/canary": "true", f"{P}/affinity-canary-behavior": "legacy"}


def backend(name: str, port: int = 80) -> Json:
    return {"service": {"name": name, "port": {"number": port}}}


def path(at: str, name: str) -> Json:
    return {"path": at, "pathType": "Prefix", "backend": backend(name)}


def rule(host: str, *paths: Json) -> Json:
    return {"host": host, "http": {"paths": list(paths)}}


def ingress(
    *rules: Json, name: str = "shop", notes: dict[str, str] | None = None, **spec: Any
) -> Json:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": name, "namespace": "prod", "annotations": notes or {}},
        "spec": {"ingressClassName": "nginx", "rules": list(rules), **spec},
    }


SHOP = ingress(
    rule("shop.example", path("/", "web"), path("/api", "api")),
    rule("api.example", path("/", "api")),
    {"host": "empty.example"},
    tls=[{"hosts": ["shop.example"], "secretName": "shop"}],
    notes={f"{P}/proxy-body-size": "8m", "cert-manager.io/cluster-issuer": "own"},
)


def made(traffic: Traffic = NOTHING, of: Json = SHOP, target: str = "web") -> Json:
    split = TargetSplit(stable="web", canary="web-canary", traffic=traffic)
    return NGINX.companion(of, target, split, OWNER)


def said(traffic: Traffic) -> dict[str, str]:
    notes = made(traffic)["metadata"]["annotations"]
    return {name: it for name, it in notes.items() if name.startswith(P)}


def header(name: str, value: str, by: Comparison = Comparison.EXACT) -> RequestMatch:
    return RequestMatch(headers=(Condition(name=name, by=by, value=value),))


def matching(*found: RequestMatch) -> Traffic:
    return Traffic(100, match=found)


INSIDER, COOKIE = header("X-Canary", "insider"), header("cookie", "always-me")
PATTERN = header("x-canary", "in.*|out", Comparison.REGEX)


# --- what it is ---------------------------------------------------------------------------------


def test_it_has_the_rules_that_lead_to_the_stable_and_leads_to_the_canary() -> None:
    before = deepcopy(SHOP)
    assert made()["spec"] == {
        "ingressClassName": "nginx",
        "rules": [rule("shop.example", path("/", "web-canary"))],
        "tls": [{"hosts": ["shop.example"], "secretName": "shop"}],
    }
    assert before == SHOP


def test_it_says_whose_it_is() -> None:
    metadata = made(Traffic(20))["metadata"]
    assert (metadata["namespace"], metadata["name"]) == ("prod", "shop-web-canary")
    assert metadata["labels"][TARGET_LABEL] == "web"
    assert metadata["labels"][MANAGED_BY_LABEL] == "headgate"
    assert metadata["ownerReferences"] == [OWNER]
    mark = mark_of(made(Traffic(20)))
    assert mark is not None
    assert mark.splits["web"].traffic == Traffic(20)
    others = {f"{P}/proxy-body-size", "cert-manager.io/cluster-issuer"}
    assert not others & metadata["annotations"].keys(), "the controller takes those of the other"


def test_the_backend_of_all_the_rest_goes_along() -> None:
    found = made(of=ingress(defaultBackend=backend("web", 8080)))
    assert found["spec"] == {
        "ingressClassName": "nginx",
        "defaultBackend": backend("web-canary", 8080),
    }
    other = ingress(rule("a", path("/", "web")), defaultBackend=backend("api"))
    assert "defaultBackend" not in made(of=other)["spec"]


def test_a_class_is_said_as_the_team_says_it() -> None:
    old = ingress(rule("a", path("/", "web")), notes={"kubernetes.io/ingress.class": "nginx"})
    del old["spec"]["ingressClassName"]
    found = made(of=old)
    assert found["metadata"]["annotations"]["kubernetes.io/ingress.class"] == "nginx"
    assert "ingressClassName" not in found["spec"]
    both = ingress(rule("a", path("/", "web")), notes={"kubernetes.io/ingress.class": "nginx"})
    assert "kubernetes.io/ingress.class" not in made(of=both)["metadata"]["annotations"]


@pytest.mark.parametrize(
    ("name", "target", "expected"),
    [
        ("web", "web", "web-canary"),
        ("shop", "web", "shop-web-canary"),
        ("shop", "api", "shop-api-canary"),
    ],
)
def test_its_name_is_of_the_ingress_and_the_target(name: str, target: str, expected: str) -> None:
    assert companion_name(name, target) == expected


def test_a_long_name_fits() -> None:
    assert len(companion_name("a" * 253, "b" * 63)) <= 63


def test_what_only_has_the_look_of_one_is_none() -> None:
    assert beside(made()) == "shop"
    copied, relabelled, orphaned = deepcopy(made()), deepcopy(made()), deepcopy(made())
    copied["metadata"]["name"] = "mine"
    del relabelled["metadata"]["labels"][MANAGED_BY_LABEL]
    del orphaned["metadata"]["ownerReferences"]
    renamed = deepcopy(made())
    renamed["metadata"]["annotations"][BESIDE] = "other"
    for one in (copied, relabelled, orphaned, renamed, SHOP):
        assert beside(one) == ""


# --- which are split ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"rules": [rule("a", path("/", "web"))]}, True),
        ({"rules": [rule("a", path("/", "api"), path("/", "web"))]}, True),
        ({"rules": [rule("a", path("/", "api"))]}, False),
        ({"rules": [{"host": "a"}]}, False),
        ({"rules": [rule("a", {"path": "/", "backend": {"resource": {"name": "web"}}})]}, False),
        ({"defaultBackend": backend("web")}, True),
        ({"defaultBackend": backend("api")}, False),
        ({}, False),
    ],
)
def test_what_leads_to_a_service(spec: Json, *, expected: bool) -> None:
    assert leads_to({"metadata": {}, "spec": spec}, "web") is expected


@pytest.mark.parametrize(
    ("name", "notes", "expected"),
    [
        ("nginx", {}, True),
        (None, {"kubernetes.io/ingress.class": "nginx"}, True),
        ("alb", {"kubernetes.io/ingress.class": "nginx"}, False),
        ("alb", {}, False),
        (None, {}, False),
        ("nginx", {f"{P}/canary": "true"}, False),
        ("nginx", {f"{P}/canary": "True"}, False),
        ("nginx", {f"{P}/canary": "false"}, True),
    ],
)
def test_which_is_found(name: str | None, notes: dict[str, str], *, expected: bool) -> None:
    found = ingress(rule("a", path("/", "web")), notes=notes)
    if name is None:
        del found["spec"]["ingressClassName"]
    else:
        found["spec"]["ingressClassName"] = name
    assert NGINX.is_found(found, "web") is expected


def test_another_canary_of_the_same_rules_is_named() -> None:
    notes = {f"{P}/canary": "true"}
    same = ingress(rule("shop.example", path("/", "x")), name="flagger", notes=notes)
    plain = ingress(rule("shop.example", path("/", "x")), name="plain")
    elsewhere = ingress(rule("shop.example", path("/api", "x")), name="api", notes=notes)
    assert NGINX.others(SHOP, "web", [SHOP, same, plain, elsewhere]) == ["flagger"]


# --- what the canary gets -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("traffic", "expected"),
    [
        (NOTHING, {"canary-weight": "0"}),
        (Traffic(1), {"canary-weight": "1"}),
        (Traffic(100), {"canary-weight": "100"}),
        (
            matching(INSIDER),
            {
                "canary-weight": "0",
                "canary-by-header": "X-Canary",
                "canary-by-header-value": "insider",
            },
        ),
        (
            matching(PATTERN),
            {
                "canary-weight": "0",
                "canary-by-header": "x-canary",
                "canary-by-header-pattern": "^(?:in.*|out)$",
            },
        ),
        (matching(COOKIE), {"canary-weight": "0", "canary-by-cookie": "always-me"}),
        (
            matching(COOKIE, INSIDER),
            {
                "canary-weight": "0",
                "canary-by-cookie": "always-me",
                "canary-by-header": "X-Canary",
                "canary-by-header-value": "insider",
            },
        ),
        (Traffic(0, match=(INSIDER,)), {"canary-weight": "0"}),
    ],
    ids=str,
)
def test_the_annotations_of_a_traffic(traffic: Traffic, expected: dict[str, str]) -> None:
    assert never_carried(traffic) == ""
    assert said(traffic) == USUAL | {f"{P}/{name}": value for name, value in expected.items()}
    assert NGINX.carried(made(traffic), "web") == traffic


TRAFFICS = st.one_of(
    st.integers(0, 100).map(Traffic),
    st.lists(
        st.sampled_from([INSIDER, PATTERN, COOKIE, header("x", "a")]), min_size=1, max_size=3
    ).map(lambda found: matching(*found)),
)


@given(TRAFFICS)
def test_what_is_written_is_read_again_if_it_can_be_said(traffic: Traffic) -> None:
    if not never_carried(traffic):
        assert NGINX.carried(made(traffic), "web") == traffic


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        ({f"{P}/canary-weight": "70"}, Traffic(70)),
        ({f"{P}/canary-weight": "0"}, NOTHING),
        ({f"{P}/canary-weight": "many"}, NOTHING),
        ({f"{P}/canary-weight": "1000"}, Traffic(100)),
        ({f"{P}/canary-by-header": "x"}, Traffic(100)),
        ({f"{P}/canary": "false"}, Traffic(100)),
        ({f"{P}/affinity-canary-behavior": "sticky"}, Traffic(20)),
        ({SPLIT: "forged"}, Traffic(20)),
    ],
    ids=str,
)
def test_what_users_get_counts_and_not_the_mark(edit: dict[str, str], expected: Traffic) -> None:
    found = made(Traffic(20))
    found["metadata"]["annotations"] |= edit
    assert NGINX.carried(found, "web") == expected
    assert not NGINX.follows(found, made(Traffic(20)), "web")


def test_another_prefix_is_the_admin_s() -> None:
    split = TargetSplit(stable="web", canary="web-canary", traffic=Traffic(20))
    mine = Companions("ingress.example")
    found = mine.companion(SHOP, "web", split, OWNER)
    assert found["metadata"]["annotations"]["ingress.example/canary-weight"] == "20"
    assert mine.is_canary(found)
    assert not NGINX.is_canary(found)


@pytest.mark.parametrize(
    ("traffic", "expected"),
    [
        (Traffic(20, affinity=Affinity(cookie="a", max_age=timedelta(days=1))), "sessionAffinity"),
        (Traffic(0, mirror=100), "mirror"),
        (Traffic(20, match=(INSIDER,)), "no share of it"),
        (matching(RequestMatch(params=INSIDER.headers)), "queryParams"),
        (matching(RequestMatch(headers=(*INSIDER.headers, *COOKIE.headers))), "one header at a"),
        (matching(INSIDER, header("y", "b")), "one header and one cookie"),
        (matching(COOKIE, COOKIE), "one header and one cookie"),
        (matching(header("x", "in", Comparison.PREFIX)), "no prefix"),
        (matching(header("x", "in", Comparison.SUFFIX)), "no suffix"),
        (matching(header("Cookie", "a=b", Comparison.REGEX)), "its value is `always`"),
        (matching(header("cookie", "a=b")), "takes letters"),
        (matching(header("x", "a,b")), "takes letters"),
        (matching(header("x", "ä", Comparison.REGEX)), "takes letters"),
    ],
)
def test_what_cannot_be_said(traffic: Traffic, expected: str) -> None:
    assert expected in never_carried(traffic)


# --- following the team -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "edit",
    [
        {"rules": [rule("new.example", path("/", "web"))]},
        {"rules": [rule("shop.example", path("/", "web"), path("/v2", "web"))]},
        {"tls": []},
        {"ingressClassName": "other"},
        {"defaultBackend": backend("web")},
    ],
    ids=str,
)
def test_an_edit_of_the_team_is_noticed(edit: Json) -> None:
    edited = {**SHOP, "spec": {**SHOP["spec"], **edit}}
    assert NGINX.follows(made(Traffic(20)), made(of=SHOP), "web")
    assert not NGINX.follows(made(Traffic(20)), made(of=edited), "web")


def test_an_edit_that_has_nothing_to_do_with_the_service_is_none() -> None:
    rules = [SHOP["spec"]["rules"][0], rule("other.example", path("/", "api"))]
    edited = {**SHOP, "spec": {**SHOP["spec"], "rules": rules}}
    assert NGINX.follows(made(Traffic(20)), made(of=edited), "web")


def test_a_class_that_the_api_server_has_given_it_is_no_difference() -> None:
    bare = ingress(rule("a", path("/", "web")))
    del bare["spec"]["ingressClassName"]
    stored = made(of=bare)
    stored["spec"]["ingressClassName"] = "usual"
    assert NGINX.follows(stored, made(of=bare), "web")


def patched(obj: Json, patch: Json) -> Json:
    """Apply a merge patch (RFC 7386)."""
    out = dict(obj)
    for key, value in patch.items():
        if value is None:
            out.pop(key, None)
        else:
            out[key] = patched(out.get(key) or {}, value) if isinstance(value, dict) else value
    return out


@given(before=TRAFFICS, after=TRAFFICS, edited=st.booleans())
def test_one_write_makes_it_what_is_wanted(
    before: Traffic, after: Traffic, *, edited: bool
) -> None:
    if never_carried(after):
        return
    other = ingress(rule("a", path("/", "web")), defaultBackend=backend("web"))
    found = made(before, of=other)
    if edited:
        found["metadata"]["annotations"] |= {f"{P}/canary-by-header": "x", f"{P}/canary": "no"}
    wanted = made(after)
    stands = patched(found, NGINX.mended(found, wanted))
    assert stands["spec"] == wanted["spec"]
    assert NGINX.carried(stands, "web") == after
    assert NGINX.follows(stands, wanted, "web")
    assert patched(stands, NGINX.mended(stands, wanted)) == stands
