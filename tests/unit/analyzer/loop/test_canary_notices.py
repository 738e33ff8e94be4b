"""What a Canary says that nobody follows is said when it is written, whatever its target does."""

from datetime import timedelta

import pytest

from analyzer.announcing.rooms import Rooms
from canary.contract import HOLD, Reason
from canary.model.state import Phase, State
from canary.model.values import Json
from canary.model.world import Timing
from canary.objects.status import state_from_status, status_from_state
from canary.rules.context import RECHECK
from runtime.errors import Invalid, Unavailable
from runtime.resources import ALERTPROVIDERS, CANARIES, DEPLOYMENTS, METRICTEMPLATES
from tests.fakes import made, objects
from tests.fakes.bench import KEY, START, Bench, hash_of, held, service, status
from tests.fakes.metric_provider import FakeMetricProvider

TYPO = {"headgate.dev/baek": "5m"}
MEANT = "passed over: headgate.dev/baek is not known; did you mean headgate.dev/bake?"


def idle(canary: Json | None = None) -> Bench:
    """Return a target at rest that has this Canary."""
    bench = Bench()
    target = bench.write("web:1")
    service(bench)
    state = State(stable=hash_of(target), changed_at=START, target_uid=target["metadata"]["uid"])
    stored = status_from_state(state, previous={}, generation=1, now=START)
    bench.cluster.put(CANARIES, {**(canary or objects.canary()), "status": stored})
    return bench


def annotated(bench: Bench, notes: Json) -> None:
    """Write the Canary's annotations as a team does."""
    found = bench.canary(KEY)
    assert found is not None
    found["metadata"]["annotations"] = notes
    bench.cluster.put(CANARIES, found)


def specified(bench: Bench, **analysis: object) -> None:
    """Write some of the Canary's analysis as a team does."""
    found = bench.canary(KEY)
    assert found is not None
    spec = found["spec"]
    bench.cluster.put(
        CANARIES, {**found, "spec": {**spec, "analysis": {**spec["analysis"], **analysis}}}
    )


def said(bench: Bench, reason: str = "FieldsIgnored", kind: str = "Canary") -> list[str]:
    return [
        obj["message"]
        for (plural, _, _), obj in bench.cluster.objects.items()
        if plural == "events" and obj["involvedObject"]["kind"] == kind and obj["reason"] == reason
    ]


def understood(bench: Bench) -> Json | None:
    conditions: list[Json] = status(bench)["conditions"]
    assert conditions[0]["type"] == "Promoted"
    return next((one for one in conditions if one["type"] == "Understood"), None)


async def test_a_typo_is_said_at_once_while_the_target_rests_and_once() -> None:
    bench = idle()
    annotated(bench, TYPO)
    for _ in range(3):
        await bench.reconcile()
    assert said(bench) == said(bench, kind="Deployment") == [MEANT]
    condition = understood(bench)
    assert condition is not None
    assert (condition["status"], condition["reason"]) == ("False", "FieldsIgnored")
    assert condition["message"] == MEANT


async def test_it_is_gone_when_it_is_mended_and_said_again_when_it_is_back() -> None:
    bench = idle()
    for notes, count in ((TYPO, 1), ({}, 1), (TYPO, 2)):
        annotated(bench, dict(notes))
        await bench.reconcile()
        assert len(said(bench)) == count
        assert (understood(bench) is None) == (not notes)


async def test_what_is_understood_costs_no_call() -> None:
    bench = idle()
    await bench.reconcile()
    assert bench.cluster.calls == []


@pytest.mark.parametrize("canary", [made.made(), made.former()])
async def test_the_one_that_is_made_is_looked_at_too(canary: Json) -> None:
    bench = idle(canary)
    annotated(bench, TYPO)
    for _ in range(3):
        await bench.reconcile()
    assert said(bench) == [MEANT]


async def test_a_field_that_is_passed_over_is_said_at_rest() -> None:
    bench = idle()
    found = bench.canary(KEY)
    assert found is not None
    service = {"port": 80, "retries": {"attempts": 3}}
    bench.cluster.put(CANARIES, {**found, "spec": {**found["spec"], "service": service}})
    await bench.reconcile()
    (text,) = said(bench)
    assert text == "not supported yet and passed over: service.retries"


async def test_what_would_hold_the_next_version_is_said_before_it_is_pushed() -> None:
    bench = idle()
    specified(bench, interval="soon")
    await bench.reconcile()
    (text,) = said(bench, str(Reason.INVALID))
    assert "the next version of web.prod would stay held" in text
    assert "analysis.interval" in text
    condition = understood(bench)
    assert condition is not None
    assert condition["reason"] == "InvalidConfiguration"
    specified(bench, interval="30s")
    await bench.reconcile()
    assert understood(bench) is None


