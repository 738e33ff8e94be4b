"""What the random events have found, each by as few of them as show it."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from canary.contract import Command
from canary.model.strategy import HookType
from runtime.resources import DEPLOYMENTS, INGRESSES, TRAEFIKSERVICES
from tests.harness.controllers import Health
from tests.harness.faults import Fault
from tests.harness.machine import GATES, INSIDERS, Machine, Turn, hooks

Event = Callable[[Machine], None]


def happens(*events: Event, **furniture: Any) -> Machine:
    """Play events from the beginning to the end of all runs; the oracle says what is wrong."""
    machine = Machine()
    machine.begin(**{"replicas": 2, "own": True} | furniture)
    try:
        for event in events:
            event(machine)
    except BaseException:
        machine.judged.wrong.append("it has failed already")
        machine.teardown()
        raise
    machine.teardown()
    return machine


def test_a_hold_that_is_ended_while_nobody_looks_leaves_no_mark() -> None:
    happens(
        lambda it: it.restart(when=1),
        lambda it: it.apply(image="web:2"),  # half-way: what serves cannot be told, nor is marked
        lambda it: it.stage.installation.kill(),
        lambda it: it.delete_canary(),
        lambda it: it.label(on=False),
        lambda it: it.pause(paused=False),
        lambda it: it.write_canary(analysis={}),
        replicas=4,
    )


def test_a_rollout_that_got_stuck_is_not_held_against_the_one_that_mends_it() -> None:
    it = happens(
        lambda it: it.label(on=False),
        lambda it: it.push_and_wait(image="web:2", pause=31.0),
        lambda it: it.push_and_wait(image="web:1", pause=31.0),
        lambda it: it.health(image="web:3", health=Health.NEVER_READY),
        lambda it: it.push_and_wait(image="web:3", pause=700.0),
        lambda it: it.label(on=True),
        lambda it: it.push_and_wait(image="web:2", pause=700.0),
    )
    assert it.stage.serving() == {"web:2": 2}
    assert "Refused" not in it.stage.said()


def test_what_is_held_without_a_canary_does_not_come_up_after_a_sleep() -> None:
    """In the seconds in which somebody may be about to create the Canary that he deleted."""
    happens(
        lambda it: it.push_and_wait(image="web:3", pause=700.0),
        lambda it: it.delete_canary(),
        lambda it: it.push_and_wait(image="web:1", pause=1.0),
        lambda it: it.scale(replicas=0),
        lambda it: it.wait(pause=1.0),
        lambda it: it.scale(replicas=1),
        lambda it: it.wait(pause=1.0),
        own=False,
    )


def test_a_version_pushed_before_the_first_of_a_new_target_has_begun_is_alone() -> None:
    """A case of the oracle: the pods that serve still are of the Deployment that has gone."""
    happens(
        lambda it: it.write_canary(analysis=hooks(*GATES)),
        lambda it: it.save(),
        lambda it: it.pause(paused=False),
        lambda it: it.restore(anew=True),
        lambda it: it.push_and_wait(image="web:2", pause=31.0),
        own=False,
    )


def test_the_only_version_there_is_comes_up_again_although_its_hold_was_aborted() -> None:
    """At 0 nothing said what had served: its ReplicaSet was parked, and no other was left."""
    it = happens(
        lambda it: it.delete(image="web:2", again=True),
        lambda it: it.pause(paused=True),
        lambda it: it.delete_canary(),
        lambda it: it.put_back(image="web:2"),
        lambda it: it.command(command=Command.ABORT, value="now"),
        lambda it: it.sleep_and_wake(replicas=2, pause=15.0),
        lambda it: it.apply(image="web:4"),
        lambda it: it.wait(pause=61.0),
    )
    assert it.stage.serving() == {"web:4": 2}


def test_a_refused_canary_keeps_what_a_shrunken_stable_lacks_and_gives_it_back_in_time() -> None:
    """A case of the oracle: ADR 14 is the only way in which a refused version has a share."""
    happens(
        lambda it: it.write_canary(analysis={"stepWeights": [20, 50, 60], "threshold": 1}),
        lambda it: it.push_and_wait(image="web:2", pause=15.0),
        lambda it: it.scale(replicas=1),
        lambda it: it.metrics(image="web:2", value=5.0),
        lambda it: it.wait(pause=11.0),
        lambda it: it.lose_pod(which=0, canarys=True),
        lambda it: it.wait(pause=700.0),
        replicas=4,
    )


@pytest.mark.parametrize("number", range(7, 10))
def test_a_version_that_comes_back_before_anybody_saw_it_go_is_in_the_run_that_it_was_in(
    number: int,
) -> None:
    """A case of the oracle: what the gate said of that run a moment ago holds."""
    happens(
        lambda it: it.write_canary(analysis={"iterations": 2, **hooks(*GATES)}),
        lambda it: it.push(image="web:2"),
        lambda it: it.push(image="web:1"),
        lambda it: it.trap(number=number, fault=Fault.THROTTLED, times=2),
        lambda it: it.push(image="web:3"),
        lambda it: it.push(image="web:1"),
        lambda it: it.push(image="web:3"),
        lambda it: it.wait(pause=61.0),
    )


def test_a_promotion_that_the_team_pauses_and_resumes_is_the_one_that_was_checked() -> None:
    """A case of the oracle: a resume is held, and released again."""
    happens(
        lambda it: it.half_way(image="web:2", turn=Turn.REFUSED, other="web:1", pause=0.3),
        lambda it: it.pause(paused=True),
        lambda it: it.wait(pause=61.0),
        replicas=4,
    )


@pytest.mark.parametrize("labelled", [True, False])
def test_a_canary_whose_record_is_deleted_answers_its_last_requests(*, labelled: bool) -> None:
    """Taking its traffic off woke its target, and the next look deleted it at once."""
    happens(
        lambda it: it.push_and_wait(image="web:2", pause=11.0),
        lambda it: it.label(on=labelled),
        lambda it: it.delete_canary(),
        lambda it: it.wait(pause=11.0),
    )


def test_a_stable_that_grows_again_is_short_until_its_pods_are_ready() -> None:
    """A case of the oracle: what is asked for does not serve yet."""
    happens(
        lambda it: it.write_canary(analysis={"stepWeights": [20, 50, 60], "threshold": 1}),
        lambda it: it.push_and_wait(image="web:2", pause=15.0),
        lambda it: it.scale(replicas=1),
        lambda it: it.metrics(image="web:2", value=5.0),
        lambda it: it.wait(pause=11.0),
        lambda it: it.scale(replicas=4),
        lambda it: it.wait(pause=61.0),
        replicas=4,
    )


def test_what_is_half_way_is_taken_back_where_a_refused_version_comes_in_its_place() -> None:
    happens(
        lambda it: it.half_way(image="web:3", other="web:4", pause=3.0, turn=Turn.ABORTED),
        lambda it: it.half_way(image="web:4", other="web:3", pause=120.0, turn=Turn.SUPERSEDED),
        replicas=3,
    )


def test_a_stable_of_which_a_rollout_of_its_own_is_half_way_is_back_with_all_its_pods() -> None:
    """Its ReplicaSets share the size: neither has as many pods as the target asks for."""
    happens(
        lambda it: it.restart(when=1),
        lambda it: it.half_way(image="web:2", other="web:4", pause=11.0, turn=Turn.SUPERSEDED),
        own=False,
    )


@pytest.mark.parametrize("webhook", [True, False])
def test_a_saved_copy_of_a_route_brings_no_share_back(*, webhook: bool) -> None:
    happens(
        lambda it: it.push_and_wait(image="web:3", pause=11.0),
        lambda it: it.save_route(),
        lambda it: it.push_and_wait(image="web:1", pause=61.0),
        lambda it: it.route_webhook(up=webhook),
        lambda it: it.restore_route(pause=700.0),
    )


def test_a_saved_copy_of_a_route_is_whole_again_while_what_was_refused_is_held() -> None:
    happens(
        lambda it: it.route_webhook(up=False),
        lambda it: it.metrics(image="web:3", value=5.0),
        lambda it: it.push_and_wait(image="web:3", pause=11.0),
        lambda it: it.save_route(),
        lambda it: it.wait(pause=700.0),
        lambda it: it.restore_route(pause=700.0),
    )


def test_a_command_to_a_version_that_was_refused_before_is_not_its_verdict() -> None:
    happens(
        lambda it: it.metrics(image="web:3", value=5.0),
        lambda it: it.push_and_wait(image="web:3", pause=700.0),
        lambda it: it.delete_canary(),
        lambda it: it.kill(),
        lambda it: it.delete_canary(),
        lambda it: it.write_canary(analysis={}),
    )


def test_a_run_that_is_paused_before_anybody_saw_its_push_is_paused() -> None:
    async def push_and_pause(it: Machine) -> None:
        await it.team.push("web:3")
        await it.team.annotates(str(Command.PAUSE), "now")
        await asyncio.sleep(300)

    def stands(it: Machine) -> None:
        it.do(push_and_pause(it))
        assert (it.stage.phase(), it.stage.weight()) == ("Progressing", 0)

    assert happens(stands).stage.serving() == {"web:3": 2}


def test_a_canary_whose_record_is_deleted_drains_also_where_the_analyzer_ends_meanwhile() -> None:
    happens(
        lambda it: it.half_way(image="web:4", other="web:4", pause=0.3, turn=Turn.SUPERSEDED),
        lambda it: it.undo(),
        lambda it: it.delete_canary(),
        lambda it: it.kill(),
        replicas=4,
    )


def test_a_version_that_came_up_with_its_hold_from_nothing_never_serves() -> None:
    """Another template and a size, in one write to a target at 0 that had that template before."""
    served: set[str] = set()

    def watch(it: Machine) -> None:
        it.stage.api.watchers.append(lambda _: served.update(it.stage.serving()))
        it.restore(anew=False)
        it.wait(pause=3.0)
        assert served == {"web:2"}

    happens(
        lambda it: it.save(),
        lambda it: it.push_and_wait(image="web:2", pause=700.0),
        lambda it: it.scale(replicas=0),
        lambda it: it.wait(pause=11.0),
        watch,
        replicas=1,
    )


def test_a_canary_that_rolls_has_no_share_until_its_own_pods_serve() -> None:
    """Its Deployment said that the pods of before were ready: its share went to and fro at once."""
    found = happens(
        lambda it: it.delete(image="web:2", again=True),
        lambda it: it.restart(when=3),
        lambda it: it.shrink(image="web:1", small=2, short=0.3, pause=0.3),
        lambda it: it.delete_canary(),
        lambda it: it.shrink(image="web:1", small=2, short=0.3, pause=11.0),
        lambda it: it.replace(image="web:1"),
        replicas=1,
    )
    assert found.stage.said().count("PodsLost") < 5


def test_a_gateway_that_takes_no_route_keeps_a_refused_canary_for_three_minutes_and_no_longer() -> (
    None
):
    it = happens(
        lambda it: it.pause(paused=False),
        lambda it: it.put_back(image="web:2"),
        lambda it: it.command(command=Command.PAUSE, value="now"),
        lambda it: it.scale(replicas=2),
        lambda it: it.apply(image="web:4"),
        lambda it: it.restore(anew=True),
        lambda it: it.undo(),
        lambda it: it.gateway(up=False),
        lambda it: it.shrink(image="web:2", pause=700.0, short=31.0, small=1),
    )
    assert set(it.stage.serving()) == {"web:1"}
    assert it.stage.canary_image() == ""


def test_what_a_forgetful_collector_leaves_of_a_rolled_back_canary_is_swept() -> None:
    """A case of the oracle: the ReplicaSet was deleted, empty, by the sweep of a new leader."""
    happens(
        lambda it: it.restart(when=1),
        lambda it: it.forget(on=True),
        lambda it: it.undo(),
        lambda it: it.delete_canary(),
        lambda it: it.give_back(analysis=hooks(HookType.ROLLBACK), image="web:4", pause=31.0),
        lambda it: it.kill(),
        lambda it: it.wait(pause=31.0),
        lambda it: it.kill(),
        own=False,
    )


def test_what_a_canary_before_has_left_goes_while_nothing_of_the_target_serves_yet() -> None:
    """A case of the oracle: it is no pod of the target's that is scaled down then."""
    happens(
        lambda it: it.push_and_wait(image="web:4", pause=3.0),
        lambda it: it.apply(image="web:3"),
        lambda it: it.scale(replicas=1),
        lambda it: it.forget(on=True),
        lambda it: it.trap(fault=Fault.DIES_BEFORE, number=0, times=2),
        lambda it: it.apply(image="web:4"),
        lambda it: it.trap(fault=Fault.DIES_BEFORE, number=4, times=3),
        lambda it: it.restore(anew=False),
        lambda it: it.clock(seconds=-20),
        lambda it: it.label(on=True),
        lambda it: it.kill(),
        lambda it: it.apply(image="web:2"),
        lambda it: it.delete(again=True, image="web:2"),
        lambda it: it.put_back(image="web:3"),
        lambda it: it.restore(anew=True),
    )


