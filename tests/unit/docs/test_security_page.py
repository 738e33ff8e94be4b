"""What SECURITY.md says has a test, and the test is there."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "SECURITY.md").read_text()
ROW = re.compile(r"^\| (?!threat|---)(.+?) \|", re.MULTILINE)
NAMED = re.compile(r"`(test_\w+)`")


def test_every_test_that_is_named_exists() -> None:
    named = set(NAMED.findall(PAGE))
    tests = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))

    assert named
    assert {name for name in named if f"def {name}(" not in tests} == set()


def test_every_threat_names_what_shows_that_it_is_stopped() -> None:
    rows = [line for line in PAGE.splitlines() if ROW.match(line)]

    assert rows
    assert [ROW.findall(line)[0] for line in rows if not NAMED.search(line)] == []
