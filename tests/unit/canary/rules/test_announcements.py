"""Which announcements a run makes: each thing once, with what decided, to who wants to hear it."""

from dataclasses import replace
from datetime import timedelta

import pytest

from canary.contract import Command, Reason
from canary.model.announcement import Alert, Announcement, Severity
from canary.model.state import Check, Outcome, Phase, State
from canary.rules.actions import Decision, SaveState
from canary.rules.announcements import MAX_FIELDS, MAX_TEXT, MOST, announced
from canary.rules.context import Context
from canary.rules.decide import DEFAULT_TIMING
from tests.fakes.world import START, STRATEGY, World


def alert(severity: Severity = Severity.INFO) -> Alert:
    return Alert(name="chat", severity=severity, namespace="prod", provider="chat")


def world_of(severity: Severity = Severity.INFO) -> World:
    return World(strategy=replace(STRATEGY, alerts=(alert(severity),)))


def said(world: World) -> list[tuple[str, str]]:
    return [(one.reason, str(one.severity)) for one in world.state.alerts]


@pytest.mark.parametrize(
    ("asked", "heard"),
    [
        (Severity.INFO, [Severity.INFO, Severity.WARN, Severity.ERROR]),
        (Severity.WARN, [Severity.WARN, Severity.ERROR]),
        (Severity.ERROR, [Severity.ERROR]),
    ],
)
def test_an_alert_hears_what_is_as_bad_as_it_asks_for_or_worse(
    asked: Severity, heard: list[Severity]
) -> None:
    assert [it for it in Severity if alert(asked).hears(it)] == heard


def test_a_run_that_goes_well_says_that_it_begins_and_that_it_has_succeeded() -> None:
    world = world_of()
    world.run()
    assert said(world) == [("Initialized", "info")]
    world.update("v2")
    world.run()
    assert said(world)[1:] == [("Held", "info"), ("Succeeded", "info")]
    begins = world.state.alerts[1]
    assert begins.message.startswith("New revision detected! Scaling up web.prod")
    assert begins.subject == "web.prod"
    assert dict(begins.fields) == {
        "Target": "Deployment/web.prod",
        "Failed checks threshold": "3",
        "Progress deadline": "600s",
        "Traffic routing": "Weights: 10 20 30 40 50",
    }


def test_a_refusal_is_one_error_with_the_numbers_that_decided() -> None:
    world = world_of()
    world.run()
    world.update("v2")
    world.values["v2"] = 7.5
    world.run()
    assert said(world)[1:] == [("Held", "info"), ("Refused", "error")]
    facts = dict(world.state.alerts[-1].fields)
    assert facts["error-rate"] == "failed: 7.5, bound 1"
    assert facts["Reason"] == "Refused"
    assert world.state.alerts[-1].message == world.state.message
    for _ in range(3):
        world.now += timedelta(hours=1)
        world.run()
    assert len(said(world)) == 3


def test_an_abort_is_an_error_and_says_who() -> None:
    world = world_of()
    world.update("v2")
    world.reconcile()
    world.commands.add(Command.ABORT)
    world.run()
    assert said(world)[-1] == ("Aborted", "error")
    assert "by " in world.state.alerts[-1].message


def test_who_asks_for_errors_hears_of_the_refusal_alone() -> None:
    world = world_of(Severity.ERROR)
    world.update("v2")
    world.values["v2"] = 7.5
    world.run()
    assert said(world) == [("Refused", "error")]


def test_without_alerts_nothing_is_remembered() -> None:
    world = World()
    world.update("v2")
    world.run()
    assert world.state.alerts == ()


def test_a_version_after_another_is_announced_and_so_is_a_revert() -> None:
    world = world_of()
    world.run()
    world.update("v2")
    world.reconcile()
    world.update("v3")
    world.reconcile()
    assert said(world)[1:] == [("Held", "info"), ("Superseded", "info")]
    again = "New revision detected! Restarting"
    assert world.state.alerts[-1].message.startswith(again)


@pytest.mark.parametrize("reason", [Reason.PAUSED, Reason.SUSPENDED, Reason.INCONCLUSIVE])
def test_that_people_are_waited_for_is_a_warning_once_for_each_step(reason: Reason) -> None:
    run = State(phase=Phase.PROGRESSING, candidate="b", started_at=START, step=1)
    waits = replace(run, reason=str(reason), message="waits")
    first = after(run, waits)
    assert [one.severity for one in first.alerts] == [Severity.WARN]
    looks_away = after(first, replace(first, reason="NoData", message="none"))
    back = after(looks_away, replace(looks_away, reason=str(reason), message="waits still"))
    assert back.alerts == first.alerts
    stepped = after(back, replace(back, step=2, reason="Advanced", message="on"))
    assert len(after(stepped, replace(stepped, reason=str(reason))).alerts) == 2