def test_what_a_hold_before_has_parked_comes_up_where_nobody_knows_the_stable() -> None:
    """Parked still, it left a target that woke without any pod until the other was promoted."""
    sizes: list[dict[str, int]] = []
    happens(
        lambda it: it.half_way(image="web:4", other="web:4", turn=Turn.REFUSED, pause=11.0),
        lambda it: it.push(image="web:1"),
        lambda it: it.pause(paused=True),
        lambda it: it.push(image="web:3"),
        lambda it: it.scale(replicas=0),
        lambda it: it.delete_canary(),
        lambda it: it.write_canary(analysis={}),
        lambda it: it.replace(image="web:1"),
        lambda it: it.replace(image="web:4"),
        lambda it: it.command(Command.RETRY, "now"),
        lambda it: it.scale(replicas=2),
        lambda it: it.wait(pause=3.0),
        lambda it: sizes.append(it.stage.serving()),
        own=False,
    )
    assert sizes == [{"web:1": 2}]


def test_what_a_person_let_roll_is_taken_down_where_it_is_refused_in_the_end() -> None:
    """Nothing was remembered of its rollout, which another version had ended half-way."""
    sizes: list[dict[str, int]] = []
    happens(
        lambda it: it.shrink(image="web:4", small=1, short=11.0, pause=3.0),
        lambda it: it.command(Command.PROMOTE, "now"),
        lambda it: it.delete_canary(),
        lambda it: it.shrink(image="web:3", small=2, short=11.0, pause=11.0),
        lambda it: it.delete_canary(),
        lambda it: it.shrink(image="web:4", small=2, short=11.0, pause=0.3),
        lambda it: it.wait(pause=31.0),
        lambda it: sizes.append(it.stage.serving()),
        replicas=1,
    )
    assert sizes == [{"web:1": 4}]


