"""A past window is judged as a run would have been: from real answers of a real HTTP server."""

from datetime import timedelta
from typing import Any

import pytest

from canary.contract import CANDIDATE
from canary.model.hashing import template_hash
from canary.model.state import Phase, State
from canary.model.values import Json
from canary.objects.status import status_from_state
from kubectl_headgate.naming import Sides
from tests.fakes import objects
from tests.unit.kubectl_headgate.conftest import Command
from tests.unit.kubectl_headgate.past import (
    BEGINS,
    CANARIES,
    SETTINGS,
    Backend,
    Gauge,
    Life,
    Objects,
    Past,
    Timed,
    listed,
)

SERVICES = "/api/v1/namespaces/prod/services"
DEPLOYMENT = "/apis/apps/v1/namespaces/prod/deployments/web"
METRICS = [{"name": "request-success-rate", "thresholdRange": {"min": 99}}]
CANARY = objects.canary(metrics=METRICS)
STABLE = [Life(name="web-5d9f-a1", bad=0.001), Life(name="web-5d9f-b2", bad=0.001)]


REPLICA_SETS = "/apis/apps/v1/namespaces/prod/replicasets"
CANARY_DEPLOYMENT = "/apis/apps/v1/namespaces/prod/deployments/web-canary"


def canary_pod(bad: float = 0.0, **life: Any) -> Life:
    return Life(**{"name": "web-canary-7c8b-x1", "begins": 5.0, "bad": bad, **life})


def with_run(minute: float, candidate: str, *, pods: tuple[str, ...] = ()) -> Json:
    """Return the Canary of a run of this candidate that began at a minute of the window."""
    began = BEGINS + timedelta(minutes=minute)
    state = State(phase=Phase.FAILED, candidate=candidate, stable="v1", started_at=began)
    status = status_from_state(state, previous={}, generation=1, now=began)
    status["run"]["pods"] = list(pods)
    return {**CANARY, "status": status}


def replica_set(owner: Json, digits: str, template: Json, number: int = 1) -> Json:
    """Return the ReplicaSet that a Deployment's controller makes of a template."""
    metadata = owner["metadata"]
    reference = {"kind": "Deployment", "name": metadata["name"], "uid": metadata["uid"]}
    return {
        "metadata": {
            "name": f"{metadata['name']}-{digits}",
            "namespace": "prod",
            "labels": {"app": "web", "pod-template-hash": digits},
            "annotations": {"deployment.kubernetes.io/revision": str(number)},
            "ownerReferences": [{**reference, "controller": True}],
        },
        "spec": {"replicas": 1, "template": template},
    }


@pytest.fixture
def history(api: Objects, past: tuple[Past, str]) -> Past:
    api.objects[CANARIES] = listed(CANARY)
    return past[0]


@pytest.fixture
def server(past: tuple[Past, str]) -> str:
    return past[1]


async def test_a_bad_candidate_would_have_been_refused_and_when_is_said(
    command: Command, history: Past, server: str
) -> None:
    history.lives = [*STABLE, canary_pod(bad=0.2)]
    ended = await command("replay", "web", "--prometheus", server, "-o", "json")
    assert ended.code == 1, ended
    assert ended.json["outcome"] == "refused"
    assert ended.json["firstRequest"] == "2026-01-01T11:35:15Z"
    assert 30 <= ended.json["seconds"] <= 90
    (row,) = ended.json["evidence"]["metrics"]
    assert row["canary"]["value"] == pytest.approx(0.2, abs=0.01)
    assert row["source"] == "metrics server (app)"
    assert ended.json["canaryPods"] == ["web-canary-7c8b-x1"]
    text = await command("replay", "web", "--prometheus", server)
    assert text.code == 1
    assert "Refused at 2026-01-01T11:3" in text.out
    assert "after the first canary request: request-success-rate 20 %" in " ".join(text.out.split())
    assert "\x1b" not in text.out
    assert max(len(line) for line in text.out.splitlines()) <= 120


