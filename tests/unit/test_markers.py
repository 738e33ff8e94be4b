"""What takes long, or disturbs everybody on a cluster, is never part of `make test`."""

from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
FILES = [path for path in sorted(TESTS.rglob("test_*.py")) if path != Path(__file__)]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(TESTS)))
def test_what_soaks_lies_apart_and_is_no_other_test_on_a_cluster(path: Path) -> None:
    text, soaks = path.read_text(), path.parent.name == "soak"
    assert ("pytest.mark.soak" in text) is soaks
    assert not (soaks and "pytest.mark.cluster" in text)