def test_a_promotion_that_is_forgotten_with_its_canary_stands_half_way_beside_the_next() -> None:
    """A case of the oracle: it is then like a rollout that the team had let out itself."""
    sizes: list[dict[str, int]] = []
    it = happens(
        lambda it: it.scale(replicas=4),
        lambda it: it.push_and_wait(image="web:4", pause=11.0),
        lambda it: it.command(Command.PROMOTE, "now"),
        lambda it: it.delete_canary(),
        lambda it: it.replace(image="web:3"),
        lambda it: it.wait(pause=31.0),
        lambda it: sizes.append(it.stage.serving()),
        lambda it: it.wait(pause=700.0),
    )
    assert set(sizes[0]) == {"web:1", "web:4"}
    assert it.stage.serving() == {"web:3": 2}


def test_a_refused_version_that_comes_again_takes_the_share_from_the_canary_of_another() -> None:
    """It kept what the stable, which had become smaller meanwhile, could not take (ADR 14)."""
    weights: list[int] = []
    happens(
        lambda it: it.shrink(image="web:2", small=2, short=31.0, pause=31.0),
        lambda it: it.push_and_wait(image="web:4", pause=11.0),
        lambda it: it.scale(replicas=1),
        lambda it: weights.append(it.stage.weight()),
        lambda it: it.apply(image="web:2"),
        lambda it: it.wait(pause=3.0),
        lambda it: weights.append(it.stage.weight()),
        lambda it: it.wait(pause=700.0),
    )
    assert weights[0] > 0
    assert weights[1] == 0