def test_one_step_may_wait_for_people_for_two_reasons() -> None:
    run = State(phase=Phase.PROGRESSING, candidate="b", started_at=START, step=1)
    paused = after(run, replace(run, reason=str(Reason.PAUSED), message="waits"))
    both = after(paused, replace(paused, reason=str(Reason.SUSPENDED), message="waits still"))
    assert [one.message for one in both.alerts] == ["waits", "waits still"]


def after(before: State, decided: State) -> State:
    """Return the state that is stored after a decision."""
    return of(before, Decision(state=decided)).state


def of(before: State, decision: Decision) -> Decision:
    world = world_of()
    return announced(Context(before, world.observe(), START, DEFAULT_TIMING), decision)


@pytest.mark.parametrize(
    ("phase", "reason", "severity"),
    [
        (Phase.FAILED, Reason.REFUSED, Severity.ERROR),
        (Phase.FAILED, Reason.PROGRESS_DEADLINE, Severity.ERROR),
        (Phase.SUCCEEDED, Reason.SUCCEEDED, Severity.INFO),
        (Phase.INITIALIZED, Reason.REVERTED, Severity.INFO),
        (Phase.INITIALIZED, Reason.UNSUITABLE, Severity.WARN),
        (Phase.PROGRESSING, Reason.ADVANCED, None),
        (Phase.PROMOTING, Reason.PROMOTING, None),
    ],
)
def test_every_end_has_one_announcement_and_steps_have_none(
    phase: Phase, reason: Reason, severity: Severity | None
) -> None:
    run = State(phase=Phase.PROGRESSING, candidate="b", started_at=START, step=1)
    ended = replace(run, phase=phase, reason=str(reason), message="over")
    once = after(run, ended)
    assert [one.severity for one in once.alerts] == ([severity] if severity else [])
    assert after(once, replace(once, message="over still")).alerts == once.alerts


def test_a_deadline_that_is_met_once_more_is_announced_once_more() -> None:
    run = State(phase=Phase.PROGRESSING, candidate="b", started_at=START)
    ended = after(run, replace(run, phase=Phase.FAILED, reason="ProgressDeadlineExceeded"))
    begun = replace(ended, phase=Phase.PROGRESSING, started_at=START + timedelta(hours=1))
    again = after(ended, begun)
    assert len(again.alerts) == 2
    assert len(after(again, replace(again, phase=Phase.FAILED)).alerts) == 3


def test_what_is_announced_is_stored_with_what_it_speaks_of() -> None:
    run = State(phase=Phase.PROGRESSING, candidate="b", started_at=START)
    ended = replace(run, phase=Phase.FAILED, reason="Refused", message="bad")
    saving = of(run, Decision(state=ended, actions=(SaveState(),)))
    assert saving.actions == (SaveState(),)
    assert of(run, Decision(state=ended)).actions == (SaveState(),)
    assert of(run, Decision(state=run)).actions == ()


def test_a_state_that_begins_anew_keeps_what_is_yet_to_be_sent() -> None:
    waiting = announcement("first")
    before = State(phase=Phase.INITIALIZED, reason="Initialized", alerts=(waiting,))
    assert after(before, State(reason="Initialized")).alerts == (waiting,)


def test_texts_and_numbers_of_facts_have_bounds() -> None:
    checks = tuple(
        Check(name="n" * 5000, outcome=outcome, message="m", value=1.0)
        for outcome in (Outcome.PASSED,) * 40 + (Outcome.FAILED,)
    )
    run = State(phase=Phase.PROGRESSING, candidate="b", started_at=START)
    ended = replace(run, phase=Phase.FAILED, reason="Refused", message="m" * 9000, checks=checks)
    (one,) = after(run, ended).alerts
    assert len(one.message) == MAX_TEXT
    assert len(one.fields) == MAX_FIELDS
    assert one.fields[3][1].startswith("failed")
    assert all(len(title) <= 200 and len(value) <= 200 for title, value in one.fields)


def test_of_more_than_can_wait_the_newest_are_kept() -> None:
    waiting = tuple(announcement(str(number)) for number in range(MOST))
    run = State(phase=Phase.PROGRESSING, candidate="b", started_at=START, alerts=waiting)
    found = after(run, replace(run, phase=Phase.FAILED, reason="Refused", message="bad")).alerts
    assert len(found) == MOST
    assert (found[0].message, found[-1].message) == ("1", "bad")


def announcement(message: str) -> Announcement:
    return Announcement(subject="web.prod", reason="Held", message=message, severity=Severity.INFO)


STORIES: dict[str, dict[str, float | None]] = {"goes well": {}, "fails": {"v2": 7.5}}


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)
@pytest.mark.parametrize("crash", range(4))
def test_a_death_after_any_action_announces_nothing_twice(
    story: dict[str, float | None], crash: int
) -> None:
    world = world_of()
    world.run()
    world.update("v2")
    world.values |= story
    for _ in range(60):
        world.reconcile(crash_after=crash)
        world.reconcile()
        world.now += timedelta(seconds=30)
    world.run()
    reasons = [reason for reason, _ in said(world)]
    assert len(reasons) == len(set(reasons)) == 3
