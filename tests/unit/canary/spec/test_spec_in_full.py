"""Canaries as they are read: everything that comes of what is written in them, kept as text."""

from collections.abc import Callable
from dataclasses import fields
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from canary import contract
from canary.model.strategy import InvalidStrategy, Strategy
from canary.model.values import Json
from canary.spec import parsers
from canary.spec.canary import Defaults, parse_strategy
from canary.spec.defaults import recorded, remembered
from canary.spec.in_force import in_force
from canary.spec.made import made_canary, renewed
from canary.spec.problems import Problems
from canary.spec.settings import (
    TABLE,
    Tuning,
    from_environment,
    from_options,
    tuning_of,
)
from tests.fakes.made import applied, edited, former, made, server_side
from tests.fakes.objects import canary
from tests.kept import is_as_kept, shown

FOLDER = Path(__file__).parent / "in_full"
ADMIN = Defaults(
    weights=(2, 20, 60),
    interval=timedelta(seconds=45),
    threshold=4,
    min_success_rate=98.5,
    max_duration_ms=250.5,
    min_interval=timedelta(milliseconds=1500),
    tuning=Tuning(
        evidence=False,
        alpha=0.02,
        beta=0.1,
        gate=True,
        error_budget=7,
        decide_within=timedelta(minutes=30),
        bake=timedelta(minutes=5),
        no_data_after=timedelta(minutes=3),
        recorded_window=timedelta(minutes=2),
    ),
)
EVERYTHING: Json = {
    "metrics": [
        {"name": "request-success-rate", "threshold": 99, "interval": "30s"},
        {"name": "request-duration", "thresholdRange": {"max": 500}},
        {"name": "request-duration", "threshold": 250},
        {"name": "request-success-rate", "thresholdRange": {}},
        {
            "name": "errors",
            "templateRef": {"name": "errors"},
            "thresholdRange": {"min": 1, "max": 2},
            "templateVariables": {"a": "b"},
        },
        {"name": "far", "templateRef": {"name": "errors", "namespace": "infra"}},
        {"name": "own", "query": "sum(up)", "threshold": 3.5},
    ],
    "webhooks": [
        {"name": "plain", "url": "http://x/"},
        {"name": "empty", "url": "http://x/", "type": ""},
        {
            "name": "smoke",
            "type": "pre-rollout",
            "url": "https://y/",
            "timeout": "15s",
            "retries": 2,
            "disableTLS": True,
            "metadata": {"cmd": "hey"},
        },
        {"name": "after", "type": "post-rollout", "url": "http://z/"},
    ],
    "canaryReadyThreshold": 80,
    "alerts": [{"name": "slack", "providerRef": {"name": "chat"}}],
    "stepWeightPromotion": 50,
    "primaryReadyThreshold": 70,
}


def full() -> Json:
    obj = canary(**EVERYTHING)
    obj["spec"] |= {
        "progressDeadlineSeconds": 90,
        "skipAnalysis": True,
        "suspend": True,
        "metricsServer": "http://prometheus:9090",
        "provider": "gatewayapi:v1",
        "autoscalerRef": {"kind": "HorizontalPodAutoscaler"},
        "service": {
            "name": "front",
            "port": 8080,
            "targetPort": "http",
            "gatewayRefs": [{"name": "public"}],
            **{
                field: {"x": 1}
                for field in (
                    "retries",
                    "mirror",
                    "corsPolicy",
                    "trafficPolicy",
                    "apex",
                    "primary",
                    "canary",
                    "backends",
                )
            },
        },
    }
    return obj


def with_notes(obj: Json, **notes: str) -> Json:
    obj["metadata"]["annotations"] = {getattr(contract, key): text for key, text in notes.items()}
    return obj


def with_spec(obj: Json, **spec: Any) -> Json:
    obj["spec"] |= spec
    return obj


def opened(**analysis: Any) -> Json:
    obj = made_canary("prod", "web")
    obj["metadata"] = {"name": "web", "namespace": "prod"}
    obj["spec"]["analysis"] = analysis
    return obj