def test_what_a_person_promotes_after_its_refusal_keeps_the_share_that_it_had() -> None:
    """A case of the oracle: the stable had become smaller, and the share is the promotion's now."""
    weights: list[int] = []
    it = happens(
        lambda it: it.shrink(image="web:4", small=1, short=31.0, pause=0.3),
        lambda it: it.command(Command.PROMOTE, "now"),
        lambda it: weights.append(it.stage.weight()),
        lambda it: it.wait(pause=31.0),
        replicas=3,
    )
    assert weights[0] > 0
    assert it.stage.serving() == {"web:4": 2}


def test_a_promote_that_says_false_promotes_nothing() -> None:
    it = happens(
        lambda it: it.shrink(image="web:4", small=1, short=31.0, pause=0.3),
        lambda it: it.command(Command.PROMOTE, "false"),
        lambda it: it.wait(pause=31.0),
        replicas=3,
    )
    assert it.stage.serving() == {"web:1": 2}
    assert "Promoting" not in it.stage.said()


def test_pods_of_a_canary_before_are_told_apart_that_were_made_in_the_same_second() -> None:
    """A node was lost: its ReplicaSet made them again just as the next canary made its own."""
    it = happens(
        lambda it: it.forget(on=True),
        lambda it: it.push(image="web:2"),
        lambda it: it.apply(image="web:1"),
        lambda it: it.restore_route(pause=3.0),
        lambda it: it.lose_node(node=2, evicted=True),
        lambda it: it.wait(pause=61.0),
        lambda it: it.lose_node(node=0, evicted=True),
        lambda it: it.push_and_wait(image="web:4", pause=61.0),
        replicas=3,
    )
    assert "LeftoversRemoved" in it.stage.said()


