"""The kubectl plugin on a real cluster: who refused, and which candidate's requests are judged."""

from typing import Any

import pytest

from tests.cluster.judged import Fault, judged_canary, lane
from tests.cluster.kit import Kubectl, wait_for
from tests.cluster.test_evidence import from_prometheus, plugin

pytestmark = pytest.mark.cluster
RATE = 40.0


def test_two_refused_candidates_in_a_row_are_told_apart(
    namespace: Kubectl, host: str, gateway: str
) -> None:
    # So sure that the checks come first.
    canary = judged_canary(interval="10s", evidence_alpha="0.000001")
    # In the 20 s of two there may be too few scrapes for a replay.
    canary["spec"]["analysis"]["threshold"] = 3
    with lane(namespace, gateway, host, RATE, canary) as there:
        mild = there.release(Fault(name="mild", errors=0.05), deadline=120)
        assert "failed checks threshold reached 3" in mild.message
        explained = plugin(namespace, "explain", "web")
        assert (explained["refusedBy"], explained["failedChecks"]) == ("checks", 3)
        assert explained["evidence"]["verdict"] == "Continue"
        (failed,) = (one for one in explained["checks"] if one["outcome"] == "failed")
        assert failed["message"] in mild.message
        # Its warm-up, which lasts longer for latencies, may not have been over.
        blind = [one["metric"] for one in explained["blindFor"]]
        assert blind in ([], ["request-duration"])
        severe = there.release(Fault(name="severe", errors=0.5), deadline=120)
        assert severe.phase == "Failed", severe
        # What has been counted last is scraped within 5 s.
        at = there.traffic.now()
        wait_for("a scrape", lambda: there.traffic.now() > at + 6, 10)
    server = from_prometheus(namespace)
    where = ("--last", "8m", *server[-2:])
    # What was refused after seconds has a scrape or two, which may be too few for a replay.
    replayed = plugin(namespace, "replay", "web", "--alpha", "1", *where, refused=None)
    # Half of them, of a dozen; with those of the one before it would be a tenth.
    assert bad_share(replayed) > 0.25
    (own,) = hashes(replayed)
    (note,) = (one for one in replayed["remarks"] if "left out" in one)
    other = note.split(": ")[1].split()[0]
    assert other != own
    before = plugin(namespace, "replay", "web", "--revision", other, *where, refused=None)
    assert hashes(before) == {other}
    assert bad_share(before) == pytest.approx(0.05, abs=0.02)


def bad_share(replayed: Any) -> float:
    """Return the canary's share of bad requests in the success rate."""
    rows = {row["metric"]: row for row in replayed["evidence"]["metrics"]}
    return float(rows["request-success-rate"]["canary"]["value"])


def hashes(replayed: Any) -> set[str]:
    """Return the hashes in the names of the canary's pods."""
    pods = [name for name in replayed["canaryPods"] if name.startswith("web-canary-")]
    return {name.removeprefix("web-canary-").split("-")[0] for name in pods}
