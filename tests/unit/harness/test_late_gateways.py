"""Whole runs behind a gateway whose watches are late: of Services, or of the route itself."""

from typing import Any

from canary.contract import Reason
from runtime.resources import HTTPROUTES
from tests.harness.faults import Recorder
from tests.harness.played import play
from tests.harness.stage import LAG, Stage
from tests.harness.stories import BAD, Story, begun, has_traffic, push

INTERVAL = 10.0
PROMOTED: Any = {"phase": "Succeeded", "serves": "web:2", "released": {"web:2": 1}}
AFTER_AN_OUTAGE = 91.0
"""Seconds that Contour took (docs/adr/0055)."""


async def written(stage: Stage) -> None:
    """Bring a run to where its first share is written, and no gateway has it."""
    await begun(stage)
    await push(stage, "web:2")
    await stage.until("a canary", lambda: stage.canary_image() == "web:2")
    stage.others.untaken = {HTTPROUTES}
    await has_traffic(stage, "web:2")


def test_a_service_that_a_gateway_hears_of_late_keeps_the_run_waiting_and_is_forgotten() -> None:
    async def plays(stage: Stage) -> None:
        await begun(stage)
        stage.others.heard = frozenset({"web"})
        await push(stage, "web:2")
        await stage.until("said", lambda: "BackendNotFound" in stage.message())
        await stage.wait(AFTER_AN_OUTAGE)
        assert stage.reason() == Reason.GATEWAY_BEHIND
        assert (stage.canary_image(), stage.weight()) == ("web:2", 0)
        stage.others.heard = None
        stage.others.step()
        await stage.until("traffic", lambda: stage.weight() > 0, 3 * LAG)

    play(Story(name="a late Service", plays=plays, **PROMOTED), lambda _: Recorder())


def test_a_service_that_a_gateway_forgets_in_mid_run_takes_the_share_for_as_long() -> None:
    async def plays(stage: Stage) -> None:
        await written(stage)
        stage.others.untaken, stage.others.heard = set(), frozenset({"web"})
        stage.others.step()
        await stage.until("no share", lambda: not stage.weight(), 3 * INTERVAL)
        await stage.wait(AFTER_AN_OUTAGE)
        assert (stage.phase(), stage.reason()) == ("Progressing", Reason.ROUTE_REFUSED)
        stage.others.heard = None
        stage.others.step()
        await stage.until("its share again", lambda: stage.weight() > 0, 3 * LAG)

    play(Story(name="a Service forgotten", plays=plays, **PROMOTED), lambda _: Recorder())


def test_a_share_that_the_gateway_had_for_a_moment_is_not_judged_by_that() -> None:
    """In an endurance run four requests by then promoted a version that fails every fifth."""

    async def plays(stage: Stage) -> None:
        await written(stage)
        first = stage.weight()
        await stage.wait(INTERVAL - 2)
        stage.others.untaken = set()
        stage.others.step()
        await stage.until("said", lambda: "has had this share for" in stage.message(), INTERVAL)
        assert stage.weight() == first
        stage.answers.values["web:2"] = BAD

    story = Story(
        name="a share for a moment",
        plays=plays,
        phase="Failed",
        serves="web:1",
        never=frozenset({"web:2"}),
    )
    play(story, lambda _: Recorder())