def test_a_sweep_that_the_api_server_did_not_let_finish_is_made_again_soon() -> None:
    happens(
        lambda it: it.forget(on=True),
        lambda it: it.give_back(analysis=hooks(HookType.ROLLBACK), image="web:2", pause=11.0),
        lambda it: it.trap(number=8, fault=Fault.BROKEN, times=2),
        lambda it: it.write_canary(analysis={}),
        lambda it: it.push_and_wait(image="web:1", pause=700.0),
        replicas=4,
        own=False,
    )


def test_a_saved_copy_of_the_route_gives_no_share_to_a_canary_that_starts() -> None:
    """It came past the webhook for routes, and the next version had the 5 % of the one before."""
    weights: list[int] = []
    happens(
        lambda it: it.push_and_wait(image="web:3", pause=3.0),
        lambda it: it.save_route(),
        lambda it: it.route_webhook(up=False),
        lambda it: it.health(image="web:2", health=Health.NEVER_READY),
        lambda it: it.push_and_wait(image="web:2", pause=11.0),
        lambda it: it.restore_route(pause=11.0),
        lambda it: weights.append(it.stage.weight()),
        replicas=4,
    )
    assert weights == [0]


def test_a_share_that_a_saved_copy_of_the_route_has_is_no_step_that_was_taken() -> None:
    """A case of the oracle: the next step was taken for one without a check."""
    happens(
        lambda it: it.push_and_wait(image="web:3", pause=1.0),
        lambda it: it.kill(),
        lambda it: it.save_route(),
        lambda it: it.route_webhook(up=False),
        lambda it: it.give_back(analysis=hooks(HookType.ROLLBACK), image="web:2", pause=1.0),
        lambda it: it.kill(),
        lambda it: it.restore_route(pause=31.0),
        replicas=4,
        own=False,
    )


