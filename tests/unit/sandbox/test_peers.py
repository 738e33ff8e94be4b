"""The load tester's programs are tried in the versions that its image is built with."""

import re

import pytest

from sandbox import images, paths
from sandbox.versions import GHZ_BUILD, GO_PROGRAMS, K6_BUILD, KWOK_BUILD, PEERS, GoProgram
from tests.bench.scale.peer import PEER_BUILD

DOCKERFILE = (paths.CHECKOUT / "Dockerfile").read_text()


@pytest.mark.parametrize("program", [K6_BUILD, GHZ_BUILD], ids=lambda program: str(program.name))
def test_the_dockerfile_builds_the_version_that_is_tried(program: GoProgram) -> None:
    name = f"{program.name.upper()}_VERSION"

    assert re.findall(rf"^ARG {name}=(\S+)$", DOCKERFILE, re.MULTILINE) == [program.version]
    assert f'go install -trimpath -ldflags="-s -w" {program.packages[0]}@${{{name}}}' in DOCKERFILE


def test_a_sandbox_comes_up_without_them() -> None:
    assert not {*PEERS, KWOK_BUILD, PEER_BUILD} & set(GO_PROGRAMS)
    assert [recipe.target for recipe in images.project_recipes()] == ["headgate", "loadtester-lean"]


def test_both_images_of_the_load_tester_are_one_but_for_its_programs() -> None:
    stages = re.findall(r"^FROM (\S+) AS (\S+)$", DOCKERFILE, re.MULTILINE)

    assert stages[-1] == ("loadtester-lean", "loadtester")
    assert DOCKERFILE.rstrip().endswith("COPY --from=programs /programs/ /usr/local/bin/")
