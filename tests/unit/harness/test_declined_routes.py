"""Whole runs behind a gateway that does not follow a route with the split in it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

import pytest

from canary.contract import SPLIT, Command
from canary.model.values import Json
from canary.routes.mark import NO_MARK, Mark, mark_of
from runtime.resources import EVENTS, HTTPROUTES
from tests.harness.api import Change
from tests.harness.faults import Recorder
from tests.harness.middles import edit, stage_of
from tests.harness.played import play
from tests.harness.stage import LAG, PLACE, Stage
from tests.harness.stories import Story, annotate, begun, has_traffic, push

MIRRORED = "blue/green, mirrored"
A_WHILE = 120.0
SOON = 2 * LAG
"""Seconds from a write to a word of the gateway, and from that to the next write."""
MIRROR = "requestMirror"
COOKIE = "responseHeaderModifier"
REFUSED = f"no {MIRROR} here"


def of_route(stage: Stage) -> Json:
    found = stage.api.look(HTTPROUTES, *PLACE)
    assert found is not None
    return found


def mark(stage: Stage) -> Mark:
    return mark_of(of_route(stage)) or NO_MARK


def is_declined(stage: Stage) -> bool:
    mine = mark(stage).splits.get("web")
    return mine is not None and mine.declined is not None


def is_the_team_s(stage: Stage) -> bool:
    """Tell whether the rules are what the API server stores of the team's text."""
    [rule] = of_route(stage)["spec"]["rules"]
    [ref] = rule["backendRefs"]
    return (ref["name"], ref.get("weight", 1)) == ("web", 1) and "filters" not in rule


@dataclass
class Mirrors:
    """When the split was put into the route, and when it was taken out of it, in seconds."""

    stage: Stage
    put_in: list[float] = field(default_factory=list)
    taken_out: list[float] = field(default_factory=list)

    def heard(self, change: Change) -> None:
        if change.resource != HTTPROUTES or change.new is None or change.old is None:
            return
        if change.new["metadata"]["name"] != PLACE[1]:
            return
        before, now = (MIRROR in str(it["spec"]) for it in (change.old, change.new))
        if now != before:
            (self.put_in if now else self.taken_out).append(self.stage.seconds())


def told(stage: Stage) -> list[str]:
    events = stage.api.peek(EVENTS)
    return [it["message"] for it in events if it["reason"] == "RouteRefused"]


async def declined(stage: Stage, lacks: str = MIRROR) -> Mirrors:
    """Bring a run to where its gateway has declined what it lacks."""
    stage.others.lacks = lacks
    mirrors = Mirrors(stage)
    stage.api.watchers.append(mirrors.heard)
    await begun(stage)
    await push(stage, "web:2")
    await stage.until("declined", lambda: is_declined(stage))
    return mirrors


def mirrored(
    name: str,
    plays: Callable[[Stage], Awaitable[None]],
    serves: str,
    never: frozenset[str] = frozenset(),
) -> None:
    """Play a run that asks for copies, and is promoted in the end."""
    story = Story(
        name=name,
        plays=plays,
        phase="Succeeded",
        serves=serves,
        released={serves: 1},
        never=never,
        stage=stage_of(MIRRORED),
    )
    play(story, lambda _: Recorder())


def test_the_split_goes_out_at_once_and_the_run_holds_until_the_canary_asks_for_another() -> None:
    async def plays(stage: Stage) -> None:
        mirrors = await declined(stage)
        [put], [out] = mirrors.put_in, mirrors.taken_out
        assert out - put <= SOON
        assert is_the_team_s(stage)
        await stage.until("a word", lambda: REFUSED in stage.message(), 30)
        await stage.wait(A_WHILE)
        assert len(mirrors.put_in) == 1, "it is not put in again"
        assert (stage.phase(), is_the_team_s(stage)) == ("Progressing", True)
        assert "Gateway gateway" in stage.message()
        assert all(REFUSED in it for it in told(stage))
        assert len(told(stage)) == 2, "once on the Canary, once on its target"
        await edit(stage, analysis={"mirror": None})

    mirrored("declined", plays, "web:2")


