"""Queries become counts: which series are bad, which are requests, and how many may be bad."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from canary.counting.derive import Quantile, Ratio, derive
from canary.counting.series import TARGET_LABELS
from canary.model.strategy import Builtin
from canary.queries.builtin import builtin_queries

ALL = "sum(rate(http_total[1m]))"
GOOD = 'sum(rate(http_total{status!~"5.."}[1m]))'
BAD = 'sum(rate(http_total{status=~"5.."}[1m]))'
ERRORS = "sum(rate(errors_total[1m]))"
OK = {"__name__": "http_total", "status": "200"}
FAILED = {"__name__": "http_total", "status": "503"}
ERROR = {"__name__": "errors_total"}


def ratio(query: str, *, minimum: float | None = None, maximum: float | None = None) -> Ratio:
    found = derive(query, minimum=minimum, maximum=maximum)
    assert isinstance(found, Ratio)
    return found


@pytest.mark.parametrize(
    ("query", "minimum", "maximum", "fraction"),
    [
        (f"{BAD} / {ALL}", None, 0.05, 0.05),
        (f"{BAD} / {ALL}", None, None, None),
        (f"{BAD} / {ALL}", None, 1, None),
        (f"{BAD} / {ALL}", None, 0, None),
        (f"{BAD} / {ALL}", None, float("inf"), None),
        (f"100 - {GOOD} / {ALL} * 100", None, 1, 0.01),
        (f"100 - {GOOD} / {ALL} * 100", None, None, None),
        (f"100 * {GOOD} / {ALL}", 99, None, 0.01),
        (f"100 * {GOOD} / {ALL}", 99, 100, 0.01),
        (f"{GOOD} / {ALL}", 0.999, None, 0.001),
        (f"1 - {GOOD} / {ALL}", None, 0.01, 0.01),
        (f"1 - ({BAD} / {ALL})", 0.99, None, 0.01),
        (f"({ALL} - {GOOD}) / {ALL}", None, 0.02, 0.02),
        (f"-(({GOOD} - {ALL}) / ({ALL}))", None, 0.02, 0.02),
        (f"-({GOOD} / {ALL})", None, -0.98, 0.02),
        (f"{BAD} / {ALL} + 5", None, 5.1, 0.1),
        (f"({BAD} or vector(0)) / ({ALL} > 0)", None, 0.1, 0.1),
        (f"({GOOD} or on() vector(0)) / {ALL} or vector(1)", 0.9, None, 0.1),
        (f"{BAD} / ({BAD} + {GOOD})", None, 0.1, 0.1),
        (f"{GOOD} / ({BAD} + {GOOD})", 0.9, None, 0.1),
        (f"1e2 * clamp_max({BAD} / {ALL}, 1)", None, 10, 0.1),
        (f"clamp({BAD} / {ALL}, 0, 1) >= 0", None, 0.1, 0.1),
        (f"clamp_min({BAD}, 0) / scalar({ALL})", None, 0.1, 0.1),
        (f"{BAD} / {ALL} and on() {ALL} > 0", None, 0.1, 0.1),
        (f"max({BAD} / {ALL})", None, 0.1, 0.1),
        (f"{BAD.replace('rate', 'irate')} / {ALL.replace('1m', '5m')}", None, 0.1, 0.1),
        (f"{BAD.replace('rate', 'increase')} / {ALL} / 60", None, 0.1, 0.1),
        (
            'sum(http_total{status=~"5.."}) / sum(http_total)  # since the pods began',
            None,
            0.1,
            0.1,
        ),
        (f"{BAD} / 2 / {ALL} + {BAD} / 2 / {ALL}", None, 0.1, 0.1),
        (f"0 < {BAD} / {ALL}", None, 0.1, 0.1),
    ],
)
def test_server_errors_are_bad(
    query: str, minimum: float | None, maximum: float | None, fraction: float | None
) -> None:
    found = ratio(query, minimum=minimum, maximum=maximum)
    assert (found.role(OK), found.role(FAILED)) == ((0, 1), (1, 1))
    assert found.role(ERROR) == (0, 0)
    assert found.maximum == fraction


@pytest.mark.parametrize(
    ("query", "minimum", "maximum", "error", "served"),
    [
        (f"{ERRORS} / {ALL}", None, 0.1, (1, 0), (0, 1)),
        (f"1 - {ERRORS} / {ALL}", 0.9, None, (1, 0), (0, 1)),
        (f"{ALL} / ({ALL} + {ERRORS})", 0.9, None, (1, 1), (0, 1)),
        (f"{ERRORS} / {ALL}", 0.9, None, (-1, 0), (1, 1)),
        (f"{ERRORS} / {ALL}", None, None, (1, 0), (0, 1)),
        (f"{ERRORS} / {ALL}", 0.9, 0.95, (1, 0), (0, 1)),
        (f"{ERRORS} / ({ALL} - {ERRORS})", None, 0.1, (1, -1), (0, 1)),
    ],
)
def test_counters_of_their_own(
    query: str,
    minimum: float | None,
    maximum: float | None,
    error: tuple[int, int],
    served: tuple[int, int],
) -> None:
    found = ratio(query, minimum=minimum, maximum=maximum)
    assert (found.role(ERROR), found.role(OK)) == (error, served)


def test_grouping_by_what_has_one_value_is_harmless() -> None:
    query = (
        'sum by (app) (rate(http_total{app="web",status=~"5.."}[1m]))'
        ' / sum(sum by (app, pod) (rate(http_total{app="web"}[1m]))) without (pod)'
    )
    found = ratio(query, maximum=0.1)
    assert found.role({**FAILED, "app": "web"}) == (1, 1)
    assert found.role({**FAILED, "app": "api"}) == (0, 0)
    assert found.role(FAILED, given=TARGET_LABELS) == (1, 1)


def test_latency_from_one_bucket_is_a_ratio() -> None:
    query = 'sum(rate(s_bucket{le="0.5"}[1m])) / sum(rate(s_count[1m]))'
    found = ratio(query, minimum=0.99)
    assert found.maximum == 0.01
    assert found.role({"__name__": "s_bucket", "le": "0.5"}) == (-1, 0)
    assert found.role({"__name__": "s_count"}) == (1, 1)
    assert found.role({"__name__": "s_bucket", "le": "+Inf"}) == (0, 0)


def test_same_conditions_in_another_order_are_the_same_counter() -> None:
    query = 'sum(rate(e_total{a="1",b="2"}[1m])) / sum(rate(r_total{a="1",b="2"}[1m]))'
    other = 'sum(rate(e_total{b="2",a="1"}[1m])) / sum(rate(r_total{b="2",a="1"}[1m]))'
    assert ratio(query, maximum=0.1) == ratio(other, maximum=0.1)
    assert [str(one) for one in ratio(query).selectors] == [
        'e_total{a="1",b="2"}',
        'r_total{a="1",b="2"}',
    ]


# --- quantiles --------------------------------------------------------------------------------


BUCKETS = 'sum by (le) (rate(seconds_bucket{app="web"}[1m]))'


def quantile(query: str, *, maximum: float | None) -> Quantile:
    found = derive(query, minimum=None, maximum=maximum)
    assert isinstance(found, Quantile)
    return found


def bucket(le: str, app: str = "web") -> dict[str, str]:
    return {"__name__": "seconds_bucket", "app": app, "le": le}


@pytest.mark.parametrize(
    ("query", "maximum", "limit"),
    [
        (f"histogram_quantile(0.99, {BUCKETS}) * 1000", 500, 0.5),
        (f"histogram_quantile(0.99, {BUCKETS})", 0.5, 0.5),
        (f"1000 * histogram_quantile(0.99, {BUCKETS}) or vector(0)", None, None),
        (f"histogram_quantile(0.99, {BUCKETS}) > 0", 0, None),
        (f"clamp_min(histogram_quantile(0.99, {BUCKETS}), 0) / 60", 0.1, 6),
        (f"max(histogram_quantile(0.99, {BUCKETS.replace('(le)', '(le, app)')}))", 2, 2),
    ],
)
def test_quantile(query: str, maximum: float | None, limit: float | None) -> None:
    found = quantile(query, maximum=maximum)
    assert (found.quantile, found.maximum, found.limit) == (0.99, 0.01, limit)
    assert [str(one) for one in found.selectors] == ['seconds_bucket{app="web"}']


def test_bounds_and_slower_requests() -> None:
    found = quantile(f"histogram_quantile(0.99, {BUCKETS})", maximum=0.5)
    labels = [bucket("+Inf"), bucket("1.0"), bucket("0.25"), bucket("1"), bucket("9", "api")]
    labels += [bucket("x"), {"__name__": "seconds_bucket", "app": "web"}, {**OK, "le": "7"}]
    assert found.bounds(labels) == [0.25, 1.0]

    slower = found.at(1.0)
    assert (slower.maximum, slower.selectors) == (0.01, found.selectors)
    roles = [slower.role(one) for one in labels]
    assert roles == [(1, 1), (-1, 0), (0, 0), (-1, 0), *[(0, 0)] * 4]
    assert slower.role({"__name__": "seconds_bucket", "le": "1e0"}, given=TARGET_LABELS) == (-1, 0)


def test_without_a_limit_no_bound_has_a_maximum() -> None:
    found = quantile(f"histogram_quantile(0.5, {BUCKETS})", maximum=None)
    assert (found.maximum, found.at(1.0).maximum) == (0.5, None)


# --- queries in use ---------------------------------------------------------------------------


@pytest.mark.parametrize("workload", ["web", "web-canary"])
def test_built_in_metrics(workload: str) -> None:
    known = {"namespace": "prod", "service": workload, "workload": workload}
    gateway = {"envoy_cluster_name": f"prod_{workload}_80"}
    pod = {"namespace": "prod", "kubernetes_pod_name": f"{workload}-7d9c5b8f6d-x2x8z"}
    window = timedelta(seconds=60)
    rates = builtin_queries(Builtin.SUCCESS_RATE, interval=window, **known)
    envoy, app = (ratio(one.query, minimum=99) for one in rates)
    for status, bad in (("200", 0), ("404", 0), ("503", 1)):
        upstream = {"__name__": "envoy_cluster_upstream_rq", "envoy_response_code": status}
        assert envoy.role({**upstream, **gateway}) == (bad, 1)
        assert envoy.role(upstream) == (0, 0)
        requests = {"__name__": "http_requests_total", "status": status}
        assert app.role({**requests, **pod}) == (bad, 1)
        assert app.role(requests, given=TARGET_LABELS) == (bad, 1)
    assert envoy.maximum == app.maximum == 0.01

    durations = builtin_queries(Builtin.DURATION, interval=window, **known)
    slow, slow_app = (quantile(one.query, maximum=500) for one in durations)
    assert (slow.limit, slow_app.limit) == (500, 0.5)
    name = {"__name__": "http_request_duration_seconds_bucket", "le": "0.5"}
    assert slow_app.at(0.5).role({**name, **pod}) == (-1, 0)


FLAGGER = {
    "istio": (
        (
            'istio_requests_total{reporter="destination",destination_workload_namespace="prod",'
            'destination_workload=~"web-canary"'
        ),
        'response_code!~"5.*"',
    ),
    "linkerd": (
        'response_total{namespace="prod",deployment=~"web-canary",direction="inbound"',
        'classification!="failure"',
    ),
    "nginx": (
        'nginx_ingress_controller_requests{namespace="prod",ingress="web",canary!=""',
        'status!~"5.*"',
    ),
    "contour": (
        r'envoy_cluster_upstream_rq{envoy_cluster_name=~"prod_web-canary_[0-9a-zA-Z-]+"',
        'envoy_response_code!~"5.*"',
    ),
    "gateway API": (
        (
            'http_request_duration_seconds_count{kubernetes_namespace="prod",'
            'kubernetes_pod_name=~"web-canary-[0-9a-zA-Z]+(-[0-9a-zA-Z]+)"'
        ),
        'status!~"5.*"',
    ),
    "traefik": (
        (
            "traefik_service_request_duration_seconds_bucket{"
            'service=~"prod-web-canary-[0-9a-zA-Z-]+@kubernetescrd",le="+Inf"'
        ),
        'code!~"5.."',
    ),
    "skipper": (
        (
            "skipper_response_duration_seconds_bucket{"
            'route=~"kube(ew)?_prod__web_canary__.*__web_canary(_[0-9]+)?",le="+Inf"'
        ),
        'code!~"5.."',
    ),
    "apisix": ('apisix_http_status{route=~"prod_r-web-canary_.+"', 'code!~"5.."'),
}


@pytest.mark.parametrize("mesh", FLAGGER)
def test_success_rates_as_flagger_writes_them(mesh: str) -> None:
    every, good = FLAGGER[mesh]
    query = (
        f"\n\tsum(\n\t\trate(\n\t\t\t{every},\n\t\t\t{good}}}[1m]\n\t\t)\n\t)\n\t/\n"
        f"\tsum(\n\t\trate(\n\t\t\t{every},\n\t\t\t}}[1m]\n\t\t)\n\t)\n\t* 100"
    )
    found = ratio(query, minimum=99)
    label, _, value = good.partition("!")
    failed = "failure" if "failure" in value else "503"
    carried = {
        "reporter": "destination",
        "destination_workload_namespace": "prod",
        "destination_workload": "web-canary",
        "direction": "inbound",
        "ingress": "web",
        "canary": "prod-web-canary",
        "envoy_cluster_name": "prod_web-canary_80",
        "service": "prod-web-canary-80@kubernetescrd",
        "route": "prod_r-web-canary_1"
        if mesh == "apisix"
        else "kube_prod__web_canary__x__web_canary",
        "le": "+Inf",
        "__name__": every.partition("{")[0],
    }
    assert found.role({**carried, label: failed}, given=TARGET_LABELS) == (1, 1)
    assert found.role({**carried, label: "200"}, given=TARGET_LABELS) == (0, 1)
    assert found.maximum == 0.01


@pytest.mark.parametrize(
    "buckets",
    [
        'istio_request_duration_milliseconds_bucket{reporter="destination"}',
        'response_latency_ms_bucket{direction="inbound"}',
        'apisix_http_latency_bucket{type=~"request"}',
    ],
)
def test_durations_as_flagger_writes_them(buckets: str) -> None:
    query = f"\n\thistogram_quantile(\n0.99,\n sum(\nrate(\n{buckets}[1m]\n)\n) by (le)\n)"
    assert quantile(query, maximum=500).limit == 500


# --- the formula and the counts say the same --------------------------------------------------

_BASES: dict[str, Callable[[float, float], float]] = {
    f"{BAD} / {ALL}": lambda good, bad: bad / (good + bad),
    f"{GOOD} / {ALL}": lambda good, bad: good / (good + bad),
    f"({ALL} - {GOOD}) / {ALL}": lambda good, bad: bad / (good + bad),
    f"({ALL} - {BAD}) / {ALL}": lambda good, bad: good / (good + bad),
    f"{GOOD} / ({GOOD} + {BAD})": lambda good, bad: good / (good + bad),
    f"{BAD} / ({GOOD} + {BAD})": lambda good, bad: bad / (good + bad),
    f"(2 * {ALL} - {BAD} * 2) / (4 * {ALL})": lambda good, bad: good / (good + bad) / 2,
}
_STEPS: dict[str, Callable[[float], float]] = {
    "100 * ({})": lambda value: 100 * value,
    "({}) / 4": lambda value: value / 4,
    "1 - ({})": lambda value: 1 - value,
    "100 - ({}) * 100": lambda value: 100 - value * 100,
    "-({})": lambda value: -value,
    "({}) + 2": lambda value: value + 2,
    "({}) or vector(0)": lambda value: value,
}


@given(
    base=st.sampled_from(sorted(_BASES)),
    steps=st.lists(st.sampled_from(sorted(_STEPS)), max_size=4),
    counts=st.dictionaries(
        st.sampled_from(["200", "204", "404", "500", "503"]), st.integers(0, 1000), min_size=2
    ),
    falls=st.booleans(),
)
def test_counts_are_what_the_formula_says(
    base: str,
    steps: list[str],
    counts: dict[str, int],
    falls: bool,  # noqa: FBT001 - drawn
) -> None:
    bad = sum(count for status, count in counts.items() if status.startswith("5"))
    good = sum(counts.values()) - bad
    assume(good and bad)
    query, value = base, _BASES[base](good, bad)
    for step in steps:
        query, value = step.format(query), _STEPS[step](value)

    # With the value itself as the bound, as many requests may be bad as there are.
    limits = {"minimum": value} if falls else {"maximum": value}
    found = ratio(query, **limits)
    roles = [(found.role({**OK, "status": status}), count) for status, count in counts.items()]
    requests = sum(role[1] * count for role, count in roles)
    counted = sum(role[0] * count for role, count in roles)
    assert requests == good + bad
    assert counted in (good, bad)
    assert found.maximum == pytest.approx(counted / requests)