async def test_a_healthy_candidate_passes_the_gate_and_without_one_is_not_refused(
    command: Command, history: Past, server: str
) -> None:
    history.lives = [*STABLE, canary_pod(bad=0.0005)]
    ended = await command(
        "replay", "web", "--prometheus", server, "-o", "json", "--gate", "non-inferiority"
    )
    assert (ended.code, ended.json["outcome"]) == (0, "passed")
    assert ended.json["seconds"] > 0
    (row,) = ended.json["evidence"]["metrics"]
    # All but the first scrapes of a new pod, whose errors are the warm-up's.
    assert row["canary"]["all"] == pytest.approx(25 * 60 * 10, rel=0.03)
    assert row["stable"]["all"] == pytest.approx(2 * row["canary"]["all"], rel=0.03)
    ungated = await command("replay", "web", "--prometheus", server)
    assert ungated.code == 0
    assert "Not refused by the end of the window" in ungated.out
    assert "Layer 1 (thresholds every interval) is not replayed" in ungated.out


async def test_too_short_a_window_decides_nothing_and_says_what_is_missing(
    command: Command, history: Past, server: str
) -> None:
    history.lives = [*STABLE, canary_pod()]
    window = ("--from", "2026-01-01T11:30:00Z", "--to", "2026-01-01T11:36:00Z")
    ended = await command(
        "replay", "web", "--prometheus", server, *window, "--gate", "non-inferiority"
    )
    assert ended.code == 0
    assert "Not decided by the end of the window" in ended.out
    assert "A promotion needs evidence:" in ended.out
    assert "requests to the canary" in ended.out


async def test_restarts_in_the_middle_are_no_errors_and_no_requests_lost(
    command: Command, history: Past, server: str
) -> None:
    steady = [*STABLE, canary_pod()]
    history.lives = steady
    asked = ("replay", "web", "--prometheus", server, "-o", "json")
    (before,) = (await command(*asked)).json["evidence"]["metrics"]
    history.lives = [
        Life(name="web-5d9f-a1", bad=0.001, restarts=12.1),
        Life(name="web-5d9f-b2", bad=0.001, ends=14.0),
        Life(name="web-5d9f-c3", bad=0.001, begins=14.0),
        canary_pod(restarts=20.1),
    ]
    ended = await command(*asked)
    assert (ended.code, ended.json["outcome"]) == (0, "not-refused")
    (after,) = ended.json["evidence"]["metrics"]
    for side in ("canary", "stable"):
        assert after[side]["all"] == pytest.approx(before[side]["all"], rel=0.02)
        assert after[side]["all"] <= before[side]["all"]
    assert ended.json["stablePods"] == ["web-5d9f-a1", "web-5d9f-b2", "web-5d9f-c3"]


async def test_pods_that_served_before_the_window_are_counted_from_its_beginning(
    command: Command, history: Past, server: str
) -> None:
    history.lives = [*STABLE, Life(name="web-canary-7c8b-x1", begins=-50.0, bad=0.0)]
    ended = await command("replay", "web", "--prometheus", server, "-o", "json", "--last", "10m")
    (row,) = ended.json["evidence"]["metrics"]
    assert row["canary"]["all"] == pytest.approx(10 * 60 * 10, rel=0.05)
    assert any("served already" in remark for remark in ended.json["remarks"])


async def test_a_past_rolling_update_is_judged_by_its_revisions(
    command: Command, history: Past, server: str
) -> None:
    history.lives = [
        *STABLE,
        Life(name="web-6e7f-n1", begins=5.0, bad=0.1),
        Life(name="web-0a0a-o1", bad=0.5),
        Life(name="web-api-5d9f-a1", bad=0.9),
    ]
    asked = ("replay", "web", "--prometheus", server, "-o", "json", "--revision", "6e7f")
    ended = await command(*asked, "--against", "5d9f")
    assert (ended.code, ended.json["outcome"]) == (1, "refused")
    assert ended.json["canaryPods"] == ["web-6e7f-n1"]
    assert ended.json["stablePods"] == ["web-5d9f-a1", "web-5d9f-b2"]
    (row,) = ended.json["evidence"]["metrics"]
    assert row["stable"]["value"] < 0.01
    (all_others,) = (await command(*asked)).json["evidence"]["metrics"]
    assert all_others["stable"]["value"] > 0.1


FORMER = Life(name="web-canary-1a1a-z9", begins=2.0, ends=8.0, bad=0.5)
"""A pod of another candidate, which was refused before the one that is judged came."""


