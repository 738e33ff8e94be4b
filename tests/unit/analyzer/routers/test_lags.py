"""A gateway that has not seen the last write yet: for how long it is waited for, and what for."""

import pytest

from analyzer.routers.lags import MOST, SETTLES, SHORT, Lags
from canary.model.values import Json
from canary.routes.contour import HttpProxies
from canary.routes.dialect import Dialect
from canary.routes.gateway_api import HttpRoutes
from canary.routes.grpc import GrpcRoutes
from canary.routes.known import DIALECTS
from tests.unit.analyzer.routers.test_kinds import WEB

PARENT = {"name": "edge", "namespace": "infra"}
JUST = "its gateway has just caught up, and may not have all endpoints yet"


def entry(seen: int | None, parent: Json = PARENT, about: str = "Accepted") -> Json:
    condition = {"type": about, "status": "True"}
    told = condition if seen is None else {**condition, "observedGeneration": seen}
    return {"controllerName": "x", "parentRef": parent, "conditions": [told]}


def route(*entries: Json, kind: str = "HTTPRoute") -> Json:
    return {
        "kind": kind,
        "metadata": {"name": "web", "namespace": "prod", "generation": 5},
        "spec": {"parentRefs": [PARENT], "rules": []},
        "status": {"parents": list(entries)},
    }


def proxy(*seen: int) -> Json:
    conditions = [{"type": "Valid", "status": "True", "observedGeneration": it} for it in seen]
    metadata = {"name": "web", "namespace": "prod", "generation": 5}
    return {"kind": "HTTPProxy", "metadata": metadata, "status": {"conditions": conditions}}


@pytest.mark.parametrize(
    ("dialect", "it", "said"),
    [
        (HttpRoutes(), route(entry(3)), "Gateway edge has seen its generation 3 of 5"),
        (GrpcRoutes(), route(entry(4)), "Gateway edge has seen its generation 4 of 5"),
        (HttpRoutes(), route(entry(5)), ""),
        (HttpRoutes(), route(), ""),
        (HttpRoutes(), route(entry(None)), ""),
        (HttpRoutes(), route(entry(3, about="ResolvedRefs")), ""),
        (HttpRoutes(), route(entry(3, {**PARENT, "namespace": "old"})), ""),
        (HttpRoutes(), route(entry(3, {"name": "gone"}), entry(5)), ""),
        (HttpProxies(), proxy(4), "Contour has seen its generation 4 of 5"),
        (HttpProxies(), proxy(5), ""),
        (HttpProxies(), proxy(), ""),
    ],
)
def test_who_names_a_generation_that_is_not_stored_any_more_is_behind(
    dialect: Dialect, it: Json, said: str
) -> None:
    assert dialect.lag(it) == said


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda it: it.kind)
def test_who_has_said_nothing_is_not_waited_for(dialect: Dialect) -> None:
    metadata = {"name": "web", "namespace": "prod", "generation": 5}
    assert dialect.lag({"metadata": metadata, "spec": {}}) == ""


class Looks:
    """Looks at one route as time goes by."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.lags = Lags(lambda: self.now)

    def after(self, seconds: float, seen: int) -> str:
        self.now += seconds
        return self.lags.said(WEB, [(HttpRoutes(), route(entry(seen)))])


def test_a_gateway_is_waited_for_and_no_longer_than_it_may_take() -> None:
    looks = Looks()
    late = "HTTPRoute web: Gateway edge has seen its generation 3 of 5"
    assert looks.after(0, 3) == late
    assert looks.after(MOST - 1, 3) == late
    assert looks.after(1, 3) == ""
    assert looks.after(700, 3) == ""
    assert looks.after(500, 3) == "", "looked at all the time, it is not new"


def test_one_that_caught_up_may_lack_endpoints_for_a_part_of_what_it_took() -> None:
    looks = Looks()
    looks.after(0, 3)
    looks.after(20, 3)
    assert looks.after(1, 5) == f"HTTPRoute web: {JUST}"
    assert looks.after(4.9, 5) == f"HTTPRoute web: {JUST}"
    assert looks.after(0.1, 5) == ""
    looks.after(0, 3)
    looks.after(160, 3)
    assert looks.after(1, 5) == f"HTTPRoute web: {JUST}"
    assert looks.after(SETTLES - 0.1, 5) == f"HTTPRoute web: {JUST}"
    assert looks.after(0.1, 5) == ""


def test_what_is_seen_within_moments_is_not_waited_for_afterwards() -> None:
    looks = Looks()
    looks.after(0, 3)
    looks.after(SHORT - 0.1, 3)
    assert looks.after(1, 5) == ""


def test_time_in_which_nobody_looked_is_nobodys_lag() -> None:
    looks = Looks()
    looks.after(0, 3)
    assert looks.after(60, 5) == "", "looked at as it was written, and an interval later"


def test_a_write_of_ours_while_endpoints_come_is_a_lag_of_its_own() -> None:
    looks = Looks()
    looks.after(0, 3)
    looks.after(40, 3)
    assert looks.after(0, 5)
    assert looks.after(1, 4), "the next write, which it has not seen"
    assert looks.after(1, 5) == f"HTTPRoute web: {JUST}"
    assert looks.after(8, 5) == ""


def test_what_nobody_asked_for_in_a_long_time_is_forgotten() -> None:
    looks = Looks()
    looks.after(0, 3)
    looks.now += 700
    elsewhere = {**route(entry(3)), "metadata": {"name": "x", "namespace": "a", "generation": 5}}
    looks.lags.said(WEB, [(HttpRoutes(), elsewhere)])
    assert looks.after(0, 3) != "", "a lag of now"
