"""The main job on a real cluster: real pods, real traffic, a real Prometheus."""

import re
import uuid
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.conftest import enabled_namespace
from tests.cluster.kit import (
    ENDED,
    Json,
    Kubectl,
    KubectlError,
    Traffic,
    WeightLog,
    begun,
    canary,
    message,
    metric_template,
    phase,
    route,
    service,
    serving,
    split_of,
    unchecked,
    wait_for,
    watching,
    web,
)

pytestmark = pytest.mark.cluster
MAIN_JOB = Path(__file__).resolve().parents[2] / "sandbox" / "mainjob"
GOOD, BETTER, BAD = "headgate/demo:1.0", "headgate/demo:1.1", "headgate/demo:bad"


def deploy(kubectl: Kubectl, host: str, *, with_canary: bool = True, **spec: Any) -> Json:
    """Set the team's objects up, wait until they serve, return the route as the team wrote it."""
    objects = [web(GOOD), service(), route(host)]
    if with_canary:
        objects += [metric_template(kubectl.namespace), canary(kubectl.namespace, **spec)]
    kubectl.apply(*objects)
    kubectl("rollout", "status", "deployment/web", "--timeout=120s", deadline=130)
    return kubectl.get("httproute", "web")


def set_image(kubectl: Kubectl, image: str) -> str:
    done = kubectl.run("set", "image", "deployment/web", f"web={image}")
    assert done.returncode == 0, done.stderr
    return done.stderr


def image_of(kubectl: Kubectl) -> str:
    target = kubectl.get("deployment", "web")
    return str(target["spec"]["template"]["spec"]["containers"][0]["image"])


def events(kubectl: Kubectl) -> list[str]:
    """Return what Headgate has said."""
    ours = [e for e in kubectl.items("events") if e["source"].get("component") == "headgate"]
    return [str(event["message"]) for event in ours]


def no_headgate_failures(traffic: Traffic, *, errors_allowed: bool = False) -> None:
    """No request may be lost; answers of 500 come from a bad version alone."""
    statuses = set(traffic.statuses)
    assert statuses <= ({200, 500} if errors_allowed else {200}), traffic.statuses


def back_as_written(kubectl: Kubectl, written: Json) -> None:
    now = kubectl.get("httproute", "web")
    assert now["spec"] == written["spec"]
    assert "headgate.dev/split" not in (now["metadata"].get("annotations") or {})


def promoted(kubectl: Kubectl, image: str, written: Json) -> None:
    assert image_of(kubectl) == image
    assert not kubectl.get("deployment", "web")["spec"].get("paused")
    assert kubectl.find("deployment", "web-canary") is None
    assert kubectl.find("service", "web-canary") is None
    back_as_written(kubectl, written)


def refused(kubectl: Kubectl, image: str, written: Json) -> None:
    assert image_of(kubectl) == image, "what is asked for and what is stored stay equal"
    assert kubectl.get("deployment", "web")["spec"]["paused"] is True
    wait_for("no canary", lambda: kubectl.find("deployment", "web-canary") is None, 60)
    back_as_written(kubectl, written)


def run_good(kubectl: Kubectl, host: str, traffic: Traffic, interval: str, deadline: float) -> None:
    written = deploy(kubectl, host, interval=interval)
    serving(traffic)
    log = WeightLog(kubectl)
    log.look()
    warning = set_image(kubectl, BETTER)
    assert "held as a canary" in warning
    log.follow(ENDED, deadline)
    assert log.shares == [0, 10, 20, 30, 40, 50, 0], (log.statuses, events(kubectl))
    promoted(kubectl, BETTER, written)
    no_headgate_failures(traffic)
    assert traffic.answers[-1][2] != traffic.answers[0][2]


def run_bad(kubectl: Kubectl, host: str, traffic: Traffic, interval: str, deadline: float) -> None:
    written = deploy(kubectl, host, interval=interval)
    serving(traffic)
    release_bad(kubectl, traffic, written, deadline)


def release_bad(kubectl: Kubectl, traffic: Traffic, written: Json, deadline: float) -> None:
    traffic.answers.clear()
    wait_for("an answer of the stable", lambda: traffic.answers, 10)
    with watching(kubectl, "get", "canary", "web", "-w") as lines:
        set_image(kubectl, BAD)
        begun(kubectl)
        WeightLog(kubectl).follow(ENDED, deadline)
        wait_for("Failed with weight 0", lambda: "Failed        0" in "".join(lines), 30)
    rows = [line.split()[1:3] for line in lines]
    assert ["Progressing", "10"] in rows
    described = kubectl("describe", "canary", "web")
    rolled_back = next(line for line in described.splitlines() if "Rolling back" in line)
    assert "error-rate" in rolled_back
    assert re.search(r"error-rate [0-9.]+( %)? > 1( %)?, above its bound by", rolled_back)
    status = kubectl.run("rollout", "status", "deployment/web", "--timeout=20s")
    assert status.returncode == 1, status.stdout
    assert "exceeded its progress deadline" in status.stderr
    refused(kubectl, BAD, written)
    at = traffic.now()
    wait_for("more answers", lambda: traffic.now() > at + 3, 10)
    assert set(traffic.versions(since=at)) == {traffic.answers[0][2]}, (
        "all traffic is on the stable"
    )
    no_headgate_failures(traffic, errors_allowed=True)