async def test_of_several_candidates_the_last_one_is_judged_by_its_own_pods(
    command: Command, history: Past, server: str
) -> None:
    history.lives = [*STABLE, FORMER, canary_pod(begins=10.0)]
    asked = ("replay", "web", "--prometheus", server, "-o", "json")
    ended = await command(*asked)
    assert (ended.code, ended.json["outcome"]) == (0, "not-refused")
    assert ended.json["canaryPods"] == ["web-canary-7c8b-x1"]
    (row,) = ended.json["evidence"]["metrics"]
    assert row["canary"]["bad"] == 0
    assert any("1a1a from 11:32:00Z" in remark for remark in ended.json["remarks"])
    other = await command(*asked, "--revision", "1a1a")
    assert (other.code, other.json["outcome"]) == (1, "refused")
    assert other.json["canaryPods"] == ["web-canary-1a1a-z9"]
    assert other.json["stablePods"] == ["web-5d9f-a1", "web-5d9f-b2"]


async def test_what_a_gateway_counted_of_the_candidate_before_is_not_counted(
    command: Command, api: Objects, history: Past, server: str
) -> None:
    api.objects[CANARIES] = listed(with_run(10.0, "v3"))
    # One Service for all: its first ten minutes are another candidate's, all of them bad.
    backend = Backend(name="web-canary", begins=2.0, cured=10.0, bad=0.9)
    history.lives = [Backend(name="web", rate=90.0, bad=0.001), backend]
    ended = await command("replay", "web", "--prometheus", server, "-o", "json")
    assert (ended.code, ended.json["outcome"]) == (0, "not-refused")
    (row,) = ended.json["evidence"]["metrics"]
    assert row["source"] == "metrics server (gateway)"
    assert row["canary"]["bad"] == 0
    assert ended.json["firstRequest"] >= "2026-01-01T11:40:00Z"


async def test_the_run_on_record_is_known_by_the_canary_deployments_own_hash(
    command: Command, api: Objects, history: Past, server: str
) -> None:
    target = objects.deployment()
    candidate = template_hash(target["spec"]["template"])
    workload = objects.deployment(name="web-canary", annotations={CANDIDATE: candidate})
    replica_sets = [
        replica_set(workload, "1a1a", {}, 1),
        replica_set(workload, "7c8b", {}, 2),
        replica_set(target, "5d9f", {"spec": {"containers": []}}, 1),
        replica_set(target, "6e7f", target["spec"]["template"], 2),
    ]
    api.objects |= {
        CANARIES: listed(with_run(4.0, candidate)),
        REPLICA_SETS: listed(*replica_sets),
        DEPLOYMENT: target,
        CANARY_DEPLOYMENT: workload,
    }
    # What began later has another hash: somebody's pods of a like name.
    strange = Life(name="web-canary-9z9z-q1", begins=12.0, bad=0.9)
    rolled = Life(name="web-6e7f-n1", begins=20.0, bad=0.2)
    history.lives = [*STABLE, FORMER, canary_pod(), rolled, strange]
    ended = await command("replay", "web", "--prometheus", server, "-o", "json")
    assert (ended.code, ended.json["outcome"]) == (1, "refused")
    assert ended.json["canaryPods"] == ["web-6e7f-n1", "web-canary-7c8b-x1"]
    assert ended.json["decided"] >= "2026-01-01T11:50:00Z", "its pods in the target have failed"


async def test_the_run_on_record_is_known_by_the_pods_in_its_status(
    command: Command, api: Objects, history: Past, server: str
) -> None:
    api.objects[CANARIES] = listed(with_run(4.0, "v3", pods=("web-canary-7c8b-x1",)))
    history.lives = [*STABLE, canary_pod(), Life(name="web-canary-9z9z-q1", begins=12.0, bad=0.9)]
    ended = await command("replay", "web", "--prometheus", server, "-o", "json")
    assert (ended.code, ended.json["canaryPods"]) == (0, ["web-canary-7c8b-x1"])


async def test_pods_of_a_promoted_candidate_are_not_the_stables(
    command: Command, history: Past, server: str
) -> None:
    """Of a past run no ReplicaSet tells; a held target gets no other version than its candidate."""
    rolled = Life(name="web-6e7f-n1", begins=20.0, bad=0.2)
    history.lives = [*STABLE, canary_pod(ends=21.0), rolled]
    ended = await command("replay", "web", "--prometheus", server, "-o", "json")
    assert ended.json["canaryPods"] == ["web-6e7f-n1", "web-canary-7c8b-x1"]
    assert ended.json["stablePods"] == ["web-5d9f-a1", "web-5d9f-b2"]


