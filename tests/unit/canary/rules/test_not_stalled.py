"""Nothing stalls in silence: what is denied, what pods wait for, and whose run a message is of."""

import itertools
from dataclasses import replace
from datetime import timedelta

import pytest

from canary.contract import Reason
from canary.model.fates import Broken, Fates, Serving, Starting, Taken, Taking, Unheard, Unready
from canary.model.state import Phase, State
from canary.model.strategy import Strategy
from canary.rules.actions import DeleteCanary, EnsureCanary, SaveState
from canary.rules.denied import ask_again_in, denied, no_longer_denied
from tests.fakes.world import KEY, START, STRATEGY, World

WORDS = 'deployments.apps "web-canary" is forbidden: label team is missing'
MINUTE = timedelta(minutes=1)
QUICK = replace(STRATEGY, progress_deadline=timedelta(minutes=2))
UNSCHEDULABLE = Starting(pod="a", why="Unschedulable: 0/3 nodes are available")


def pushed(world: World) -> World:
    """Hold a new version and begin its run."""
    world.update("v2")
    world.reconcile()
    return world


def deny(world: World, words: str = WORDS) -> None:
    """Look once, with the canary's Deployment denied: what `Reconciler` does around a decision."""
    decision = world.decide()
    for action in decision.actions:
        if isinstance(action, EnsureCanary):
            world.state = denied(world.state, KEY, words, world.now)
            return
        world.act(action, decision.state)


def looks(world: World, times: int, *, every: timedelta) -> None:
    for _ in range(times):
        deny(world)
        world.now += every


# --- writes that are denied ----------------------------------------------------------------------


def test_what_is_denied_stands_until_it_is_done_and_is_asked_again() -> None:
    world = pushed(World(strategy=QUICK))
    looks(world, 3, every=timedelta(seconds=10))
    stored = world.state
    assert stored.denied_since == START
    assert WORDS in stored.denied_why
    decision = world.decide()
    assert decision.actions[-1] == SaveState(), "only after it was done is it not denied any more"
    assert any(isinstance(action, EnsureCanary) for action in decision.actions)
    world.carry_out(decision)
    assert (world.state.denied_since, world.state.denied_why) == (None, "")
    world.run()
    assert world.state.phase is Phase.SUCCEEDED


def test_a_run_that_cannot_act_ends_at_the_deadline_and_nothing_speaks_against_it() -> None:
    world = pushed(World(strategy=QUICK))
    looks(world, 13, every=timedelta(seconds=10))
    world.reconcile()
    assert world.state.phase is Phase.FAILED
    assert world.state.reason == Reason.PROGRESS_DEADLINE
    assert WORDS in world.given_up
    assert ("refused" in world.marks, world.verdict, world.pods) == (False, "", {"v1": 4})


def test_it_starts_again_by_itself_ever_more_rarely_and_is_promoted_once_the_cause_is_gone() -> (
    None
):
    world = pushed(World(strategy=QUICK))
    starts: list[timedelta] = []
    ended = world.now
    while len(starts) < 5:
        before = world.state.phase
        deny(world)
        after = world.state.phase
        if (before, after) == (Phase.PROGRESSING, Phase.FAILED):
            ended = world.now
        if (before, after) == (Phase.FAILED, Phase.PROGRESSING):
            starts.append(world.now - ended)
        world.now += timedelta(seconds=5)
    assert starts == [MINUTE, 2 * MINUTE, 4 * MINUTE, 5 * MINUTE, 5 * MINUTE]
    world.run()
    assert (world.state.phase, world.pods) == (Phase.SUCCEEDED, {"v2": 4})


def test_the_version_pushed_again_starts_at_once() -> None:
    world = pushed(World(strategy=QUICK))
    looks(world, 13, every=timedelta(seconds=10))
    world.reconcile()
    world.update("v1")
    world.run()
    world.update("v2")
    world.run()
    assert world.state.phase is Phase.SUCCEEDED


def test_a_refusal_after_such_an_end_is_a_refusal() -> None:
    world = pushed(World(strategy=QUICK))
    looks(world, 13, every=timedelta(seconds=10))
    world.reconcile()
    assert world.state.phase is Phase.FAILED
    world.trouble = "container app of pod web-canary-x is in CrashLoopBackOff: no"
    world.run(until=timedelta(minutes=30))
    assert (world.state.reason, world.marks["refused"]) == (Reason.REFUSED, "v2")


def test_what_moves_a_run_is_stored_before_it_is_done_also_while_something_is_denied() -> None:
    before = denied(State(phase=Phase.PROGRESSING), KEY, WORDS, START)
    world = pushed(World())
    moved = replace(world.decide(), state=replace(before, weight=10))
    assert no_longer_denied(before, moved) == moved


