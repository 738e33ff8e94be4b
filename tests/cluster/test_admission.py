"""What writes to a target mean at a real API server, with no pods: the answer of each write itself.

What is looked at is what the API server answers to a write, so that nothing that the analyzer does
in the next moment matters. Marks that only the analyzer writes are written in its name.
"""

import json
import re
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from canary.contract import (
    ANALYZER_USER,
    HOLD,
    NOTE,
    OPT_OUT,
    PROMOTING,
    REFUSED,
    REFUSED_WHY,
    REQUESTED_BY,
    STABLE,
    Command,
)
from canary.model.hashing import template_hash
from tests.cluster.kit import Kubectl, wait_for
from tests.cluster.other_webhook import MARK, Change, after_headgate, label, label_pods

pytestmark = pytest.mark.cluster

Json = dict[str, Any]
BY_ANALYZER = (f"--as={ANALYZER_USER}",)
WHY = "error-rate 20 % > 1 %"


@pytest.fixture(scope="module")
def team(whole: Kubectl) -> Iterator[Kubectl]:
    """Return kubectl for an enabled namespace in which nothing runs."""
    name = f"admission-{uuid.uuid4().hex[:6]}"
    whole("create", "namespace", name)
    whole("label", "namespace", name, "headgate.dev/canary=enabled")
    try:
        yield whole.within(name)
    finally:
        whole("delete", "namespace", name, "--wait=false")


@pytest.fixture
def target(team: Kubectl) -> str:
    """Return the name of a Deployment without pods, whose first version has a ReplicaSet."""
    name = f"web-{uuid.uuid4().hex[:6]}"
    team.apply(deployment(name))
    wait_for("its first revision", lambda: revisions(team, name), 30)
    return name


def image(version: int) -> str:
    return f"headgate.invalid/web:{version}"


def pod(version: int) -> Json:
    return {"spec": {"containers": [{"name": "web", "image": image(version)}]}}


def deployment(name: str, version: int = 1) -> Json:
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, **pod(version)},
        },
    }


def revisions(team: Kubectl, name: str) -> list[Json]:
    return team.items("replicaset", "-l", f"app={name}")


def patched(team: Kubectl, name: str, patch: Json, *options: str) -> Json:
    """Return the object as the API server answers the patch."""
    merge = ("--type=merge", "-p", json.dumps(patch), "-o", "json", *options)
    answer: Json = json.loads(team("patch", "deployment", name, *merge))
    return answer


def push(team: Kubectl, name: str, version: int, *options: str, **spec: Any) -> Json:
    return patched(team, name, {"spec": {"template": pod(version), **spec}}, *options)


def natively(team: Kubectl, name: str, patch: Json) -> None:
    """Write past the webhook, as the analyzer: a template that changes with it needs a pause."""
    patched(team, name, {**patch, "spec": {**patch.get("spec", {}), "paused": True}}, *BY_ANALYZER)
    patched(team, name, {"spec": {"paused": None}}, *BY_ANALYZER)


def marks(obj: Json) -> dict[str, str]:
    notes = obj["metadata"].get("annotations") or {}
    return {key: value for key, value in notes.items() if key.startswith("headgate.dev/")}


def held_as(obj: Json) -> dict[str, str]:
    """Return hold and stable of an object that is held, and fail if it is not."""
    assert obj["spec"].get("paused") is True, obj
    return {key: value for key, value in marks(obj).items() if key in {HOLD, STABLE}}


def identity(obj: Json) -> str:
    return template_hash(obj["spec"]["template"])


def refuse(team: Kubectl, name: str, version: int) -> None:
    """Remember a version as refused, as the analyzer does."""
    would = push(team, name, version, "--dry-run=server")
    verdict = {REFUSED: identity(would), REFUSED_WHY: WHY}
    natively(team, name, {"metadata": {"annotations": verdict}})


# --- another webhook ----------------------------------------------------------------------------


@pytest.mark.parametrize("change", [label, label_pods], ids=["labels it", "labels its pods"])
@pytest.mark.parametrize("refused", [False, True], ids=["new", "refused"])
def test_a_webhook_after_ours_leaves_the_hold_where_it_is(
    team: Kubectl, target: str, change: Change, *, refused: bool
) -> None:
    with after_headgate(team, target, change):
        if refused:
            refuse(team, target, 2)
        stable = identity(team.get("deployment", target))
        stored = push(team, target, 2)
        assert MARK in stored["metadata"]["labels"]
        assert held_as(stored) == {HOLD: identity(stored), STABLE: stable}
        assert (marks(stored).get(REFUSED) == identity(stored)) is refused
        third = push(team, target, 3)
        assert held_as(third)[HOLD] == identity(third)