async def test_a_run_that_is_younger_than_the_window_is_not_looked_for_in_it(
    command: Command, api: Objects, history: Past, server: str
) -> None:
    api.objects[CANARIES] = listed(with_run(29.0, "v4", pods=("web-canary-2b2b-y1",)))
    history.lives = [*STABLE, FORMER, canary_pod(begins=10.0)]
    window = ("--from", "2026-01-01T11:30:00Z", "--to", "2026-01-01T11:50:00Z")
    ended = await command("replay", "web", "--prometheus", server, "-o", "json", *window)
    assert ended.json["canaryPods"] == ["web-canary-7c8b-x1"]


async def test_a_run_without_counters_is_not_taken_for_the_one_before(
    command: Command, api: Objects, history: Past, server: str
) -> None:
    api.objects[CANARIES] = listed(with_run(20.0, "v4", pods=("web-canary-2b2b-y1",)))
    history.lives = [*STABLE, FORMER]
    ended = await command("replay", "web", "--prometheus", server)
    assert ended.code == 2
    assert "pods with 2b2b in their names" in ended.error
    assert "left out: 1a1a from 11:32:00Z" in ended.error


async def test_a_version_that_was_refused_before_is_judged_by_the_run_that_refused_it(
    command: Command, api: Objects, history: Past, server: str
) -> None:
    # It came again at the end, and no pods were made for it.
    api.objects[CANARIES] = listed(with_run(20.0, "v3"))
    history.lives = [*STABLE, FORMER]
    ended = await command("replay", "web", "--prometheus", server, "-o", "json")
    assert (ended.code, ended.json["canaryPods"]) == (1, [FORMER.name])
    assert any("so the one before it is judged" in remark for remark in ended.json["remarks"])


async def test_a_team_that_may_not_read_replica_sets_is_told(
    command: Command, api: Objects, history: Past, server: str
) -> None:
    api.objects[CANARIES] = listed(with_run(4.0, "v3"))
    api.forbidden.add(REPLICA_SETS)
    history.lives = [*STABLE, canary_pod()]
    ended = await command("replay", "web", "--prometheus", server, "-o", "json")
    assert ended.code == 0
    assert any("told apart by what the metrics server" in one for one in ended.json["remarks"])


async def test_by_default_a_run_of_20_seconds_is_seen(
    command: Command, history: Past, server: str
) -> None:
    history.scraped = 5.0
    history.lives = [*STABLE, canary_pod(ends=5.0 + 20 / 60, bad=0.5, rate=40.0)]
    asked = ("replay", "web", "--prometheus", server, "-o", "json")
    ended = await command(*asked)
    (row,) = ended.json["evidence"]["metrics"]
    # From its first scrape to its last one.
    assert row["canary"]["all"] == pytest.approx(600, abs=5)
    assert row["canary"]["value"] == pytest.approx(0.5, abs=0.01)
    assert row["value"] > 10
    slower = await command(*asked, "--step", "60s")
    assert slower.code == 2, "no two scrapes are of one run"
    assert "a --step as short as the server's scrape interval" in slower.error


@pytest.mark.parametrize("scraped", [5.0, 15.0, 30.0])
async def test_errors_count_from_the_first_request_whatever_the_servers_interval(
    command: Command, history: Past, server: str, scraped: float
) -> None:
    history.scraped = scraped
    history.lives = [*STABLE, canary_pod(cured=5.0 + 5 / 60, bad=0.9)]
    ended = await command("replay", "web", "--prometheus", server, "-o", "json")
    (row,) = ended.json["evidence"]["metrics"]
    assert row["canary"]["bad"] == pytest.approx(45, abs=5)


