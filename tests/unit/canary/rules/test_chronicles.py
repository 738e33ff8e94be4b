"""Whole runs, look by look, against what is written of them in `chronicles/`."""

from dataclasses import replace
from pathlib import Path

import pytest

from canary.evidence.policy import Inconclusive, Policy
from tests.kept import is_as_kept
from tests.unit.canary.rules import stories_of_runs, stories_of_trouble
from tests.unit.canary.rules.chronicle import Chronicle
from tests.unit.canary.rules.stories import MINUTE, SHORT, STORIES, held

__all__ = ["stories_of_runs", "stories_of_trouble"]  # they add their stories as they are imported
FOLDER = Path(__file__).parent / "chronicles"


@pytest.mark.parametrize("policy", Inconclusive)
def test_not_enough_was_seen(policy: Inconclusive) -> None:
    c = Chronicle()
    held(c, replace(SHORT, policy=Policy(on_inconclusive=policy), decide_within=4 * MINUTE))
    c.look(24)
    is_as_kept(FOLDER / f"inconclusive_{policy.value}.txt", c.text())


@pytest.mark.parametrize("name", STORIES)
def test_a_run_goes_as_it_is_written(name: str) -> None:
    chronicle = Chronicle()
    STORIES[name](chronicle)
    is_as_kept(FOLDER / f"{name}.txt", chronicle.text())
