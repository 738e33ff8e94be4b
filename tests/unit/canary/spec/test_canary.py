"""What a Canary asks for, and everything that is wrong with one at once."""

from datetime import timedelta
from typing import Any

import pytest

from canary.contract import ON_NO_DATA
from canary.durations import format_duration, parse_duration
from canary.model.strategy import (
    Builtin,
    GatewayRoute,
    HookType,
    InvalidStrategy,
    Kind,
    NoDataPolicy,
    Strategy,
    TemplateRef,
)
from canary.model.values import Key
from canary.queries.metric import template_values
from canary.queries.templates import render
from canary.spec.canary import Defaults, parse_strategy
from canary.spec.made import made_canary
from canary.spec.strategies import without_route
from tests.fakes.objects import canary


def parse(**analysis: Any) -> Strategy:
    found = parse_strategy(canary(**analysis), Defaults())
    assert isinstance(found, Strategy), found
    return found


def problems(obj: dict[str, Any]) -> str:
    found = parse_strategy(obj, Defaults())
    assert isinstance(found, InvalidStrategy)
    return "; ".join(found.problems)


@pytest.mark.parametrize(
    ("analysis", "weights"),
    [
        ({}, (10, 20, 30, 40, 50)),
        ({"stepWeight": 20}, (20, 40, 50)),
        ({"stepWeight": 60}, (50,)),
        ({"stepWeight": 50, "maxWeight": None}, (50, 100)),
        ({"stepWeights": [1, 5, 120]}, (1, 5, 100)),
    ],
    ids=["linear", "capped at maxWeight", "one step", "to 100", "list"],
)
def test_the_steps(analysis: dict[str, Any], weights: tuple[int, ...]) -> None:
    assert parse(**analysis).weights == weights


def test_the_main_job_s_metrics_and_hooks() -> None:
    strategy = parse(
        metrics=[
            {
                "name": "error-rate",
                "templateRef": {"name": "error-rate"},
                "thresholdRange": {"max": 1},
                "interval": "1m",
            },
            {"name": "request-duration", "thresholdRange": {"max": 500}},
        ],
        webhooks=[
            {
                "name": "load-test",
                "type": "rollout",
                "url": "http://x/",
                "timeout": "15s",
                "metadata": {"cmd": "hey"},
            },
            {"name": "untyped", "url": "http://x/"},
        ],
    )
    template, builtin = strategy.metrics
    assert template.source == TemplateRef(namespace="prod", name="error-rate")
    assert (builtin.source, builtin.maximum) == (Builtin.DURATION, 500)
    hook = strategy.hooks[0]
    assert (hook.timeout, hook.metadata) == (timedelta(seconds=15), {"cmd": "hey"})
    assert strategy.hooks[1].type is HookType.ROLLOUT
    assert (strategy.service_name, strategy.service_port, strategy.target_port) == ("web", 80, 8080)


@pytest.mark.parametrize(
    ("metric", "bounds"),
    [
        ({"name": "request-success-rate", "threshold": 99}, (99, None)),
        ({"name": "request-duration", "threshold": 500}, (None, 500)),
        ({"name": "x", "query": "up", "thresholdRange": {"min": 1, "max": 2}}, (1, 2)),
        ({"name": "request-duration", "thresholdRange": {}}, (None, None)),
    ],
)
def test_bounds(metric: dict[str, Any], bounds: tuple[float | None, float | None]) -> None:
    found = parse(metrics=[metric]).metrics[0]
    assert (found.minimum, found.maximum) == bounds


