"""What goes in the middle of a run: Canary, target, Service, route or label, in every strategy.

At the first step and while the promotion stands half-way. No version that was not judged serves,
what waits says for what, and the route ends as its team wrote it.
"""

from collections.abc import Awaitable, Callable, Mapping
from itertools import product
from typing import Any, Final

import pytest

from canary.contract import AUTO_LABEL, DOMAIN
from runtime.resources import CANARIES, DEPLOYMENTS, HTTPROUTES, SERVICES
from tests.harness.middles import (
    ANALYSES,
    UNROUTED,
    annotations,
    at_a_step,
    half_way,
    label,
    stage_of,
)
from tests.harness.played import play
from tests.harness.stage import PLACE, Stage, deployment, service
from tests.harness.stories import Story

ROUTED: Final = tuple(name for name in ANALYSES if name != UNROUTED)
SOME: Final = ("step weights", "blue/green, mirrored", "A/B")
"""Once a version rolls its strategy is over: three stand for all."""
A_WHILE: Final = 60.0
JUDGED: Final = {"phase": "Succeeded", "serves": "web:2", "released": {"web:2": 1}}
"""How a run ends that goes on."""

Event = Callable[[Stage], Awaitable[None]]


def told(
    name: str, moment: Callable[[Stage, str], Awaitable[None]], then: Event, **end: Any
) -> None:
    """Play a run with a strategy up to a moment, then what is told."""

    async def plays(stage: Stage) -> None:
        await moment(stage, name)
        await then(stage)

    play(Story(name=name, plays=plays, stage=stage_of(name), **end))


def marks(stage: Stage) -> Mapping[str, str]:
    """Return our marks on the target."""
    return {key: value for key, value in annotations(stage).items() if key.startswith(DOMAIN)}


async def rolls_on(stage: Stage) -> None:
    """Have the new pods get ready."""
    stage.bad.clear()


# --- the Canary ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ROUTED)
def test_a_canary_that_goes_is_made_anew_and_the_version_is_judged_from_its_first_step(
    name: str,
) -> None:
    async def then(stage: Stage) -> None:
        await stage.team.delete(CANARIES, *PLACE)
        await stage.until("another", lambda: bool(stage.status()))
        found = stage.api.look(CANARIES, *PLACE)
        assert found is not None
        assert AUTO_LABEL in found["metadata"]["labels"]
        assert stage.serving() == {"web:1": 4}
        await stage.until("from the start", lambda: stage.status()["run"]["step"] >= 0)
        assert stage.weight() <= 10, "the first step of the admin's defaults"

    told(name, at_a_step, then, **JUDGED)


def test_without_a_route_it_waits_for_one_and_says_how_to_get_past() -> None:
    async def then(stage: Stage) -> None:
        await stage.team.delete(CANARIES, *PLACE)
        await stage.wait(A_WHILE)
        assert stage.serving() == {"web:1": 4}
        assert "waiting for a route. To promote it unjudged" in stage.message()
        await stage.team.create(HTTPROUTES, stage.route)

    told(UNROUTED, at_a_step, then, **JUDGED)


@pytest.mark.parametrize("name", SOME)
def test_a_canary_that_goes_half_way_lets_what_was_judged_roll_on(name: str) -> None:
    async def then(stage: Stage) -> None:
        await stage.team.delete(CANARIES, *PLACE)
        await stage.wait(A_WHILE)
        await rolls_on(stage)

    told(name, half_way, then, phase="Initialized", serves="web:2", released={"web:2": 1})


# --- the target ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "moment"), [*product(ANALYSES, (at_a_step,)), *product(SOME, (half_way,))]
)
def test_a_target_that_goes_takes_all_with_it_and_its_canary_says_so(
    name: str, moment: Callable[[Stage, str], Awaitable[None]]
) -> None:
    async def then(stage: Stage) -> None:
        await stage.team.delete(DEPLOYMENTS, *PLACE)
        await stage.wait(A_WHILE)
        assert (stage.phase(), stage.status()["canaryWeight"]) == ("Initializing", 0)
        assert "there is no Deployment web.prod" in stage.message()
        assert (stage.weight(), stage.canary_image()) == (0, "")
        stage.bad.clear()
        await stage.team.create(DEPLOYMENTS, deployment("web:3", 4))
        await stage.until("known", lambda: "created again" in stage.message())
        assert "UngatedUpdate" not in stage.said()

    released = {"web:2": 1} if moment is half_way else {}
    told(name, moment, then, phase="Initialized", serves="web:3", released=released)


# --- the Service and the route ------------------------------------------------------------------


@pytest.mark.parametrize("name", ANALYSES)
def test_without_its_service_nothing_moves_until_it_is_back(name: str) -> None:
    async def then(stage: Stage) -> None:
        had = stage.weight()
        await stage.team.delete(SERVICES, *PLACE)
        await stage.wait(A_WHILE)
        assert "Service prod/web does not exist; create it" in stage.message()
        assert (stage.weight(), stage.serving()) == (had, {"web:1": 4})
        await stage.team.create(SERVICES, service())

    told(name, at_a_step, then, **JUDGED)


@pytest.mark.parametrize("name", ROUTED)
def test_without_its_route_nothing_moves_until_it_is_back(name: str) -> None:
    async def then(stage: Stage) -> None:
        await stage.team.delete(HTTPROUTES, *PLACE)
        await stage.wait(A_WHILE)
        lacking = (
            "no HTTPRoute, GRPCRoute, HTTPProxy, VirtualService, IngressRoute, TraefikService or "
            "Ingress of class nginx of its namespace leads to Service prod/web"
        )
        assert lacking in stage.message()
        assert stage.serving() == {"web:1": 4}
        await stage.team.create(HTTPROUTES, stage.route)

    told(name, at_a_step, then, **JUDGED)


@pytest.mark.parametrize(("name", "kind"), [*product(SOME, (SERVICES, HTTPROUTES))], ids=str)
def test_neither_is_waited_for_once_the_version_rolls(name: str, kind: Any) -> None:
    async def then(stage: Stage) -> None:
        await stage.team.delete(kind, *PLACE)
        await rolls_on(stage)

    told(name, half_way, then, **JUDGED)


# --- the label ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ANALYSES)
def test_without_the_label_the_stable_serves_and_the_pause_is_the_team_s(name: str) -> None:
    async def then(stage: Stage) -> None:
        await label(stage, on=False)
        await stage.wait(A_WHILE)
        assert (stage.target()["spec"]["paused"], marks(stage)) == (True, {})
        assert (stage.weight(), stage.canary_image()) == (0, "")
        assert "is not gated any more; if it is paused" in stage.message()
        assert stage.serving() == {"web:1": 4}
        await label(stage, on=True)
        await stage.wait(A_WHILE)
        assert stage.serving() == {"web:1": 4}
        await stage.team.merge_patch(DEPLOYMENTS, *PLACE, {"spec": {"paused": False}})

    told(name, at_a_step, then, **JUDGED)


@pytest.mark.parametrize("name", SOME)
def test_without_the_label_what_rolls_rolls_on(name: str) -> None:
    async def then(stage: Stage) -> None:
        await label(stage, on=False)
        await stage.wait(A_WHILE)
        assert marks(stage) == {}
        assert (stage.weight(), stage.canary_image()) == (0, "")
        await rolls_on(stage)

    told(name, half_way, then, phase="Initialized", serves="web:2", released={"web:2": 1})
