"""For how long gateways have had a share: from when they told so, whoever else writes the route."""

from datetime import timedelta

import pytest

from analyzer.routers.carrying import Carrying
from canary.model.traffic import Traffic
from canary.model.values import Json
from canary.routes.dialect import Dialect
from canary.routes.gateway_api import HttpRoutes
from canary.routes.istio import VirtualServices
from tests.unit.analyzer.routers.test_kinds import WEB
from tests.unit.analyzer.routers.test_lags import entry, route

HTTP = HttpRoutes()
TEN, HALF = frozenset({Traffic(10)}), frozenset({Traffic(50)})
Shown = tuple[Dialect, Json, frozenset[Traffic]]


class Looks:
    """Looks at routes as time goes by."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.carrying = Carrying(lambda: self.now)

    def after(self, seconds: float, *shown: Shown) -> float | None:
        self.now += seconds
        found = self.carrying.lasted(WEB, shown)
        return None if found is None else found.total_seconds()


def at(seen: int, traffic: frozenset[Traffic] = TEN, name: str = "web") -> Shown:
    it = route(entry(seen))
    return HTTP, {**it, "metadata": {**it["metadata"], "name": name}}, traffic


def test_a_share_counts_from_when_the_gateway_has_told_that_it_has_it() -> None:
    looks = Looks()
    assert looks.after(0, at(4)) is None, "nobody has told"
    assert looks.after(8, at(5)) == 0
    assert looks.after(2, at(5)) == 2


def test_a_gateway_that_has_not_heard_of_the_service_has_no_share() -> None:
    looks, (dialect, it, traffic) = Looks(), at(5)
    unheard = {"type": "ResolvedRefs", "status": "False", "reason": "BackendNotFound"}
    told = [*entry(5)["conditions"], {**unheard, "observedGeneration": 5}]
    late = {**it, "status": {"parents": [{**entry(5), "conditions": told}]}}
    assert looks.after(0, (dialect, late, traffic)) is None
    assert looks.after(8, (dialect, it, traffic)) == 0


def test_another_share_counts_anew() -> None:
    looks = Looks()
    looks.after(0, at(5))
    assert looks.after(9, at(5)) == 9
    assert looks.after(1, at(4, HALF)) is None
    assert looks.after(5, at(5, HALF)) == 0
    assert looks.after(1, at(5, TEN)) == 0


def test_what_others_write_to_the_route_takes_nothing_from_it() -> None:
    looks = Looks()
    looks.after(0, at(5))
    assert looks.after(30, at(4)) == 30
    assert looks.after(1, at(5)) == 31


def test_of_several_routes_the_last_one_counts() -> None:
    looks = Looks()
    looks.after(0, at(5, name="one"), at(4, name="two"))
    assert looks.after(20, at(5, name="one"), at(5, name="two")) == 0
    assert looks.after(3, at(5, name="one"), at(5, name="two")) == 3


@pytest.mark.parametrize("seconds", [0, 100])
def test_what_never_tells_is_not_known(seconds: float) -> None:
    looks = Looks()
    silent = {"kind": "VirtualService", "metadata": at(5)[1]["metadata"], "spec": {}}
    looks.after(0, (VirtualServices(), silent, TEN))
    assert looks.after(seconds, (VirtualServices(), silent, TEN)) is None
    assert looks.after(0, (VirtualServices(), silent, TEN), at(5, name="two")) == 0


def test_what_nobody_has_asked_about_for_long_is_forgotten() -> None:
    looks = Looks()
    looks.after(0, at(5, name="one"))
    looks.after(700, at(5, name="two"))
    assert looks.after(0, at(5, name="one")) == 0


def test_it_is_a_time() -> None:
    assert Carrying(lambda: 5.0).lasted(WEB, [at(5)]) == timedelta(0)