def test_a_good_version_is_promoted(namespace: Kubectl, host: str, traffic: Traffic) -> None:
    run_good(namespace, host, traffic, "10s", 600)


def test_a_bad_version_is_refused_and_explained(
    namespace: Kubectl, host: str, traffic: Traffic
) -> None:
    run_bad(namespace, host, traffic, "10s", 400)


@pytest.mark.slow
def test_the_main_job_as_written(prod: Kubectl, gateway: str) -> None:
    prod("apply", "-f", str(MAIN_JOB))
    prod("rollout", "status", "deployment/web", "--timeout=120s", deadline=130)
    written = prod.get("httproute", "web")
    with Traffic(gateway, host="web.example", rate=20) as traffic:
        serving(traffic)
        log = WeightLog(prod)
        log.look()
        set_image(prod, BETTER)
        log.follow(ENDED, 1200)
        assert log.shares == [0, 10, 20, 30, 40, 50, 0], (log.statuses, events(prod))
        promoted(prod, BETTER, written)
        no_headgate_failures(traffic)
        release_bad(prod, traffic, written, 400)


@pytest.mark.parametrize(("image", "ending"), [(BETTER, "Succeeded"), (BAD, "Failed")])
def test_a_label_is_enough(
    namespace: Kubectl, host: str, traffic: Traffic, image: str, ending: str
) -> None:
    written = deploy(namespace, host, with_canary=False)
    serving(traffic)
    log = WeightLog(namespace)
    log.look()  # the first weight may come sooner than a canary object is seen
    set_image(namespace, image)
    wait_for("a canary object", lambda: namespace.find("canary", "web"), 30)
    assert log.follow(ENDED, 600) == ending, (log.statuses, events(namespace))
    if ending == "Succeeded":
        assert log.shares == [0, 5, 10, 25, 50, 0]
        promoted(namespace, image, written)
        no_headgate_failures(traffic)
    else:
        refused(namespace, image, written)
        assert "request-success-rate" in message(namespace)


@pytest.mark.parametrize("server_side", [False, True], ids=["client-side", "server-side"])
def test_applying_again_changes_nothing(
    namespace: Kubectl, host: str, traffic: Traffic, *, server_side: bool
) -> None:
    team = namespace.applier(server_side=server_side)
    team(web(GOOD), service(), route(host))
    team(metric_template(namespace.namespace), canary(namespace.namespace))
    namespace("rollout", "status", "deployment/web", "--timeout=120s", deadline=130)
    serving(traffic)
    objects = [web(BETTER), service(), route(host)]
    team(*objects)
    wait_for("weight 10", lambda: split_of(namespace.get("httproute", "web")).get("web-canary"), 90)
    for _ in range(3):
        # Between two looks the analyzer may take a step; the applies themselves change nothing.
        before = unchanged_by_us(namespace)
        team(*objects)
        assert unchanged_by_us(namespace) == before
    assert "web-canary" in split_of(namespace.get("httproute", "web"))
    if server_side:
        namespace.diff(*objects)
    log = WeightLog(namespace)
    assert log.follow(ENDED, 600) == "Succeeded", events(namespace)


def unchanged_by_us(kubectl: Kubectl) -> tuple[Json, int, list[str]]:
    """Return what an apply of the same manifests must leave as it is."""
    target, path = kubectl.get("deployment", "web"), kubectl.get("httproute", "web")
    return target["spec"], target["metadata"]["generation"], sorted(split_of(path))


def _broken_template(objects: dict[str, Json]) -> None:
    objects["template"]["spec"]["query"] = "up{{ wrong }}"


def _no_template(objects: dict[str, Json]) -> None:
    objects["template"]["metadata"]["name"] = "another"


def _no_service(objects: dict[str, Json]) -> None:
    objects["canary"]["spec"]["service"]["name"] = "nowhere"


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_broken_template, "wrong"),
        (_no_template, "error-rate does not exist"),
        (_no_service, "nowhere does not exist"),
    ],
    ids=["template", "no template", "no Service"],
)
def test_bad_input_is_said_and_the_hold_is_kept(
    namespace: Kubectl, host: str, spoil: Any, said: str
) -> None:
    objects = {
        "template": metric_template(namespace.namespace),
        "canary": canary(namespace.namespace),
    }
    spoil(objects)
    written = (web(GOOD), service(), route(host), *objects.values())
    unchecked(namespace, lambda: namespace.apply(*written))
    namespace("rollout", "status", "deployment/web", "--timeout=120s", deadline=130)
    set_image(namespace, BETTER)
    wait_for("the message", lambda: said in message(namespace), 30)
    assert any(said in text for text in events(namespace))
    target = namespace.get("deployment", "web")
    assert target["spec"]["paused"] is True
    assert "headgate.dev/hold" in target["metadata"]["annotations"]
    assert namespace.find("deployment", "web-canary") is None
    # Mended, it goes on by itself.
    namespace.apply(metric_template(namespace.namespace), canary(namespace.namespace))
    wait_for("a canary", lambda: namespace.find("deployment", "web-canary"), 60)


