"""From the defaults to settings of one's own and back, by kubectl and by Flux's field manager."""

import json
import uuid
from collections.abc import Mapping
from functools import partial
from typing import Any

import pytest
import yaml

from canary.contract import ANALYZER_USER
from tests.cluster.conftest import enabled_namespace
from tests.cluster.kit import (
    FLUX,
    Json,
    Kubectl,
    KubectlError,
    WeightLog,
    phase,
    route,
    service,
    split_of,
    unchecked,
    wait_for,
    web,
)
from tests.fakes.made import FORMER

pytestmark = pytest.mark.cluster
GOOD, BETTER = "headgate/demo:1.0", "headgate/demo:1.1"
DEFAULTS = [5, 10, 25, 50]
"""The steps of the installation's own defaults, whose interval is 30 s."""
CREATED_FROM = "headgate.dev/created-from"


def own(**analysis: Any) -> Json:
    """Return a team's Canary: no metrics, so that nothing but its steps is waited for."""
    return {
        "apiVersion": "flagger.app/v1beta1",
        "kind": "Canary",
        "metadata": {"name": "web"},
        "spec": {
            "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
            "service": {"port": 80, "targetPort": 8080},
            "analysis": {"interval": "10s", "threshold": 3, **analysis},
        },
    }


def deploy(kubectl: Kubectl, host: str) -> None:
    kubectl.apply(web(GOOD), service(), route(host))
    kubectl("rollout", "status", "deployment/web", "--timeout=120s", deadline=130)


def update(kubectl: Kubectl, image: str = BETTER) -> None:
    kubectl("set", "image", "deployment/web", f"web={image}")


def share(kubectl: Kubectl) -> int:
    return split_of(kubectl.get("httproute", "web")).get("web-canary", 0)


def canary_of(kubectl: Kubectl) -> Json:
    return kubectl.find("canary", "web") or {"metadata": {}, "spec": {}}


def is_made(kubectl: Kubectl) -> bool:
    obj = canary_of(kubectl)
    labels = obj["metadata"].get("labels") or {}
    return CREATED_FROM in labels and obj["spec"].get("analysis") == {}


def is_a_team_s(kubectl: Kubectl) -> bool:
    metadata = canary_of(kubectl)["metadata"]
    return bool(metadata) and not metadata.get("ownerReferences") and not metadata.get("labels")


def in_force(kubectl: Kubectl) -> Mapping[str, Any]:
    run = canary_of(kubectl).get("status", {}).get("run", {})
    found: Mapping[str, Any] = run.get("inForce") or {}
    return found


def is_in_force(kubectl: Kubectl, weight: int) -> bool:
    return in_force(kubectl).get("stepWeights") == [weight]


def said(kubectl: Kubectl, reason: str) -> list[Json]:
    ours = [e for e in kubectl.items("events") if e["source"].get("component") == "headgate"]
    return [event for event in ours if event["reason"] == reason]


@pytest.mark.parametrize(
    "how", [(), ("--server-side",), FLUX], ids=["client-side", "server-side", "Flux"]
)
def test_a_team_s_apply_takes_over_in_mid_run_and_its_deletion_gives_back(
    namespace: Kubectl, host: str, how: tuple[str, ...]
) -> None:
    deploy(namespace, host)
    update(namespace)
    wait_for("the first weight of the defaults", lambda: share(namespace) == 5, 60)
    assert is_made(namespace)
    assert in_force(namespace)["stepWeights"] == DEFAULTS
    log = WeightLog(namespace)
    log.look()
    text = yaml.safe_dump(own(stepWeights=[40, 60]))
    namespace("apply", *how, "-f", "-", stdin=text)
    wait_for("no mark and no owner", lambda: is_a_team_s(namespace), 20)
    assert log.follow({"Succeeded", "Failed"}, 120) == "Succeeded"
    assert log.shares == [5, 40, 60, 0], log.statuses
    assert in_force(namespace)["stepWeights"] == [40, 60]
    assert said(namespace, "TakenOver")
    again = namespace("apply", *how, "-f", "-", stdin=text)
    assert "unchanged" in again or how, again
    assert canary_of(namespace)["spec"] == own(stepWeights=[40, 60])["spec"]
    # Another manager beside the first one, then none at all.
    namespace("apply", *FLUX, "-f", "-", stdin=text)
    namespace("delete", "canary", "web")
    update(namespace, GOOD)
    wait_for("one that is made", lambda: is_made(namespace), 30)
    wait_for(
        "the defaults in force", lambda: in_force(namespace).get("stepWeights") == DEFAULTS, 30
    )


