"""Files stay small enough to be read in one go, and are told apart by their names."""

from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MOST_LINES = 400
PACKAGES = (
    "canary",
    "runtime",
    "webhook",
    "analyzer",
    "certs",
    "loadtester",
    "kubectl_headgate",
    "sandbox",
)
FILES = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_can_be_read_in_one_go(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MOST_LINES


def test_files_of_tests_have_names_of_their_own() -> None:
    """Else pytest collects them in one call only by luck: the folders are no packages."""
    names = Counter(path.name for path in (ROOT / "tests").rglob("test_*.py"))
    assert [name for name, times in names.items() if times > 1] == []
