"""A stable that is known by its past: what fails much is refused in seconds."""

import statistics

import pytest

from tests.cluster.kept_past import RATE, WEIGHT, refusals_over_a_known_stable
from tests.cluster.kit import Kubectl

pytestmark = pytest.mark.cluster


def test_three_versions_that_fail_every_fifth_request_are_refused_by_what_the_past_says(
    namespace: Kubectl, host: str, gateway: str
) -> None:
    try:
        outcomes = refusals_over_a_known_stable(namespace, gateway, host)
    except OSError:
        pytest.skip("the analyzer cannot call this machine by the address of its node")
    for outcome in outcomes:
        print(f"known stable, fifth at {RATE * WEIGHT / 100:g}/s: {outcome}")  # noqa: T201 - asked for
        print(outcome.message)  # noqa: T201 - as above
        assert outcome.phase == "Failed", outcome.message
        # Not 2.0, which is taken for granted of a stable without a history; nor another's requests.
        assert "dispersion 1.0, chance of an error at most" in outcome.message
        assert outcome.lost == 0
    seconds = statistics.median(outcome.seconds for outcome in outcomes)
    print(f"median {seconds:.1f} s from the first answer to weight 0; the aim is 3 s")  # noqa: T201