@pytest.mark.parametrize(
    ("waited", "again"), [(0, 1), (1, 1), (10, 5), (40, 20), (100, 30), (9000, 30)]
)
def test_it_is_asked_again_ever_more_rarely(waited: int, again: int) -> None:
    state = State(denied_since=START)
    now = START + timedelta(seconds=waited)
    assert ask_again_in(state, now) == timedelta(seconds=again)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ('env[0].value: Invalid value: "s3\\"cr:et": too long', "Invalid value: ...: too long"),
        ('x: Invalid value: {"a":"s3cr:et"}: field is immutable', "...: field is immutable"),
        ('x: Invalid value: "s3cr:et and cut off', "Invalid value: ..."),
        ('y: Unsupported value: "s3cr:et": supported values: "A"', '...: supported values: "A"'),
    ],
)
def test_values_of_fields_are_not_said(words: str, said: str) -> None:
    why = denied(State(), KEY, words, START).denied_why
    assert "cr:et" not in why
    assert why.endswith(said)


def test_what_is_said_is_bounded() -> None:
    assert len(denied(State(), KEY, "x" * 5000, START).denied_why) < 700


# --- pods that do not come ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fates", "is_refused"),
    [
        ((UNSCHEDULABLE,), False),
        ((Serving(pod="a"), UNSCHEDULABLE), False),
        ((Starting(pod="a", why="ContainerCreating"),), False),
        ((Starting(pod="a", why="ErrImagePull"),), False),
        ((Starting(pod="a", why="CreateContainerConfigError"),), False),
        ((Taken(pod="a", how=Taking.EVICTED),), False),
        ((Unheard(pod="a"),), False),
        ((Starting(pod="a"),), True),
        ((Starting(pod="a", why="PodInitializing"),), True),
        ((UNSCHEDULABLE, Unready(pod="b")), True),
        ((Broken(pod="a", why="container app ended"),), True),
    ],
    ids=str,
)
def test_what_never_became_ready_is_refused_for_its_own_fault_alone(
    fates: Fates, *, is_refused: bool
) -> None:
    world = pushed(World(strategy=replace(QUICK, ready_percent=100), fates=fates))
    world.replicas = 20
    while world.state.phase is Phase.PROGRESSING:
        world.reconcile()
        world.now += timedelta(seconds=10)
    wanted = Reason.REFUSED if is_refused else Reason.PROGRESS_DEADLINE
    assert world.state.reason == wanted
    assert ("refused" in world.marks) is is_refused
    assert world.now - START < timedelta(minutes=3)


def test_pods_that_are_denied_are_said_at_once_and_once() -> None:
    said = 'pods "web-canary-1-x" is forbidden: exceeded quota: pods'
    world = pushed(World(strategy=QUICK, pods_denied=said, fates=(Unheard(pod="none"),)))
    for _ in range(4):
        world.reconcile()
        world.now += timedelta(seconds=5)
    assert world.state.reason == Reason.PODS_DENIED
    assert said in world.state.message
    assert len([text for text in world.events if said in text]) == 1
    world.now += timedelta(minutes=2)
    world.reconcile()
    assert (world.state.phase, "refused" in world.marks) == (Phase.FAILED, False)
    assert said in world.given_up
    world.pods_denied, world.fates = "", ()
    world.run()
    assert world.state.phase is Phase.SUCCEEDED


def test_what_was_made_late_has_its_whole_time() -> None:
    world = pushed(World(strategy=QUICK))
    looks(world, 11, every=timedelta(seconds=10))
    world.fates = (Starting(pod="a"),)
    made = world.now
    while world.state.phase is Phase.PROGRESSING:
        world.reconcile()
        world.now += timedelta(seconds=5)
    assert world.state.reason == Reason.REFUSED
    assert world.now - made > timedelta(minutes=2)


def test_what_was_started_late_is_no_evidence_at_the_deadline() -> None:
    world = pushed(World(strategy=QUICK, fates=(UNSCHEDULABLE,)))
    while world.now - START < timedelta(seconds=90):
        world.reconcile()
        world.now += timedelta(seconds=5)
    world.fates = (Starting(pod="a", since=world.now),)
    while world.state.phase is Phase.PROGRESSING:
        world.reconcile()
        world.now += timedelta(seconds=5)
    assert (world.state.reason, "refused" in world.marks) == (Reason.PROGRESS_DEADLINE, False)


def test_an_endpoint_that_never_comes_ends_the_run_and_it_is_tried_again() -> None:
    world = pushed(World(strategy=QUICK, unserved="no endpoint"))
    while world.state.phase is Phase.PROGRESSING:
        world.reconcile()
        world.now += timedelta(seconds=5)
    assert (world.state.reason, world.given_up.endswith("no endpoint")) == (
        Reason.PROGRESS_DEADLINE,
        True,
    )
    world.unserved = ""
    world.run()
    assert world.state.phase is Phase.SUCCEEDED


def test_what_is_suspended_is_not_tried_again_until_it_goes_on() -> None:
    world = pushed(World(strategy=QUICK, unserved="no endpoint"))
    while world.state.phase is Phase.PROGRESSING:
        world.reconcile()
        world.now += timedelta(seconds=5)
    world.unserved, world.strategy = "", replace(QUICK, suspended=True)
    for _ in range(60):
        world.reconcile()
        world.now += timedelta(seconds=10)
    assert (world.state.phase, world.canary) == (Phase.FAILED, "")
    assert world.decide().requeue_after is None
    world.strategy = QUICK
    world.run()
    assert world.state.phase is Phase.SUCCEEDED