@pytest.mark.parametrize(
    ("analysis", "said"),
    [
        ({"metrics": [{"name": "mystery"}]}, "metric mystery: needs a templateRef or a query"),
        ({"metrics": [{"name": "x", "query": "up", "interval": "soon"}]}, "'soon' is not a dura"),
        ({"iterations": 0.5}, "analysis.iterations: '0.5' must be a whole number from 1 to 10000"),
        ({"iterations": 9, "match": [{}]}, "analysis.match[0]: names no header"),
        ({"webhooks": [{"name": "g", "type": "confirm", "url": "u"}]}, "type confirm is not known"),
        ({"stepWeights": [50, 10]}, "must rise"),
        ({"stepWeight": 0}, "needs stepWeight"),
        ({"maxWeight": 0.5}, "analysis.maxWeight: must be from 1 to 100"),
        ({"maxWeight": -5}, "analysis.maxWeight: must be from 1 to 100"),
        ({"maxWeight": 45.5}, "analysis.maxWeight: 45.5 must be a whole number"),
        ({"stepWeight": 10.5}, "analysis.stepWeight: 10.5 must be a whole number"),
        ({"stepWeight": -10}, "needs stepWeight"),
        ({"stepWeights": [10.5, 20]}, "analysis.stepWeights: 10.5 must be a whole number"),
        ({"stepWeights": [0, 20]}, "must rise from 1 to 100"),
        ({"stepWeights": [50, 120, 130]}, "must rise from 1 to 100"),
        ({"threshold": 2.5}, "analysis.threshold: 2.5 must be a whole number, as in 5"),
        ({"interval": "1m٣s"}, "analysis.interval: '1m٣s' is not a duration"),
        (
            {"metrics": [{"name": "x", "query": "up", "interval": "0s"}]},
            "metric x interval: '0s' is too short; the shortest is 1s",
        ),
        (
            {"canaryReadyThreshold": 0.5},
            "Threshold: '0.5' must be a whole number from 0 to 100, as in 80",
        ),
        ({"primaryReadyThreshold": 99.5}, "primaryReadyThreshold: '99.5' must be a whole number"),
        (
            {"sessionAffinity": {"cookieName": "c", "maxAge": 0.5}},
            "analysis.sessionAffinity.maxAge: '0.5' must be a whole number from 1",
        ),
    ],
)
def test_what_cannot_be_followed_says_how_to_mend_it(analysis: dict[str, Any], said: str) -> None:
    assert said in problems(canary(**analysis))


@pytest.mark.parametrize(
    ("written", "timeout", "retries"),
    [
        ({}, timedelta(seconds=10), 0),
        ({"timeout": "5m", "retries": 3}, timedelta(minutes=5), 3),
        ({"timeout": "60m", "retries": 100}, timedelta(hours=1), 100),
        ({"timeout": "1s", "retries": 0}, timedelta(seconds=1), 0),
    ],
)
def test_a_hook_s_times_are_taken_as_written(
    written: dict[str, Any], timeout: timedelta, retries: int
) -> None:
    (hook,) = parse(webhooks=[{"name": "smoke", "url": "http://x/", **written}]).hooks
    assert (hook.timeout, hook.retries) == (timeout, retries)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ({"timeout": "61m"}, "webhook smoke timeout: '61m' is longer than a hook may take; write"),
        ({"timeout": "0s"}, "webhook smoke timeout: '0s' leaves no time for an answer; write it"),
        ({"timeout": "5 m"}, "webhook smoke timeout: '5 m' is not a duration; write it as 30s"),
        ({"retries": -1}, "webhook smoke retries: '-1' must be a whole number from 0 to 100"),
        ({"retries": 1.5}, "webhook smoke retries: '1.5' must be a whole number from 0 to 100"),
        ({"retries": 101}, "webhook smoke retries: '101' must be a whole number from 0 to 100"),
    ],
)
def test_a_hook_s_times_that_cannot_be_honoured_are_refused(
    written: dict[str, Any], said: str
) -> None:
    hook = {"name": "smoke", "url": "http://x/", **written}
    assert problems(canary(webhooks=[hook])).startswith(said)


def test_two_hooks_of_one_name_are_refused() -> None:
    hooks = [
        {"name": name, "type": type_, "url": "http://x/"}
        for name, type_ in (("smoke", "pre-rollout"), ("load", "rollout"), ("smoke", "rollout"))
    ]
    assert problems(canary(webhooks=hooks)) == (
        "webhook smoke: 2 hooks have this name; give each a name of its own"
    )


def test_all_problems_are_told_at_once() -> None:
    text = problems(canary(iterations=-1, metrics=[{"name": "mystery"}], mirrorWeight=101))
    assert all(word in text for word in ("iterations", "mystery", "mirror"))


def test_an_annotation_that_is_none_of_the_policies_is_a_problem() -> None:
    obj = canary()
    obj["metadata"]["annotations"] = {ON_NO_DATA: "shrug"}
    assert "on-no-data" in problems(obj)
    obj["metadata"]["annotations"] = {ON_NO_DATA: "fail"}
    found = parse_strategy(obj, Defaults())
    assert isinstance(found, Strategy)
    assert found.no_data is NoDataPolicy.FAIL


def test_an_annotation_that_nobody_reads_is_named_and_stops_nothing() -> None:
    obj = canary()
    obj["metadata"]["annotations"] = {f"{ON_NO_DATA}-afer": "1m"}
    strategy = parse_strategy(obj, Defaults())
    assert isinstance(strategy, Strategy)
    said = f"{ON_NO_DATA}-afer is not known; did you mean {ON_NO_DATA}-after?"
    assert strategy.unknown == (said,)


def test_the_defaults_make_a_canary_that_can_be_followed() -> None:
    found = parse_strategy(made_canary("prod", "web"), Defaults())
    assert isinstance(found, Strategy)
    assert found.weights == (5, 10, 25, 50)
    assert found.interval == timedelta(seconds=30)
    assert found.health_is_enough
    assert all(metric.leeway for metric in found.metrics)


