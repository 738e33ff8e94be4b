"""What people and clusters do in the middle of a run: each strategy, and what to wait for."""

from collections.abc import Mapping
from typing import Any, Final

from canary.contract import NAMESPACE_ENABLED, NAMESPACE_LABEL
from canary.model.values import Json
from runtime.resources import CANARIES, HTTPROUTES, NAMESPACES
from tests.harness.controllers import Health, image_of
from tests.harness.stage import ADMIN, PLACE, SPACE, Stage
from tests.harness.stories import begun, push

INSIDERS: Final = [{"headers": {"x-canary": {"exact": "insider"}}}]
LARGE: Final = 4
"""Pods of a target that is seen half-way."""
ANALYSES: Final[Mapping[str, Mapping[str, Any]]] = {
    "steps": {"stepWeights": [], "stepWeight": 25, "maxWeight": 50},
    "step weights": {"stepWeights": [5, 50], "stepWeightPromotion": 50},
    "mirrored first": {"mirror": True},
    "blue/green": {"iterations": 2},
    "blue/green, mirrored": {"iterations": 2, "mirror": True},
    "A/B": {"iterations": 2, "match": INSIDERS},
    "sticky": {"sessionAffinity": {"cookieName": "met"}},
    "kubernetes": {"iterations": 2},
}
"""By the strategy's name; the last is without a route."""
UNROUTED: Final = "kubernetes"


def stage_of(name: str) -> dict[str, Any]:
    """Return the arguments of a stage with a strategy."""
    return {"replicas": LARGE, "analysis": ANALYSES[name]}


async def edit(stage: Stage, **spec: Any) -> None:
    """Apply another word in the team's Canary."""
    await stage.team.merge_patch(CANARIES, *PLACE, {"spec": spec})


async def prepare(stage: Stage, name: str) -> None:
    """Make what a strategy needs beside the analysis, and let Headgate look first."""
    if name == UNROUTED:
        await edit(stage, provider="kubernetes")
        stage.api.delete(HTTPROUTES, PLACE, ADMIN)
    await begun(stage)


def is_at_a_step(stage: Stage, image: str) -> bool:
    """Tell whether the run of an image is at its first step or beyond."""
    run = stage.status().get("run") or {}
    under_way = stage.phase() == "Progressing" and stage.canary_image() == image
    return under_way and int(run.get("step", -1)) >= 0


async def at_a_step(stage: Stage, name: str) -> None:
    """Push an image, and wait until its run is at its first step."""
    await prepare(stage, name)
    await push(stage, "web:2")
    await stage.until("its first step", lambda: is_at_a_step(stage, "web:2"))


async def half_way(stage: Stage, name: str) -> None:
    """Push an image, and have its promotion stand when one pod of it is there."""
    await prepare(stage, name)
    await push(stage, "web:2")
    await stage.until("promoting", lambda: stage.phase() == "Promoting")
    stage.bad["web:2"] = Health.NEVER_READY
    await stage.until(
        "half-way", lambda: any(image_of(it) == "web:2" for it in stage.target_pods())
    )


async def label(stage: Stage, *, on: bool) -> None:
    """Put the namespace's label on, or take it off."""
    labels = {NAMESPACE_LABEL: NAMESPACE_ENABLED if on else None}
    stage.api.merge_patch(NAMESPACES, ("", SPACE), {"metadata": {"labels": labels}}, ADMIN)


def annotations(stage: Stage) -> Json:
    """Return the annotations of the target."""
    found: Json = stage.target()["metadata"].get("annotations") or {}
    return found