async def test_a_gateway_tells_the_versions_apart_by_their_services(
    command: Command, history: Past, server: str
) -> None:
    canary = Backend(name="web-canary", begins=5.0, bad=0.2)
    history.lives = [Backend(name="web", rate=90.0, bad=0.001), canary]
    ended = await command("replay", "web", "--prometheus", server, "-o", "json")
    assert (ended.code, ended.json["outcome"]) == (1, "refused")
    assert ended.json["canaryPods"] == ["canary@10.0.0.9:8002"]
    assert ended.json["stablePods"] == ["stable@10.0.0.9:8002"]
    (row,) = ended.json["evidence"]["metrics"]
    assert row["source"] == "metrics server (gateway)"
    assert row["canary"]["value"] == pytest.approx(0.2, abs=0.01)
    by_revision = await command("replay", "web", "--prometheus", server, "--revision", "6e7f")
    assert by_revision.code == 2, "a gateway knows no revisions"


async def test_a_latency_is_judged_by_its_buckets(
    command: Command, api: Objects, history: Past, server: str
) -> None:
    latency = [{"name": "request-duration", "thresholdRange": {"max": 500}}]
    api.objects[CANARIES] = listed(objects.canary(metrics=latency))
    slow = Timed(name="web-canary-7c8b-x1", begins=5.0, bad=0.3)
    history.lives = [Timed(name="web-5d9f-a1", bad=0.002), slow]
    ended = await command("replay", "web", "--prometheus", server, "-o", "json")
    assert (ended.code, ended.json["outcome"]) == (1, "refused")
    (row,) = ended.json["evidence"]["metrics"]
    assert row["source"].startswith("metrics server (app), slower than 0.5")
    assert row["canary"]["value"] == pytest.approx(0.3, abs=0.01)


QUEUE = {"name": "queue", "query": "avg(queue_length)", "thresholdRange": {"max": 100}}


@pytest.mark.parametrize(
    ("length", "code", "outcome"), [(50.0, 1, "refused"), (10.0, 0, "not-refused")]
)
async def test_a_number_of_every_pod_is_compared_by_rank(
    command: Command,
    api: Objects,
    history: Past,
    server: str,
    length: float,
    code: int,
    outcome: str,
) -> None:
    api.objects[CANARIES] = listed(objects.canary(metrics=[QUEUE]))
    stable = [Gauge(name=f"web-5d9f-{number}", value=9.0 + number / 2) for number in range(5)]
    history.lives = [
        *stable,
        Gauge(name="web-canary-7c8b-x1", begins=5.0, value=length),
        Gauge(name="web-canary-4d4d-z9", value=1.0, namespace="other"),
        Gauge(name="web-6a6a-y8", value=900.0, namespace="other"),
    ]
    ended = await command("replay", "web", "--prometheus", server, "-o", "json")
    assert (ended.code, ended.json["outcome"]) == (code, outcome)
    assert ended.json["firstRequest"] == "2026-01-01T11:35:00Z"
    assert ended.json["canaryPods"] == ["web-canary-7c8b-x1"]
    (row,) = ended.json["evidence"]["metrics"]
    assert (row["test"], row["source"]) == ("rank", "metrics server (per pod)")
    assert (row["canary"]["value"], row["stable"]["value"]) == (length, 10.0)


async def test_what_is_tried_takes_the_place_of_what_is_set(
    command: Command, history: Past, server: str
) -> None:
    history.lives = [*STABLE, canary_pod(bad=0.15)]
    asked = ("replay", "web", "--prometheus", server, "-o", "json")
    usual, sure = await command(*asked), await command(*asked, "--alpha", "0.001", "--beta", "1")
    assert usual.json["evidence"]["alpha"] == 0.02, "the admin's ConfigMap has it"
    assert (sure.json["evidence"]["alpha"], sure.json["evidence"]["beta"]) == (1e-5, 0.01)
    assert sure.json["seconds"] > usual.json["seconds"]
    lax = await command(*asked, "--min", "request-success-rate=50")
    (row,) = lax.json["evidence"]["metrics"]
    assert row["test"] in {"ratio", "bursts"}


async def test_without_a_canary_the_defaults_are_tried(
    command: Command, api: Objects, history: Past, server: str
) -> None:
    api.objects[CANARIES] = listed()
    api.forbidden.add(SETTINGS)
    history.lives = [*STABLE, canary_pod(bad=0.2)]
    ended = await command("replay", "web", "--prometheus", server, "-o", "json")
    assert ended.code == 1
    assert ended.json["evidence"]["alpha"] == 0.01
    assert any("settings cannot be read" in remark for remark in ended.json["remarks"])
    assert {row["metric"] for row in ended.json["evidence"]["metrics"]} == {
        "request-success-rate",
        "request-duration",
    }


