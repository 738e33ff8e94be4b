"""The label that comes while a rollout that nobody gated is half-way.

Pods of both versions serve when it comes. Both were let out by the team, before anybody was asked
to judge. Held, the rollout stands where it stood: Headgate brings no pod of the middle version up,
and takes none down, since which of the two the team wants is not ours to guess.
"""

import json
import uuid
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.cluster.kit import Kubectl, canary, phase, route, service, split_of, wait_for, watching
from tests.cluster.kit import web as deployment

pytestmark = pytest.mark.cluster
OLD, MIDDLE, NEW = "headgate/demo:1.0", "headgate/demo:1.1", "headgate/demo:1.2"
PODS = ("get", "pods", "-l", "app=web", "-w", "--no-headers", "-o")
NAMES = "custom-columns=NAME:.metadata.name,IMAGE:.spec.containers[0].image"
HOLD = "headgate.dev/hold"


@pytest.fixture
def half_way(together: Kubectl) -> Iterator[Kubectl]:
    """Return a namespace whose label came when three old pods and two newer ones served."""
    name = f"prod-{uuid.uuid4().hex[:6]}"
    together("create", "namespace", name)
    kubectl = together.within(name)
    try:
        target = deployment(OLD, replicas=4)
        # So that it stays half-way until the label is there and a version is pushed.
        target["spec"]["minReadySeconds"] = 60
        target["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = 1
        steps = canary(name, interval="60m", metrics=[], webhooks=[])
        kubectl.apply({**target, "spec": {**target["spec"], "minReadySeconds": 0}})
        kubectl("rollout", "status", "deployment/web", "--timeout=120s", deadline=130)
        target["spec"]["template"]["spec"]["containers"][0]["image"] = MIDDLE
        kubectl.apply(target, service(), route(f"{name}.example"), steps)
        wait_for("pods of both", lambda: _ready(kubectl) == {OLD: 3, MIDDLE: 2}, 60)
        together("label", "namespace", name, "headgate.dev/canary=enabled")
        yield kubectl
    finally:
        together("delete", "namespace", name, "--wait=false")


def test_a_new_version_is_held_and_the_rollout_stands_where_it_stood(half_way: Kubectl) -> None:
    before = _names(half_way, MIDDLE)
    wait_for("a push that is held", lambda: _pushed(half_way, NEW), 30)
    with watching(half_way, *PODS, NAMES) as lines:
        wait_for("its share", lambda: _share(half_way) == 10, 90)
        held = half_way.get("deployment", "web")
        assert (held["spec"]["paused"], bool(held["metadata"]["annotations"][HOLD])) == (True, True)
        assert _ready(half_way) == {OLD: 3, MIDDLE: 2}, "nothing came and nothing went"
        seen = {line.split()[0] for line in lines if line.split()[1:] == [MIDDLE]}
        assert seen == before, "no pod of the version that nobody judged, because of us"
        assert not any(NEW in line for line in lines)

        # Scaled to 0 and up again, what most pods ran serves: the other is not let out anew.
        half_way("scale", "deployment/web", "--replicas=0")
        wait_for("no pods", lambda: not half_way.items("pods", "-l", "app=web"), 60)
        half_way("scale", "deployment/web", "--replicas=4")
        wait_for("four pods", lambda: _ready(half_way) == {OLD: 4}, 90)
        seen = {line.split()[0] for line in lines if line.split()[1:] == [MIDDLE]}
        assert seen == before
        assert not any(NEW in line for line in lines)

    half_way("annotate", "deployment/web", "headgate.dev/promote=now")
    wait_for("the promotion", lambda: phase(half_way) == "Succeeded", 150)
    assert _ready(half_way) == {NEW: 4}


def test_the_rollout_goes_on_where_nothing_is_pushed_and_ends_where_the_old_version_is(
    half_way: Kubectl,
) -> None:
    assert not half_way.get("deployment", "web")["spec"].get("paused")
    wait_for("a push that is held", lambda: _pushed(half_way, NEW), 30)
    wait_for("the run", lambda: phase(half_way) == "Progressing", 60)
    # Back to what most pods run: nothing to judge, so that it is let go at once and rolls back.
    half_way("set", "image", "deployment/web", f"web={OLD}")
    wait_for("the old version", lambda: _ready(half_way) == {OLD: 4}, 120)
    wait_for("no canary", lambda: half_way.find("deployment", "web-canary") is None, 90)
    found = half_way.get("deployment", "web")
    assert not found["spec"].get("paused")
    assert HOLD not in found["metadata"]["annotations"]


def test_the_middle_version_that_is_pushed_again_serves_until_it_is_refused(
    half_way: Kubectl,
) -> None:
    before = _names(half_way, MIDDLE)
    wait_for("a push that is held", lambda: _pushed(half_way, NEW), 30)
    half_way("set", "image", "deployment/web", f"web={MIDDLE}")
    with watching(half_way, *PODS, NAMES) as lines:
        wait_for("its share", lambda: _share(half_way) == 10, 90)
        assert _ready(half_way) == {OLD: 3, MIDDLE: 2}, "judged like any other"
        half_way("annotate", "deployment/web", "headgate.dev/abort=now")
        wait_for("the old version", lambda: _ready(half_way) == {OLD: 4}, 90)
        found = half_way.get("deployment", "web")
        assert found["spec"]["paused"]
        assert "headgate.dev/refused" in found["metadata"]["annotations"]
        half_way("scale", "deployment/web", "--replicas=0")
        wait_for("no pods", lambda: not half_way.items("pods", "-l", "app=web"), 60)
        half_way("scale", "deployment/web", "--replicas=4")
        wait_for("four pods", lambda: _ready(half_way) == {OLD: 4}, 90)
        assert {line.split()[0] for line in lines if line.split()[1:] == [MIDDLE]} == before


def _pushed(kubectl: Kubectl, image: str) -> bool:
    """Push as soon as the API server knows of the label: its webhooks hear of it a moment later."""
    done = kubectl.run("set", "image", "deployment/web", f"web={image}", "--dry-run=server")
    if "held as a canary" not in done.stderr:
        return False
    kubectl("set", "image", "deployment/web", f"web={image}")
    kubectl("patch", "deployment", "web", "-p", json.dumps({"spec": {"minReadySeconds": 0}}))
    return True


def _share(kubectl: Kubectl) -> int:
    return split_of(kubectl.get("httproute", "web")).get("web-canary", 0)


def _ready(kubectl: Kubectl) -> Counter[str]:
    """Count the ready pods by image."""
    return Counter(
        pod["spec"]["containers"][0]["image"]
        for pod in kubectl.items("pods", "-l", "app=web")
        if "deletionTimestamp" not in pod["metadata"]
        for condition in pod["status"].get("conditions", ())
        if (condition["type"], condition["status"]) == ("Ready", "True")
    )


def _names(kubectl: Kubectl, image: str) -> set[str]:
    pods = kubectl.items("pods", "-l", "app=web")
    return {
        pod["metadata"]["name"] for pod in pods if pod["spec"]["containers"][0]["image"] == image
    }
