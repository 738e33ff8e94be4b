"""Whom a Service sends requests to, by slices as controllers of all kinds write them."""

import pytest

from canary.model.values import Json
from canary.objects.endpoints import outdated, unserved


def endpoint(pod: str, *, ready: bool | None = True, kind: str = "Pod") -> Json:
    conditions = {} if ready is None else {"conditions": {"ready": ready}}
    return {"addresses": ["10.0.0.1"], "targetRef": {"kind": kind, "name": pod}, **conditions}


OTHER: Json = {"addresses": ["10.0.0.9"], "conditions": {"ready": True}}


@pytest.mark.parametrize(
    ("slices", "served"),
    [
        ([], False),
        ([{}], False),
        ([{"endpoints": None}], False),
        ([{"endpoints": [endpoint("a", ready=False)]}], False),
        ([{"endpoints": [endpoint("a", ready=None)]}], True),
        ([{"endpoints": []}, {"endpoints": [OTHER]}], True),
    ],
)
def test_it_is_served_by_any_endpoint_that_takes_traffic(
    slices: list[Json], *, served: bool
) -> None:
    said = unserved("web-canary", slices)
    assert said == ("" if served else "its Service web-canary has no ready endpoint")


@pytest.mark.parametrize(
    ("endpoints", "gone"),
    [
        ([endpoint("a")], ""),
        ([endpoint("a"), endpoint("b")], "b"),
        ([endpoint("a"), endpoint("b", ready=False)], ""),
        ([endpoint("a"), endpoint("b", ready=None)], "b"),
        ([endpoint("a"), endpoint("b", kind="Node")], ""),
        ([endpoint("a"), OTHER], ""),
    ],
)
def test_it_is_outdated_by_a_pod_that_takes_traffic_and_may_not_answer(
    endpoints: list[Json], gone: str
) -> None:
    said = outdated("web-canary", [{"endpoints": endpoints}], {"a"})
    assert said == (
        gone and f"its Service web-canary still sends requests to pod {gone}, which is gone"
    )
