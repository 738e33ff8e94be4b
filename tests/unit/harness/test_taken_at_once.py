"""A version that is decided against has no traffic before all is read again: taken, and given back.

What was heard may not be so any more. Somebody writes at the very moment between the two looks.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from canary.model.values import Json
from runtime.resources import CANARIES, Resource
from tests.fakes.loop import ImpatientLoop
from tests.harness.api import ApiServer, Writer
from tests.harness.client import Client, Gate
from tests.harness.stage import SPACE, Stage
from tests.harness.stories import BAD, begun, push


@dataclass
class Moments:
    """Waits for a read, and has somebody act before it is answered.

    `at` is which read of its kind. `seen` counts what was read, `before` by the time when somebody
    acted. `weights` are what the route gave the canary then, and at each read after that.
    """

    what: str
    at: int
    meets: Callable[[Stage], Awaitable[None]]
    stage: Stage
    seen: dict[str, int] = field(default_factory=dict)
    before: dict[str, int] = field(default_factory=dict)
    weights: list[int] = field(default_factory=list)

    async def read(self, what: str) -> None:
        """Hear of a read that is about to be answered."""
        self.seen[what] = self.seen.get(what, 0) + 1
        if what == self.what and self.seen[what] == self.at:
            self.before = dict(self.seen)
            await self.meets(self.stage)
            self.weights.append(self.stage.weight())
        elif self.weights:
            self.weights.append(self.stage.weight())


@dataclass
class Meeting(Client):
    """A way to the API server on which somebody else may be met."""

    moments: Moments | None = None

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Json:
        if self.moments is not None and name == "web":
            await self.moments.read(f"get {resource.plural}")
        return await super().get(resource, namespace, name)


def played(
    what: str, at: int, meets: Callable[[Stage], Awaitable[None]], end: Callable[[Moments], bool]
) -> Moments:
    """Push a version whose checks fail, and have somebody act at a read; return what was seen.

    Args:
        what: which kind of read.
        at: the how-manyth.
        meets: what is done then.
        end: tells when it is over.

    """

    async def play() -> Moments:
        stage = Stage()
        moments = Moments(what, at, meets, stage)

        def reach(api: ApiServer, writer: Writer, gate: Gate) -> Client:
            return Meeting(api, writer, gate, moments=moments)

        stage.reach = reach
        stage.answers.values["web:2"] = BAD
        async with asyncio.timeout(1200), stage.playing():
            await begun(stage)
            await push(stage, "web:2")
            await stage.until("the end", lambda: end(moments))
            return moments

    loop = ImpatientLoop()
    try:
        return loop.run_until_complete(play())
    finally:
        loop.close()


def is_refused(moments: Moments) -> bool:
    return moments.stage.refused_image() == "web:2"


def has_share_again(moments: Moments) -> bool:
    return bool(moments.weights) and moments.stage.weight() > 0


def serves_the_third(moments: Moments) -> bool:
    return moments.stage.phase() == "Succeeded"


async def nobody(_: Stage) -> None:
    """Do nothing."""


async def patience(stage: Stage) -> None:
    """Have many more checks fail before a version is refused."""
    patch = {"spec": {"analysis": {"threshold": 99}}}
    await stage.team.merge_patch(CANARIES, SPACE, "web", patch)


async def third(stage: Stage) -> None:
    """Push a version that is well."""
    await push(stage, "web:3")


def test_one_that_is_not_refused_in_the_end_has_its_share_again() -> None:
    # The Canary is read for the first time when a version is about to be refused.
    found = played("get canaries", 1, patience, has_share_again)
    assert found.weights[0] == 0
    assert found.stage.phase() == "Progressing"
    assert found.stage.refused_image() == ""


def test_of_a_target_that_is_another_one_by_then_nothing_is_taken_on_what_was_heard() -> None:
    usual = played("get canaries", 1, nobody, is_refused)
    assert usual.weights[0] == 0
    reads = usual.before["get deployments"]
    # Pushed between the two looks: the old one has its share until all was read once more.
    found = played("get deployments", reads, third, serves_the_third)
    assert len(found.weights) > 1
    assert min(found.weights[:2]) > 0
    assert found.stage.refused_image() == ""