def test_intervals_below_the_shortest_are_lifted() -> None:
    assert parse(interval="1s").interval == timedelta(seconds=10)


def test_gateway_refs_make_a_route_of_its_own() -> None:
    obj = canary()
    obj["spec"]["service"] |= {
        "gatewayRefs": [{"name": "public", "namespace": "infra"}],
        "hosts": ["web.example"],
        "timeout": "5s",
        "match": [{"uri": {"prefix": "/api"}, "headers": {"x-beta": {"exact": "1"}}}],
        "headers": {"request": {"add": {"x-a": "b"}, "remove": ["x-c"]}},
        "rewrite": {"uri": "/"},
    }
    found = parse_strategy(obj, Defaults())
    assert isinstance(found, Strategy)
    assert isinstance(found.own_route, GatewayRoute)
    assert found.own_route.hosts == ("web.example",)
    rule = dict(found.own_route.rule)
    assert rule["matches"][0]["path"] == {"type": "PathPrefix", "value": "/api"}
    assert rule["timeouts"] == {"request": "5s"}
    assert [f["type"] for f in rule["filters"]] == ["RequestHeaderModifier", "URLRewrite"]


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("1m", 60), ("1m30s", 90), ("2h", 7200), ("3min", 180)]
)
def test_durations_read_and_write(text: str, seconds: int) -> None:
    duration = parse_duration(text)
    assert duration == timedelta(seconds=seconds)
    assert parse_duration(format_duration(duration)) == duration


@pytest.mark.parametrize("text", ["", "1", "m", "1 m", "-1s", "1d"])
def test_what_is_no_duration_is_said(text: str) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        parse_duration(text)


@pytest.mark.parametrize("seconds", [1e18, 1e300, -1, 366 * 86_400 + 1])
def test_a_deadline_beyond_the_calendar_is_told(seconds: float) -> None:
    asked = canary()
    asked["spec"]["progressDeadlineSeconds"] = seconds
    assert "progressDeadlineSeconds" in problems(asked)


@pytest.mark.parametrize("share", [1e300, 101, -5])
def test_a_share_of_ready_pods_that_cannot_be_met_is_told(share: float) -> None:
    assert "canaryReadyThreshold" in problems(canary(canaryReadyThreshold=share))


def test_a_threshold_that_no_status_could_hold_is_as_large_as_one_can() -> None:
    assert parse(threshold=1e300).threshold == 2**31 - 1


def test_a_gate_that_nothing_can_show_is_said_and_not_waited_for() -> None:
    obj = canary(iterations=3, maxWeight=None)
    obj["metadata"]["annotations"] = {"headgate.dev/promotion-gate": "non-inferiority"}
    found = parse_strategy(obj, Defaults())
    assert isinstance(found, Strategy)
    assert found.gate is False
    assert any("promotion-gate" in one for one in found.unknown)
    obj["spec"]["analysis"]["mirror"] = True
    mirrored = parse_strategy(obj, Defaults())
    assert isinstance(mirrored, Strategy)
    assert mirrored.gate is True
    assert not mirrored.unknown


def test_what_flagger_s_shapes_come_to() -> None:
    assert parse(iterations=3).kind is Kind.BLUE_GREEN
    match = [{"headers": {"cookie": {"regex": "^(.*?;)?(canary=always)(;.*)?$"}}}]
    assert parse(iterations=3, match=match).kind is Kind.AB
    assert parse(match=match).kind is Kind.CANARY
    assert parse(mirror=True, mirrorWeight=30).steps[0].traffic.mirror == 30
    sticky = parse(sessionAffinity={"cookieName": "c", "maxAge": 60, "sameSite": "Lax"})
    affinity = sticky.steps[0].traffic.affinity
    assert affinity is not None
    assert (affinity.cookie, affinity.max_age) == ("c", timedelta(seconds=60))
    assert affinity.primary_max_age == timedelta(minutes=1)
    assert parse(iterations=3, sessionAffinity={"cookieName": "c"}).unknown


@pytest.mark.parametrize(
    ("written", "lasts"), [("90s", 90), ("5m", 300), ("1s", 10)], ids=["", "long", "lifted"]
)
def test_the_stable_s_cookie_lasts_an_interval(written: str, lasts: int) -> None:
    cookies = {"cookieName": "c", "primaryCookieName": "p"}
    affinity = parse(interval=written, sessionAffinity=cookies).steps[0].traffic.affinity
    assert affinity is not None
    assert affinity.primary_max_age == timedelta(seconds=lasts)


