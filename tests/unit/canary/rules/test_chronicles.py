"""Whole runs, look by look, against what is written of them in `chronicles/`."""

from pathlib import Path

import pytest

from tests.kept import is_as_kept
from tests.unit.canary.rules import stories_of_evidence, stories_of_runs, stories_of_trouble
from tests.unit.canary.rules.chronicle import Chronicle
from tests.unit.canary.rules.stories import STORIES

MODULES = {stories_of_evidence, stories_of_runs, stories_of_trouble}
"""Where stories are told: they enter themselves into the list."""

FOLDER = Path(__file__).parent / "chronicles"


def test_every_text_has_its_story() -> None:
    assert {path.stem for path in FOLDER.iterdir()} == {*STORIES}
    assert {tell.__module__ for tell in STORIES.values()} == {it.__name__ for it in MODULES}


@pytest.mark.parametrize("name", STORIES)
def test_a_run_goes_as_it_is_written(name: str) -> None:
    chronicle = Chronicle()
    STORIES[name](chronicle)
    is_as_kept(FOLDER / f"{name}.txt", chronicle.text())
