"""Splits that are lost in mid-run, and splits that belong to no run: both are put right at once.

The interval of the runs here is so long that no tick does it.
"""

import json

import pytest

from canary.contract import ANALYZER_USER, SPLIT, Reason
from canary.model.traffic import Traffic
from canary.routes.mark import Mark, TargetSplit
from tests.cluster.half_way import GOOD, deploy, share, started
from tests.cluster.kit import (
    Json,
    Kubectl,
    phase,
    route,
    split_of,
    wait_for,
    web,
)

pytestmark = pytest.mark.cluster
AT_ONCE = 5
"""Seconds, where a tick takes minutes; a second or two is what it takes on a machine at rest."""


def test_a_split_that_goes_with_its_route_comes_back_with_it(namespace: Kubectl, host: str) -> None:
    deploy(namespace, host)
    started(namespace)
    namespace("replace", "--force", "-f", "-", stdin=json.dumps(route(host)))
    wait_for("half of the traffic again", lambda: share(namespace) == 50, AT_ONCE)


def test_a_second_route_to_the_service_is_split_as_it_comes(namespace: Kubectl, host: str) -> None:
    deploy(namespace, host)
    started(namespace)
    second = route(f"second.{host}", name="second")
    backend = {"name": "web", "port": 80}
    second["spec"]["rules"] = [{"backendRefs": [backend]}]
    namespace.apply(second)

    def found() -> bool:
        return split_of(namespace.get("httproute", "second")).get("web-canary") == 50

    wait_for("half of its traffic", found, AT_ONCE)


def test_a_split_that_belongs_to_no_run_is_taken_off_and_said(
    namespace: Kubectl, host: str
) -> None:
    deploy(namespace, host)
    plain = namespace.get("httproute", "web")["spec"]
    split = TargetSplit(stable="web", canary="web-canary", traffic=Traffic(50))
    mark = {"metadata": {"annotations": {SPLIT: Mark(splits={"web": split}).dump()}}}
    by_analyzer = ("--type=merge", f"--as={ANALYZER_USER}", "-p", json.dumps(mark))
    written: Json = json.loads(namespace("patch", "httproute", "web", "-o", "json", *by_analyzer))
    assert split_of(written).get("web-canary") == 50
    wait_for(
        "the team's own text", lambda: namespace.get("httproute", "web")["spec"] == plain, AT_ONCE
    )
    reason = f"reason={Reason.LEFTOVER},involvedObject.kind=Deployment"
    events = wait_for(
        "an event", lambda: namespace.items("events", "--field-selector", reason), AT_ONCE
    )
    assert "belongs to no run" in events[0]["message"]


def test_a_copy_of_a_route_that_was_saved_in_a_run_is_what_its_team_wrote_before(
    namespace: Kubectl, host: str
) -> None:
    deploy(namespace, host)
    plain = namespace.get("httproute", "web")["spec"]
    started(namespace)
    saved = namespace.get("httproute", "web")
    for field in ("resourceVersion", "uid", "managedFields", "creationTimestamp", "generation"):
        saved["metadata"].pop(field, None)
    namespace("set", "image", "deployment/web", f"web={GOOD}")
    wait_for("the end of the run", lambda: share(namespace) is None, 60)
    namespace("replace", "-f", "-", stdin=json.dumps(saved))
    found = namespace.get("httproute", "web")
    assert found["spec"] == plain
    assert SPLIT not in (found["metadata"].get("annotations") or {})


def test_a_target_that_is_made_again_in_mid_run_gets_all_of_its_traffic_back(
    namespace: Kubectl, host: str
) -> None:
    deploy(namespace, host)
    started(namespace)
    again = json.dumps(web(GOOD, replicas=1))
    namespace("replace", "--force", "-f", "-", stdin=again, deadline=180)
    wait_for("no share for a Service that goes", lambda: not share(namespace), AT_ONCE)
    wait_for("no canary", lambda: namespace.find("deployment", "web-canary") is None, 60)


def test_a_canary_that_is_made_again_in_mid_run_begins_anew_and_stalls_nothing(
    namespace: Kubectl, host: str
) -> None:
    deploy(namespace, host)
    started(namespace)
    record = namespace.get("canary", "web")
    fresh = {
        "apiVersion": record["apiVersion"],
        "kind": record["kind"],
        "metadata": {"name": "web", "namespace": namespace.namespace},
        "spec": {**record["spec"], "analysis": {**record["spec"]["analysis"], "interval": "5s"}},
    }
    # Not `replace --force`: between its two steps a Canary of the defaults is made.
    namespace("delete", "canary", "web")
    namespace.apply(fresh)
    wait_for("the run's end", lambda: phase(namespace) == "Succeeded", 120)
    assert share(namespace) in {None, 0}
