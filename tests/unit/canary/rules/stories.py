"""How the stories of `test_chronicles.py` begin, and the list of them."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from canary.model.strategy import (
    Hook,
    HookType,
    Strategy,
)
from tests.fakes.world import STRATEGY
from tests.unit.canary.rules.chronicle import Chronicle

Story = Callable[[Chronicle], None]
STORIES: dict[str, Story] = {}
MINUTE = timedelta(minutes=1)
SHORT = replace(STRATEGY, steps=STRATEGY.steps[:2])


def story(tell: Story) -> Story:
    STORIES[tell.__name__] = tell
    return tell


def hooks(*kinds: HookType, strategy: Strategy = SHORT) -> Strategy:
    made = (Hook(name=f"{kind.value}-gate", type=kind, url="http://x") for kind in kinds)
    return replace(strategy, hooks=tuple(made))


def held(c: Chronicle, strategy: Strategy = SHORT) -> None:
    """Idle with v1 known, then held with v2."""
    c.world.strategy = strategy
    c.comes_to(lambda: bool(c.world.state.reason))
    c.says("v2 is pushed")
    c.world.update("v2")


def at_weight(c: Chronicle, weight: int) -> None:
    c.comes_to(lambda: c.world.weight == weight)
    c.says(f"at weight {weight}")


def rolling(c: Chronicle) -> None:
    c.world.replicas, c.world.pods = 40, {"v1": 40}
    held(c)
    c.comes_to(lambda: c.world.pods.get("v2", 0) > 2)
    c.says("it rolls")
