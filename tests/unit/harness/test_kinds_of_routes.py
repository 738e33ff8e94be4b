"""Whole runs behind each kind of route: the real analyzer, informers, router and route webhook."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from analyzer.routers.kinds import WATCHED
from canary.contract import SPLIT
from runtime.resources import CANARIES, DEPLOYMENTS, HTTPPROXIES, HTTPROUTES
from tests.harness.faults import Recorder
from tests.harness.played import play
from tests.harness.stage import NAME, PLACE, SPACE, Stage
from tests.harness.stories import BAD, Story, begun, has_traffic, push

OTHERS = sorted(set(WATCHED) - {HTTPROUTES.kind})


async def _promoted(stage: Stage) -> None:
    await begun(stage)
    await push(stage, "web:2")


async def _refused(stage: Stage) -> None:
    stage.answers.values["web:2"] = BAD
    await _promoted(stage)


async def _applied_again(stage: Stage) -> None:
    """Apply the route in mid-run, and make it anew: the split stays, and comes back."""
    stage.answers.values["web:2"] = None
    await _promoted(stage)
    await has_traffic(stage, "web:2")
    share = stage.weight()
    await stage.team.apply(stage.routes, stage.route)
    assert stage.weight() == share
    await stage.team.delete(stage.routes, SPACE, NAME)
    await stage.team.create(stage.routes, stage.route)
    await stage.until("the share again", lambda: stage.weight() == share, 5)
    stage.answers.values["web:2"] = 0.0


async def _orphaned(stage: Stage) -> None:
    """Delete the target in mid-run: its split is a leftover, and goes."""
    await _promoted(stage)
    await has_traffic(stage, "web:2")
    await stage.team.delete(DEPLOYMENTS, SPACE, NAME)

    def is_plain() -> bool:
        found = stage.api.look(stage.routes, *PLACE)
        return found is not None and SPLIT not in (found["metadata"].get("annotations") or {})

    await stage.until("a plain route", is_plain)


async def _provided(stage: Stage, provider: str | None) -> None:
    await stage.team.merge_patch(CANARIES, *PLACE, {"spec": {"provider": provider}})


async def _other_provider(stage: Stage) -> None:
    """Ask for another kind than the one that leads there; nothing is made until that is mended."""
    await begun(stage)
    await _provided(stage, "contour" if stage.routes != HTTPPROXIES else "gatewayapi:v1")
    await push(stage, "web:2")

    def is_said() -> bool:
        said = str(stage.status().get("conditions"))
        return f"{stage.routes.kind} web" in said and not stage.canary_image()

    await stage.until("a word on the route", is_said)
    await stage.wait(900)
    assert is_said(), stage.summary()
    assert set(stage.serving()) == {"web:1"}
    await _provided(stage, None)


def story(plays: Callable[[Stage], Awaitable[None]], kind: str, image: str = "web:2") -> Story:
    phase = "Succeeded" if image == "web:2" else "Failed"
    released = {image: 1} if image == "web:2" else {}
    return Story(
        name=kind, plays=plays, phase=phase, serves=image, released=released, stage={"kind": kind}
    )


@pytest.mark.parametrize("kind", OTHERS)
def test_a_good_version_is_promoted(kind: str) -> None:
    play(story(_promoted, kind), lambda _: Recorder())


@pytest.mark.parametrize("kind", OTHERS)
def test_a_bad_version_is_refused(kind: str) -> None:
    refused = story(_refused, kind, "web:1")
    play(replace(refused, never=frozenset({"web:2"})), lambda _: Recorder())


@pytest.mark.parametrize("kind", OTHERS)
def test_a_route_that_is_applied_again_or_made_anew_in_mid_run_keeps_the_split(kind: str) -> None:
    play(story(_applied_again, kind), lambda _: Recorder())


@pytest.mark.parametrize("kind", sorted(WATCHED))
def test_nothing_is_made_where_the_provider_asks_for_another_kind(kind: str) -> None:
    play(story(_other_provider, kind), lambda _: Recorder())


@pytest.mark.parametrize("kind", OTHERS)
def test_a_split_whose_target_has_gone_is_taken_off(kind: str) -> None:
    play(
        replace(story(_orphaned, kind), serves="", phase="Initializing", released={}),
        lambda _: Recorder(),
    )
