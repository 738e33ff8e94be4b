"""A route that is made from the Canary, where the team has none."""

import pytest

from tests.cluster.judged import judged_canary
from tests.cluster.kit import (
    ENDED,
    Json,
    Kubectl,
    Traffic,
    WeightLog,
    begun,
    message,
    service,
    serving,
    wait_for,
    web,
)

pytestmark = pytest.mark.cluster
GOOD, BETTER, BEST = "headgate/demo:1.0", "headgate/demo:1.1", "headgate/demo:1.2"


def canary(*hosts: str) -> Json:
    made = judged_canary(interval="10s")
    made["spec"]["service"] |= {
        "gatewayRefs": [{"name": "contour", "namespace": "projectcontour"}],
        "hosts": list(hosts),
    }
    return made


def release(kubectl: Kubectl, image: str) -> list[int]:
    log = WeightLog(kubectl)
    log.look()
    kubectl("set", "image", "deployment/web", f"web={image}")
    begun(kubectl)
    assert log.follow(ENDED, 300) == "Succeeded", message(kubectl)
    return log.shares


def test_an_own_route_carries_the_split_and_follows_its_canary(
    namespace: Kubectl, host: str, gateway: str
) -> None:
    namespace.apply(web(GOOD), service(), canary(host))
    namespace("rollout", "status", "deployment/web", "--timeout=120s", deadline=130)
    wait_for("the route", lambda: namespace.find("httproute", "web"), 30)
    with Traffic(gateway, host=host) as traffic:
        serving(traffic)
        assert release(namespace, BETTER) == [0, 50, 0]
        other = f"other-{host}"
        namespace.apply(canary(host, other))
        # With traffic as well: what the version before answered is no sample of this one's.
        assert release(namespace, BEST) == [0, 50, 0]
        assert set(traffic.statuses) == {200}, traffic.statuses
    route = namespace.get("httproute", "web")
    assert route["spec"]["hostnames"] == [host, other]
    assert [ref["name"] for ref in route["spec"]["rules"][0]["backendRefs"]] == ["web"]