async def test_a_template_that_is_not_there_is_said_before_a_version_is_held() -> None:
    bench = idle()
    bench.providers = {"prometheus": FakeMetricProvider()}
    ref = {"name": "errors"}
    specified(bench, metrics=[{"name": "errors", "interval": "1m", "templateRef": ref}])
    reconciler = bench.reconciler()
    for _ in range(3):
        result = await reconciler.reconcile(KEY)
        assert result.requeue_after == RECHECK
    (text,) = said(bench, str(Reason.INVALID))
    assert "metric errors: MetricTemplate prod/errors does not exist" in text
    assert understood(bench) is not None
    query = 'sum(rate(errors_total{pod=~"{{ target }}-.+"}[1m]))'
    spec = {"provider": {"type": "prometheus"}, "query": query}
    metadata = {"name": "errors", "namespace": "prod"}
    bench.cluster.put(METRICTEMPLATES, {"metadata": metadata, "spec": spec})
    bench.now += RECHECK
    await reconciler.reconcile(KEY)
    assert understood(bench) is None
    bench.cluster.calls.clear()
    await reconciler.reconcile(KEY)
    assert bench.cluster.calls == []


async def test_an_alert_provider_that_is_not_there_is_said_before_anything_is_announced() -> None:
    bench = idle()
    bench.find = Rooms(bench.cluster, {"slack"}).of
    ref = {"name": "chat"}
    specified(bench, metrics=[], alerts=[{"name": "team", "severity": "warn", "providerRef": ref}])
    reconciler = bench.reconciler()
    for _ in range(3):
        result = await reconciler.reconcile(KEY)
        assert result.requeue_after == RECHECK
    (text,) = said(bench)
    assert "analysis.alerts team (AlertProvider prod/chat does not exist" in text
    assert understood(bench) is not None
    metadata = {"name": "chat", "namespace": "prod"}
    spec = {"type": "slack", "address": "https://chat.example", "channel": "team"}
    bench.cluster.put(ALERTPROVIDERS, {"metadata": metadata, "spec": spec})
    bench.now += RECHECK
    await reconciler.reconcile(KEY)
    assert understood(bench) is None
    bench.cluster.calls.clear()
    await reconciler.reconcile(KEY)
    assert bench.cluster.calls == []


async def test_an_alert_provider_that_cannot_be_read_for_a_moment_is_nobody_s_mistake() -> None:
    bench = idle()
    bench.find = Rooms(bench.cluster, {"slack"}).of
    bench.cluster.denials["get", "alertproviders"] = Unavailable(503, "x", "x")
    alerts = [{"name": "team", "severity": "warn", "providerRef": {"name": "chat"}}]
    specified(bench, metrics=[], alerts=alerts)
    await bench.reconcile()
    assert said(bench) == []


async def test_what_holds_a_version_already_is_said_in_one_event() -> None:
    bench = held(Bench(), interval="soon")
    for _ in range(3):
        await bench.reconcile()
    (text,) = said(bench, str(Reason.INVALID))
    assert "stays held" in text
    assert understood(bench) is not None


async def test_in_the_middle_of_a_run_it_is_said_by_the_next_look() -> None:
    bench = held(Bench())
    for _ in range(3):
        await bench.reconcile()
    annotated(bench, TYPO)
    await bench.reconcile()
    assert said(bench) == [MEANT]
    assert understood(bench) is not None
    bench.now += timedelta(seconds=60)
    await bench.reconcile()
    assert said(bench) == [MEANT]


async def test_a_run_that_starts_says_it_once() -> None:
    bench = held(Bench())
    annotated(bench, TYPO)
    for _ in range(4):
        await bench.reconcile()
    assert said(bench) == [MEANT]


async def test_it_is_said_again_after_a_death_between_the_event_and_the_write() -> None:
    bench = idle()
    annotated(bench, TYPO)
    denied = ("merge_patch status", CANARIES.plural)
    bench.cluster.denials[denied] = Invalid(422, "Invalid", "not now")
    with pytest.raises(Invalid):
        await bench.reconcile()
    del bench.cluster.denials[denied]
    await bench.reconcile()
    assert said(bench) == [MEANT]
    assert understood(bench) is not None


async def test_a_namespace_without_the_label_is_left_alone() -> None:
    bench = idle()
    bench.labelled = False
    annotated(bench, TYPO)
    await bench.reconcile()
    assert (said(bench), bench.cluster.calls) == ([], [])


async def test_nor_is_anything_said_of_a_run_that_ends_because_the_label_went() -> None:
    bench = held(Bench())
    for _ in range(3):
        await bench.reconcile()
    bench.labelled = False
    annotated(bench, TYPO)
    for _ in range(3):
        await bench.reconcile()
    assert said(bench) == []


async def test_it_outlives_a_run_and_a_new_version() -> None:
    bench = idle()
    annotated(bench, TYPO)
    await bench.reconcile()
    obj = objects.deployment(image="web:2")
    bench.write("web:2", {HOLD: hash_of(obj)}, paused=True)
    for _ in range(3):
        await bench.reconcile()
    assert status(bench)["phase"] != "Initialized"
    assert understood(bench) is not None
    assert state_from_status(status(bench)).noticed