def test_queries_may_name_the_canary_itself() -> None:
    obj = canary(metrics=[{"name": "x", "query": "up{of='{{ name }}',at='{{ target }}'}"}])
    key = Key(namespace="prod", name="web")
    for name in ("web", "shop"):
        obj["metadata"]["name"] = name
        found = parse_strategy(obj, Defaults())
        assert isinstance(found, Strategy)
        (metric,) = found.metrics
        for values, workload in zip(
            template_values(key, found, metric), ("web-canary", "web"), strict=True
        ):
            said = f"up{{of='{name}',at='{workload}'}}"
            assert render(str(metric.source), values) == said


def test_of_no_ready_pods_at_all_none_is_asked_for() -> None:
    found = parse(canaryReadyThreshold=0, primaryReadyThreshold=0)
    assert (found.ready_percent, found.stable_ready_percent) == (0, 0)
    usual = parse()
    assert (usual.ready_percent, usual.stable_ready_percent) == (100, 0)


@pytest.mark.parametrize(
    ("analysis", "named"),
    [
        ({}, ["shares of the traffic"]),
        (
            {
                "mirror": True,
                "sessionAffinity": {"cookieName": "c"},
                "stepWeightPromotion": 20,
                "match": [{"headers": {"x": {"exact": "1"}}}],
            },
            [
                "shares of the traffic",
                "analysis.match",
                "analysis.mirror",
                "analysis.sessionAffinity",
                "analysis.stepWeightPromotion",
            ],
        ),
        ({"iterations": 3}, []),
        ({"iterations": 3, "mirror": True}, ["analysis.mirror"]),
        ({"iterations": 3, "match": [{"headers": {"x": {"exact": "1"}}}]}, ["analysis.match"]),
    ],
)
def test_what_needs_a_route_is_named_where_there_is_none(
    analysis: dict[str, Any], named: list[str]
) -> None:
    obj = canary(maxWeight=None if "iterations" in analysis else 50, **analysis)
    obj["spec"]["provider"] = "kubernetes"
    strategy = parse_strategy(obj, Defaults())
    assert isinstance(strategy, Strategy)
    assert strategy.unknown == ()
    found = without_route(strategy).unknown
    assert [one.partition(" (no route leads to Service web")[0] for one in found] == named


def test_metrics_of_one_name_are_told_apart() -> None:
    names = ("x", "y", "x", "x (2)", "x")
    metrics = [{"name": name, "query": f"up{at}", "threshold": at} for at, name in enumerate(names)]
    found = parse(metrics=metrics).metrics
    assert [it.name for it in found] == ["x", "y", "x (2)", "x (2) (2)", "x (3)"]
    assert [(it.source, it.maximum) for it in found] == [(f"up{at}", at) for at in range(5)]


@pytest.mark.parametrize(
    ("analysis", "said"),
    [
        ({"match": [{"headers": {"x": {"regex": "("}}}]}, "analysis.match[0].headers.x.regex: the"),
        ({"match": [{"headers": {"x y": {"exact": "1"}}}]}, "'x y' is no name that a route"),
        ({"match": [{"headers": {"x": {"exact": ""}}}]}, "must have 1 to 4096 characters"),
        (
            {"match": [{"queryParams": {"x": {"exact": "1" * 1025}}}]},
            "analysis.match[0].queryParams.x.exact: must have 1 to 1024 characters",
        ),
        ({"match": [{"headers": {"x": {"near": "1"}}}]}, "use one of exact, prefix, suffix, regex"),
        (
            {"match": [{"headers": {"x": {"exact": "1"}}, "sourceLabels": {"app": "x"}}]},
            "analysis.match[0].sourceLabels: no HTTPRoute can match it; remove it",
        ),
        ({"mirror": True, "mirrorWeight": 101}, "analysis.mirrorWeight: '101' must be a whole"),
        ({"sessionAffinity": {"cookieName": "a b"}}, "'a b' is no name of a cookie"),
        (
            {"sessionAffinity": {"cookieName": "a", "primaryCookieName": "a"}},
            "cookieName and primaryCookieName must differ",
        ),
        ({"sessionAffinity": {"cookieName": "a", "path": "/; x"}}, "sessionAffinity.path: '/; x'"),
        (
            {"sessionAffinity": {"cookieName": "a", "domain": "a;b"}},
            "sessionAffinity.domain: 'a;b'",
        ),
        ({"stepWeightPromotion": -5}, "analysis.stepWeightPromotion: '-5' must be a whole number"),
        ({"iterations": 10_001}, "from 1 to 10000"),
    ],
)
def test_what_no_route_can_carry_is_a_problem(analysis: dict[str, Any], said: str) -> None:
    assert said in problems(canary(**analysis))
