"""A route under whatever comes: two runs, the team, webhooks that come and go, and deaths."""

import asyncio
from copy import deepcopy
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from analyzer.routers.adopted import AdoptedRoutes
from canary.model.strategy import Strategy
from canary.model.traffic import Traffic
from canary.model.values import Json, Key
from canary.spec.steps import linear
from tests.fakes import elder
from tests.fakes.routes import Admission, Died, RouteStore, down, webhook
from tests.unit.canary.routes.rules import HTTP, WEIGHTS, ref, route, split

TARGETS = ("web", "api")
ADMISSIONS: tuple[Admission, ...] = (webhook, down, elder.admit)


@dataclass
class Story:
    """A route in a cluster, and what its team has made of it."""

    store: RouteStore
    text: Json

    async def write(self, target: str, weight: int) -> None:
        await AdoptedRoutes(self.store).write_split(key(target), strategy(target), Traffic(weight))

    async def clean(self, target: str) -> None:
        await AdoptedRoutes(self.store).clean(key(target))

    async def dies(self, target: str, weight: int, writes: int) -> None:
        """The analyzer is killed before one of its writes, if it makes so many."""
        self.store.writes_left = writes
        try:
            await self.write(target, weight)
        except* Died:
            pass
        self.store.writes_left = 1_000

    async def apply(self, manifest: Json) -> None:
        self.store.team_apply(manifest)
        self.text = manifest

    async def edit(self, place: int, weight: int) -> None:
        """The team changes one weight in the stored route."""
        places = [
            (index, name)
            for index, rule in enumerate(self.text["spec"]["rules"])
            for name in (it["name"] for it in rule["backendRefs"])
        ]
        if not places:
            return
        index, name = places[place % len(places)]
        if weight_of(self.store.now("shop")["spec"]["rules"][index], name)["weight"] == weight:
            return

        def change(rules: list[Json]) -> None:
            weight_of(rules[index], name)["weight"] = weight

        self.store.team_edit("shop", change)
        self.text = deepcopy(self.text)
        change(self.text["spec"]["rules"])

    async def admission(self, admission: Admission) -> None:
        self.store.admission = admission


def weight_of(rule: Json, name: str) -> Json:
    found: Json = next(it for it in rule["backendRefs"] if it["name"] == name)
    return found


def key(target: str) -> Key:
    return Key(namespace="prod", name=target)


def strategy(target: str) -> Strategy:
    return Strategy(
        interval=timedelta(minutes=1), threshold=1, steps=linear((50,)), service_name=target
    )


def manifest(rules: list[list[Json]]) -> Json:
    return route(
        *(
            {"matches": [{"path": {"value": f"/{number}"}}], "backendRefs": refs}
            for number, refs in enumerate(rules)
        )
    )


REFS = st.lists(
    st.builds(ref, st.sampled_from(["web", "api", "blog"]), WEIGHTS),
    max_size=3,
    unique_by=lambda it: str(it["name"]),
)
MANIFESTS = st.lists(REFS, max_size=3).map(manifest)
NAMES, SHARES = st.sampled_from(TARGETS), st.integers(0, 100)
EVENTS = st.one_of(
    st.tuples(st.just(Story.write), NAMES, SHARES),
    st.tuples(st.just(Story.dies), NAMES, SHARES, st.integers(0, 1)),
    st.tuples(st.just(Story.clean), NAMES),
    st.tuples(st.just(Story.apply), MANIFESTS),
    st.tuples(st.just(Story.edit), st.integers(0, 8), st.one_of(WEIGHTS, st.just(100))),
    st.tuples(st.just(Story.admission), st.sampled_from(ADMISSIONS)),
)


@given(MANIFESTS, st.lists(EVENTS, max_size=8), SHARES, SHARES)
def test_whatever_comes_each_target_gets_its_share_and_the_team_its_text(
    written: Json, events: list[tuple[Any, ...]], web: int, api: int
) -> None:
    asyncio.run(told(written, events, {"web": web, "api": api}))


async def told(
    written: Json,
    events: list[tuple[Any, ...]],
    weights: dict[str, int],
) -> None:
    story = Story(RouteStore(), written)
    story.store.add(written)
    for event, *arguments in events:
        await event(story, *arguments)
    for target, weight in weights.items():
        await story.write(target, weight)
    for target, weight in weights.items():
        assert HTTP.carried(story.store.now("shop"), split(target, 0)) <= {Traffic(weight)}
    for target in TARGETS:
        await story.clean(target)
    found = story.store.now("shop")
    assert found["spec"] == story.text["spec"]
    assert not found["metadata"].get("annotations")
