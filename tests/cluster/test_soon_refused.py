"""A stable that is known by its past: what fails much is refused in seconds."""

import statistics

import pytest

from tests.cluster.judged import Fault, judged_canary, lane
from tests.cluster.kept_past import kept_past
from tests.cluster.kit import Kubectl, metric_template

pytestmark = pytest.mark.cluster
RATE, WEIGHT = 100.0, 10
"""Requests per second through the gateway, and the canary's share of them: 10 per second."""
SOONER: float = 8.0
"""Seconds. It took 10 before; the aim is a median of 3 s and 5 s at most, on a machine at rest."""


def test_three_versions_that_fail_every_fifth_request_are_refused_in_seconds(
    namespace: Kubectl, host: str, gateway: str
) -> None:
    canary = judged_canary(interval="10m", weight=WEIGHT)
    template = metric_template(namespace.namespace)
    canary["spec"]["analysis"]["metrics"] = [
        {
            "name": "error-rate",
            "templateRef": {"name": "error-rate"},
            "thresholdRange": {"max": 1},
            "interval": "1m",
        }
    ]
    with kept_past(namespace) as past:
        template["spec"]["provider"]["address"] = past
        namespace.apply(template)
        with lane(namespace, gateway, host, RATE, canary) as there:
            outcomes = [there.release(Fault(name="fifth", errors=0.2), 60) for _ in range(3)]
    for outcome in outcomes:
        print(f"known stable, fifth at {RATE * WEIGHT / 100:g}/s: {outcome}")  # noqa: T201 - asked for
        print(outcome.message)  # noqa: T201 - as above
        assert outcome.phase == "Failed", outcome.message
        assert "chance of an error at most" in outcome.message
        assert outcome.lost == 0
    assert statistics.median(outcome.seconds for outcome in outcomes) < SOONER
