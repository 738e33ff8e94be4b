"""Files stay small enough to be read in one go."""

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