def test_edits_in_mid_run_hold_from_the_next_tick_and_no_weight_falls(
    namespace: Kubectl, host: str
) -> None:
    namespace.apply(own(stepWeights=[20, 30, 40]))
    deploy(namespace, host)
    log = WeightLog(namespace)
    log.look()
    update(namespace)

    def seen(weight: int) -> bool:
        log.look()
        return log.shares[-1] == weight

    wait_for("the second step", lambda: seen(30), 60)
    namespace.apply(own(stepWeights=[20, 30, 35, 70]))
    wait_for("a step of the longer list", lambda: seen(35), 30)
    wait_for("its last step", lambda: seen(70), 30)
    namespace.apply(own(stepWeights=[1, 2]))
    assert log.follow({"Promoting", "Succeeded", "Failed"}, 40) != "Failed"
    assert log.follow({"Succeeded", "Failed"}, 60) == "Succeeded"
    assert log.shares == [0, 20, 30, 35, 70, 0], log.statuses


def test_a_held_target_s_canary_is_replaced_by_force_again_and_again(
    namespace: Kubectl, host: str
) -> None:
    namespace.apply(own(stepWeights=[20]))
    deploy(namespace, host)
    update(namespace)
    wait_for("the first weight", lambda: share(namespace) == 20, 60)
    for weight in (21, 22, 23, 24, 25):
        text = yaml.safe_dump(own(stepWeights=[weight], interval="10m"))
        namespace("replace", "--force", "-f", "-", stdin=text)
        assert is_a_team_s(namespace)
        wait_for("its settings in force", partial(is_in_force, namespace, weight), 30)
    wait_for("the weight of the last one", lambda: share(namespace) == 25, 60)
    # The one that was made is replaced as well; and a deletion gives back to the defaults.
    namespace("delete", "canary", "web")
    wait_for("one that is made", lambda: is_made(namespace), 30)
    text = yaml.safe_dump(own(stepWeights=[40], interval="10m"))
    namespace("replace", "--force", "-f", "-", stdin=text)
    wait_for("the weight of the new one", lambda: share(namespace) == 40, 60)
    assert is_a_team_s(namespace)


@pytest.mark.parametrize("how", [("--server-side", "--field-manager=ci"), ()], ids=["ci", "plain"])
def test_a_team_s_own_goes_from_one_form_of_steps_to_another_and_to_none(
    namespace: Kubectl, how: tuple[str, ...]
) -> None:
    forms: list[Json] = [
        {"interval": "10s", "threshold": 3, "stepWeights": [40]},
        {"interval": "10s", "threshold": 3, "stepWeight": 20, "maxWeight": 60},
        {"interval": "10s", "threshold": 3, "stepWeights": [40, 50]},
        {},
    ]
    for analysis in forms:
        obj = own()
        obj["spec"]["analysis"] = analysis
        namespace("apply", *how, "-f", "-", stdin=yaml.safe_dump(obj))
        assert canary_of(namespace)["spec"]["analysis"] == analysis


