"""What the measurement of scale reads and works out, without a cluster."""

import json
from pathlib import Path
from typing import Any

import pytest

from canary.contract import SPLIT
from tests.bench.scale.audit_log import AuditLog, counts, splits
from tests.bench.scale.report import slope
from tests.bench.scale.teams import Plan
from tests.bench.scale.traffic import RATE, Traffic

AT = "2026-11-26T15:00:00.250000Z"
SECONDS = 1795705200.25


def event(verb: str, resource: str, *, name: str = "app-0", code: int = 200, **more: Any) -> str:
    what = {"resource": resource, "namespace": "scale-0", "name": name}
    times = {"requestReceivedTimestamp": AT, "stageTimestamp": AT}
    return json.dumps(
        {"verb": verb, "objectRef": what, "responseStatus": {"code": code}, **times, **more}
    )


def patch(weight: int, *, name: str = "app-0", code: int = 200) -> str:
    mark = json.dumps({"targets": {name: {"weight": weight}}})
    body = {"metadata": {"annotations": {SPLIT: mark}}}
    return event("patch", "httproutes", name=name, code=code, requestObject=body)


def read(folder: Path, *lines: str) -> AuditLog:
    path = folder / "audit.log"
    path.write_text("".join(f"{line}\n" for line in lines))
    log = AuditLog(path)
    log.look()
    return log


def test_requests_are_told_apart_and_the_lease_is_nobodys(tmp_path: Path) -> None:
    log = read(
        tmp_path,
        event("get", "deployments"),
        event("list", "pods"),
        event("watch", "pods"),
        event("update", "leases"),
        event("create", "events"),
    )

    reads, writes, kinds = counts(log.between(SECONDS, SECONDS + 1))

    assert (reads, writes) == (2, 1)
    assert kinds == {"get deployments": 1, "list pods": 1, "create events": 1}
    assert log.between(0, SECONDS) == []


def test_a_line_that_is_not_whole_yet_is_read_later(tmp_path: Path) -> None:
    log = read(tmp_path, event("get", "deployments"))
    line = event("list", "pods")
    with log.path.open("a") as file:
        file.write(line[:20])
    log.look()
    assert len(log.all) == 1
    with log.path.open("a") as file:
        file.write(f"{line[20:]}\n")
    log.look()
    assert [it.what for it in log.all] == ["get deployments", "list pods"]


def test_a_split_counts_that_was_taken(tmp_path: Path) -> None:
    log = read(tmp_path, patch(0), patch(5, code=409), patch(5), patch(7, name="app-1"))

    found = splits(log.all)

    assert [it.weight for it in found["scale-0", "app-0"]] == [0, 5]
    assert [it.weight for it in found["scale-0", "app-1"]] == [7]


def test_a_slope_is_that_of_the_closest_line() -> None:
    assert slope([(0, 10), (10, 30), (20, 50)]) == 2
    assert slope([(0, 1), (2, 3), (4, 2)]) == pytest.approx(0.25)
    with pytest.raises(ValueError, match="no slope"):
        slope([(3, 1), (3, 2)])


def test_targets_lie_evenly_in_their_namespaces() -> None:
    names = Plan(targets=6, namespaces=3).names()

    assert len(set(names)) == 6
    assert sorted(namespace for namespace, _ in names) == [f"scale-{n // 2}" for n in range(6)]


def test_the_page_counts_both_sides_and_fails_the_canary_alone() -> None:
    traffic = Traffic([("scale-0", "app-0")])
    traffic.started -= 100
    traffic.bad["scale-0_app-0"] = traffic.started + 90

    found = dict(
        line.rsplit(" ", 1) for line in traffic.page().splitlines() if not line.startswith("#")
    )

    def of(backend: str, code: int) -> int:
        name = f'envoy_cluster_upstream_rq{{envoy_cluster_name="{backend}"'
        return int(found[f'{name},envoy_response_code="{code}"}}'])

    total = of("scale-0_app-0_80", 200)
    assert total == pytest.approx(100 * RATE, abs=RATE)
    assert of("scale-0_app-0-canary_80", 500) == pytest.approx(10 * RATE, abs=RATE)
    assert of("scale-0_app-0-canary_80", 200) + of("scale-0_app-0-canary_80", 500) == total
    assert not any("app-0_80" in name and '_code="500"' in name for name in found)
