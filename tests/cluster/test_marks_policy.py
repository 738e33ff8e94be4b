"""Marks and records at the doors that no webhook watches: the status of a target, and of a Canary.

Every write is a dry run on the server, by somebody with an admin's rights in the namespace: what is
looked at is what the API server answers.
"""

import json
import subprocess
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from canary.contract import ANALYZER_USER, HOLD, REFUSED, STABLE, Command
from tests.cluster.kit import MANIFESTS, Kubectl, wait_for
from tests.cluster.test_admission import deployment
from tests.unit.manifests.flagger_objects import canary

pytestmark = pytest.mark.cluster

Json = dict[str, Any]
BY_ANALYZER = (f"--as={ANALYZER_USER}",)
CONTROLLER = "system:serviceaccount:kube-system:deployment-controller"
STATUS = ("--subresource=status", "--dry-run=server")
OURS = {"phase": "Progressing", "canaryWeight": 10, "run": {"candidate": "5f7c"}}
RECORD = {"status": {"run": {"candidate": "5f7c"}}}
FLAGGERS = {"phase": "Progressing", "canaryWeight": 10, "lastAppliedSpec": "5f7c"}


@pytest.fixture(scope="module")
def team(whole: Kubectl) -> Iterator[Kubectl]:
    """Return kubectl for a namespace of its own, for which alone the policies stand here.

    It is not enabled, so that no analyzer touches what is in it.
    """
    name = f"marks-{uuid.uuid4().hex[:6]}"
    whole("create", "namespace", name)
    team, policies = whole.within(name), list(policies_for(name))
    try:
        # kubectl reads before it patches a status, which neither has to do by itself.
        users = ("--user", ANALYZER_USER, "--user", CONTROLLER)
        team("create", "rolebinding", "writers", "--clusterrole=cluster-admin", *users)
        held = deployment("held")
        held["metadata"]["annotations"] = {HOLD: "5f7c", STABLE: "9b1d", "example.com/team": "a"}
        team.apply(held, deployment("bare"), *map(canary_named, ("ours", "flaggers", "fresh")))
        for kind, status in (("ours", OURS), ("flaggers", FLAGGERS)):
            change = ("--type=merge", "-p", json.dumps({"status": status}))
            team("patch", "canary", kind, "--subresource=status", *change)
        whole.apply(*policies)
        wait_for("the marks' policy", lambda: not written(team, "bare", {HOLD: "1"}), 30)
        wait_for("the records' policy", lambda: patch(team, "canary", "fresh", RECORD), 30)
        yield team
    finally:
        whole("delete", "-f", "-", "--ignore-not-found", stdin=yaml.safe_dump_all(policies))
        whole("delete", "namespace", name, "--wait=false")


def policies_for(namespace: str) -> Iterator[Json]:
    """Yield the product's policies, under other names and for one namespace."""
    for policy in yaml.safe_load_all((MANIFESTS / "marks-policy.yaml").read_text()):
        policy["metadata"]["name"] += f"-{namespace}"
        if policy["kind"].endswith("Binding"):
            spec = policy["spec"]
            spec["policyName"] += f"-{namespace}"
            chosen = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
            spec["matchResources"]["namespaceSelector"] = chosen
        yield policy


def canary_named(name: str) -> Json:
    return {**canary(), "metadata": {"name": name}}


def patch(team: Kubectl, kind: str, name: str, change: Json, *options: str) -> str:
    """Return what is said against a write of a status; nothing where it is taken."""
    merge = ("--type=merge", "-p", json.dumps(change))
    done = team.run("patch", kind, name, *merge, *STATUS, *options)
    return said(done)


def said(done: subprocess.CompletedProcess[str]) -> str:
    assert (done.returncode != 0) == ("denied request" in done.stderr), done.stderr
    return done.stderr if done.returncode else ""


def written(team: Kubectl, name: str, notes: Json, *options: str) -> bool:
    return not patch(team, "deployment", name, {"metadata": {"annotations": notes}}, *options)


FORGED: dict[str, tuple[str, Json]] = {
    "a mark that is changed": ("held", {STABLE: "5f7c"}),
    "a mark that is removed": ("held", {HOLD: None}),
    "the first mark of all": ("bare", {REFUSED: "5f7c"}),
    "a command, which nobody would sign": ("held", {Command.PROMOTE.value: "now"}),
    "a mark among other annotations": ("held", {"example.com/team": "b", STABLE: None}),
}


@pytest.mark.parametrize("row", FORGED)
def test_no_mark_comes_in_by_a_target_s_status(team: Kubectl, row: str) -> None:
    name, notes = FORGED[row]
    against = patch(team, "deployment", name, {"metadata": {"annotations": notes}})
    key = next(key for key in notes if key.startswith("headgate.dev/"))
    assert f"{key}: not through the status of a Deployment" in against
    assert written(team, name, notes, *BY_ANALYZER)


def test_no_other_verb_brings_a_mark_in_by_a_target_s_status(team: Kubectl) -> None:
    held = team.get("deployment", "held")
    held["metadata"]["annotations"][STABLE] = "5f7c"
    applied = {**deployment("held"), "metadata": {"name": "held", "annotations": {STABLE: "5f7c"}}}
    server_side = ("apply", "--server-side", "--force-conflicts", "-f", "-", *STATUS)
    removal = [{"op": "remove", "path": "/metadata/annotations"}]
    by_json = ("patch", "deployment", "held", "--type=json", "-p", json.dumps(removal), *STATUS)
    assert said(team.run("replace", "-f", "-", *STATUS, stdin=json.dumps(held)))
    assert said(team.run(*server_side, stdin=json.dumps(applied)))
    assert said(team.run(*by_json))


def test_what_is_not_headgate_s_goes_through_a_target_s_status(team: Kubectl) -> None:
    assert written(team, "held", {"example.com/team": "b"})
    assert written(team, "bare", {"example.com/team": "b"})
    counted = {"status": {"observedGeneration": 1}}
    assert not patch(team, "deployment", "held", counted, f"--as={CONTROLLER}")
    assert not patch(team, "deployment", "bare", counted)


RECORDS: dict[str, tuple[str, Json]] = {
    "a phase": ("ours", {"phase": "Promoting"}),
    "a part of the record": ("ours", {"run": {"candidate": "9b1d"}}),
    "a record that goes": ("ours", {"run": None}),
    "a status that goes": ("ours", dict.fromkeys(OURS)),
    "a record where a Flagger's status is": ("flaggers", {"run": {"candidate": "5f7c"}}),
    "a record where nothing is": ("fresh", OURS),
}


@pytest.mark.parametrize("row", RECORDS)
def test_no_record_of_a_run_is_anybody_else_s(team: Kubectl, row: str) -> None:
    name, status = RECORDS[row]
    against = patch(team, "canary", name, {"status": status})
    assert "annotate its Deployment with headgate.dev/promote" in against
    assert not patch(team, "canary", name, {"status": status}, *BY_ANALYZER)


def test_what_a_flagger_drives_is_left_alone(team: Kubectl) -> None:
    assert not patch(team, "canary", "flaggers", {"status": {"phase": "Succeeded"}})
    assert not patch(team, "canary", "fresh", {"status": {"phase": "Initialized"}})
    assert not patch(team, "canary", "ours", {"status": OURS}), "the same again is no change"
