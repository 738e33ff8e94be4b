"""A decision's questions with what it takes to carry them out."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from analyzer.loop.derived import as_asked
from analyzer.loop.observe import Scene
from analyzer.ports import AtOnce, Deriver, HookInquiry, Inquiry, MetricsInquiry
from canary.counting.narrowing import RunPods
from canary.model.asking import HookAsk, MetricsAsk
from canary.model.names import canary_name
from canary.model.state import State
from canary.model.values import Json, Key
from canary.model.world import CanaryPresent
from canary.queries.own import Past
from canary.rules.actions import Decision
from canary.rules.former import takes_over
from canary.spec.settings import SCRAPE_INTERVAL

_LONGEST_HEAD: Final = 58
"""Characters of a generated name before the five that make it unique (Kubernetes' names)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Questions:
    """Makes questions ready to be put.

    `scrape` is the scrape interval of the metrics servers, `deriver` reads what teams have written.
    """

    scrape: timedelta = SCRAPE_INTERVAL.default
    deriver: Deriver = AtOnce()

    async def of(self, scene: Scene, decision: Decision, now: datetime) -> tuple[Inquiry, ...]:
        """Return a decision's questions with what it takes to carry them out.

        A hook that the Canary does not name any more is not called.

        Args:
            scene: what the decision was made on.
            decision: its `asks` are to stand.
            now: the time of this reconcile.

        """
        hooks = {(hook.name, hook.type): hook for hook in scene.strategy.hooks}
        payload = hook_payload(scene.strategy.canary, scene.key, decision.state)
        found: list[Inquiry] = []
        for ask in decision.asks:
            match ask:
                case MetricsAsk():
                    past = self._past(scene, decision.state)
                    queries = [
                        await as_asked(self.deriver, scene.key.namespace, query, past, now)
                        for query in scene.queries
                        if query.metric.name not in ask.counted
                    ]
                    found.append(MetricsInquiry(ask=ask, queries=tuple(queries)))
                case HookAsk() if (ask.hook, ask.type) in hooks:
                    hook = hooks[ask.hook, ask.type]
                    found.append(HookInquiry(ask=ask, hook=hook, payload=payload))
                case _:
                    pass
        return tuple(found)

    def _past(self, scene: Scene, state: State) -> Past:
        name, canary = scene.key.name, scene.observed.canary
        mixed = isinstance(canary, CanaryPresent) and takes_over(canary, state)
        return Past(
            former_until=state.former_until,
            traffic_since=state.traffic_since,
            pods=RunPods(
                names=() if mixed else state.pods,
                stable=_pod_of(name),
                former=_pod_of(canary_name(name)),
            ),
            scrape=self.scrape,
            recorded=scene.strategy.recorded_window,
        )


def hook_payload(canary: str, key: Key, state: State) -> Json:
    """Return what hooks are told, in Flagger's fields.

    Args:
        canary: name of the Canary, "" where it is called as its target.
        key: the target.
        state: what is known of its run.

    """
    return {
        "name": canary or key.name,
        "namespace": key.namespace,
        "phase": state.stage,
        "checksum": state.candidate,
    }


def _pod_of(deployment: str) -> str:
    """Return how a pod of a Deployment may be named, as the API server makes names."""
    return f"{f'{deployment}-5d9f7c8b9d-'[:_LONGEST_HEAD]}x2x4z"
