"""The release that processes tell of is the one that is built."""

import tomllib
from pathlib import Path

from runtime.version import VERSION


def test_the_version_is_the_project_s() -> None:
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())

    assert project["project"]["version"] == VERSION