def test_what_a_target_at_0_was_let_ask_for_without_the_label_is_its_version() -> None:
    """A case of the oracle: nobody asks anything of it once the label is there."""
    happens(
        lambda it: it.label(on=False),
        lambda it: it.scale(replicas=0),
        lambda it: it.push_and_wait(image="web:2", pause=3.0),
        lambda it: it.label(on=True),
        lambda it: it.pause(paused=True),
        replicas=3,
    )


def test_a_canary_drains_from_when_its_route_could_be_written_not_from_the_verdict() -> None:
    """The API server did not answer for 30 s between what was stored and the route."""
    happens(
        lambda it: it.push_and_wait(image="web:2", pause=11.0),
        lambda it: it.trap(number=8, fault=Fault.TIMED_OUT, times=3),
        lambda it: it.wait(pause=700.0),
        replicas=1,
    )


def test_a_label_that_comes_back_finds_the_word_of_its_end_for_a_moment() -> None:
    """A case of the oracle: the hold is older than the label, and the API server had no time."""
    happens(
        lambda it: it.delete(image="web:4", again=True),
        lambda it: it.shrink(image="web:1", small=2, short=3.0, pause=700.0),
        lambda it: it.trap(number=3, fault=Fault.THROTTLED, times=3),
        lambda it: it.label(on=False),
        lambda it: it.label(on=True),
        own=False,
    )


def test_a_refused_version_that_a_person_gives_pods_by_its_replica_set_loses_them_at_once() -> None:
    """It is parked, so that no status of its Deployment tells of it."""
    sizes: list[dict[str, int]] = []
    happens(
        lambda it: it.push_and_wait(image="web:2", pause=61.0),
        lambda it: it.push_and_wait(image="web:1", pause=61.0),
        lambda it: it.metrics(image="web:2", value=5.0),
        lambda it: it.push_and_wait(image="web:2", pause=61.0),
        lambda it: it.scale_replica_set(image="web:2", replicas=1, pause=3.0),
        lambda it: sizes.append(it.stage.sizes()),
        lambda it: it.wait(pause=700.0),
    )
    assert sizes == [{"web:1": 2, "web:2": 0}]


def test_a_service_whose_deployment_was_not_made_goes_though_its_target_rests_meanwhile() -> None:
    """The analyzer ended between the two; no watch tells of the Service."""
    happens(
        lambda it: it.give_back(
            analysis={"iterations": 2, "match": INSIDERS}
            | hooks(HookType.CONFIRM_PROMOTION, HookType.ROLLBACK),
            image="web:3",
            pause=700.0,
        ),
        lambda it: it.trap(fault=Fault.DIES_BEFORE, number=12, times=1),
        lambda it: it.apply(image="web:4"),
        lambda it: it.label(on=False),
        own=False,
        replicas=3,
    )


