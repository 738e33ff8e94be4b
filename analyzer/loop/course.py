"""What a run follows: its Canary's word, over the admin's defaults as the run began with them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final

from analyzer.loop.records import state_of
from analyzer.loop.surroundings import service_named
from canary.contract import Command
from canary.model.commands import given
from canary.model.former import Identities
from canary.model.hashing import template_hash
from canary.model.selection import selects, service_selector
from canary.model.state import RUNNING_PHASES, Phase, State
from canary.model.strategy import InvalidStrategy, Kind, Strategy
from canary.model.values import Json, Key
from canary.objects.ownership import may_be_in_front
from canary.objects.workloads import annotations
from canary.rules.context import IDLE_PHASES
from canary.spec.defaults import Defaults, recorded
from canary.spec.known import strategy_of
from canary.spec.made import Whose, former_defaults, settings_of, whose
from canary.spec.steps import linear
from canary.spec.strategies import without_route

NO_STRATEGY: Final = Strategy(interval=timedelta(minutes=1), threshold=1, steps=linear((100,)))
"""Stands in where a Canary is invalid, to find the routes and objects that may need cleaning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """What a run follows.

    `asked` is what its Canary asks for, `strategy` the same with the Service that was found, or
    what stands in where that is invalid. `state` is what is stored of the run, with the defaults
    that it keeps to its end. `accepted` is what is to be stored of the Canary, where it can be
    followed. In the middle of a run `not_followed` says why it cannot, and `asked` is what it asked
    for before.
    """

    asked: Strategy | InvalidStrategy
    strategy: Strategy
    state: State
    accepted: Mapping[str, Any]
    not_followed: tuple[str, ...] = ()

    @property
    def followed(self) -> Strategy | InvalidStrategy:
        """What the rules are to follow."""
        return self.asked if isinstance(self.asked, InvalidStrategy) else self.strategy

    def on_routes(self, routes: int, *, in_front: bool) -> "Course":
        """Return what is followed where so many routes lead to the Service.

        A run that has begun on a route waits for one that has gone.

        Args:
            routes: how many.
            in_front: whether there is a Service at all; without one no pods share its traffic.

        """
        begun = self.state.phase in RUNNING_PHASES and self.state.begun
        waits = begun and self.state.kind not in {Kind.BLUE_GREEN, Kind.PODS}
        if routes or waits or self.strategy.own_route is not None:
            return self
        if self.strategy.shares_by_pods and not in_front:
            return self
        return replace(self, strategy=without_route(self.strategy))


def goes_on(state: State, target: Json) -> bool:
    """Tell whether a target's present version is in a run, or has ended one, that is not retried.

    Args:
        state: what its Canary remembers.
        target: the Deployment.

    """
    template = target["spec"]["template"]
    again = state.phase is Phase.FAILED and Command.RETRY in given(annotations(target))
    candidate = Identities((template,)).current(state.candidate)
    return state.phase not in IDLE_PHASES and candidate == template_hash(template) and not again


def course_of(canary: Json, target: Json, services: Sequence[Json], now: Defaults) -> Course:
    """Return what the run of a target follows, or the next one if none is under way.

    Args:
        canary: its Canary.
        target: the Deployment.
        services: of its namespace.
        now: the admin's defaults as they are now.

    """
    state, began_with = state_of(canary), None
    going = goes_on(state, target)
    if going:
        if state.phase in RUNNING_PHASES and not state.defaults:
            # It began under a release that kept the defaults in the Canary that it made.
            former = whose(canary) is Whose.FORMER
            state = replace(
                state, defaults=recorded(former_defaults(canary, now) if former else now)
            )
        began_with = state.defaults
    asked = strategy_of(canary, began_with, now)
    accepted = {} if isinstance(asked, InvalidStrategy) else _words(canary)
    not_followed: tuple[str, ...] = ()
    if isinstance(asked, InvalidStrategy) and going and state.begun and state.accepted:
        before, problems = strategy_of(_as_accepted(canary, state), began_with, now), asked.problems
        if isinstance(before, Strategy):
            asked, not_followed = before, problems
    strategy = _stand_in(canary) if isinstance(asked, InvalidStrategy) else asked
    if strategy.any_service:
        strategy = replace(strategy, service_name=_in_front(services, target, strategy))
    return Course(
        asked=asked,
        strategy=strategy,
        state=state,
        accepted=accepted,
        not_followed=not_followed,
    )


def missing_service(key: Key, strategy: Strategy, service: Json | None) -> tuple[str, ...]:
    """Say that there is no Service where one has to be.

    Args:
        key: the target.
        strategy: what its run follows.
        service: the one that it names, None where there is none.

    """
    if service is not None or strategy.own_route is not None or strategy.any_service:
        return ()
    problem = (
        f"Service {key.namespace}/{strategy.service_name} does not exist; create it, or name "
        "the Service of this deployment in spec.service.name of the Canary"
    )
    return (problem,)


def _words(canary: Json) -> Json:
    """Return what a Canary says."""
    return {"spec": canary["spec"], "annotations": settings_of(canary)}


def _as_accepted(canary: Json, state: State) -> Json:
    """Return a Canary as it was when it could be followed last."""
    said = {"spec": canary["spec"], "annotations": {}, **state.accepted}
    metadata = {**canary["metadata"], "annotations": said["annotations"]}
    return {**canary, "metadata": metadata, "spec": said["spec"]}


def _stand_in(canary: Json) -> Strategy:
    spec = canary["spec"]
    name = (spec.get("service") or {}).get("name") or spec["targetRef"]["name"]
    return replace(NO_STRATEGY, service_name=name)


def _in_front(services: Sequence[Json], target: Json, strategy: Strategy) -> str:
    """Return the name of the Service in front of the target's pods: of its own name, or another's.

    One that has the name and is another app's is no choice where there is a better one.
    """
    labels = target["spec"]["template"]["metadata"].get("labels") or {}
    named = service_named(services, strategy.service_name)
    if named is not None and may_be_in_front(named, labels):
        return strategy.service_name
    found = (one["metadata"]["name"] for one in services if selects(service_selector(one), labels))
    return next(found, strategy.service_name)
