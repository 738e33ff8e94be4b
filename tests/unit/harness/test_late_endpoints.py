"""Whole runs beside a controller of EndpointSlices that has lost its watches."""

from typing import Any

from canary.contract import Reason
from runtime.resources import PODS
from tests.harness.faults import Recorder
from tests.harness.played import play
from tests.harness.stage import CANARY, LAG, SPACE, Stage
from tests.harness.stories import Story, begun, has_traffic, push

INTERVAL = 10.0
AFTER_AN_OUTAGE = 54.0
"""Seconds for which a slice named a pod that had gone, after an API server that was away for 20."""
PROMOTED: Any = {"phase": "Succeeded", "serves": "web:3", "released": {"web:3": 1}}


async def replaced(stage: Stage) -> None:
    """Have 3 pushed over 2, while whoever writes slices hears of nothing."""
    await begun(stage)
    await push(stage, "web:2")
    await has_traffic(stage, "web:2")
    stage.others.endpoints_up = False
    await push(stage, "web:3")
    await stage.until("a canary", lambda: stage.canary_image() == "web:3")


def test_no_weight_while_slices_name_the_pods_of_the_version_before() -> None:
    async def plays(stage: Stage) -> None:
        await replaced(stage)
        await stage.until("said", lambda: "still sends requests to pod" in stage.message())
        await stage.wait(AFTER_AN_OUTAGE)
        assert stage.reason() == Reason.WAITING_FOR_CANARY
        assert (stage.canary_image(), stage.weight()) == ("web:3", 0)
        stage.others.endpoints_up = True
        stage.others.step()
        await stage.until("traffic", lambda: stage.weight() > 0, 20 * LAG)

    play(Story(name="late slices", plays=plays, **PROMOTED), lambda _: Recorder())


def test_no_step_while_slices_name_a_pod_of_the_canary_that_was_replaced() -> None:
    async def plays(stage: Stage) -> None:
        await begun(stage)
        await push(stage, "web:3")
        await has_traffic(stage, "web:3")
        first = stage.weight()
        stage.others.endpoints_up = False
        name = next(
            pod["metadata"]["name"]
            for pod in stage.api.peek(PODS)
            if pod["metadata"]["name"].startswith(f"{CANARY}-")
        )
        await stage.team.delete(PODS, SPACE, name)
        stage.others.settle()
        await stage.wait(AFTER_AN_OUTAGE)
        assert name in stage.message()
        assert stage.weight() == first
        stage.others.endpoints_up = True
        stage.others.step()

    play(Story(name="late slices in mid-run", plays=plays, **PROMOTED), lambda _: Recorder())
