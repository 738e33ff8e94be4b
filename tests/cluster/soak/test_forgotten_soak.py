"""The garbage collector of a real cluster forgets a canary, whose pods then serve in the next one.

It is brought about as it comes about: the controllers have no watch while a canary is deleted and
the next one made, and hear of it all as one update. Here they stand still meanwhile, and the API
server is ended, so that their watches are, too.
"""

import asyncio
import json
import uuid

import pytest

from canary.contract import TARGET_LABEL, Reason
from tests.cluster.conftest import enabled_namespace
from tests.cluster.half_way import GOOD, deploy, share, started
from tests.cluster.kit import Json, Kubectl, wait_for
from tests.cluster.soak.endured import Way
from tests.cluster.soak.endured_deaths import CONTROLLERS, end_api_server, is_ours, stopped

pytestmark = [pytest.mark.soak, pytest.mark.timeout(900)]
NEXT = "next"
AWAY = 3.0


def canary_uid(kubectl: Kubectl) -> str:
    found = kubectl.find("deployment", "web-canary")
    return "" if found is None else str(found["metadata"]["uid"])


def sizes(kubectl: Kubectl) -> dict[str, int]:
    """Return how many pods the ReplicaSets of each canary are to have, by its uid."""
    found: dict[str, int] = {}
    for one in of_canaries(kubectl, "replicasets"):
        (owner,) = one["metadata"]["ownerReferences"]
        found[owner["uid"]] = found.get(owner["uid"], 0) + one["spec"]["replicas"]
    return found


def listed(kubectl: Kubectl, kind: str, *more: str) -> list[Json]:
    items: list[Json] = json.loads(kubectl("get", kind, *more, "-o", "json"))["items"]
    return items


def of_canaries(kubectl: Kubectl, kind: str) -> list[Json]:
    return listed(kubectl, kind, "-l", f"{TARGET_LABEL}=web")


@pytest.fixture
def team(exclusive: Kubectl) -> Kubectl:
    if not is_ours():
        pytest.skip("the API server is not of this machine's sandbox")
    return exclusive


def test_a_canary_that_the_collector_forgot_serves_in_none_after_it(team: Kubectl) -> None:
    with enabled_namespace(team, f"prod-{uuid.uuid4().hex[:6]}") as kubectl:
        deploy(kubectl, f"{kubectl.namespace}.example")
        started(kubectl)
        with stopped(CONTROLLERS):
            kubectl("set", "image", "deployment/web", f"web={GOOD}")
            wait_for("no canary", lambda: not canary_uid(kubectl), 120)
            kubectl("set", "env", "deployment/web", f"VERSION={NEXT}")
            wait_for("the next canary", lambda: canary_uid(kubectl), 120)
            asyncio.run(end_api_server(Way.KILLED, AWAY))
        after = canary_uid(kubectl)
        wait_for("half of the traffic again", lambda: share(kubectl) == 50, 180)
        assert {uid: size for uid, size in sizes(kubectl).items() if size} == {after: 1}
        of = [
            pod["spec"]["containers"][0]["env"][0]["value"]
            for pod in of_canaries(kubectl, "pods")
            if "deletionTimestamp" not in pod["metadata"]
        ]
        assert of == [NEXT]
        # Else the collector was not forgetful, and nothing is shown here.
        assert listed(kubectl, "events", "--field-selector", f"reason={Reason.LEFTOVERS}") != []