def test_what_an_object_shows_by_itself_is_refused_as_it_is_written(namespace: Kubectl) -> None:
    template = metric_template(namespace.namespace)
    _broken_template({"template": template})
    with pytest.raises(KubectlError, match="wrong"):
        namespace.apply(template)
    assert not namespace.items("metrictemplates.flagger.app")


def test_the_analyzer_may_die_at_every_step(exclusive: Kubectl, gateway: str) -> None:
    name = f"prod-{uuid.uuid4().hex[:6]}"
    host = f"{name}.example"
    with enabled_namespace(exclusive, name) as team, Traffic(gateway, host=host) as traffic:
        written = deploy(team, host)
        serving(traffic)
        log, killed = WeightLog(team), set[tuple[str, int]]()
        log.look()
        set_image(team, BETTER)

        def ended() -> str | None:
            now = log.look()
            if now in ENDED:
                return now
            if log.statuses[-1] not in killed:
                killed.add(log.statuses[-1])
                kill_analyzers(exclusive)
            return None

        assert wait_for("the end", ended, 600) == "Succeeded", (log.statuses, events(team))
        assert len(killed) >= 6, killed
        assert log.shares == [0, 10, 20, 30, 40, 50, 0]
        promoted(team, BETTER, written)
        no_headgate_failures(traffic)
    system = exclusive.within("headgate-system")
    system("rollout", "status", "deployment/headgate-analyzer", "--timeout=120s", deadline=130)


def kill_analyzers(admin: Kubectl) -> None:
    """End every analyzer at once, without a chance to say goodbye."""
    every = ("-l", "app.kubernetes.io/component=analyzer")
    now = ("--grace-period=0", "--force", "--wait=false")
    admin.within("headgate-system")("delete", "pod", *every, *now)


def test_nobody_releases_a_hold_in_silence(namespace: Kubectl, host: str) -> None:
    deploy(namespace, host)
    set_image(namespace, BETTER)
    resumed = namespace.run("rollout", "resume", "deployment/web")
    assert resumed.returncode != 0
    assert "headgate.dev/promote" in resumed.stderr
    assert "headgate.dev/abort" in resumed.stderr
    namespace("scale", "deployment/web", "--replicas=3")
    assert namespace.get("deployment", "web")["spec"]["paused"] is True
    namespace("annotate", "deployment/web", "headgate.dev/promote=now")
    wait_for("the promotion", lambda: phase(namespace) == "Succeeded", 120)
    assert image_of(namespace) == BETTER
    assert any("promoted by" in text for text in events(namespace))


def test_the_stable_template_again_ends_a_run(
    namespace: Kubectl, host: str, traffic: Traffic
) -> None:
    written = deploy(namespace, host)
    serving(traffic)
    pods = {pod["metadata"]["uid"] for pod in namespace.items("pods", "-l", "app=web")}
    set_image(namespace, BETTER)
    wait_for("weight 10", lambda: split_of(namespace.get("httproute", "web")).get("web-canary"), 90)
    set_image(namespace, GOOD)
    wait_for("no canary", lambda: namespace.find("deployment", "web-canary") is None, 60)
    promoted(namespace, GOOD, written)
    assert {p["metadata"]["uid"] for p in namespace.items("pods", "-l", "app=web")} == pods
    no_headgate_failures(traffic)


def test_a_half_way_promotion_is_undone(namespace: Kubectl, host: str, traffic: Traffic) -> None:
    slow = web(GOOD, replicas=4)
    slow["spec"]["minReadySeconds"] = 8
    namespace.apply(
        slow,
        service(),
        route(host),
        metric_template(namespace.namespace),
        canary(namespace.namespace, maxWeight=10),
    )
    namespace("rollout", "status", "deployment/web", "--timeout=120s", deadline=130)
    written = namespace.get("httproute", "web")
    serving(traffic)
    set_image(namespace, BETTER)
    wait_for("the promotion", lambda: phase(namespace) == "Promoting", 120)
    wait_for(
        "new pods",
        lambda: namespace.get("deployment", "web").get("status", {}).get("updatedReplicas"),
        60,
    )
    namespace("annotate", "deployment/web", "headgate.dev/abort=now")
    wait_for("the verdict", lambda: phase(namespace) == "Failed", 30)

    def restored() -> bool:
        pods = namespace.items("pods", "-l", "app=web")
        images = [pod["spec"]["containers"][0]["image"] for pod in pods]
        ready = namespace.get("deployment", "web")["status"].get("readyReplicas", 0)
        return images == [GOOD] * 4 and ready == 4

    wait_for("four old pods", restored, 90)
    refused(namespace, BETTER, written)
    no_headgate_failures(traffic)