def test_a_webhook_after_ours_leaves_the_pause_of_a_team_theirs(team: Kubectl, target: str) -> None:
    with after_headgate(team, target, label):
        patched(team, target, {"spec": {"paused": True}})
        stored = push(team, target, 2)
        assert (stored["spec"]["paused"], HOLD in marks(stored)) == (True, False)


# --- copies -------------------------------------------------------------------------------------


def copy_of(team: Kubectl, name: str) -> Json:
    """Return a saved copy as people keep them: as it was read."""
    return team.get("deployment", name)


def told(team: Kubectl, text: str) -> None:
    """Wait until an event says something; the note that it was made of goes."""

    def found() -> bool:
        events = team.items("event")
        return any(text in event["message"] for event in events)

    wait_for(f"an event: {text}", found, 30)


def test_a_held_target_that_is_replaced_by_force_starts(team: Kubectl, target: str) -> None:
    push(team, target, 2)
    saved = copy_of(team, target)
    assert saved["spec"]["paused"] is True
    done = team.run("replace", "--force", "-f", "-", stdin=json.dumps(saved))
    assert done.returncode == 0, done.stderr
    assert f"is made from a copy and starts with {image(2)}" in done.stderr
    stored = team.get("deployment", target)
    assert not stored["spec"].get("paused")
    assert not {HOLD, STABLE} & marks(stored).keys()
    wait_for("a ReplicaSet", lambda: revisions(team, target), 30)
    told(team, f"{target} is made from a copy")
    wait_for("the note to go", lambda: NOTE not in marks(team.get("deployment", target)), 30)


def test_a_clone_of_a_refused_target_is_told_why_it_was_refused(team: Kubectl, target: str) -> None:
    refuse(team, target, 2)
    push(team, target, 2)
    clone = copy_of(team, target)
    clone["metadata"] = {
        "generateName": f"{target}-copy-",
        "annotations": {**clone["metadata"]["annotations"], Command.PROMOTE: "now"},
    }
    options = ("-f", "-", "-o", "json")
    done = team.run("create", *options, stdin=json.dumps(clone))
    assert done.returncode == 0, done.stderr
    assert f"which was refused: {WHY}" in done.stderr
    stored = json.loads(done.stdout)
    assert not stored["spec"].get("paused")
    assert marks(stored).keys() == {NOTE}
    told(team, f"{target}-copy-... is made from a copy")


def test_a_copy_that_its_team_had_paused_stays_paused(team: Kubectl, target: str) -> None:
    patched(team, target, {"spec": {"paused": True}})
    saved = copy_of(team, target)
    team("replace", "--force", "-f", "-", stdin=json.dumps(saved))
    assert team.get("deployment", target)["spec"]["paused"] is True


def test_a_saved_copy_written_over_the_target_is_one_more_version(
    team: Kubectl, target: str
) -> None:
    """A pause and marks that come back on a target that runs again are decided anew."""
    push(team, target, 2)
    saved = copy_of(team, target)
    stable = push(team, target, 1)
    assert not stable["spec"].get("paused")
    saved["metadata"].pop("resourceVersion")
    stored = replaced(team, saved)
    assert held_as(stored) == {HOLD: identity(stored), STABLE: identity(stable)}


def replaced(team: Kubectl, obj: dict[str, Any]) -> dict[str, Any]:
    """Write an object over what is stored; again where a controller wrote in between.

    kubectl takes the resourceVersion that it writes on from a read of its own.
    """

    def once() -> dict[str, Any] | None:
        done = team.run("replace", "-f", "-", "-o", "json", stdin=json.dumps(obj))
        if "the object has been modified" in done.stderr:
            return None
        assert done.returncode == 0, done.stderr
        stored: dict[str, Any] = json.loads(done.stdout)
        return stored

    return wait_for("a replacement", once, 30)


# --- undo ---------------------------------------------------------------------------------------


def test_an_undo_brings_back_a_version_and_no_word_of_its_time(team: Kubectl, target: str) -> None:
    # Two revisions, of which the first comes back.
    natively(team, target, {"spec": {"template": pod(2)}})
    wait_for("two revisions", lambda: len(revisions(team, target)) > 1, 30)
    first = next(
        it
        for it in revisions(team, target)
        if it["spec"]["template"]["spec"]["containers"][0]["image"] == image(1)
    )
    replayed = {
        **{str(command): "now" for command in Command},
        PROMOTING: "x",
        REQUESTED_BY: "bob",
        OPT_OUT: "disabled",
    }
    notes = {"metadata": {"annotations": replayed}}
    name = first["metadata"]["name"]
    team("patch", "replicaset", name, "--type=merge", "-p", json.dumps(notes))
    done = team.run("rollout", "undo", f"deployment/{target}", "--to-revision=1")
    assert done.returncode == 0, done.stderr
    for key in (*Command, OPT_OUT):
        assert key in done.stderr, "the client is told"
    stored = team.get("deployment", target)
    assert stored["spec"]["template"]["spec"]["containers"][0]["image"] == image(1)
    assert held_as(stored)[HOLD] == identity(stored)
    assert not replayed.keys() & marks(stored).keys()