def test_what_is_woken_while_the_api_server_answers_nothing_has_pods_until_it_does() -> None:
    """A case of the oracle: what ADR 15 says of a time without an analyzer."""
    happens(
        lambda it: it.push_and_wait(image="web:3", pause=700.0),
        lambda it: it.push_and_wait(image="web:2", pause=700.0),
        lambda it: it.trap(fault=Fault.TIMED_OUT, number=7, times=1),
        lambda it: it.apply(image="web:4"),
        lambda it: it.apply(image="web:3"),
        lambda it: it.wait(pause=0.3),
        lambda it: it.scale(replicas=0),
        lambda it: it.scale(replicas=4),
        replicas=1,
    )


def test_what_shares_the_route_is_let_go_of_with_its_label_and_is_its_teams_to_resume() -> None:
    """A case of the oracle: a pause stays, for nobody but its team ends one without the label."""
    happens(
        lambda it: it.push_next(image="web:3", pause=11.0),
        lambda it: it.label(on=False),
        own=False,
        shared=True,
    )


def test_what_was_refused_is_taken_down_although_its_canary_is_suspended_then() -> None:
    happens(
        lambda it: it.give_back(analysis=hooks(HookType.ROLLBACK), image="web:4", pause=11.0),
        lambda it: it.suspend(pause=700.0),
        own=False,
    )


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize(("begun", "pause"), [(11.0, 31.0), (25.0, 3.0)])
def test_a_canary_that_names_another_target_for_a_while_harms_neither(
    begun: float, pause: float, *, own: bool, shared: bool
) -> None:
    happens(
        lambda it: it.push_and_wait(image="web:2", pause=begun),
        lambda it: it.aim_elsewhere(pause=pause),
        own=own,
        shared=shared,
    )


def test_a_run_that_begins_anew_with_its_canary_begins_at_its_first_step() -> None:
    """A case of the oracle: its Canary had named no target for a moment."""
    happens(
        lambda it: it.push_and_wait(image="web:2", pause=0.3),
        lambda it: it.sleep_and_wake(pause=120.0, replicas=4),
        lambda it: it.wait(pause=0.3),
        lambda it: it.aim_elsewhere(pause=0.3),
        kind=TRAEFIKSERVICES.kind,
        replicas=4,
    )


def test_what_a_canary_says_of_another_target_is_not_said_of_the_one_before() -> None:
    """A case of the oracle: the one before is at 0, the other one's promotion is complete."""
    happens(
        lambda it: it.half_way(image="web:1", other="web:1", pause=11.0, turn=Turn.ASLEEP),
        lambda it: it.push_next(image="web:4", pause=11.0),
        lambda it: it.aim_elsewhere(pause=31.0),
        own=False,
        shared=True,
    )


def test_what_was_refused_stays_so_while_its_canary_names_another_target() -> None:
    happens(
        lambda it: it.metrics(image="web:2", value=5.0),
        lambda it: it.push_and_wait(image="web:2", pause=61.0),
        lambda it: it.aim_elsewhere(pause=700.0),
        shared=True,
    )


def test_a_share_that_was_on_its_way_when_somebody_deleted_the_canary_is_taken_back() -> None:
    """A case of the oracle: the canary that was deleted is not one of before."""
    happens(
        lambda it: it.suspend(pause=31.0),
        lambda it: it.push_and_wait(image="web:3", pause=0.3),
        lambda it: it.command(command=Command.RETRY, value="false"),
        lambda it: it.restart(when=3),
        lambda it: it.delete_what_is_made(pause=3.0, resource=DEPLOYMENTS),
        shared=True,
    )


def test_a_canary_drains_from_its_routes_last_write_also_where_no_gateway_tells() -> None:
    """The analyzer ended between what was stored of a promotion and the Ingress."""
    happens(
        lambda it: it.replace(image="web:4"),
        lambda it: it.scale_replica_set(image="web:4", pause=1.0, replicas=1),
        lambda it: it.trap(fault=Fault.DIES_BEFORE, number=11, times=3),
        lambda it: it.wait(pause=700.0),
        kind=INGRESSES.kind,
    )


