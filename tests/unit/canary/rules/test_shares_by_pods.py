"""A run whose traffic is shared by the number of its pods: who is in, what is said, what stays."""

from datetime import timedelta
from typing import Any

import pytest

from canary.contract import SHARE_BY_PODS, Command
from canary.model.state import Phase
from canary.model.strategy import InvalidStrategy, Kind, Strategy
from canary.objects.status import state_from_status, status_from_state
from canary.spec.canary import parse_strategy
from canary.spec.defaults import Defaults
from canary.spec.settings import Tuning
from canary.spec.strategies import without_route
from tests.fakes.world import World

ASKED = {SHARE_BY_PODS: "on"}
METRICS = [{"name": "error-rate", "query": "errors", "thresholdRange": {"max": 1}}]
STICKY = {"cookieName": "kept"}


def parsed(
    analysis: dict[str, Any],
    *,
    provider: str = "kubernetes",
    notes: dict[str, str] | None = None,
    admin: bool = False,
) -> Strategy:
    said = {"interval": "1m", "threshold": 3, "metrics": METRICS, **analysis}
    metadata = {"name": "web", "namespace": "prod", "annotations": notes or {}}
    spec = {"provider": provider, "targetRef": {"kind": "Deployment", "name": "web"}}
    spec |= {"service": {"port": 80}, "analysis": said}
    defaults = Defaults(tuning=Tuning(by_pods=admin))
    found = parse_strategy({"metadata": metadata, "spec": spec}, defaults)
    assert not isinstance(found, InvalidStrategy), found
    return found


def followed(**analysis: Any) -> Strategy:
    return without_route(parsed(analysis, notes=ASKED))


# --- which runs it is ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("provider", "analysis", "weights"),
    [
        ("kubernetes", {"stepWeights": [10, 50]}, (10, 50)),
        ("", {"stepWeights": [10, 50]}, (10, 50)),
        ("kubernetes", {"stepWeight": 20}, (20, 40, 50)),
        ("kubernetes", {"stepWeights": [60, 90]}, (50,)),
        ("kubernetes", {"stepWeights": [20, 60], "mirror": True}, (20, 50)),
        ("kubernetes", {"stepWeights": [20, 60], "sessionAffinity": STICKY}, (20, 50)),
        ("kubernetes", {}, (5, 10, 25, 50)),
    ],
)
def test_shares_are_what_is_asked_for_up_to_half(
    provider: str, analysis: dict[str, Any], weights: tuple[int, ...]
) -> None:
    found = without_route(parsed(analysis, provider=provider, notes=ASKED))
    assert (found.kind, found.weights) == (Kind.PODS, weights)
    assert all(step.traffic.is_a_share for step in found.steps)


@pytest.mark.parametrize(
    ("provider", "analysis"),
    [
        ("kubernetes", {"iterations": 3}),
        ("kubernetes", {"iterations": 3, "match": [{"headers": {"a": {"exact": "b"}}}]}),
        ("kubernetes", {"stepWeights": [20], "match": [{"headers": {"a": {"exact": "b"}}}]}),
        ("gatewayapi:v1", {"stepWeights": [20]}),
    ],
)
def test_what_no_number_of_pods_can_say_goes_on_as_without_it(
    provider: str, analysis: dict[str, Any]
) -> None:
    with_it = parsed(analysis, provider=provider, notes=ASKED)
    assert with_it.unrouted == parsed(analysis, provider=provider).unrouted
    assert without_route(with_it).kind is not Kind.PODS


@pytest.mark.parametrize(
    ("admin", "notes", "kind"),
    [
        (False, {}, Kind.BLUE_GREEN),
        (False, ASKED, Kind.PODS),
        (True, {}, Kind.PODS),
        (True, {SHARE_BY_PODS: "off"}, Kind.BLUE_GREEN),
    ],
)
def test_the_admin_or_the_canary_asks_and_the_canary_has_the_last_word(
    admin: bool,  # noqa: FBT001 - a row of the table
    notes: dict[str, str],
    kind: Kind,
) -> None:
    assert without_route(parsed({"stepWeight": 10}, notes=notes, admin=admin)).kind is kind


def test_on_a_route_nothing_of_it_holds() -> None:
    found = parsed({"stepWeights": [20, 80]}, notes=ASKED)
    assert (found.kind, found.weights) == (Kind.CANARY, (20, 80))
    assert not found.is_unrouted
    assert without_route(found).is_unrouted


def test_what_is_passed_over_is_named() -> None:
    found = followed(stepWeights=[20, 80], mirror=True, sessionAffinity=STICKY)
    said = "; ".join(found.unknown)
    assert all(it in said for it in ("analysis.mirror", "sessionAffinity", "above 50 %"))
    assert followed(stepWeights=[20, 50]).unknown == ()