STRANGE = with_spec(
    canary(
        iterations=3,
        match=[{}],
        mirror=True,
        sessionAffinity={"x": 1},
        stepWeight=0,
        interval="soon",
        metrics=[{"name": "mystery"}, {"name": "x", "query": "1", "interval": "later"}],
        webhooks=[
            {"name": "g", "type": "confirm-rollout", "url": "u"},
            {"name": "a", "url": "u", "timeout": "2h", "retries": "many"},
            {"name": "a", "url": "u"},
            {"type": "event", "url": "u", "name": "e"},
        ],
    ),
    targetRef={"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "web"},
    autoscalerRef={"kind": "ScaledObject"},
    ingressRef={"name": "x"},
    routeRef={"name": "x"},
    upstreamRef={"name": "x"},
    provider="osm",
    service={"port": 80, "match": [{"uri": {"exact": "/"}, "scheme": {}, "port": 80}]},
)
NOTES = {
    "EVIDENCE": "off",
    "EVIDENCE_ALPHA": "2",
    "EVIDENCE_BETA": "10%",
    "PROMOTION_GATE": "non-inferiority",
    "ERROR_BUDGET": "25",
    "DECIDE_WITHIN": "20m",
    "ON_INCONCLUSIVE": "rollback",
    "BAKE": "3m",
    "ON_NO_DATA": "pass",
    "ON_NO_DATA_AFTER": "90s",
    "FAILURES_COUNT": "cumulative",
    "RECORDED_WINDOW": "7m",
}
CANARIES: dict[str, Json] = {
    "plain": canary(),
    "everything": full(),
    "strange": STRANGE,
    "noted": with_notes(canary(), **NOTES),
    "noted wrongly": with_notes(canary(), **dict.fromkeys(NOTES, "?")),
    "made": made_canary("prod", "web"),
    "of the release before": former(),
    "open, with a service": with_spec(opened(), service={"port": 80}),
    "open, with a largest weight": opened(maxWeight=30),
    "open, with metrics": opened(metrics=[{"name": "request-duration", "threshold": 9}]),
    "open, with more": opened(interval="20s", threshold=0, canaryReadyThreshold=50),
    "without analysis": with_spec(opened(), analysis=None),
    "steps": canary(stepWeights=[1, 5, 120]),
    "steps that fall": canary(stepWeights=[5, 5]),
    "steps from 0": canary(stepWeights=[0, 5]),
    "steps that do not divide": canary(stepWeight=30, maxWeight=100),
    "steps without an end": canary(stepWeight=40, maxWeight=None),
    "steps beyond the end": canary(stepWeight=40, maxWeight=300),
    "of one": canary(stepWeight=1, maxWeight=2),
    "a short interval": canary(interval="2s", threshold=None),
    "a target without a kind": with_spec(canary(), targetRef={"name": "web"}),
    "KEDA": with_spec(canary(), autoscalerRef={}),
    "no provider": with_spec(canary(), provider="kubernetes"),
}


def text_of(found: Strategy | InvalidStrategy) -> str:
    if isinstance(found, InvalidStrategy):
        return "".join(f"problem: {text}\n" for text in found.problems)
    lines = [f"{it.name}: {shown(getattr(found, it.name))}" for it in fields(Strategy)]
    lines += [f"tuning: {shown(tuning_of(found))}", f"in force: {in_force(found)}"]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("admin", [Defaults(), ADMIN], ids=["usual", "admin's"])
def test_canaries(admin: Defaults) -> None:
    read = (f"* {name}\n{text_of(parse_strategy(obj, admin))}" for name, obj in CANARIES.items())
    which = "usual" if admin == Defaults() else "admins"
    is_as_kept(FOLDER / f"canaries_{which}.txt", "\n".join(read))


def test_an_empty_interval_and_another_namespace() -> None:
    obj = canary(interval=None, metrics=[{"name": "e", "templateRef": {"name": "e"}}])
    del obj["metadata"]["namespace"]
    is_as_kept(FOLDER / "canary_of_no_namespace.txt", text_of(parse_strategy(obj, Defaults())))


def test_defaults_as_a_run_remembers_them() -> None:
    for admin in (Defaults(), ADMIN):
        assert remembered(recorded(admin), Defaults(threshold=9)) == admin
    told = "\n".join(f"{key}: {text}" for key, text in recorded(ADMIN).items())
    usual = "\n".join(f"{key}: {text}" for key, text in recorded(Defaults()).items())
    is_as_kept(FOLDER / "defaults.txt", f"* usual\n{usual}\n* admin's\n{told}\n")


def test_defaults_that_cannot_be_read_are_those_of_now() -> None:
    texts = dict.fromkeys(recorded(ADMIN), "?")
    assert remembered(texts, ADMIN) == ADMIN
    assert remembered({}, ADMIN) == ADMIN


def test_settings_by_variable_option_and_annotation() -> None:
    lines = [
        f"{row.name}: {row.key} {row.variable or '-'} {row.option or '-'} {row.annotation or '-'}"
        for row in TABLE
    ]
    is_as_kept(FOLDER / "settings.txt", "\n".join(lines) + "\n")


def test_what_the_environment_says() -> None:
    problems = Problems()
    values = {
        "HEADGATE_EVIDENCE": "off",
        "HEADGATE_EVIDENCE_ALPHA": "3",
        "HEADGATE_EVIDENCE_BETA": "",
        "HEADGATE_PROMOTION_GATE": "perhaps",
        "": "x",
    }
    found = from_environment(values, problems)
    assert (found.evidence, found.alpha, found.beta) == (False, 0.03, Tuning().beta)
    assert problems.found == [
        "HEADGATE_PROMOTION_GATE: 'perhaps' is not one of non-inferiority, none"
    ]
    assert from_environment({}, problems, ADMIN.tuning) == ADMIN.tuning


def test_what_a_command_says() -> None:
    problems = Problems()
    found = from_options({"--alpha": "4", "--gate": "x"}, problems, ADMIN.tuning)
    assert (found.alpha, found.beta, found.gate) == (0.04, 0.1, True)
    assert problems.found == ["--gate: 'x' is not one of non-inferiority, none"]


LONG = "x" * 61
REFUSALS: list[tuple[Callable[[str], object], str, str]] = [
    (parsers.duration, "8785h", "'8785h' is longer than 366 days; write less, as in 24h"),
    (
        parsers.duration,
        "9" * 30 + "h",
        f"'{'9' * 30}h' is longer than 366 days; write less, as in 24h",
    ),
    (parsers.interval, "999ms", "'999ms' is too short; the shortest is 1s"),
    (parsers.timeout, "0s", "'0s' leaves no time for an answer; write it as 10s or 5m"),
    (parsers.timeout, "61m", "'61m' is longer than a hook may take; write 60m or less"),
    (parsers.retries, "101", "'101' must be a whole number from 0 to 100, as in 3"),
    (parsers.answers, "0", "'0' must be a whole number of at least 1, as in 50"),
    (parsers.answers, "1" * 10, f"'{'1' * 10}' must be a whole number of at least 1, as in 50"),
    (parsers.port, "0", "'0' must be a whole number from 1 to 65535, as in 8080"),
    (parsers.port, "65536", "'65536' must be a whole number from 1 to 65535, as in 8080"),
    (
        parsers.number(0.5, 100, such_as="99"),
        "0.4",
        "'0.4' must be a number from 0.5 to 100, as in 99",
    ),
    (
        parsers.number(0, float("inf"), such_as="500"),
        "-1",
        "'-1' must be a number of at least 0, as in 500",
    ),
    (parsers.percent, "50", "'50' must be a percentage above 0 and below 50, as in 1"),
    (parsers.percent, "0", "'0' must be a percentage above 0 and below 50, as in 1"),
    (parsers.percent, "0.0000009", "'0.0000009' is too small; write 0.000001 or more, as in 1"),
    (parsers.weights, "5,5", "'5,5': weights must rise from 1 to 100, as in 5,10,25,50"),
    (parsers.weights, "", "'': weights must rise from 1 to 100, as in 5,10,25,50"),
    (parsers.switch, "yes", "'yes' is not one of on, off"),
    (parsers.switch, LONG, f"'{LONG[:60]}'... is not one of on, off"),
    (parsers.switch, LONG[:60], f"'{LONG[:60]}' is not one of on, off"),
    (parsers.truth, "Yes", "'yes' is not one of true, false"),
]


@pytest.mark.parametrize(("parse", "written", "said"), REFUSALS)
def test_what_cannot_be_read_is_said_word_for_word(
    parse: Callable[[str], object], written: str, said: str
) -> None:
    with pytest.raises(ValueError, match="'") as raised:
        parse(written)
    assert str(raised.value) == said


@pytest.mark.parametrize(
    ("parse", "written", "value"),
    [
        (parsers.whole(2, 4, such_as="3"), "2", 2),
        (parsers.whole(2, 4, such_as="3"), "4", 4),
        (parsers.number(1, 3, such_as="2"), "1", 1.0),
        (parsers.number(1, 3, such_as="2"), "3", 3.0),
        (parsers.percent, "0.000001", 1e-8),
        (parsers.percent, "49.9", 0.499),
        (parsers.weights, "1 , 100", (1, 100)),
        (parsers.port, "1", 1),
        (parsers.truth, "FALSE", False),
    ],
)
def test_values_at_their_bounds(
    parse: Callable[[str], object], written: str, value: object
) -> None:
    assert parse(written) == value


def test_a_canary_that_is_made_and_one_that_is_renewed() -> None:
    lines = [f"made: {made_canary('prod', 'web')}"]
    analysis = {"interval": "30s", "threshold": 5}
    for name, obj in {
        "made": made(),
        "applied": applied(made(), {"stepWeight": 10}),
        "former": former(),
        "former, applied": applied(former(), analysis),
        "former, applied on the server": server_side(former(), analysis),
        "former, edited": edited(former(), threshold=5),
    }.items():
        lines.append(f"{name}: {renewed(obj)}")
    is_as_kept(FOLDER / "made.txt", "\n".join(lines) + "\n")
