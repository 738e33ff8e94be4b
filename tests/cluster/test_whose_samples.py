"""Whose samples a check rests on: releases that follow each other closely, on a real cluster.

A window of a minute holds what two candidates have answered.
"""

from collections.abc import Callable
from typing import Any

import pytest

from tests.cluster.judged import Lane, judged_canary, lane
from tests.cluster.kit import (
    Kubectl,
    message,
    metric_template,
    phase,
    split_of,
    wait_for,
)

pytestmark = pytest.mark.cluster
USUAL = '"{{ target }}-[0-9a-zA-Z]+(-[0-9a-zA-Z]+)?"'
ENDED = {"Succeeded", "Failed"}


def by_pattern(namespace: Kubectl, maximum: float, weights: list[int], evidence: str = "on") -> Any:
    """Return a Canary whose one metric finds all candidates' pods, after one miss of its bound."""
    template = metric_template(namespace.namespace)
    template["spec"]["query"] = template["spec"]["query"].replace(USUAL, '"{{ target }}-.*"')
    namespace.apply(template)
    canary = judged_canary(interval="10s", evidence=evidence)
    metric = {"name": "error-rate", "thresholdRange": {"max": maximum}, "interval": "1m"}
    canary["spec"]["analysis"] |= {
        "threshold": 1,
        "stepWeights": weights,
        "metrics": [{**metric, "templateRef": {"name": "error-rate"}}],
    }
    return canary


def by_gateway(_: Kubectl) -> Any:
    canary = judged_canary(interval="10s", evidence="off")
    (metric,) = (
        one
        for one in canary["spec"]["analysis"]["metrics"]
        if one["name"] == "request-success-rate"
    )
    canary["spec"]["analysis"] |= {"threshold": 1, "metrics": [metric]}
    return canary


def push(namespace: Kubectl, version: str, errors: str = "") -> None:
    namespace("set", "env", "deployment/web", f"VERSION={version}", f"ERROR_SHARE={errors}")


def until(namespace: Kubectl, *phases: str, deadline: float = 90) -> str:
    wait_for(f"{phases}", lambda: phase(namespace) in phases, deadline, 0.1)
    return phase(namespace)


def run_of(namespace: Kubectl) -> Any:
    return namespace.get("canary", "web")["status"]["run"]


def checked(namespace: Kubectl, name: str) -> dict[str, Any]:
    """Return the last check of a metric, {} before the first."""
    found = run_of(namespace).get("checks") or ()
    return next((one for one in found if one["name"] == name), {})


def passed(namespace: Kubectl, name: str) -> dict[str, Any] | None:
    """Return the last check of a metric if it has passed: the next one may come a moment later."""
    found = checked(namespace, name)
    return found if found.get("outcome") == "passed" else None


@pytest.mark.parametrize(
    ("made", "metric", "asked"),
    [
        (lambda it: by_pattern(it, 1, [50]), "error-rate", "counted since"),
        (lambda it: by_pattern(it, 1, [50], evidence="off"), "error-rate", "web-canary-"),
        (by_gateway, "request-success-rate", "web-canary"),
    ],
    ids=["counted", "by the names of its pods", "by a shorter window"],
)
def test_a_fix_two_seconds_after_a_refusal_is_promoted(
    namespace: Kubectl,
    host: str,
    gateway: str,
    made: Callable[[Kubectl], Any],
    metric: str,
    asked: str,
) -> None:
    with lane(namespace, gateway, host, 20, made(namespace)) as there:
        push(namespace, "bad", "0.5")
        until(namespace, "Progressing")
        until(namespace, "Failed")
        at = there.traffic.now()
        wait_for("two seconds", lambda: there.traffic.now() > at + 2, 5, 0.1)
        push(namespace, "fix")
        until(namespace, "Progressing")
        check = wait_for("a check", lambda: passed(namespace, metric), 60)
        assert asked in check.get("query", "") + check.get("source", ""), check
        assert ".*" not in check.get("query", ""), check
        assert until(namespace, *ENDED) == "Succeeded", message(namespace)
    assert set(_answers_of(there, "fix")) == {200}


def _answers_of(there: Lane, version: str) -> list[int]:
    return [status for _, status, text in list(there.traffic.answers) if text.endswith(version)]


@pytest.mark.parametrize("evidence", ["on", "off"])
def test_a_bad_version_pushed_while_the_last_run_finalises_is_refused(
    namespace: Kubectl, host: str, gateway: str, evidence: str
) -> None:
    # Its own answers are above the bound, those of the minute are not.
    canary = by_pattern(namespace, 15, [50], evidence=evidence)
    with lane(namespace, gateway, host, 20, canary):
        push(namespace, "good")
        until(namespace, "Finalising")
        push(namespace, "bad", "0.3")
        wait_for("its run", lambda: phase(namespace) == "Progressing", 30, 0.1)
        assert until(namespace, *ENDED, "Promoting") == "Failed", message(namespace)
        assert "error-rate" in message(namespace)


def test_a_service_that_is_deleted_is_made_again_before_a_step_is_taken(
    namespace: Kubectl, host: str, gateway: str
) -> None:
    canary = by_pattern(namespace, 1, [20, 40, 50])
    with lane(namespace, gateway, host, 20, canary) as there:
        push(namespace, "whole")
        wait_for("weight 20", lambda: _weight(namespace) == 20, 60, 0.1)
        before = namespace.get("service", "web-canary")["metadata"]["uid"]
        step = run_of(namespace)["step"]
        namespace("delete", "service", "web-canary", "--wait=false")
        again = wait_for("another Service", lambda: _other_service(namespace, before), 20)
        assert again["spec"]["selector"]
        wait_for("weight 20 again", lambda: _weight(namespace) == 20, 20, 0.1)
        assert run_of(namespace)["step"] == step
        assert until(namespace, *ENDED) == "Succeeded", message(namespace)
    events = [event["message"] for event in namespace.items("events")]
    assert any("Service web-canary of web" in text and "made again" in text for text in events)
    assert 200 in _answers_of(there, "whole")


def _weight(namespace: Kubectl) -> int:
    return split_of(namespace.get("httproute", "web")).get("web-canary", 0)


def _other_service(namespace: Kubectl, before: str) -> Any:
    found = namespace.find("service", "web-canary")
    return found if found is not None and found["metadata"]["uid"] != before else None