def targetless(age: timedelta = timedelta(minutes=1), **changes: object) -> Bench:
    """Return a bench that has a team's Canary alone."""
    bench = Bench(**changes)  # type: ignore[arg-type]
    canary = objects.canary()
    canary["metadata"]["creationTimestamp"] = (START - age).isoformat()
    bench.cluster.put(CANARIES, canary)
    return bench


async def test_a_target_that_is_not_there_is_said_once() -> None:
    bench = targetless()
    for _ in range(3):
        await bench.reconcile()
    (text,) = said(bench, "TargetNotFound")
    assert "there is no Deployment web.prod" in text


async def test_a_run_whose_target_was_deleted_is_under_way_no_more() -> None:
    bench = held(Bench())
    found = bench.canary(KEY)
    assert found is not None
    found["metadata"]["creationTimestamp"] = (START - timedelta(minutes=1)).isoformat()
    bench.cluster.put(CANARIES, found)
    for _ in range(3):
        await bench.reconcile()
    assert status(bench)["phase"] == "Progressing"
    bench.cluster.remove(DEPLOYMENTS, KEY.namespace, KEY.name)
    await bench.reconcile()
    bench.now += Timing().drain
    for _ in range(2):
        await bench.reconcile()
    told = status(bench)
    assert (told["phase"], told["canaryWeight"], told["lastAppliedSpec"]) == ("Initializing", 0, "")
    assert [(it["status"], it["reason"]) for it in told["conditions"]] == [
        ("False", "TargetNotFound")
    ]


async def test_a_verdict_stands_when_its_target_goes() -> None:
    bench = targetless()
    found = bench.canary(KEY)
    assert found is not None
    before = State(phase=Phase.FAILED, candidate="x", reason="Refused", message="it was bad")
    found["status"] = status_from_state(before, previous={}, generation=1, now=START)
    bench.cluster.put(CANARIES, found)
    await bench.reconcile()
    assert status(bench)["conditions"][0]["message"] == "it was bad"


@pytest.mark.parametrize(
    "bench",
    [targetless(timedelta(seconds=3)), targetless(missed_after=timedelta(seconds=7))],
    ids=["a new Canary", "a target that was deleted"],
)
async def test_one_that_may_be_about_to_be_created_is_waited_for(bench: Bench) -> None:
    assert (await bench.reconcile()).requeue_after == timedelta(seconds=7)
    assert said(bench, "TargetNotFound") == []


async def test_a_target_that_is_not_there_is_in_the_status_before_any_event() -> None:
    bench = targetless(timedelta(0))
    await bench.reconcile()
    found = status(bench)
    assert (found["phase"], found["conditions"][0]["status"]) == ("Initializing", "False")
    assert found["conditions"][0]["reason"] == "TargetNotFound"
    assert "there is no Deployment web.prod" in found["conditions"][0]["message"]
    assert said(bench, "TargetNotFound") == []
    bench.cluster.calls.clear()
    await bench.reconcile()
    assert not [call for call in bench.cluster.calls if "patch" in call]


@pytest.mark.parametrize("known", [True, False], ids=["was there before", "is new"])
async def test_a_target_that_comes_is_taken_up(*, known: bool) -> None:
    bench = idle() if known else targetless()
    if known:
        bench.cluster.remove(DEPLOYMENTS, "prod", "web")
    await bench.reconcile()
    assert status(bench)["conditions"][0]["reason"] == "TargetNotFound"
    bench.write("web:1")
    service(bench)
    for _ in range(3):
        await bench.reconcile()
    assert (status(bench)["phase"], status(bench)["conditions"][0]["status"]) == (
        "Initialized",
        "True",
    )


@pytest.mark.parametrize("how", ["unlabelled", "made", "leaving"])
async def test_nothing_is_missed_where_nobody_asks_for_it(how: str) -> None:
    bench = targetless()
    if how == "unlabelled":
        bench.labelled = False
    elif how == "made":
        bench.cluster.put(CANARIES, made.made())
    else:
        leaving = objects.canary()
        leaving["metadata"]["deletionTimestamp"] = START.isoformat()
        bench.cluster.put(CANARIES, leaving)
    assert (await bench.reconcile()).requeue_after is None
    assert said(bench, "TargetNotFound") == []


async def test_an_edit_that_changes_nothing_is_said_to_be_seen() -> None:
    """Whoever waits by `kubectl wait` waits until the status speaks of the newest Canary."""
    bench = idle()
    found = bench.canary(KEY)
    assert found is not None
    found["metadata"]["generation"] = 7
    bench.cluster.put(CANARIES, found)
    for _ in range(2):
        await bench.reconcile()

    assert status(bench)["observedGeneration"] == 7
    assert len([call for call in bench.cluster.calls if "patch" in str(call)]) == 1


async def test_what_is_said_of_the_version_before_is_taken_back_before_any_look() -> None:
    bench = idle()
    assert status(bench)["conditions"][0]["status"] == "True"
    target = bench.write("web:2", {HOLD: "v2"})
    bench.cluster.calls.clear()

    await bench.reconciler().reopen(target)

    assert status(bench)["conditions"][0]["status"] == "Unknown"
    assert not [call for call in bench.cluster.calls if "get" in str(call)]
