"""Observes and decides: by what the watches have told, and once more where that was not all."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime

from analyzer.loop.losses import Losses
from analyzer.loop.observe import Observer, Scene
from analyzer.ports import Cluster
from canary.model.asking import Standing
from canary.model.values import Json, Key
from canary.model.world import Timing
from canary.rules.actions import (
    Decision,
    EndProgress,
    MarkRefused,
    MarkTarget,
    Pause,
    ScaleDownRevision,
)
from canary.rules.decide import decide
from runtime.errors import only_one
from runtime.resources import CANARIES, DEPLOYMENTS

Take = Callable[[Scene, Decision, datetime], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Sight:
    """Looks at a target, and says what is to be done.

    Nothing is written before the target was read from the API server. Where it is another one than
    the watch has told, it is looked at once more. And what decides on a version, to let it go or to
    refuse it, is decided on nothing but what is stored: a watch that is late lets no version roll
    whose pods have crashed meanwhile, and has none refused whose pods have become ready.

    Args:
        observer: reads the world.
        cluster: the API server itself.
        losses: what all runs tell of pods they lost.
        timing: the admin's times.
        clock: the time.

    """

    observer: Observer
    cluster: Cluster
    losses: Losses
    timing: Timing
    clock: Callable[[], datetime]

    async def look(
        self,
        key: Key,
        target: Json,
        canary: Json,
        standing: Standing,
        *,
        enabled: bool,
        afresh: bool = False,
    ) -> Scene:
        """Read everything that is there without asking metrics or hooks.

        Args:
            key: the target's key.
            target: the Deployment.
            canary: its Canary object.
            standing: what is known of the target's questions.
            enabled: whether the namespace carries the label.
            afresh: whether all of it is to be read from the API server.

        """
        try:
            scene = await self.observer.look(
                key, target, canary, standing, enabled=enabled, afresh=afresh
            )
        except ExceptionGroup as group:
            if (error := only_one(group)) is None:
                raise
            raise error from group
        weather = self.losses.look(key, scene.state, scene.observed.canary, self.clock())
        return replace(scene, observed=replace(scene.observed, weather=weather))

    async def decided(self, scene: Scene, now: datetime, take: Take) -> tuple[Scene, Decision]:
        """Return what is to be done, with what it was decided on.

        Args:
            scene: what was heard.
            now: the time of this reconcile.
            take: takes the traffic from a version that is decided against, before all is read once
                more: of a target that is stored as it was heard of.

        Raises:
            NotFound: the target or its Canary has gone.

        """
        decision = decide(scene.state, scene.observed, now, self.timing)
        if not decision.actions or self.observer.heard is None:
            return scene, decision
        key, afresh = scene.key, _decides(decision)
        target = await self.cluster.get(DEPLOYMENTS, key.namespace, key.name)
        as_heard = _version(target) == _version(scene.target)
        if as_heard and not afresh:
            return scene, decision
        if as_heard:
            await take(scene, decision, now)
        name = scene.canary["metadata"]["name"]
        canary = await self.cluster.get(CANARIES, key.namespace, name)
        observed = scene.observed
        scene = await self.look(
            key,
            target,
            canary,
            observed.standing,
            enabled=observed.target.enabled,
            afresh=afresh,
        )
        return scene, decide(scene.state, scene.observed, now, self.timing)


def _decides(decision: Decision) -> bool:
    """Tell whether a decision lets a version roll, refuses it or takes a half-way one back."""
    return any(
        isinstance(it, MarkRefused | EndProgress | ScaleDownRevision)
        or (isinstance(it, MarkTarget) and it.pause is not Pause.STANDS)
        for it in decision.actions
    )


def _version(obj: Json) -> str:
    return str(obj["metadata"].get("resourceVersion", ""))
