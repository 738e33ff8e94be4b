"""The phrases that scripts grep are in the events of whole runs, as the page says."""

import re
from pathlib import Path

import pytest

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
PLACES = {"%n.%ns": r"web\.prod", "%n": r"web\S*", "%d": r"\d+", "%s": r"\S+"}


def pattern(phrase: str) -> re.Pattern[str]:
    parts = re.split("(%n\\.%ns|%n|%d|%s)", phrase)
    return re.compile("".join(PLACES.get(part) or re.escape(part) for part in parts))


def test_the_page_names_what_flagger_says() -> None:
    assert len(ROWS) > 10
    assert EVENTS


@pytest.mark.parametrize(("reason", "phrase"), ROWS)
def test_a_run_says_so(reason: str, phrase: str) -> None:
    wanted = pattern(phrase)

    assert any(said == reason and wanted.search(text) for said, text in EVENTS)


def test_a_step_and_a_promotion_say_by_which_measurements() -> None:
    measured = re.compile(r"\(error-rate [\d.]+, bound [\d.]+")
    by = {reason for reason, text in EVENTS if measured.search(text)}

    assert {"Advanced", "Promoting"} <= by
