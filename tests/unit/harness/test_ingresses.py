"""Whole runs behind ingress-nginx: what is in the way of the Ingress beside the team's is said."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from canary.contract import BESIDE, SPLIT
from canary.model.traffic import Traffic
from canary.routes.mark import TargetSplit
from canary.routes.nginx import Companions
from runtime.resources import CANARIES, HTTPROUTES, INGRESSES
from tests.harness.client import ANALYZER
from tests.harness.faults import Recorder
from tests.harness.played import play
from tests.harness.stage import CANARY, NAME, PLACE, SPACE, Stage, ingress, renamed, route
from tests.harness.stories import BAD, GOOD, Story, begun, has_traffic, push

NAMED = {"kind": INGRESSES.kind, "named": True}
FOUND = {"kind": INGRESSES.kind}
EACH = pytest.mark.parametrize("stage", [NAMED, FOUND], ids=["named", "found"])


def played(
    plays: Callable[[Stage], Awaitable[None]], stage: dict[str, Any], image: str = "web:2"
) -> None:
    promoted = image == "web:2"
    story = Story(
        name="ingress",
        plays=plays,
        phase="Succeeded" if promoted else "Failed",
        serves=image,
        released={image: 1} if promoted else {},
        stage=stage,
    )
    play(story, lambda _: Recorder())


def taken(**metadata: Any) -> dict[str, Any]:
    """Return an Ingress of the team's that has the name of ours."""
    found = renamed(ingress("other.example"), "other")
    return {**found, "metadata": {"name": CANARY, "namespace": SPACE, **metadata}}


async def is_said(stage: Stage, words: str) -> None:
    await stage.until(words, lambda: words in str(stage.status().get("conditions")))
    await stage.wait(300)
    assert words in str(stage.status().get("conditions")), stage.summary()
    assert not stage.weight()
    assert set(stage.serving()) == {"web:1"}


@EACH
def test_a_name_that_is_taken_holds_the_target_until_it_is_free(stage: dict[str, Any]) -> None:
    async def plays(stage: Stage) -> None:
        await begun(stage)
        await stage.team.create(INGRESSES, taken())
        before = stage.api.look(INGRESSES, SPACE, CANARY)
        await push(stage, "web:2")
        await is_said(stage, f"Ingress {CANARY} exists and is not the one beside Ingress {NAME}")
        assert stage.api.look(INGRESSES, SPACE, CANARY) == before
        assert not stage.canary_image()
        await stage.team.delete(INGRESSES, SPACE, CANARY)

    played(plays, stage)


@EACH
def test_one_that_is_put_in_its_place_in_mid_run_is_not_written(stage: dict[str, Any]) -> None:
    async def plays(stage: Stage) -> None:
        stage.answers.values["web:2"] = None
        await begun(stage)
        await push(stage, "web:2")
        await has_traffic(stage, "web:2")
        stage.api.delete(INGRESSES, (SPACE, CANARY), stage.team.writer)
        stage.api.create(INGRESSES, taken(), stage.team.writer)
        before = stage.api.look(INGRESSES, SPACE, CANARY)
        await is_said(stage, f"Ingress {CANARY} exists and is not the one beside Ingress {NAME}")
        assert stage.api.look(INGRESSES, SPACE, CANARY) == before
        await stage.team.delete(INGRESSES, SPACE, CANARY)
        stage.answers.values["web:2"] = GOOD

    played(plays, stage)


def test_an_ingress_that_is_named_and_not_there_is_waited_for() -> None:
    async def plays(stage: Stage) -> None:
        await begun(stage)
        await stage.team.delete(INGRESSES, *PLACE)
        await push(stage, "web:2")
        await is_said(stage, f"there is no Ingress {NAME} in namespace {SPACE}")
        await stage.team.create(INGRESSES, stage.route)

    played(plays, NAMED)


