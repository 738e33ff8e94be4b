"""What SECURITY.md says has a test, and the test is there."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
NAMED = re.compile(r"`(test_\w+)`")


def test_every_test_that_is_named_exists() -> None:
    named = set(NAMED.findall((ROOT / "SECURITY.md").read_text()))
    tests = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))

    assert named
    assert {name for name in named if f"def {name}(" not in tests} == set()
