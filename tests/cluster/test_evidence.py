"""The evidence layer on a real cluster: real pods, real traffic, faults that are known exactly."""

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.judged import HEALTHY, Fault, Lane, judged_canary, lane
from tests.cluster.kit import (
    Kubectl,
    message,
    message_with,
    metric_template,
    phase,
    split_of,
    wait_for,
)

pytestmark = pytest.mark.cluster
ROOT = Path(__file__).resolve().parents[2]
LOW, HIGH = 10.0, 80.0
"""Requests per second through the gateway; half of them are the canary's."""


@pytest.mark.parametrize(
    ("fault", "rate", "within"),
    [
        (Fault(name="half", errors=0.5), LOW, 90),
        (Fault(name="fifth", errors=0.2), LOW, 120),
        (Fault(name="fifth", errors=0.2), HIGH, 60),
        (Fault(name="twentieth", errors=0.05), HIGH, 120),
        (Fault(name="hundredth", errors=0.01), HIGH, 300),
        (Fault(name="slow", latency_ms=700), LOW, 90),
    ],
    ids=lambda value: value.name if isinstance(value, Fault) else f"{value:g}",
)
def test_a_bad_release_is_refused_before_layer_1_looks_twice(
    namespace: Kubectl, host: str, gateway: str, fault: Fault, rate: float, within: float
) -> None:
    # One step of ten minutes: whatever ends the run before, it is not a check of layer 1. Nothing
    # is known of a stable that has served for seconds, so its errors may come in bursts.
    canary = judged_canary(interval="10m")
    with lane(namespace, gateway, host, rate, canary) as there:
        outcome = there.release(fault, deadline=within + 60)
    print(f"{fault.name} at {rate:g}/s: {outcome}")  # noqa: T201 - the figures are asked for
    assert outcome.phase == "Failed", outcome.message
    assert "chance of an error at most" in outcome.message
    assert "counted from pods (app)" in outcome.message
    assert outcome.seconds < within, outcome
    assert outcome.lost == 0
    explained = plugin(namespace, "explain", "web")
    assert explained["evidence"]["verdict"] == "Refuse"
    assert explained["evidence"]["sentence"] in outcome.message


@pytest.mark.slow
@pytest.mark.parametrize("half", ["first", "second"])
def test_twenty_healthy_releases_in_two_rows_are_promoted(
    namespace: Kubectl, host: str, gateway: str, half: str
) -> None:
    with lane(namespace, gateway, host, 20, judged_canary(interval="10s")) as there:
        for number in range(10):
            outcome = there.release(HEALTHY, deadline=120)
            print(f"{half} row, healthy release {number + 1}: {outcome}")  # noqa: T201 - as above
            assert outcome.phase == "Succeeded", outcome.message
            assert (outcome.failed, outcome.lost) == (0, 0), outcome


def test_the_gate_waits_until_enough_was_counted_and_says_how_much_is_missing(
    namespace: Kubectl, host: str, gateway: str
) -> None:
    canary = judged_canary(interval="10s", promotion_gate="non-inferiority")
    with lane(namespace, gateway, host, LOW, canary) as there:
        namespace("set", "env", "deployment/web", "VERSION=gated")
        missing = ("not yet shown to be no worse than the stable", "requests to the canary")
        message_with(namespace, *missing, deadline=90)
        there.traffic.rate = 150.0
        wait_for("the promotion", lambda: "Promotion completed" in message(namespace), 240)


def test_a_step_waits_until_it_fits_its_error_budget(
    namespace: Kubectl, host: str, gateway: str
) -> None:
    canary = judged_canary(interval="10s", error_budget="5")
    with lane(namespace, gateway, host, LOW, canary):
        namespace("set", "env", "deployment/web", "VERSION=budgeted")
        budget = ("over the error budget of 5", "weight 100 may cost", "requests to the canary")
        message_with(namespace, *budget, deadline=90)
        wait_for("the promotion", lambda: "Promotion completed" in message(namespace), 240)


def test_a_crash_under_traffic_is_refused_with_the_last_words(
    namespace: Kubectl, host: str, gateway: str
) -> None:
    with lane(namespace, gateway, host, LOW, judged_canary(interval="10m")):
        namespace("set", "env", "deployment/web", "CRASH_AFTER_S=12", "VERSION=crashes")
        wait_for("the verdict", lambda: "Rolling back" in message(namespace), 90)
    assert "ended under traffic: Error, exit code 1" in message(namespace)
    assert message(namespace).endswith("crashing, as this version does")


