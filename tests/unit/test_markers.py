"""What takes long, or disturbs everybody on a cluster, is never part of `make test`."""

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
SOAKS = sorted((TESTS / "cluster" / "soak").glob("test_*.py"))
PEERS = sorted((TESTS / "peers").glob("test_*.py"))
MAKEFILE = (TESTS.parent / "Makefile").read_text()
SELECTIONS = re.findall(r'pytest -m (?:"([^"]+)"|(\S+))', MAKEFILE)


@pytest.mark.parametrize("path", SOAKS, ids=lambda path: str(path.name))
def test_what_lies_with_the_soak_is_marked_so(path: Path) -> None:
    assert re.search(r"^pytestmark = .*pytest\.mark\.soak", path.read_text(), re.MULTILINE)


def test_every_target_but_its_own_leaves_the_soak_out() -> None:
    found = ["".join(selection) for selection in SELECTIONS]
    assert "soak" in found
    assert [it for it in found if it != "soak" and not it.endswith("not soak")] == []


def test_programs_of_others_run_in_a_target_of_their_own() -> None:
    found = ["".join(selection) for selection in SELECTIONS]
    peers = re.findall(r"^peers:.*\n\t.*pytest -m \"([^\"]+)\"", MAKEFILE, re.MULTILINE)
    assert peers == ["peer and not soak"]
    others = [it for it in found if it not in (*peers, "soak")]
    assert [it for it in others if not it.startswith("cluster ") and "not peer" not in it] == []


@pytest.mark.parametrize("path", PEERS, ids=lambda path: str(path.name))
def test_what_lies_with_the_programs_of_others_is_marked_so(path: Path) -> None:
    assert re.search(r"^pytestmark = .*pytest\.mark\.peer\b", path.read_text(), re.MULTILINE)
