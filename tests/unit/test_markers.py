"""What takes long, or disturbs everybody on a cluster, is never part of `make test`."""

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
SOAKS = sorted((TESTS / "cluster" / "soak").glob("test_*.py"))
MAKEFILE = (TESTS.parent / "Makefile").read_text()
SELECTIONS = re.findall(r'pytest -m (?:"([^"]+)"|(\S+))', MAKEFILE)


@pytest.mark.parametrize("path", SOAKS, ids=lambda path: str(path.name))
def test_what_lies_with_the_soak_is_marked_so(path: Path) -> None:
    assert re.search(r"^pytestmark = .*pytest\.mark\.soak", path.read_text(), re.MULTILINE)


def test_every_target_but_its_own_leaves_the_soak_out() -> None:
    found = ["".join(selection) for selection in SELECTIONS]
    assert "soak" in found
    assert [it for it in found if it != "soak" and not it.endswith("not soak")] == []
