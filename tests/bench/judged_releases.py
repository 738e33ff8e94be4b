"""Bad releases on the sandbox: how long each had traffic, and how many of its answers failed."""

import statistics
from typing import Final

from tests.bench.figures import Figure
from tests.bench.target_cluster import NoClusterError, Target
from tests.cluster.judged import Fault, judged_canary, lane
from tests.cluster.kept_past import RATE, WEIGHT, refusals_over_a_known_stable

FAULTS: Final = (
    Fault(name="errors-50", errors=0.5),
    Fault(name="errors-20", errors=0.2),
    Fault(name="errors-5", errors=0.05),
    Fault(name="errors-1", errors=0.01),
    Fault(name="latency-700ms", latency_ms=700),
)
LOW, HIGH = 10.0, 80.0
"""Requests per second through the gateway; half of them are the canary's."""
BEFORE: Final = {
    ("errors-50", HIGH): "10.2 s, 205 failed",
    ("errors-50", LOW): "9.9 s, 23 failed",
    ("errors-20", HIGH): "10.0 s, 81 failed",
    ("errors-20", LOW): "19.5 s, 21 failed",
    ("errors-5", HIGH): "13.9 s, 28 failed",
    ("errors-5", LOW): "64 s, 15 failed",
    ("errors-1", HIGH): "73 s, 29 failed",
    ("errors-1", LOW): "not within 300 s",
    ("latency-700ms", HIGH): "34 s",
    ("latency-700ms", LOW): "35 s",
}
"""What revision dc9697e took, which waited for 5 s of a pod's life and read every 2 s."""
KNOWN_BEFORE: Final = "9.2 s, 18 failed"
"""What revision 16bfe28 took, which looked for the pods of a fix every 6 s."""
FLAGGER: Final = 240.0
"""Seconds that an interval of a minute with a threshold of 3 takes (threshold + 1 ticks)."""
DEADLINE: Final = 300.0
AIM: Final = 3.0
"""Seconds from the first answer to weight 0, where the stable is known."""


def figures(target: Target) -> list[Figure]:
    """Release every fault at low and at high traffic, over a healthy stable.

    Raises:
        NoClusterError: the cluster is not the sandbox, whose gateway and images are known.

    """
    if not target.local:
        raise NoClusterError("releases are measured on the sandbox only")
    envoy = target.kubectl.within("projectcontour").get("service", "envoy")
    gateway = f"http://{envoy['spec']['clusterIP']}"
    return [_figure(target, gateway, fault, rate) for rate in (HIGH, LOW) for fault in FAULTS]


def known(target: Target) -> list[Figure]:
    """Release three versions over a stable whose past is known, one upon the other.

    Raises:
        NoClusterError: as `figures`, or the analyzer cannot call this machine.

    """
    if not target.local:
        raise NoClusterError("releases are measured on the sandbox only")
    envoy = target.kubectl.within("projectcontour").get("service", "envoy")
    with target.namespace(enabled=True) as kubectl:
        try:
            outcomes = refusals_over_a_known_stable(
                kubectl, f"http://{envoy['spec']['clusterIP']}", f"{kubectl.namespace}.example"
            )
        except OSError as error:
            raise NoClusterError(f"the analyzer cannot call this machine: {error}") from error
    name = f"errors-20 at {RATE * WEIGHT / 100:.0f} canary requests/s, median of {len(outcomes)}"
    return [
        Figure(
            name=name,
            value=statistics.median(one.seconds for one in outcomes),
            unit="s",
            aim=AIM,
            note=f"before {KNOWN_BEFORE}; now {'; '.join(map(str, outcomes))}",
        ),
        Figure(
            name=f"{name}: failed answers",
            value=statistics.median(one.failed for one in outcomes),
            unit="",
        ),
    ]


def _figure(target: Target, gateway: str, fault: Fault, rate: float) -> Figure:
    name = f"{fault.name} at {rate:.0f}/s: first canary answer to weight 0"
    with target.namespace(enabled=True) as kubectl:
        host = f"{kubectl.namespace}.example"
        with lane(kubectl, gateway, host, rate, judged_canary(interval="10m")) as there:
            try:
                outcome = there.release(fault, DEADLINE)
            except AssertionError as open_still:
                return Figure(name=name, value=DEADLINE, unit="s", note=f"still open: {open_still}")
    return Figure(
        name=name,
        value=outcome.seconds,
        unit="s",
        note=f"{outcome}; before {BEFORE[fault.name, rate]}; "
        f"a check per minute with threshold 3 takes {FLAGGER:.0f} s",
    )
