"""A plain Envoy, told by a real Istio what to do, carries the shares that are written."""

from collections.abc import Iterator

import pytest

from canary.model.traffic import NOTHING, Comparison, Condition, RequestMatch, Traffic
from canary.model.values import Json
from sandbox import addons, builds
from sandbox.gateways import PILOT_BUILD
from tests.peers.gateways import (
    HOST,
    Shop,
    Visitor,
    answer,
    answers,
    see_users_kept,
    shop,
    until,
    until_alone,
    until_met,
)
from tests.peers.istio import gateway, written

pytestmark = [pytest.mark.peer, pytest.mark.timeout(3600)]
INSIDER = RequestMatch(headers=(Condition(name="X-Canary", by=Comparison.PREFIX, value="in"),))
MATCHING = {"X_Canary": "insider"}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    builds.ensure((PILOT_BUILD,))
    with shop(tmp_path_factory.mktemp("istio"), addons.istio_crds()) as found:
        yield found


@pytest.fixture(scope="module")
def port(cluster: Shop) -> Iterator[int]:
    """Return where the gateway listens."""
    with gateway(cluster.server.kubectl, cluster.server.folder) as found:
        yield found


def to(host: str) -> list[Json]:
    return [{"destination": {"host": host, "port": {"number": 80}}}]


@pytest.fixture
def led(cluster: Shop, port: int) -> Iterator[None]:
    """Have a VirtualService lead to the Service, until the test is over."""
    kubectl = cluster.server.kubectl.within("prod")
    http = [
        {"match": [{"uri": {"prefix": "/api"}}], "route": to("other")},
        {"route": to("web.prod.svc.cluster.local")},
    ]
    spec = {"hosts": [HOST], "gateways": ["public"], "http": http}
    kubectl.apply(written("VirtualService", "shop", spec))
    until("the stable", lambda: answer(port) == "web")
    yield
    cluster.clean()
    kubectl("delete", "virtualservices", "--all")


@pytest.mark.usefixtures("led")
@pytest.mark.parametrize("share", [20, 100])
def test_a_share_is_carried(cluster: Shop, port: int, share: int) -> None:
    cluster.split(Traffic(share))
    until_met(port, "web-canary")
    if share == 100:
        until_alone(port, "web-canary")
    found = answers(port, 1000)
    assert found.keys() <= {"web", "web-canary"}
    # Envoy draws for each request: 5 deviations of 1,000 draws.
    assert abs(found["web-canary"] - 10 * share) <= 64
    cluster.split(NOTHING)
    until_alone(port, "web")


@pytest.mark.usefixtures("led")
def test_no_request_is_lost_when_shares_change(cluster: Shop, port: int) -> None:
    with Visitor(port) as one, Visitor(port) as other:
        for share in (10, 50, 30):
            cluster.split(Traffic(share))
            until_met(port, "web-canary")
        cluster.split(Traffic(100))
        until_alone(port, "web-canary")
        cluster.split(NOTHING)
        until_alone(port, "web")
        cluster.serves("web-canary", ready=False)
        cluster.clean()
        before = one.seen.total()
        until("more requests", lambda: one.seen.total() > before + 200)
    cluster.serves("web-canary")
    seen = one.seen + other.seen
    assert seen["web-canary"] > 0
    assert not one.failed + other.failed, f"{seen.total()} requests"


@pytest.mark.usefixtures("led")
def test_what_matches_comes_to_the_canary_and_nothing_else_does(cluster: Shop, port: int) -> None:
    cluster.split(Traffic(100, match=(INSIDER,)))
    until("the canary", lambda: answer(port, **MATCHING) == "web-canary")
    assert answers(port, 50, **MATCHING) == {"web-canary": 50}
    assert answers(port, 50) == {"web": 50}
    assert answers(port, 20, X_Canary="an insider") == {"web": 20}
    assert answers(port, 50, "/api/1", **MATCHING) == {"other": 50}


@pytest.mark.usefixtures("led")
def test_copies_come_to_the_canary_and_the_stable_answers(cluster: Shop, port: int) -> None:
    before = cluster.asked("web-canary")
    cluster.split(Traffic(0, mirror=100))
    until("a copy", lambda: bool(answer(port)) and cluster.asked("web-canary") > before)
    before = cluster.asked("web-canary")
    assert answers(port, 100) == {"web": 100}
    until("all copies", lambda: cluster.asked("web-canary") == before + 100)


@pytest.mark.usefixtures("led")
def test_a_canary_is_treated_as_its_stable(cluster: Shop, port: int) -> None:
    """The rule that is made for its host is taken: TLS is asked of who does not speak it."""
    kubectl = cluster.server.kubectl.within("prod")
    spec = {"host": "web", "trafficPolicy": {"tls": {"mode": "SIMPLE"}}}
    kubectl.apply(written("DestinationRule", "web", spec))
    until("TLS", lambda: answer(port) == "503")
    cluster.split(Traffic(100))
    until("a rule", lambda: kubectl.run("get", "destinationrule", "web-canary").returncode == 0)
    until("TLS", lambda: set(answers(port, 20)) == {"503"})
    kubectl("delete", "destinationrules", "--all")
    until_alone(port, "web-canary")


@pytest.mark.usefixtures("led")
def test_users_are_kept(cluster: Shop, port: int) -> None:
    see_users_kept(cluster, port)