@pytest.mark.parametrize(
    "patch",
    [
        ("--type=merge", '{"spec": {"analysis": null}}'),
        ("--type=json", '[{"op": "remove", "path": "/spec/analysis"}]'),
    ],
    ids=["merge", "json"],
)
def test_a_patch_that_takes_the_analysis_out_goes_back_to_the_defaults(
    namespace: Kubectl, patch: tuple[str, str]
) -> None:
    namespace.apply(own(stepWeights=[40]))
    form, text = patch
    namespace("patch", "canary", "web", form, "-p", text)
    assert canary_of(namespace)["spec"]["analysis"] == {}


def understood(kubectl: Kubectl) -> str:
    """Return what the Canary's status says of words that nobody follows, "" where all are."""
    conditions = canary_of(kubectl).get("status", {}).get("conditions", ())
    found = (one["message"] for one in conditions if one["type"] == "Understood")
    return next(found, "")


def test_a_typo_is_said_within_seconds_of_the_write_while_the_target_rests(
    namespace: Kubectl, host: str
) -> None:
    namespace.apply(own(stepWeights=[40]))
    deploy(namespace, host)
    wait_for("the target is known", lambda: phase(namespace) == "Initialized", 30)
    namespace("annotate", "canary", "web", "headgate.dev/baek=5m")
    wait_for("the status", lambda: "did you mean headgate.dev/bake?" in understood(namespace), 5)
    assert {e["involvedObject"]["kind"] for e in said(namespace, "FieldsIgnored")} == {
        "Canary",
        "Deployment",
    }
    spoilt = ("annotate", "canary", "web", "headgate.dev/baek-", "headgate.dev/bake=soon")
    with pytest.raises(KubectlError, match="bake"):
        namespace(*spoilt)
    unchecked(namespace, lambda: namespace(*spoilt))
    wait_for("what would hold", lambda: "would stay held" in understood(namespace), 30)
    assert said(namespace, "InvalidConfiguration")
    namespace("annotate", "canary", "web", "headgate.dev/bake-")
    wait_for("nothing to be said", lambda: not understood(namespace), 5)


def as_the_release_before_made_it(target: Json) -> Json:
    owner = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "name": "web",
        "uid": target["metadata"]["uid"],
    }
    obj = own()
    del obj["spec"]["service"]
    obj["spec"]["analysis"] = {**FORMER, "interval": "10s", "stepWeights": [15, 45]}
    obj["metadata"] |= {
        "labels": {CREATED_FROM: "defaults", "app.kubernetes.io/managed-by": "headgate"},
        "ownerReferences": [owner],
    }
    return obj


def test_one_of_the_release_before_is_renewed_and_applied_over(
    namespace: Kubectl, host: str
) -> None:
    deploy(namespace, host)
    text = json.dumps(as_the_release_before_made_it(namespace.get("deployment", "web")))
    namespace("create", "--field-manager=headgate", "-f", "-", stdin=text)
    wait_for("it to be renewed", lambda: is_made(namespace), 20)
    assert canary_of(namespace)["metadata"]["ownerReferences"]
    namespace.apply(own(stepWeight=20, maxWeight=60))
    wait_for("no mark and no owner", lambda: is_a_team_s(namespace), 20)
    assert canary_of(namespace)["spec"] == own(stepWeight=20, maxWeight=60)["spec"]


def written_by_the_release_before(kubectl: Kubectl, former: Json) -> None:
    """Leave a run as if that release had led until now: none of the defaults in its status."""
    forgotten = {"status": {"run": {"defaults": None, "inForce": None}}}
    # kubectl reads before it patches a status, which the analyzer has no need to.
    reads = ("--clusterrole=cluster-admin", f"--user={ANALYZER_USER}")
    kubectl.run("create", "rolebinding", "reads-status", *reads)
    # The status is written by the analyzer alone.
    for patch, more in (
        (forgotten, ("--subresource=status", f"--as={ANALYZER_USER}")),
        (former, ("--field-manager=headgate",)),
    ):
        kubectl("patch", "canary", "web", "--type=merge", *more, "-p", json.dumps(patch))


