"""From the defaults to settings of one's own and back, at an API server in memory."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest

from analyzer.loop.reconciler import Result
from analyzer.loop.records import Records
from analyzer.ports import MetricsInquiry
from canary.contract import AUTO_LABEL, BAKE, HOLD, MANAGED_BY_LABEL, PROMOTING, STABLE, Command
from canary.evidence.report import Weighing
from canary.measuring.watch import Watch
from canary.model.asking import MetricsAnswer, MetricsAsk, Sample
from canary.model.state import Phase, State
from canary.model.values import Json
from canary.model.world import OnUnsuitable
from canary.objects.conditions import carries_verdict
from canary.objects.crd import MANIFEST
from canary.objects.status import state_from_status, status_from_state
from canary.queries.provider import ProviderSpec
from canary.spec.defaults import Defaults, recorded
from canary.spec.made import Whose, outdone, preferred, whose
from runtime.errors import Invalid
from runtime.resources import CANARIES, DEPLOYMENTS
from tests.fakes import made, objects
from tests.fakes.bench import KEY, START, Bench, NoWeigher, hash_of, held, ready, service, status
from tests.fakes.inquirer import FakeInquirer
from tests.fakes.stored import Stored

THEN = Defaults(weights=(20, 40, 60), interval=timedelta(seconds=30))
LATER = Defaults(weights=(7,), interval=timedelta(minutes=9), threshold=1)
OWN: Json = {"interval": "30s", "threshold": 3, "stepWeights": [50, 90]}


def without_canary(bench: Bench) -> Bench:
    """Hold a new version of a target whose team has written no Canary."""
    held(bench)
    bench.cluster.remove(CANARIES, "prod", "web")
    return bench


def record(bench: Bench) -> Json:
    found = bench.canary(KEY)
    assert found is not None
    return found


def said(bench: Bench, kind: str = "Canary") -> list[str]:
    return [
        obj["reason"]
        for (plural, _, _), obj in bench.cluster.objects.items()
        if plural == "events" and obj["involvedObject"]["kind"] == kind
    ]


def write(bench: Bench, change: Callable[[Json], Json]) -> None:
    """Write the Canary as somebody else does, status kept."""
    before = record(bench)
    bench.cluster.put(CANARIES, {**change(before), "status": before.get("status") or {}})


async def until(bench: Bench, condition: Callable[[], bool], looks: int = 200) -> None:
    """Look every two seconds; pods are ready at once, and no metric has a value."""
    for _ in range(looks):
        if condition():
            return
        bench.now += timedelta(seconds=2)
        await bench.reconcile()
        ready(bench)
        answer(bench)
    raise AssertionError("it never came to that")


def answer(bench: Bench) -> None:
    """Say of all metrics that are asked for that neither version has them."""
    assert isinstance(bench.inquirer, FakeInquirer)
    asked = {
        inquiry.ask: inquiry
        for _, inquiry in bench.inquirer.carried_out
        if isinstance(inquiry, MetricsInquiry)
    }
    for one in bench.inquirer.standing(KEY).pending:
        if isinstance(one.ask, MetricsAsk):
            samples = tuple(Sample(metric=query.metric) for query in asked[one.ask].queries)
            bench.inquirer.answer(KEY, MetricsAnswer(ask=one.ask, samples=samples))


def at_weight(bench: Bench, weight: int) -> Callable[[], bool]:
    return lambda: bench.router.weight == weight


def successor(bench: Bench, **changes: Any) -> Bench:
    """Return another analyzer at the same cluster: nothing is left of the one before."""
    return Bench(cluster=bench.cluster, router=bench.router, now=bench.now, **changes)


# --- the Canary that is made -------------------------------------------------------------------


async def test_the_one_that_is_made_says_its_target_and_goes_with_it() -> None:
    bench = without_canary(Bench(defaults=THEN))
    await bench.reconcile()
    found = record(bench)
    assert found["spec"]["analysis"] == {}
    assert found["metadata"]["labels"] == {AUTO_LABEL: "defaults"}
    assert [owner["name"] for owner in found["metadata"]["ownerReferences"]] == ["web"]
    assert whose(found) is Whose.MADE


async def test_a_canary_of_the_target_s_name_that_is_for_another_one_is_left_alone() -> None:
    bench = without_canary(Bench(defaults=THEN))
    other = objects.canary()
    other["spec"]["targetRef"]["name"] = "api"
    bench.cluster.put(CANARIES, other)
    await until(bench, at_weight(bench, 20))
    assert record(bench)["metadata"]["name"] == "web-canary"
    left = bench.cluster.now(CANARIES, "prod", "web")
    assert left is not None
    assert (left["spec"], left.get("status")) == (other["spec"], None)


async def test_what_is_in_force_is_stored_when_the_run_starts_and_shown() -> None:
    bench = without_canary(Bench(defaults=THEN))
    await bench.reconcile()
    await bench.reconcile()
    assert status(bench)["phase"] == "Progressing"
    run = status(bench)["run"]
    assert run["defaults"] == recorded(THEN)
    assert (run["inForce"]["stepWeights"], run["inForce"]["interval"]) == ([20, 40, 60], "30s")
    assert run["inForce"]["metrics"][0] == {
        "name": "request-success-rate",
        "thresholdRange": {"min": 99},
    }


async def test_changed_defaults_and_a_restart_leave_a_run_as_it_began() -> None:
    bench = without_canary(Bench(defaults=THEN))
    await until(bench, at_weight(bench, 20))
    later = successor(bench, defaults=LATER)
    for weight in (40, 60):
        await until(later, at_weight(later, weight))
    assert status(later)["run"]["defaults"] == recorded(THEN)
    await until(later, lambda: status(later)["phase"] == "Promoting")


async def test_changed_defaults_hold_from_the_next_run_on() -> None:
    bench = without_canary(Bench(defaults=THEN))
    await until(bench, at_weight(bench, 20))
    later = successor(bench, defaults=LATER)
    later.cluster.remove(DEPLOYMENTS, "prod", "web-canary")
    obj = objects.deployment(image="web:3")
    later.write("web:3", {HOLD: hash_of(obj)}, paused=True)
    await until(later, at_weight(later, 7))
    assert status(later)["run"]["inForce"]["stepWeights"] == [7]


# --- a team takes it over ----------------------------------------------------------------------

TAKEN: dict[str, Callable[[Json], Json]] = {
    "on the client's side": lambda obj: made.applied(obj, OWN),
    "on the server's side": lambda obj: made.server_side(obj, OWN),
    "by Flux": lambda obj: made.server_side(obj, OWN, "kustomize-controller"),
    "by hand": lambda obj: made.edited(obj, **OWN),
}


def is_the_team_s(bench: Bench) -> bool:
    metadata = record(bench)["metadata"]
    return not metadata.get("labels") and not metadata.get("ownerReferences")


@pytest.mark.parametrize("how", TAKEN)
async def test_a_team_takes_over_in_mid_run_and_its_settings_hold_from_the_next_tick(
    how: str,
) -> None:
    bench = without_canary(Bench(defaults=THEN))
    await until(bench, at_weight(bench, 40))
    before = status(bench)["run"]["stepOf"]
    write(bench, TAKEN[how])
    await bench.reconcile()
    assert is_the_team_s(bench)
    assert bench.router.weight == 40
    await until(bench, at_weight(bench, 50), looks=20)
    run = status(bench)["run"]
    assert (run["stepOf"], run["inForce"]["stepWeights"]) == (before, [50, 90])
    assert whose(record(bench)) is Whose.OWN
    assert said(bench).count("TakenOver") == 1


async def test_an_edit_that_cannot_be_followed_leaves_the_run_judged_as_before() -> None:
    bench = held(Bench())
    await until(bench, at_weight(bench, 20))
    wrong: Json = {"interval": "30s", "threshold": 3, "stepWeights": [50, 20]}
    write(bench, lambda obj: {**obj, "spec": {**obj["spec"], "analysis": wrong}})
    after = successor(bench)
    await until(after, lambda: condition(after)["reason"] == "EditNotFollowed")
    assert "must rise from 1 to 100" in condition(after)["message"]
    assert after.router.weight == 20
    assert status(after)["run"]["inForce"]["stepWeights"] == [10, 20, 30, 40, 50]
    right: Json = {**wrong, "stepWeights": [70]}
    write(after, lambda obj: {**obj, "spec": {**obj["spec"], "analysis": right}})
    await until(after, at_weight(after, 70))


@dataclass
class Listening(NoWeigher):
    """Remembers what is asked of the judge."""

    asked: list[str] = field(default_factory=list)

    def follow(self, watch: Watch, specs: Mapping[str, ProviderSpec]) -> Weighing | None:
        self.asked.append(watch.asked)
        return super().follow(watch, specs)


@pytest.mark.parametrize(
    ("news", "anew"),
    [
        ({"interval": "40s", "stepWeight": 25}, False),
        ({"metrics": [{"name": "request-duration", "thresholdRange": {"max": 9}}]}, True),
    ],
)
async def test_the_judge_begins_anew_where_an_edit_concerns_it(news: Json, *, anew: bool) -> None:
    weigher = Listening()
    bench = held(Bench(weigher=weigher))
    await until(bench, at_weight(bench, 10))
    await bench.reconcile()
    before = weigher.asked[-1]

    def edit(obj: Json) -> Json:
        spec = obj["spec"]
        return {**obj, "spec": {**spec, "analysis": {**spec["analysis"], **news}}}

    write(bench, edit)
    await bench.reconcile()
    assert (weigher.asked[-1] != before) == anew


async def test_what_is_stored_of_a_canary_goes_with_the_end_of_its_run() -> None:
    bench = held(Bench())
    await until(bench, at_weight(bench, 20))
    assert status(bench)["run"]["accepted"]
    bench.write("web:2", {str(Command.ABORT): "now"}, paused=True)
    await until(bench, lambda: status(bench)["phase"] == "Failed")
    assert status(bench)["run"].get("accepted") is None


def condition(bench: Bench) -> Json:
    found: Json = status(bench)["conditions"][0]
    return found


@pytest.mark.parametrize("how", TAKEN)
async def test_a_team_takes_over_at_rest(how: str) -> None:
    bench = idle(made.made())
    write(bench, TAKEN[how])
    for _ in range(3):
        await bench.reconcile()
    assert is_the_team_s(bench)
    assert record(bench)["spec"]["analysis"] == OWN
    assert said(bench).count("TakenOver") == 1


async def test_a_setting_by_annotation_alone_takes_it_over() -> None:
    bench = idle(made.made())
    write(bench, lambda obj: made.noted(obj, **{BAKE: "5m"}))
    await bench.reconcile()
    assert is_the_team_s(bench)


async def test_it_is_said_again_after_a_death_between_the_event_and_the_write() -> None:
    bench = idle(made.made())
    write(bench, TAKEN["by hand"])
    denied = ("merge_patch", CANARIES.plural)
    bench.cluster.denials[denied] = Invalid(422, "Invalid", "not now")
    with pytest.raises(Invalid):
        await bench.reconcile()
    del bench.cluster.denials[denied]
    await bench.reconcile()
    assert is_the_team_s(bench)
    assert said(bench).count("TakenOver") == 1


async def test_whoever_writes_in_between_is_not_undone() -> None:
    bench = idle(made.made())
    write(bench, TAKEN["on the client's side"])
    later = {**OWN, "stepWeights": [1]}
    bench.cluster.meanwhile = lambda: write(bench, lambda obj: made.applied(obj, later))
    for _ in range(2):
        await bench.reconcile()
    assert is_the_team_s(bench)
    assert record(bench)["spec"]["analysis"] == later


async def test_a_namespace_without_the_label_is_left_alone() -> None:
    bench = idle(made.former())
    bench.labelled = False
    await bench.reconcile()
    assert whose(record(bench)) is Whose.FORMER


async def test_without_the_label_too_a_team_s_does_not_go_with_its_target() -> None:
    bench = idle(made.made())
    bench.labelled = False
    write(bench, TAKEN["by Flux"])
    await bench.reconcile()
    assert is_the_team_s(bench)


async def test_one_that_a_team_deletes_gives_way_to_the_defaults() -> None:
    bench = held(Bench(defaults=THEN))
    await until(bench, at_weight(bench, 10))
    bench.cluster.remove(CANARIES, "prod", "web")
    await until(bench, at_weight(bench, 20))
    assert whose(record(bench)) is Whose.MADE
    assert status(bench)["run"]["inForce"]["stepWeights"] == [20, 40, 60]


# --- a team's, of another name ------------------------------------------------------------------


def beside(name: str, analysis: Json = OWN) -> Json:
    obj = objects.canary()
    obj["metadata"] |= {"name": name, "uid": f"uid-{name}"}
    obj["spec"]["analysis"] = analysis
    return obj


async def test_a_team_s_of_another_name_goes_on_with_the_run_and_ours_forgets_it() -> None:
    bench = without_canary(Bench(defaults=THEN))
    await until(bench, at_weight(bench, 40))
    before = status(bench)["run"]["stepOf"]
    bench.cluster.put(CANARIES, beside("settings-of-web"))
    await bench.reconcile()
    assert bench.router.weight == 40
    await until(bench, at_weight(bench, 50), looks=20)
    assert record(bench)["metadata"]["name"] == "settings-of-web"
    assert status(bench)["run"]["stepOf"] == before
    ours = bench.cluster.now(CANARIES, "prod", "web")
    assert ours is not None
    assert not ours["status"]
    bench.cluster.remove(CANARIES, "prod", "settings-of-web")
    await until(bench, at_weight(bench, 20))
    assert record(bench)["metadata"]["name"] == "web"


async def test_what_a_team_s_remembers_already_stands_after_a_death_in_between() -> None:
    bench = without_canary(Bench(defaults=THEN))
    await until(bench, at_weight(bench, 40))
    ours = record(bench)
    known = {**ours["status"], "run": {**ours["status"]["run"], "preRolloutPassed": True}}
    bench.cluster.put(CANARIES, {**beside("settings-of-web"), "status": known})
    await bench.reconcile()
    assert bench.router.weight == 40
    left = bench.cluster.now(CANARIES, "prod", "web")
    assert left is not None
    assert not left["status"]


async def test_what_a_team_s_remembers_of_a_target_that_it_named_before_does_not_stand() -> None:
    bench = without_canary(Bench(defaults=THEN))
    await until(bench, at_weight(bench, 40))
    ours = record(bench)
    another = {"phase": "Succeeded", "run": {**ours["status"]["run"], "target": "another's"}}
    bench.cluster.put(CANARIES, {**beside("settings-of-web"), "status": another})
    await bench.reconcile()
    assert bench.router.weight == 40
    assert record(bench)["metadata"]["name"] == "settings-of-web"
    assert status(bench)["phase"] == "Progressing"
    assert status(bench)["run"]["target"] == ours["status"]["run"]["target"]


@pytest.mark.parametrize("names", [("a", "z"), ("z", "a")])
def test_the_one_that_is_followed_does_not_depend_on_who_came_first(names: tuple[str, str]) -> None:
    one, other = (beside(name) for name in names)
    found = preferred([one, made.made(), other])
    assert found is not None
    assert found["metadata"]["name"] == "a"
    assert outdone([one, made.made(), other]) == made.made()
    assert outdone([made.made()]) is None
    assert preferred([]) is None


# --- what the release before has made ------------------------------------------------------------


def idle(canary: Json) -> Bench:
    """Return a target at rest that has this Canary."""
    bench = Bench(defaults=LATER)
    target = bench.write("web:1")
    service(bench)
    state = State(stable=hash_of(target), changed_at=START, target_uid=target["metadata"]["uid"])
    stored = status_from_state(state, previous={}, generation=1, now=START)
    bench.cluster.put(CANARIES, {**canary, "status": stored})
    return bench


async def test_one_at_rest_is_written_anew_by_one_write_and_costs_nothing_more() -> None:
    bench = idle(made.former())
    await bench.reconcile()
    found = record(bench)
    assert (whose(found), found["spec"]["analysis"]) == (Whose.MADE, {})
    assert MANAGED_BY_LABEL not in found["metadata"]["labels"]
    assert [owner["name"] for owner in found["metadata"]["ownerReferences"]] == ["web"]
    calls = list(bench.cluster.calls)
    assert calls.count("merge_patch") == 1
    await bench.reconcile()
    assert bench.cluster.calls == calls
    assert said(bench) == []


async def former_in_mid_run(weight: int = 20) -> Bench:
    """Return a run as the release before left it: the defaults in the spec, none in the status."""
    bench = without_canary(Bench(defaults=THEN))
    await until(bench, at_weight(bench, weight))
    obj = made.former(stepWeights=[20, 40, 60])
    stored = status(bench)
    for name in ("defaults", "inForce"):
        del stored["run"][name]
    bench.cluster.put(CANARIES, {**obj, "status": stored})
    return successor(bench, defaults=LATER)


async def test_one_in_mid_run_keeps_what_was_in_force() -> None:
    bench = await former_in_mid_run()
    await bench.reconcile()
    assert whose(record(bench)) is Whose.MADE
    kept = status(bench)["run"]["defaults"]
    assert (kept["weights"], kept["interval"], kept["threshold"]) == ("20,40,60", "30s", "3")
    for weight in (40, 60):
        await until(bench, at_weight(bench, weight))
    assert status(bench)["run"]["inForce"]["stepWeights"] == [20, 40, 60]


async def test_a_death_between_its_two_writes_loses_nothing() -> None:
    bench = await former_in_mid_run()
    bench.cluster.denials["merge_patch", CANARIES.plural] = Invalid(422, "Invalid", "not now")
    await bench.reconcile()
    assert whose(record(bench)) is Whose.FORMER
    assert status(bench)["run"]["defaults"]["weights"] == "20,40,60"
    bench.cluster.denials.clear()
    after = successor(bench, defaults=LATER)
    await until(after, at_weight(after, 40))
    assert whose(record(after)) is Whose.MADE


async def test_a_team_that_applies_over_it_in_mid_run_takes_over() -> None:
    bench = await former_in_mid_run(40)
    write(bench, lambda obj: made.applied(obj, OWN))
    await bench.reconcile()
    assert is_the_team_s(bench)
    assert record(bench)["spec"]["analysis"] == OWN
    assert bench.router.weight == 40
    await until(bench, at_weight(bench, 50))


async def test_a_team_s_own_run_of_the_release_before_keeps_what_the_admin_has_set() -> None:
    bench = held(Bench(defaults=THEN))
    await until(bench, at_weight(bench, 10))
    stored = status(bench)
    del stored["run"]["defaults"]
    bench.cluster.put(CANARIES, {**record(bench), "status": stored})
    await bench.reconcile()
    assert status(bench)["run"]["defaults"] == recorded(THEN)
    later = successor(bench, defaults=replace(LATER, min_interval=timedelta(hours=1)))
    await until(later, at_weight(later, 20))


# --- beside a Flagger ----------------------------------------------------------------------------

FLAGGER = "Deployment flagger-system/flagger runs Flagger"


def flagger(bench: Bench, **metadata: Any) -> Json:
    obj = objects.deployment(name="flagger", image="ghcr.io/fluxcd/flagger:1.44.0", replicas=1)
    obj["metadata"] |= {"namespace": "flagger-system", **metadata}
    return bench.cluster.put(DEPLOYMENTS, obj)


def target(bench: Bench) -> Json:
    found = bench.target(KEY)
    assert found is not None
    return found


async def test_nothing_is_made_beside_a_flagger_and_condition_and_event_say_so_once() -> None:
    bench = without_canary(Bench())
    flagger(bench)
    first = await bench.reconcile()
    assert first.requeue_after is not None
    assert bench.canary(KEY) is None
    (event,) = bench.events()
    assert FLAGGER in event
    (condition,) = target(bench)["status"]["conditions"]
    assert event in condition["message"]
    assert condition["reason"] == "ProgressDeadlineExceeded"
    writes = [call for call in bench.cluster.calls if call.startswith("merge_patch")]
    for _ in range(3):
        bench.now += timedelta(seconds=30)
        await bench.reconcile()
    assert [call for call in bench.cluster.calls if call.startswith("merge_patch")] == writes
    assert bench.events() == [event]
    assert target(bench)["spec"]["paused"]


async def test_the_run_begins_when_the_flagger_has_gone() -> None:
    bench = without_canary(Bench())
    flagger(bench)
    await bench.reconcile()
    bench.cluster.remove(DEPLOYMENTS, "flagger-system", "flagger")
    await until(bench, at_weight(bench, 5))
    assert not carries_verdict(target(bench))


async def test_a_person_may_release_what_is_held_there() -> None:
    bench = without_canary(Bench())
    flagger(bench)
    bench.write("web:2", {str(Command.PROMOTE): "now"}, paused=True)
    await bench.reconcile()
    found = target(bench)
    assert not found["spec"].get("paused")
    assert not {HOLD, STABLE, str(Command.PROMOTE)} & found["metadata"]["annotations"].keys()
    assert "rolls out without analysis" in bench.events()[0]
    assert bench.canary(KEY) is None


async def test_what_can_have_no_canary_is_released_there_where_the_admin_says_so() -> None:
    bench = without_canary(Bench(defaults=Defaults(on_unsuitable=OnUnsuitable.RELEASE)))
    flagger(bench)
    await bench.reconcile()
    assert not target(bench)["spec"].get("paused")
    assert "rolls out without analysis" in bench.events()[0]


async def test_a_team_s_canary_that_flagger_follows_is_not_written() -> None:
    bench = Bench()
    bench.write("web:1")
    flagger(bench)
    bench.cluster.put(CANARIES, objects.canary())
    assert await bench.reconcile() == Result()
    held_there = objects.deployment(image="web:2")
    bench.write("web:2", {HOLD: hash_of(held_there)}, paused=True)
    await bench.reconcile()
    assert "status" not in record(bench)
    assert FLAGGER in bench.events()[0]


async def test_a_run_that_is_under_way_when_a_flagger_comes_is_brought_to_its_end() -> None:
    bench = without_canary(Bench(defaults=THEN))
    await until(bench, at_weight(bench, 20))
    flagger(bench)
    await until(bench, lambda: status(bench)["phase"] == "Promoting")
    assert PROMOTING in target(bench)["metadata"]["annotations"]


# --- another definition of a Canary --------------------------------------------------------------


async def test_a_definition_that_takes_no_empty_analysis_is_named_with_the_file() -> None:
    bench = without_canary(Bench())
    words = 'Canary "web" is invalid: spec.analysis: must validate one and only one schema (oneOf)'
    bench.cluster.denials["create", CANARIES.plural] = Invalid(422, "Invalid", words)
    with pytest.raises(Invalid):
        await bench.reconcile()
    (event,) = bench.events()
    assert MANIFEST in event


async def test_a_definition_that_keeps_no_run_is_named_and_nothing_goes_on() -> None:
    class Pruning(Stored):
        async def merge_patch(self, *args: Any, **kwargs: Any) -> Json:
            found = await super().merge_patch(*args, **kwargs)
            if isinstance(found.get("status"), dict):
                found["status"].pop("run", None)
            return dict(found)

    bench = without_canary(Bench(cluster=Pruning()))
    with pytest.raises(Invalid, match=r"keeps no status\.run"):
        await bench.reconcile()
    assert any(MANIFEST in event for event in bench.events())
    assert bench.cluster.now(DEPLOYMENTS, "prod", "web-canary") is None


async def test_a_trimmed_copy_is_read_before_it_is_written() -> None:
    bench = idle(made.former())
    known = record(bench)
    del known["metadata"]["managedFields"]
    written = await Records(bench.cluster).renew(known)
    assert written is not None
    assert whose(written) is Whose.MADE


def test_states_of_the_release_before_have_no_defaults() -> None:
    assert state_from_status({"run": {}, "phase": "Progressing"}).defaults == {}
    assert state_from_status({"run": {}, "phase": "Progressing"}).phase is Phase.PROGRESSING