def test_it_bakes_in_its_last_step_with_half_of_the_traffic() -> None:
    notes = ASKED | {"headgate.dev/bake": "10m"}
    found = without_route(parsed({"stepWeights": [20, 50]}, notes=notes))
    assert [(it.traffic.weight, it.lasts) for it in found.steps] == [
        (20, timedelta(0)),
        (50, timedelta(minutes=10)),
    ]


# --- a run --------------------------------------------------------------------------------------


def at_step(step: int, replicas: int = 10) -> World:
    one = World(strategy=followed(stepWeights=[5, 20, 50]), replicas=replicas)
    one.pods = {"v1": replicas}
    one.run()
    one.update("v2")
    while one.state.step < step:
        look(one)
    return one


def look(one: World) -> None:
    decision = one.reconcile()
    one.roll()
    one.now += max(one.next_look(decision), timedelta(milliseconds=100))


@pytest.mark.parametrize(("step", "pods", "share"), [(0, 1, 9.1), (1, 2, 16.7), (2, 10, 50.0)])
def test_status_and_event_say_the_share_that_it_really_gets(
    step: int, pods: int, share: float
) -> None:
    one = at_step(step)
    assert (len(one.joined), one.state.share) == (pods, share)
    status = status_from_state(one.state, previous={}, generation=1, now=one.now)
    assert (status["canaryWeight"], status["canaryShare"]) == ([5, 20, 50][step], share)
    assert state_from_status(status).share == share
    said = f"({pods} of {pods + 10} pods: {share:g} % of the requests)"
    assert any(f"weight {[5, 20, 50][step]} {said}" in it for it in one.events)


def test_a_target_that_is_scaled_keeps_the_share_that_is_asked_for() -> None:
    one = at_step(1)
    one.now = one.state.stepped_at or one.now
    one.replicas = 20
    one.pods = {"v1": 20}
    for _ in range(3):
        one.reconcile()
    assert (len(one.joined), one.state.share) == (5, 20.0)
    assert one.state.step == 1


def test_no_pod_of_the_canary_goes_in_mid_run_where_the_target_becomes_smaller() -> None:
    one = at_step(2)
    one.replicas = 4
    one.pods = {"v1": 4}
    for _ in range(3):
        look(one)
    assert (one.canary_size, len(one.joined), one.state.share) == (10, 4, 50.0)


def test_a_refusal_takes_all_pods_out_first() -> None:
    one = at_step(1)
    one.values["v2"] = 5.0
    while one.state.phase is Phase.PROGRESSING:
        look(one)
    assert one.state.phase is Phase.FAILED
    assert (one.joined, one.canary, one.state.share) == (frozenset(), "v2", None)
    one.run()
    assert (one.canary, one.pods) == ("", {"v1": 10})


def test_promoted_it_keeps_its_share_until_all_pods_are_new() -> None:
    one = at_step(2)
    while one.state.phase is not Phase.FINALISING:
        if one.state.phase is Phase.PROMOTING:
            assert one.joined
        look(one)
    assert one.joined == frozenset()
    one.run()
    assert (one.state.phase, one.canary, one.pods) == (Phase.SUCCEEDED, "", {"v2": 10})


def test_an_edit_to_a_strategy_on_a_route_begins_with_its_first_step() -> None:
    one = at_step(1)
    assert isinstance(one.strategy, Strategy)
    one.joined, one.routes = frozenset(), 1
    one.strategy = parsed({"stepWeights": [20, 80]}, notes=ASKED)
    while one.state.kind is Kind.PODS:
        look(one)
    assert (one.state.kind, one.state.step, one.state.weight) == (Kind.CANARY, 0, 20)


@pytest.mark.parametrize("crash", range(1, 40))
def test_a_death_anywhere_leaves_no_pod_in_the_service(crash: int) -> None:
    one = at_step(-1)
    one.run(until=timedelta(hours=2), crash_at=crash)
    assert (one.state.phase, one.joined, one.pods) == (Phase.SUCCEEDED, frozenset(), {"v2": 10})


@pytest.mark.parametrize("crash", range(1, 30))
def test_a_death_anywhere_of_an_abort_leaves_no_pod_in_the_service(crash: int) -> None:
    one = at_step(1)
    one.command(Command.ABORT)
    one.run(until=timedelta(hours=2), crash_at=crash)
    assert (one.state.phase, one.joined, one.pods) == (Phase.FAILED, frozenset(), {"v1": 10})