@pytest.mark.parametrize("own", [True, False], ids=["own Canary", "made Canary"])
@pytest.mark.parametrize("pause", [0.3, 11.0])
def test_what_a_webhook_that_comes_in_mid_run_makes_of_a_version_is_judged_before_it_rolls(
    pause: float, *, own: bool
) -> None:
    """The analyzer's own write released it: the webhook changes whatever is written."""
    it = happens(
        lambda it: it.push_and_wait(image="web:2", pause=pause),
        lambda it: it.pin(digest="1"),
        lambda it: it.wait(pause=700.0),
        own=own,
    )
    assert it.stage.serving() == {"web:2@1": 2}
    assert {"Promoting", "Superseded"} <= set(it.stage.said())


@pytest.mark.parametrize("pause", [0.3, 3.0, 31.0])
def test_nobody_s_word_on_a_version_is_a_word_on_what_a_webhook_makes_of_it(pause: float) -> None:
    it = happens(
        lambda it: it.metrics(image="web:2", value=5.0),
        lambda it: it.push_and_wait(image="web:2", pause=pause),
        lambda it: it.pin(digest="1"),
        lambda it: it.command(command=Command.PROMOTE, value="now"),
        lambda it: it.wait(pause=61.0),
        replicas=3,
    )
    assert it.judged.released["web:2"] <= 1


def test_a_run_whose_route_cannot_carry_it_says_so_and_goes_on_once_its_canary_is_edited() -> None:
    """Seed 31005: what the route refused was waited for, though the Canary asked for it no more."""
    seen: list[str] = []
    happens(
        lambda it: it.write_canary(analysis={"iterations": 2, "match": INSIDERS}),
        lambda it: it.push_and_wait(image="web:2", pause=61.0),
        lambda it: seen.extend([it.stage.reason(), it.stage.message()]),
        kind=TRAEFIKSERVICES.kind,
    )
    assert seen[0] == "RouteDiffers"
    assert "RouteRefused" in seen[1]


def test_a_refused_version_does_not_get_back_the_share_that_it_has_lost() -> None:
    """Seed 31016: its Canary named another target for a moment, by which the stable had it all."""
    happens(
        lambda it: it.health(image="web:1", health=Health.NEVER_READY),  # it cannot grow again
        lambda it: it.shrink(image="web:3", pause=11.0, short=61.0, small=2),
        lambda it: it.write_canary(analysis={"stepWeights": [30], "mirror": True}),
        lambda it: it.aim_elsewhere(pause=0.3),
        kind=TRAEFIKSERVICES.kind,
        shared=True,
    )


def test_pods_that_a_person_gives_a_held_version_go_although_the_stable_lacks_a_node() -> None:
    """Seed 33020: they were left for as long as one of the stable's was not ready."""
    sizes: list[int] = []
    it = happens(
        lambda it: it.push_and_wait(image="web:4", pause=700.0),
        lambda it: it.lose_node(node=1, evicted=False),
        lambda it: it.push_and_wait(image="web:1", pause=11.0),
        lambda it: it.scale_replica_set(image="web:1", replicas=1, pause=3.0),
        lambda it: it.have(lambda: sizes.append(it.stage.sizes().get("web:1", 0))),
        replicas=3,
    )
    assert sizes == [0]
    assert it.stage.serving() == {"web:1": 2}


def test_an_elder_version_s_marks_are_refused_with_what_a_webhook_makes_of_them() -> None:
    """A case of the harness, seed 35005: the elder's write went past what refuses the analyzer."""
    happens(
        lambda it: it.pin(digest="1"),
        lambda it: it.upgrade(dropped=set(), marks=True, strange=False),
        lambda it: it.push_and_wait(image="web:2", pause=61.0),
        lambda it: it.pin(digest="2"),
        lambda it: it.upgrade(dropped=set(), marks=True, strange=False),
        lambda it: it.wait(pause=61.0),
    )