def test_a_bake_keeps_all_old_pods_until_it_is_over(
    namespace: Kubectl, host: str, gateway: str
) -> None:
    canary = judged_canary(interval="10s", bake="20s")
    with lane(namespace, gateway, host, 20, canary) as there:
        old = {pod["metadata"]["uid"] for pod in namespace.items("pods", "-l", "app=web")}
        namespace("set", "env", "deployment/web", "VERSION=baked")
        wait_for("the bake", lambda: "baking" in message(namespace), 90)
        assert split_of(namespace.get("httproute", "web"))["web"] == 0
        assert namespace.get("deployment", "web-canary")["spec"]["replicas"] == 2
        assert {p["metadata"]["uid"] for p in namespace.items("pods", "-l", "app=web")} == old
        wait_for("the promotion", lambda: "Promotion completed" in message(namespace), 120)
        assert {status for _, status, _ in there.traffic.answers} == {200}


def breaks_in_production(deployment: dict[str, Any]) -> None:
    """Make versions err as `web` only, and roll slowly enough to be judged meanwhile."""
    deployment["spec"]["minReadySeconds"] = 5
    deployment["spec"]["strategy"] = {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    role = {"fieldRef": {"fieldPath": "metadata.labels['app']"}}
    container["env"] = [{"name": "ROLE", "valueFrom": role}, {"name": "FAULTY_AS", "value": "web"}]


def test_a_version_that_breaks_while_it_rolls_is_taken_back(
    namespace: Kubectl, host: str, gateway: str
) -> None:
    canary = judged_canary(interval="10s")
    with lane(
        namespace, gateway, host, 40, canary, replicas=5, change=breaks_in_production
    ) as there:
        old = {pod["metadata"]["uid"] for pod in namespace.items("pods", "-l", "app=web")}
        # Half of them would take longer than these pods roll, over a stable that is not known yet.
        outcome = there.release(Fault(name="late", errors=1.0), deadline=180)
        print(f"refused while it rolled: {outcome}")  # noqa: T201 - the figures are asked for
        assert outcome.phase == "Failed", outcome.message
        assert "Rolling back" in outcome.message
        assert "chance of an error at most" in outcome.message
        assert outcome.lost == 0
        # The verdict is stored first, and the target is held again after that.
        wait_for("the hold", lambda: namespace.get("deployment", "web")["spec"].get("paused"), 20)
        wait_for("the old version alone", lambda: versions_of(namespace) == {None}, 90)
        assert serving_pods(namespace) & old, "some of the old pods were never replaced"
        at = there.traffic.now()
        wait_for("more answers", lambda: there.traffic.now() > at + 3, 10)
        assert {status for sent, status, _ in there.traffic.answers if sent > at} == {200}


def serving_pods(namespace: Kubectl) -> set[str]:
    return {pod["metadata"]["uid"] for pod in namespace.items("pods", "-l", "app=web")}


def versions_of(namespace: Kubectl) -> set[str | None]:
    """Return the versions that the target's pods were made with, None for the image's own."""
    found = set()
    for pod in namespace.items("pods", "-l", "app=web"):
        env = {one["name"]: one.get("value") for one in pod["spec"]["containers"][0]["env"]}
        found.add(env.get("VERSION"))
    return found


def sick_already(deployment: dict[str, Any]) -> None:
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    container["env"] = [{"name": "ERROR_SHARE", "value": "0.2"}]


def test_a_release_over_a_sick_stable_is_held_and_its_cure_is_promoted(
    namespace: Kubectl, host: str, gateway: str
) -> None:
    canary = judged_canary(interval="10s")
    with lane(namespace, gateway, host, 40, canary, change=sick_already) as there:
        # A minute of traffic, so that the checks see the stable's errors from the first tick on.
        wait_for("a minute of traffic", lambda: there.traffic.now() > 60, 90)
        namespace("set", "env", "deployment/web", "VERSION=as-sick")
        wait_for("what is said", lambda: "the stable is at" in message(namespace), 120)
        at = there.traffic.now()
        # Layer 1 would have refused after three checks of 10 s.
        wait_for("five more checks", lambda: there.traffic.now() > at + 50, 60)
        assert phase(namespace) == "Progressing"
        assert "it misses it too" in message(namespace)
        outcome = there.release(HEALTHY, deadline=240)
        assert outcome.phase == "Succeeded", outcome.message


def test_latency_without_a_limit_is_held_against_the_stables_own(
    namespace: Kubectl, host: str, gateway: str
) -> None:
    canary = judged_canary(interval="10m")
    (metric,) = (
        one for one in canary["spec"]["analysis"]["metrics"] if one["name"] == "request-duration"
    )
    metric["thresholdRange"] = {}
    with lane(namespace, gateway, host, LOW, canary) as there:
        outcome = there.release(Fault(name="slower", latency_ms=60), deadline=180)
    print(f"60 ms without a limit: {outcome}")  # noqa: T201 - the figures are asked for
    assert outcome.phase == "Failed", outcome.message
    assert "request-duration:p" in outcome.message
    assert outcome.lost == 0


MEAN = """
sum(rate(http_request_duration_seconds_sum{kubernetes_pod_name=~"{{ target }}-.+"}[15s]))
/ sum(rate(http_request_duration_seconds_count{kubernetes_pod_name=~"{{ target }}-.+"}[15s])) * 1000
"""


def test_a_number_that_is_no_count_is_compared_pod_by_pod(
    namespace: Kubectl, host: str, gateway: str
) -> None:
    template = metric_template(namespace.namespace)
    template["spec"]["query"] = MEAN
    canary = judged_canary(interval="10m")
    # Far above what the canary does: only the comparison can refuse it.
    metric = {"name": "mean-duration", "thresholdRange": {"max": 10000}, "interval": "1m"}
    canary["spec"]["analysis"]["metrics"] = [{**metric, "templateRef": {"name": "error-rate"}}]
    namespace.apply(template)
    with lane(namespace, gateway, host, 40, canary, replicas=5) as there:
        outcome = there.release(Fault(name="slower", latency_ms=100), deadline=300)
    assert outcome.phase == "Failed", outcome.message
    assert "mean-duration" in outcome.message
    assert "rank test" in outcome.message
    assert "counted from metrics server (per pod)" in outcome.message
    # The canary was gone once it was refused: in its past there is no sample more than it took.
    laxer = ("--alpha", "5", *from_prometheus(namespace))
    replayed = plugin(namespace, "replay", "web", *laxer)
    assert replayed["outcome"] == "refused"
    (row,) = replayed["evidence"]["metrics"]
    assert (row["test"], row["source"]) == ("rank", "metrics server (per pod)")


def test_a_policy_is_tried_on_a_release_of_the_past(
    namespace: Kubectl, host: str, gateway: str
) -> None:
    canary = judged_canary(interval="10m", evidence="off")
    with lane(namespace, gateway, host, HIGH, canary) as there:
        namespace("set", "env", "deployment/web", "VERSION=past", "ERROR_SHARE=0.2")
        wait_for("40 s of traffic", partial(has_served, there, "past", 40), 120, 1)
        namespace("annotate", "deployment/web", "headgate.dev/abort=now")
        wait_for("the end", lambda: phase(namespace) == "Failed", 30)
    replayed = plugin(namespace, "replay", "web", *from_prometheus(namespace))
    assert replayed["outcome"] == "refused"
    assert replayed["seconds"] < 40
    assert "request-success-rate 20 %" in replayed["evidence"]["sentence"]


def from_prometheus(namespace: Kubectl) -> tuple[str, ...]:
    server = namespace.within("monitoring").get("service", "prometheus")["spec"]["clusterIP"]
    return ("--last", "8m", "--step", "5s", "--prometheus", f"http://{server}:9090")


def has_served(there: Lane, version: str, seconds: float) -> bool:
    answers = there.answers_of(version)
    return bool(answers) and answers[-1] - answers[0] > seconds


def plugin(namespace: Kubectl, *words: str, refused: bool | None = True) -> Any:
    """Run `kubectl headgate` for a run that is refused, and return its JSON.

    `refused` is None where it may be either.
    """
    done = subprocess.run(  # noqa: S603 - our own module
        [sys.executable, "-m", "kubectl_headgate", *words, "-n", namespace.namespace, "-o", "json"],
        env={**os.environ, "KUBECONFIG": str(namespace.kubeconfig)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode in ({0, 1} if refused is None else {int(refused)}), done
    return json.loads(done.stdout)