def test_an_ingress_that_goes_in_mid_run_and_comes_again_has_its_share_again() -> None:
    async def plays(stage: Stage) -> None:
        stage.answers.values["web:2"] = None
        await begun(stage)
        await push(stage, "web:2")
        await has_traffic(stage, "web:2")
        share = stage.weight()
        await stage.team.delete(INGRESSES, *PLACE)
        await is_said(stage, f"there is no Ingress {NAME} in namespace {SPACE}")
        await stage.team.create(INGRESSES, stage.route)
        await stage.until("the share again", lambda: stage.weight() == share)
        stage.answers.values["web:2"] = GOOD

    played(plays, NAMED)


@EACH
def test_ours_that_is_deleted_or_edited_by_hand_is_put_right(stage: dict[str, Any]) -> None:
    async def plays(stage: Stage) -> None:
        stage.answers.values["web:2"] = None
        await begun(stage)
        await push(stage, "web:2")
        await has_traffic(stage, "web:2")
        share = stage.weight()
        await stage.team.delete(INGRESSES, SPACE, CANARY)
        await stage.until("made again", lambda: stage.weight() == share, 60)
        notes = {"nginx.ingress.kubernetes.io/canary-weight": "90"}
        patch = {"metadata": {"annotations": notes}}
        await stage.team.merge_patch(INGRESSES, SPACE, CANARY, patch)
        await stage.until("put right", lambda: stage.weight() == share, 60)
        stage.answers.values["web:2"] = GOOD

    played(plays, stage)


def test_with_a_route_beside_it_both_are_split() -> None:
    async def plays(stage: Stage) -> None:
        await stage.team.create(HTTPROUTES, route())
        await begun(stage)
        await push(stage, "web:2")
        await has_traffic(stage, "web:2")

        def is_split() -> bool:
            found = stage.api.look(HTTPROUTES, *PLACE)
            return found is not None and SPLIT in (found["metadata"].get("annotations") or {})

        await stage.until("the route's share", is_split)
        stage.answers.values["web:2"] = BAD

    played(plays, FOUND, "web:1")


def test_a_provider_that_is_edited_in_mid_run_leaves_nothing_beside_the_ingress() -> None:
    async def plays(stage: Stage) -> None:
        stage.answers.values["web:2"] = None
        await stage.team.create(HTTPROUTES, route())
        await begun(stage)
        await push(stage, "web:2")
        await has_traffic(stage, "web:2")
        provided = {"spec": {"provider": "gatewayapi:v1", "ingressRef": None}}
        await stage.team.merge_patch(CANARIES, *PLACE, provided)
        await stage.until("taken away", lambda: stage.api.look(INGRESSES, SPACE, CANARY) is None)
        stage.answers.values["web:2"] = BAD

    played(plays, NAMED, "web:1")


def test_a_forged_one_is_nobody_s_leftover() -> None:
    async def plays(stage: Stage) -> None:
        await begun(stage)
        mark = '{"rules":[],"targets":{"web":{"canary":"web-canary","stable":"web","weight":50}}}'
        forged = renamed(ingress("forged.example"), "forged")
        forged["metadata"]["annotations"] = {SPLIT: mark, BESIDE: NAME}
        await stage.team.create(INGRESSES, forged)
        await push(stage, "web:2")
        await stage.until("promoted", lambda: stage.phase() == "Succeeded")
        await stage.wait(900)
        assert stage.api.look(INGRESSES, SPACE, "forged") is not None

    played(plays, FOUND)


@pytest.mark.parametrize("away", [True, False], ids=["at a leader's start", "as it is heard of"])
def test_ours_of_no_run_is_taken_away(*, away: bool) -> None:
    async def plays(stage: Stage) -> None:
        await begun(stage)
        if away:
            stage.installation.kill()
        owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": NAME}
        owner["uid"] = stage.target()["metadata"]["uid"]
        split = TargetSplit(stable=NAME, canary=CANARY, traffic=Traffic(50))
        left = Companions().companion(stage.route, NAME, split, owner)
        stage.api.create(INGRESSES, left, ANALYZER)
        assert stage.weight() == 50
        await stage.until("taken away", lambda: stage.api.look(INGRESSES, SPACE, CANARY) is None)
        await push(stage, "web:2")

    played(plays, FOUND)
