"""Whole runs beside a garbage collector that has not heard of the end of a canary."""

from typing import Any

from canary.contract import Reason
from runtime.resources import DEPLOYMENTS, PODS, REPLICASETS
from tests.harness.controllers import image_of
from tests.harness.faults import Recorder
from tests.harness.played import play
from tests.harness.stage import CANARY, LAG, SPACE, Stage
from tests.harness.stories import BAD, Story, begun, has_traffic, push

SWEPT = 2 * 300.0 + 10
"""Seconds in which what is left is scaled down, and then deleted."""
PROMOTED: Any = {"phase": "Succeeded", "serves": "web:3", "released": {"web:3": 1}}


def left(stage: Stage) -> dict[str, int]:
    """Return how many pods each image has that wears the canary's name."""
    found: dict[str, int] = {}
    for pod in stage.api.peek(PODS):
        if pod["metadata"]["name"].startswith(f"{CANARY}-"):
            found[image_of(pod)] = found.get(image_of(pod), 0) + 1
    return found


async def refused_and_forgotten(stage: Stage) -> None:
    """Have 2 refused and its canary deleted, of which the collector does not hear."""
    await begun(stage)
    stage.others.forgetful = True
    stage.answers.values["web:2"] = BAD
    await push(stage, "web:2")
    await has_traffic(stage, "web:2")
    await stage.until("refused", lambda: stage.phase() == "Failed")
    await stage.until(
        "no canary", lambda: stage.api.look(DEPLOYMENTS, SPACE, CANARY) is None, 100.0
    )
    assert left(stage) == {"web:2": 1}


def test_a_refused_version_that_the_cluster_forgot_serves_in_no_canary_after_it() -> None:
    async def plays(stage: Stage) -> None:
        await refused_and_forgotten(stage)
        await push(stage, "web:3")
        await has_traffic(stage, "web:3")
        assert left(stage) == {"web:3": 1}
        assert str(Reason.LEFTOVERS) in stage.said()

    play(Story(name="forgotten, and the next", plays=plays, **PROMOTED), lambda _: Recorder())


def test_what_the_cluster_forgot_goes_where_no_canary_comes_after_it() -> None:
    async def plays(stage: Stage) -> None:
        await refused_and_forgotten(stage)
        await stage.wait(SWEPT)
        assert left(stage) == {}
        names = [one["metadata"]["name"] for one in stage.api.peek(REPLICASETS)]
        assert [name for name in names if name.startswith(f"{CANARY}-")] == []

    story = Story(
        name="forgotten, and none after it",
        plays=plays,
        phase="Failed",
        serves="web:1",
        released={},
    )
    play(story, lambda _: Recorder())


def test_no_step_is_taken_while_pods_of_a_canary_before_answer() -> None:
    """They came up in mid-run: their ReplicaSet was scaled by somebody."""

    async def plays(stage: Stage) -> None:
        await refused_and_forgotten(stage)
        await push(stage, "web:3")
        await has_traffic(stage, "web:3")
        first = stage.weight()
        (forgotten,) = (
            one["metadata"]["name"]
            for one in stage.api.peek(REPLICASETS)
            if image_of(one["spec"]["template"]) == "web:2"
            and one["metadata"]["name"].startswith(CANARY)
        )
        scaled: Any = {"spec": {"replicas": 1}}
        await stage.team.merge_patch(REPLICASETS, SPACE, forgotten, scaled)
        stage.others.settle()
        assert left(stage) == {"web:2": 1, "web:3": 1}
        await stage.until("gone", lambda: left(stage) == {"web:3": 1}, 60 * LAG)
        assert stage.weight() == first

    play(Story(name="forgotten ones come up", plays=plays, **PROMOTED), lambda _: Recorder())