def test_a_run_of_the_release_before_goes_on_by_what_was_in_force(
    namespace: Kubectl, host: str
) -> None:
    deploy(namespace, host)
    update(namespace)
    wait_for("the first weight", lambda: share(namespace) == 5, 60)
    target = namespace.get("deployment", "web")
    former = as_the_release_before_made_it(target)
    former["spec"]["analysis"]["stepWeights"] = [5, 45]
    begun = namespace.get("canary", "web")["status"]["run"]["stepOf"]
    for _ in range(3):
        # An analyzer that looks in between takes it for a team's run of that release: once more.
        written_by_the_release_before(namespace, former)
        wait_for("it to be renewed", lambda: is_made(namespace), 20)
        known = namespace.get("canary", "web")["status"]["run"].get("defaults") or {}
        if known.get("weights") == "5,45":
            break
    wait_for("the next weight of what was in force", lambda: share(namespace) == 45, 40)
    run = namespace.get("canary", "web")["status"]["run"]
    assert (run["stepOf"], run["defaults"]["weights"]) == (begun, "5,45")
    assert phase(namespace) in {"Progressing", "Promoting"}


def test_changed_defaults_leave_a_run_as_it_began_and_hold_from_the_next_one_on(
    alone: Kubectl,
) -> None:
    system = alone.within("headgate-system")
    with enabled_namespace(alone, f"prod-{uuid.uuid4().hex[:6]}") as team:
        deploy(team, f"{team.namespace}.example")
        update(team)
        wait_for("the first weight", lambda: share(team) == 5, 60)
        changed = {"HEADGATE_DEFAULT_STEP_WEIGHTS": "60", "HEADGATE_DEFAULT_INTERVAL": "10s"}
        system(
            *("patch", "configmap", "headgate", "--type=merge"),
            *("-p", json.dumps({"data": changed})),
        )
        system("rollout", "restart", "deployment/headgate-analyzer")
        system("rollout", "status", "deployment/headgate-analyzer", "--timeout=90s")
        wait_for("the next weight of the run's own", lambda: share(team) == 10, 60)
        assert in_force(team)["stepWeights"] == DEFAULTS
        update(team, GOOD)
        wait_for("the end of the run", lambda: phase(team) == "Initialized", 30)
        update(team)
        wait_for("the first weight of the next one", lambda: share(team) == 60, 60)
        assert in_force(team)["stepWeights"] == [60]


def test_nothing_is_made_where_a_flagger_works_and_the_run_begins_when_it_has_gone(
    namespace: Kubectl, host: str
) -> None:
    deploy(namespace, host)
    flagger = web("headgate/demo:1.0", replicas=1, name="flagger")
    # Told by the name of its program, and to work on this namespace alone.
    container = flagger["spec"]["template"]["spec"]["containers"][0]
    container["command"] = ["/usr/local/bin/flagger", f"-namespace={namespace.namespace}"]
    namespace.apply(flagger)
    update(namespace)
    (event,) = wait_for("the event", lambda: said(namespace, "FlaggerAtWork"), 20)
    assert "Deployment" in event["message"]
    assert "runs Flagger" in event["message"]
    status = namespace.run("rollout", "status", "deployment/web", "--timeout=20s")
    assert status.returncode == 1, status.stdout
    conditions = namespace.get("deployment", "web")["status"]["conditions"]
    assert any("nothing is made for it" in one["message"] for one in conditions)
    assert namespace.find("canary", "web") is None
    assert namespace.find("deployment", "web-canary") is None
    namespace("delete", "deployment", "flagger", "--wait=false")
    wait_for("the run", lambda: phase(namespace) == "Progressing", 45)
    wait_for("no condition of before", lambda: not blocked(namespace), 20)


def blocked(kubectl: Kubectl) -> bool:
    conditions = kubectl.get("deployment", "web")["status"]["conditions"]
    return any("nothing is made for it" in one["message"] for one in conditions)