# --- whose run a message is of --------------------------------------------------------------------


def test_what_is_waited_for_is_said_where_all_pods_are_ready() -> None:
    late = "its controller has not seen its latest change yet"
    world = pushed(World(rolling=late))
    for _ in range(2):
        world.reconcile()
    assert world.state.message == f"waiting for the Deployment web-canary; {late}"


def mid_run() -> World:
    world = pushed(World())
    while world.state.weight < 20:
        world.reconcile()
        world.now += timedelta(seconds=5)
    return world


def test_a_team_s_pause_that_is_over_is_not_said_any_more() -> None:
    world = mid_run()
    world.held = False
    world.reconcile()
    assert world.state.message == "paused by the team, not by Headgate"
    world.held = True
    world.reconcile()
    assert world.state.reason == Reason.RESUMED
    assert world.state.message == "web.prod goes on at weight 20"
    world.run()
    assert world.state.phase is Phase.SUCCEEDED


def test_a_team_s_pause_of_a_promotion_is_not_said_any_more_when_it_is_held_again() -> None:
    world = mid_run()
    while world.state.phase is not Phase.PROMOTING:
        world.reconcile()
        world.now += timedelta(seconds=5)
    world.paused, world.held = True, False
    world.reconcile()
    assert "paused by the team" in world.state.message
    world.held = True
    world.reconcile()
    assert world.state.reason == Reason.PROMOTING
    assert "paused by the team" not in world.state.message


@pytest.mark.parametrize("how", ["suspended", "problem"])
def test_what_stood_in_the_way_is_not_said_any_more(how: str) -> None:
    world = mid_run()
    assert isinstance(world.strategy, Strategy)
    before = world.strategy
    if how == "suspended":
        world.strategy = replace(before, suspended=True)
    else:
        world.problems = ("Service prod/web does not exist",)
    world.reconcile()
    assert world.state.reason in {Reason.SUSPENDED, Reason.INVALID}
    world.strategy, world.problems = before, ()
    world.reconcile()
    assert world.state.message == "web.prod goes on at weight 20"


PHASES = [phase for phase in Phase if phase is not Phase.INITIALIZED]


@pytest.mark.parametrize(
    ("phase", "template"), list(itertools.product(PHASES, ["v1", "v2", "v3"])), ids=str
)
def test_a_target_created_anew_went_past_nobody(phase: Phase, template: str) -> None:
    state = State(
        phase=phase,
        candidate="v2",
        stable="v1",
        target_uid="one",
        started_at=START,
        changed_at=START,
    )
    world = World(template=template, pods={template: 4}, born=[template], uid="two", state=state)
    assert DeleteCanary() in world.decide().actions, "its routes may lead to a canary that is gone"
    world.run(until=timedelta(minutes=2))
    assert world.state.target_uid == "two"
    assert (world.state.phase, world.state.stable) == (Phase.INITIALIZED, template)
    assert world.events == [
        "web.prod was deleted and created again: it starts with what it asks for"
    ]
    world.update("v9")
    world.run()
    assert (world.state.phase, world.template) == (Phase.SUCCEEDED, "v9")
    world.template = "v10"
    world.run()
    assert world.events[-1] == "web.prod was updated without a canary"


@pytest.mark.parametrize(
    ("made", "elder"),
    [(timedelta(0), False), (timedelta(seconds=-1), True), (timedelta(hours=-1), True)],
    ids=str,
)
def test_a_canary_that_names_another_target_than_before_says_so_if_it_is_the_elder(
    made: timedelta, *, elder: bool
) -> None:
    world = mid_run()
    changed = world.state.changed_at
    assert changed is not None
    second = changed.replace(microsecond=0)
    changed = second + timedelta(milliseconds=900)
    world.state = replace(world.state, target_uid="one", changed_at=changed)
    world.uid, world.target_made_at = "two", second + made
    decision = world.decide()
    assert DeleteCanary() not in decision.actions, "its last requests are to be answered"
    world.reconcile()
    assert world.weight == 0
    assert world.canary
    assert world.events[-1] == (
        "web.prod is the target now, another Deployment was: it starts with what it asks for"
        if elder
        else "web.prod was deleted and created again: it starts with what it asks for"
    )
    world.run()
    assert (world.state.phase, world.pods) == (Phase.SUCCEEDED, {"v2": 4})


def test_what_had_no_target_begins_with_the_one_that_is_there() -> None:
    state = State(stable="v1", target_uid="one", changed_at=START, reason=str(Reason.NO_TARGET))
    world = World(uid="one", state=state)
    world.run(until=timedelta(minutes=1))
    assert (world.state.reason, world.state.phase) == (Reason.INITIALIZED, Phase.INITIALIZED)


def test_what_an_earlier_release_stored_of_a_target_stays() -> None:
    world = mid_run()
    world.uid = "one"
    world.run()
    assert (world.state.phase, world.state.target_uid) == (Phase.SUCCEEDED, "one")
