"""What only has a name of Headgate's is left alone and named, and what belongs to no run goes.

The interval of the runs here is so long that no tick does it.
"""

import asyncio
import json
import uuid
from contextlib import suppress

import pytest

from canary.contract import MANAGED_BY, MANAGED_BY_LABEL, SPLIT, TARGET_LABEL, Reason
from runtime.errors import AlreadyExists, NotFound
from runtime.kube import Cluster
from runtime.resources import SERVICES
from tests.cluster.conftest import enabled_namespace
from tests.cluster.half_way import GOOD, deploy, record, share, started, update
from tests.cluster.kit import (
    Json,
    Kubectl,
    message,
    phase,
    route,
    service,
    split_of,
    wait_for,
    web,
)

pytestmark = pytest.mark.cluster
SOON = 20
"""Seconds, where a tick takes minutes."""


def said(kubectl: Kubectl, text: str) -> None:
    wait_for(f"the status says {text!r}", lambda: text in message(kubectl), SOON)


def looked_at(kubectl: Kubectl) -> None:
    """Have the target looked at, as any change of it does: Services and pods are not watched."""
    kubectl("annotate", "deployment", "web", "team/note=x", "--overwrite")


async def is_put(kubectl: Kubectl, service: Json) -> bool:
    """Put a Service in the place of one; False where the analyzer was there first.

    Its look at what was deleted takes less time than kubectl's start.
    """
    metadata = {**service["metadata"], "namespace": kubectl.namespace}
    async with Cluster.connect(kubectl.kubeconfig) as cluster:
        with suppress(NotFound):
            await cluster.delete(SERVICES, kubectl.namespace, metadata["name"])
        try:
            await cluster.create(SERVICES, {**service, "metadata": metadata})
        except AlreadyExists:
            return False
    return True


def the_same(before: Json, after: Json) -> bool:
    return all(
        before["metadata"].get(field) == after["metadata"].get(field)
        for field in ("uid", "resourceVersion", "labels")
    )


def test_a_team_s_own_service_of_the_canary_s_name_is_named_and_stays(
    namespace: Kubectl, host: str
) -> None:
    own = service("web-canary")
    own["spec"]["selector"] = {"app": "something-else"}
    deploy(namespace, host, own)
    before = namespace.get("service", "web-canary")
    update(namespace)
    said(namespace, "Service web-canary exists and is not the canary of deployment web")
    assert the_same(before, namespace.get("service", "web-canary"))
    assert not share(namespace)
    namespace("delete", "service", "web-canary")
    wait_for("half of the traffic", lambda: share(namespace) == 50, 120)
    # In mid-run as well: the share goes at the next look, and nothing is written over.
    wait_for("the team's own in its place", lambda: asyncio.run(is_put(namespace, own)), 30)
    looked_at(namespace)
    said(namespace, "Service web-canary exists and is not the canary of deployment web")
    # It was said before as well: that it was looked at once more is seen by the share alone.
    wait_for("no share for it", lambda: not share(namespace), SOON)
    assert namespace.get("service", "web-canary")["spec"]["selector"] == own["spec"]["selector"]


def test_a_copy_of_the_canary_s_deployment_is_neither_taken_for_it_nor_deleted(
    namespace: Kubectl, host: str
) -> None:
    deploy(namespace, host)
    started(namespace)
    copied = namespace.get("deployment", "web-canary")
    for field in ("uid", "resourceVersion", "creationTimestamp", "managedFields"):
        copied["metadata"].pop(field, None)
    copied["metadata"]["name"] = "copied"
    del copied["status"]
    namespace.apply(copied)
    before = wait_for("the copy", lambda: namespace.find("deployment", "copied"), 30)["metadata"]
    wait_for("its pods", lambda: len(namespace.items("pods", "-l", f"{TARGET_LABEL}=web")) > 1, 60)
    looked_at(namespace)
    said(namespace, f"have its label {TARGET_LABEL}=web")
    wait_for("no share for its pods", lambda: not share(namespace), SOON)
    assert phase(namespace) == "Progressing"
    namespace("annotate", "deployment", "web", "headgate.dev/abort=now")
    wait_for("no canary", lambda: namespace.find("deployment", "web-canary") is None, 90)
    assert namespace.get("deployment", "copied")["metadata"]["uid"] == before["uid"]


def test_the_service_of_another_app_is_not_split(namespace: Kubectl, host: str) -> None:
    others = (web(GOOD, replicas=1, name="api"), service("api"), route(f"api.{host}", name="api"))
    deploy(namespace, host, *others)
    wrong = record(namespace)
    wrong["spec"]["service"] |= {"name": "api"}
    namespace.apply(wrong)
    before = namespace.get("httproute", "api")["spec"]
    update(namespace)
    said(namespace, "Service api sends no traffic to the pods of deployment web")
    assert namespace.find("service", "api-canary") is None
    assert namespace.get("httproute", "api")["spec"] == before
    namespace.apply(record(namespace))
    wait_for("half of its own traffic", lambda: share(namespace) == 50, 120)