async def test_by_default_a_service_of_another_name_is_found(
    command: Command, api: Objects, history: Past, server: str
) -> None:
    service = {"metadata": {"name": "frontend"}, "spec": {"selector": {"app": "web"}}}
    other = {"metadata": {"name": "aside"}, "spec": {"selector": {"app": "aside"}}}
    api.objects |= {
        CANARIES: listed(),
        SERVICES: listed(other, service),
        DEPLOYMENT: objects.deployment(),
    }
    canary = Backend(name="frontend-canary", begins=5.0, bad=0.2)
    history.lives = [Backend(name="frontend", rate=90.0, bad=0.001), canary]
    ended = await command("replay", "web", "--prometheus", server, "-o", "json")
    assert (ended.code, ended.json["outcome"]) == (1, "refused")


@pytest.mark.parametrize(
    ("lives", "why"),
    [
        ([], "none of its metrics"),
        (STABLE, "it had no canary"),
        ([*STABLE, canary_pod(rate=0.0)], "its canary served no request"),
        ([canary_pod()], "never there together"),
    ],
    ids=["empty", "no canary", "idle canary", "no stable"],
)
async def test_a_window_without_data_is_no_pass(
    command: Command, history: Past, server: str, lives: list[Life], why: str
) -> None:
    history.lives = lives
    ended = await command("replay", "web", "--prometheus", server)
    assert (ended.code, ended.out) == (2, "")
    assert why in ended.error
    assert "Choose a window" in ended.error


async def test_a_name_of_the_cluster_is_to_be_forwarded(command: Command, api: Objects) -> None:
    inside = {**CANARY, "spec": {**CANARY["spec"], "metricsServer": "http://prom.mon.svc:9091/p"}}
    api.objects[CANARIES] = listed(inside)
    ended = await command("replay", "web")
    assert ended.code == 2
    assert "kubectl -n mon port-forward svc/prom 9090:9091" in ended.error
    assert "--prometheus http://localhost:9090/p" in ended.error


async def test_a_named_server_that_is_not_there_gets_no_such_advice(
    command: Command, history: Past, unused_tcp_port: int
) -> None:
    del history
    ended = await command("replay", "web", "--prometheus", f"http://127.0.0.1:{unused_tcp_port}")
    assert ended.code == 2
    assert "cannot be reached" in ended.error
    assert "port-forward" not in ended.error


async def test_a_metric_that_is_not_there_cannot_be_bounded(
    command: Command, history: Past
) -> None:
    del history
    ended = await command("replay", "web", "--max", "latency=3")
    assert ended.code == 2
    assert "there is no metric latency; its metrics are request-success-rate" in ended.error


async def test_metrics_that_count_nothing_are_named(command: Command, api: Objects) -> None:
    gauge = objects.canary(metrics=[{"name": "queue", "query": "topk(3, queue_length)"}])
    api.objects[CANARIES] = listed(gauge)
    ended = await command("replay", "web")
    assert ended.code == 2
    assert "metric queue: queue_length has no rate()" in ended.error


async def test_an_invalid_canary_is_named_with_what_is_wrong(
    command: Command, api: Objects
) -> None:
    api.objects[CANARIES] = listed(objects.canary(interval="soon"))
    ended = await command("replay", "web")
    assert ended.code == 2
    assert "Canary web cannot be followed: analysis.interval" in ended.error


async def test_one_query_goes_out_per_family_of_counters(
    command: Command, history: Past, server: str
) -> None:
    history.lives = [*STABLE, canary_pod()]
    await command("replay", "web", "--prometheus", server)
    families = [one["query"].partition("{")[0] for one in history.asked]
    assert sorted(families) == ["envoy_cluster_upstream_rq", "http_requests_total"]
    assert {one["step"] for one in history.asked} == {"5.000000"}


def test_the_command_leaves_other_workloads_of_a_like_name_alone() -> None:
    sides = Sides(target="web")
    names = ["web-canary-7c8b-x1", "web-5d9f-a1", "web-api-5d9f-a1", "webs-5d9f-a1", ""]
    assert [str(sides.arm(name)) for name in names] == ["canary", "stable", "None", "None", "None"]
