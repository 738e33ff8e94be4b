"""The evidence layer on a real cluster: real pods, real traffic, faults that are known exactly."""

import pytest

from tests.cluster.judged import HEALTHY, Fault, judged_canary, lane
from tests.cluster.kit import Kubectl, message, wait_for

pytestmark = pytest.mark.cluster
LOW, HIGH = 10.0, 80.0
"""Requests per second through the gateway; half of them are the canary's."""


@pytest.mark.parametrize(
    ("fault", "rate", "within"),
    [
        (Fault(name="half", errors=0.5), LOW, 20),
        (Fault(name="fifth", errors=0.2), LOW, 30),
        (Fault(name="fifth", errors=0.2), HIGH, 15),
        (Fault(name="twentieth", errors=0.05), HIGH, 30),
        (Fault(name="hundredth", errors=0.01), HIGH, 150),
        (Fault(name="slow", latency_ms=700), LOW, 60),
    ],
    ids=lambda value: value.name if isinstance(value, Fault) else f"{value:g}",
)
def test_a_bad_release_is_refused_before_layer_1_looks_twice(
    namespace: Kubectl, host: str, gateway: str, fault: Fault, rate: float, within: float
) -> None:
    # One step of ten minutes: whatever ends the run before, it is not a check of layer 1.
    canary = judged_canary(interval="10m")
    with lane(namespace, gateway, host, rate, canary) as there:
        outcome = there.release(fault, deadline=within + 60)
    print(f"{fault.name} at {rate:g}/s: {outcome}")  # noqa: T201 - the figures are asked for
    assert outcome.phase == "Failed", outcome.message
    assert "chance of an error at most" in outcome.message
    assert "counted from pods (app)" in outcome.message
    assert outcome.seconds < within, outcome
    assert outcome.lost == 0


@pytest.mark.slow
@pytest.mark.timeout(900)
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
        wait_for("what is missing", lambda: "requests to the canary" in message(namespace), 90)
        assert "not yet shown to be no worse than the stable" in message(namespace)
        there.traffic.rate = 150.0
        wait_for("the promotion", lambda: "Promotion completed" in message(namespace), 240)


def test_a_crash_under_traffic_is_refused_with_the_last_words(
    namespace: Kubectl, host: str, gateway: str
) -> None:
    with lane(namespace, gateway, host, LOW, judged_canary(interval="10m")):
        namespace("set", "env", "deployment/web", "CRASH_AFTER_S=12", "VERSION=crashes")
        wait_for("the verdict", lambda: "Rolling back" in message(namespace), 90)
    assert "ended under traffic: Error, exit code 1" in message(namespace)
    assert message(namespace).endswith("crashing, as this version does")