def test_a_death_forgets_nothing_and_the_next_run_asks_again() -> None:
    async def plays(stage: Stage) -> None:
        mirrors = await declined(stage)
        for _ in range(3):
            stage.installation.kill()
            await stage.wait(30)
        assert len(mirrors.put_in) == 1
        await push(stage, "web:3")
        await stage.until("the next run's try", lambda: len(mirrors.put_in) == 2)
        await stage.until("declined again", lambda: is_declined(stage), 5)
        stage.others.lacks = ""
        await stage.wait(A_WHILE)
        assert len(mirrors.put_in) == 2, "a gateway says nowhere that it has learned it"
        await push(stage, "web:4")

    mirrored("again", plays, "web:4", never=frozenset({"web:2", "web:3"}))


def test_the_team_s_own_edit_of_the_route_has_it_asked_again() -> None:
    async def plays(stage: Stage) -> None:
        mirrors = await declined(stage)
        stage.others.lacks = ""
        await stage.team.apply(HTTPROUTES, stage.route)
        await stage.wait(A_WHILE)
        assert len(mirrors.put_in) == 1, "the same text is no edit"
        edited = {**stage.route["spec"], "hostnames": ["shop.example"]}
        stage.route = {**stage.route, "spec": edited}
        await stage.team.apply(HTTPROUTES, stage.route)

    mirrored("edited", plays, "web:2")


def test_a_step_that_asks_for_the_same_as_before_is_not_taken_anew() -> None:
    """An interval that is no whole number of seconds is none in the record of a run."""

    async def plays(stage: Stage) -> None:
        sticky = {"cookieName": "met", "primaryCookieName": "was"}
        await edit(stage, analysis={"interval": "12500ms", "sessionAffinity": sticky})
        await declined(stage, COOKIE)
        await stage.until("a word", lambda: f"no {COOKIE} here" in stage.message(), 30)
        stepped = stage.status()["run"]["steppedAt"]
        await stage.wait(A_WHILE)
        assert stage.status()["run"]["steppedAt"] == stepped
        await annotate(stage, Command.ABORT)

    play(
        Story(
            name="sticky",
            plays=plays,
            phase="Failed",
            serves="web:1",
            never=frozenset({"web:2"}),
            stage=stage_of("sticky"),
        ),
        lambda _: Recorder(),
    )


def test_an_abort_leaves_no_mark_on_the_route() -> None:
    async def plays(stage: Stage) -> None:
        await declined(stage)
        await annotate(stage, Command.ABORT)
        await stage.until(
            "no mark", lambda: SPLIT not in (of_route(stage)["metadata"].get("annotations") or {})
        )

    play(
        Story(
            name="aborted",
            plays=plays,
            phase="Failed",
            serves="web:1",
            never=frozenset({"web:2"}),
            stage=stage_of(MIRRORED),
        ),
        lambda _: Recorder(),
    )


SHARES = Story(
    name="shares",
    plays=begun,
    phase="Succeeded",
    serves="web:2",
    released={"web:2": 1},
    stage=stage_of("step weights"),
)


def test_a_gateway_that_cannot_copy_requests_takes_shares() -> None:
    async def plays(stage: Stage) -> None:
        stage.others.lacks = MIRROR
        await begun(stage)
        await push(stage, "web:2")
        await has_traffic(stage, "web:2")
        assert not told(stage)

    play(replace(SHARES, plays=plays), lambda _: Recorder())


def with_a_mirror(plain: Json) -> Json:
    """Return a route whose team copies its requests to somebody."""
    mirror = {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "log", "port": 80}}}
    [rule] = plain["spec"]["rules"]
    return {**plain, "spec": {**plain["spec"], "rules": [{**rule, "filters": [mirror]}]}}


@pytest.mark.parametrize("is_late", [False, True], ids=["in time", "late"])
def test_what_a_gateway_has_against_the_team_s_own_text_keeps_no_split_out(
    *, is_late: bool
) -> None:
    """Late, it is heard of the split first: that goes out once, and in again as it was no help."""

    async def plays(stage: Stage) -> None:
        stage.others.lacks = MIRROR
        stage.route = with_a_mirror(stage.route)
        stage.others.gateway_up = not is_late
        await stage.team.apply(HTTPROUTES, stage.route)
        await begun(stage)
        await stage.wait(5)
        await push(stage, "web:2")
        await has_traffic(stage, "web:2")
        stage.others.gateway_up = True
        await stage.until("its word", lambda: bool(mark(stage).faults))
        await has_traffic(stage, "web:2")
        assert bool(told(stage)) == is_late

    play(replace(SHARES, plays=plays), lambda _: Recorder())
