"""The phrases that scripts grep are in the events of whole runs, as the page says."""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from canary.model.state import RUNNING_PHASES
from canary.model.strategy import HookType, Strategy
from canary.rules.actions import Emit
from tests.fakes.world import World
from tests.unit.canary.rules.middle import strategy

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "what-scripts-read.md").read_text()
SECTION = PAGE.partition("\n## Events\n")[2].partition("\n## ")[0]
ROWS = re.findall(r"^\| `(\w+)` \| `([^`]+)` \|$", SECTION, re.MULTILINE)
CHRONICLES = ROOT / "tests" / "unit" / "canary" / "rules" / "chronicles"
EVENT = re.compile(r"^  (?:event|WARNING) (?P<reason>\w+): (?P<text>.*)$", re.MULTILINE)
EVENTS = [
    (found["reason"], found["text"])
    for path in sorted(CHRONICLES.glob("*.txt"))
    for found in EVENT.finditer(path.read_text())
]
GATES = (
    HookType.CONFIRM_ROLLOUT,
    HookType.CONFIRM_TRAFFIC_INCREASE,
    HookType.CONFIRM_PROMOTION,
)


def gate(kind: HookType) -> dict[str, str]:
    return {"name": str(kind), "type": str(kind), "url": "http://gate/"}


RUNS = {
    "gates": strategy(stepWeights=[80], stepWeightPromotion=20, webhooks=[*map(gate, GATES)]),
    "blue/green": strategy(iterations=2, webhooks=[]),
    "rollback hook": strategy(stepWeights=[80], webhooks=[gate(HookType.ROLLBACK)]),
}
"""Runs of which the chronicles have none."""


def told_by(strategy: Strategy) -> Iterator[tuple[str, str]]:
    """Yield the events of a run whose gates are shut for an hour."""
    world = World(strategy=strategy)
    world.run()
    world.refuse_hooks |= {hook.name for hook in strategy.hooks if hook.type in GATES}
    world.update("v2")
    opens: dict[str, datetime] = {}
    while not opens or world.state.phase in RUNNING_PHASES:
        decision = world.reconcile()
        world.roll()
        yield from ((it.reason, it.message) for it in decision.actions if isinstance(it, Emit))
        world.now += max(world.next_look(decision), timedelta(seconds=1))
        waits = world.state.gate
        since = opens.setdefault(str(waits.kind) if waits else "", world.now)
        if waits and world.now > since + timedelta(hours=1):
            world.refuse_hooks.discard(str(waits.kind))


PLACES = {"%n.%ns": r"web\.prod", "%n": r"web\S*", "%d": r"\d+", "%s": r"\S+"}


OF_RUNS = [event for one in RUNS.values() for event in told_by(one)]


def pattern(phrase: str) -> re.Pattern[str]:
    parts = re.split("(%n\\.%ns|%n|%d|%s)", phrase)
    return re.compile("".join(PLACES.get(part) or re.escape(part) for part in parts))


def test_the_page_names_what_flagger_says() -> None:
    assert len(ROWS) > 10
    assert EVENTS


@pytest.mark.parametrize(("reason", "phrase"), ROWS)
def test_a_run_says_so(reason: str, phrase: str) -> None:
    wanted = pattern(phrase)

    assert any(said == reason and wanted.search(text) for said, text in (*EVENTS, *OF_RUNS))


def test_a_step_and_a_promotion_say_by_which_measurements() -> None:
    measured = re.compile(r"\(error-rate [\d.]+, bound [\d.]+")
    by = {reason for reason, text in EVENTS if measured.search(text)}

    assert {"Advanced", "Promoting"} <= by