# --- operators ----------------------------------------------------------------------------------


def put(team: Kubectl, name: str, change: dict[str, Any], note: str) -> str:
    """Read, change and put, as an operator does; try again where somebody wrote in between."""

    def once() -> str | None:
        obj = team.get("deployment", name)
        obj["spec"] |= {**change, "paused": False}
        obj["metadata"].setdefault("annotations", {})["operator.example/loop"] = note
        done = team.run("replace", "-f", "-", stdin=json.dumps(obj))
        if re.search("the object has been modified", done.stderr):
            return None
        assert done.returncode == 0, done.stderr
        return done.stderr or "put"

    return wait_for("a put", once, 30)


def test_an_operator_that_reads_changes_and_puts_is_never_denied(
    team: Kubectl, target: str
) -> None:
    template = {"metadata": {"labels": {"app": target}}, **pod(2)}
    assert "held as a canary" in put(team, target, {"template": template}, "0")
    for loop in range(1, 4):
        assert "stays paused" in put(team, target, {"replicas": 0}, str(loop))
        assert held_as(team.get("deployment", target))
    held = team.get("deployment", target)
    refused = team.run("rollout", "resume", f"deployment/{target}")
    assert refused.returncode != 0
    assert "headgate.dev/promote" in refused.stderr
    assert held_as(team.get("deployment", target)) == held_as(held)


# --- ways around --------------------------------------------------------------------------------


def test_a_new_version_at_0_replicas_is_held(team: Kubectl, target: str) -> None:
    stable = identity(team.get("deployment", target))
    stored = push(team, target, 2, replicas=0)
    assert held_as(stored) == {HOLD: identity(stored), STABLE: stable}


RECREATE = {"strategy": {"type": "Recreate", "rollingUpdate": None}}


def test_recreate_passes_and_says_so_unless_the_version_was_refused(
    team: Kubectl, target: str
) -> None:
    refuse(team, target, 2)
    patch = json.dumps({"spec": {"template": pod(3), **RECREATE}})
    passed = team.run("patch", "deployment", target, "--type=merge", "-p", patch)
    assert "is not gated, because its strategy is Recreate" in passed.stderr
    assert not team.get("deployment", target)["spec"].get("paused")
    stored = push(team, target, 2, **RECREATE)
    assert held_as(stored)[HOLD] == identity(stored) == marks(stored)[REFUSED]


def test_the_denial_of_a_refused_version_tells_what_there_is_to_do(
    team: Kubectl, target: str
) -> None:
    refuse(team, target, 2)
    push(team, target, 2)
    denied = team.run("rollout", "resume", f"deployment/{target}")
    assert denied.returncode != 0
    assert f"was refused: {WHY}" in denied.stderr
    assert "is judged" not in denied.stderr
    assert "headgate.dev/retry" in denied.stderr
    back = push(team, target, 1)
    assert not back["spec"].get("paused"), "the old image is the undo"


@pytest.mark.parametrize("controller", [True, False], ids=["controller", "owner only"])
def test_what_a_flagger_owns_passes(team: Kubectl, target: str, *, controller: bool) -> None:
    reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": f"{target}-source"}
    owner: Json = {
        "apiVersion": "flagger.app/v1beta1",
        "kind": "Canary",
        "metadata": {"name": f"{target}-source"},
        "spec": {
            "targetRef": reference,
            "service": {"port": 80},
            "analysis": {"interval": "1m", "threshold": 1, "iterations": 1},
        },
    }
    made = json.loads(team("create", "-f", "-", "-o", "json", stdin=json.dumps(owner)))
    reference = {key: made[key] for key in ("apiVersion", "kind")}
    reference |= {"name": f"{target}-source", "uid": made["metadata"]["uid"]}
    owned = {"metadata": {"ownerReferences": [{**reference, "controller": controller}]}}
    brought = patched(team, target, {**owned, "spec": {"template": pod(2)}}, "--dry-run=server")
    assert held_as(brought), "a write that brings its owner along is gated"
    patched(team, target, owned)
    stored = push(team, target, 2)
    assert (stored["spec"].get("paused"), HOLD in marks(stored)) == (None, False)
