"""What `make sbom` lists is what the lock file of the image pins: names, versions and hashes."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
LOCK = (ROOT / "requirements.lock").read_text()
PINNED = re.compile(r"^([A-Za-z0-9._-]+)==(\S+) \\\n((?:    --hash=\S+(?: \\)?\n)+)", re.MULTILINE)
PINS = PINNED.findall(LOCK)
HASH = re.compile(r"--hash=sha256:(\w+)")
OUT = "build/sbom.json"


def command(out: Path) -> list[str]:
    """Return what the Makefile runs, with this Python and for another file."""
    (line,) = re.findall(r"^\t\$\(VENV\)/bin/cyclonedx-py (.*)$", makefile(), re.MULTILINE)
    words = [str(out) if word == OUT else word for word in shlex.split(line)]
    # It warns that a lock file tells nothing of what needs what.
    return [sys.executable, "-W", "ignore", "-m", "cyclonedx_py", *words]


def makefile() -> str:
    return (ROOT / "Makefile").read_text()


@pytest.fixture(scope="module")
def listed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    out = tmp_path_factory.mktemp("sbom") / "sbom.json"
    done = subprocess.run(  # noqa: S603 - the Makefile's own
        command(out), cwd=ROOT, capture_output=True, text=True, timeout=50, check=False
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(out.read_text())
    return found


def hashes(component: dict[str, Any]) -> set[str]:
    references = component["externalReferences"]
    return {it["content"] for reference in references for it in reference.get("hashes", ())}


def test_it_lists_exactly_what_is_pinned(listed: dict[str, Any]) -> None:
    pinned = {(name, version): set(HASH.findall(text)) for name, version, text in PINS}

    assert len(pinned) == LOCK.count("==")
    assert listed["bomFormat"] == "CycloneDX"
    assert {(it["name"], it["version"]): hashes(it) for it in listed["components"]} == pinned


def test_it_names_the_release(listed: dict[str, Any]) -> None:
    told = listed["metadata"]["component"]
    version = re.search(r'^version = "(.*)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)

    assert version is not None
    assert (told["name"], told["version"]) == ("headgate", version[1])


def test_the_list_is_made_and_not_kept() -> None:
    assert f"-o {OUT}\n" in makefile()
    assert "build/\n" in (ROOT / ".gitignore").read_text()