def test_of_two_canaries_the_elder_is_in_force_and_both_are_named(
    namespace: Kubectl, host: str
) -> None:
    deploy(namespace, host)
    started(namespace)
    namespace.apply(record(namespace, "a-second"))

    def told() -> bool:
        return "both for deployment web: web is in force" in message(namespace, "a-second")

    wait_for("the younger is told", told, SOON)
    reason = f"reason={Reason.RIVAL}"
    found = wait_for("events", lambda: namespace.items("events", "--field-selector", reason), SOON)
    assert {event["involvedObject"]["name"] for event in found} >= {"a-second"}
    assert (share(namespace), phase(namespace)) == (50, "Progressing")


def test_a_route_that_is_created_from_a_copy_of_mid_run_is_plain(
    namespace: Kubectl, host: str
) -> None:
    deploy(namespace, host)
    plain = namespace.get("httproute", "web")["spec"]["rules"]
    started(namespace)
    saved = namespace.get("httproute", "web")
    assert SPLIT in saved["metadata"]["annotations"]
    copied: Json = {**saved, "metadata": {"name": "copied"}}
    copied["metadata"]["annotations"] = {SPLIT: saved["metadata"]["annotations"][SPLIT]}
    copied["spec"] = {**saved["spec"], "hostnames": [f"copied.{host}"]}
    del copied["status"]
    made = namespace("create", "-f", "-", "-o", "json", stdin=json.dumps(copied))
    as_created: Json = json.loads(made)
    assert as_created["spec"]["rules"] == plain
    assert SPLIT not in (as_created["metadata"].get("annotations") or {})
    # It leads to the Service of a run, so that it is split as any other: by this run's own mark.
    wait_for(
        "half of its traffic",
        lambda: split_of(namespace.get("httproute", "copied")).get("web-canary") == 50,
        SOON,
    )
    namespace("delete", "httproute", "web")
    again = {**saved, "metadata": {**copied["metadata"], "name": "web"}}
    namespace("create", "-f", "-", stdin=json.dumps(again))
    wait_for("half of the traffic again", lambda: share(namespace) == 50, SOON)


def test_what_was_made_for_a_target_without_a_run_is_taken_back(
    namespace: Kubectl, host: str
) -> None:
    namespace.apply(web(GOOD, replicas=1), service(), route(host))
    namespace("rollout", "status", "deployment/web", "--timeout=120s", deadline=130)
    target = namespace.get("deployment", "web")["metadata"]
    owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": target["uid"]}
    ours = {
        "labels": {MANAGED_BY_LABEL: MANAGED_BY, TARGET_LABEL: "web"},
        "ownerReferences": [owner],
    }
    stray, strange = service("web-canary"), service("web-strange")
    stray["spec"]["selector"] = {TARGET_LABEL: "web"}
    stray["metadata"] |= ours
    strange["metadata"]["labels"] = ours["labels"]
    left = web(GOOD, replicas=0, name="web-canary")
    left["metadata"] |= ours
    namespace.apply(stray, strange, left)
    wait_for("no Deployment", lambda: namespace.find("deployment", "web-canary") is None, SOON)
    wait_for("no Service", lambda: namespace.find("service", "web-canary") is None, SOON)
    reason = f"reason={Reason.LEFTOVERS}"
    found = wait_for(
        "an event", lambda: namespace.items("events", "--field-selector", reason), SOON
    )
    assert "web-canary is taken back" in found[0]["message"]
    assert namespace.find("service", "web-strange")


def test_what_a_run_left_while_no_analyzer_was_there_is_taken_back_at_the_start(
    exclusive: Kubectl,
) -> None:
    name = f"prod-{uuid.uuid4().hex[:6]}"
    system = exclusive.within("headgate-system")
    analyzers = ("-l", "app.kubernetes.io/component=analyzer")
    with enabled_namespace(exclusive, name) as team:
        deploy(team, f"{name}.example")
        plain = team.get("httproute", "web")["spec"]
        started(team)
        try:
            system("scale", "deployment/headgate-analyzer", "--replicas=0")
            wait_for("no analyzer", lambda: not system.items("pods", *analyzers), 60)
            team("delete", "canary", "web")
            team("set", "image", "deployment/web", f"web={GOOD}")
            assert share(team) == 50
        finally:
            system("scale", "deployment/headgate-analyzer", "--replicas=2")
        wait_for("the team's own text", lambda: team.get("httproute", "web")["spec"] == plain, 60)
        wait_for("no Deployment", lambda: team.find("deployment", "web-canary") is None, SOON)
        wait_for("no Service", lambda: team.find("service", "web-canary") is None, SOON)
        fields = ("--field-selector", f"reason={Reason.LEFTOVERS}")
        wait_for("an event", lambda: team.items("events", *fields), SOON)
    system("rollout", "status", "deployment/headgate-analyzer", "--timeout=120s", deadline=130)
