"""Of several Canaries of one target a team's counts, and ours is the one that is outdone."""

import pytest

from canary.model.values import Json
from canary.spec.made import outdone, preferred
from tests.fakes.made import made
from tests.fakes.objects import canary

OURS = made()
TEAM_S = canary()
OTHER = {**canary(), "metadata": {**canary()["metadata"], "name": "api"}}


@pytest.mark.parametrize(
    ("canaries", "follows", "leaves"),
    [
        ([], None, None),
        ([OURS], OURS, None),
        ([TEAM_S], TEAM_S, None),
        ([OURS, TEAM_S], TEAM_S, OURS),
        ([TEAM_S, OURS], TEAM_S, OURS),
        ([TEAM_S, OTHER], OTHER, None),
        ([OURS, TEAM_S, OTHER], OTHER, OURS),
    ],
)
def test_which_counts_and_which_is_outdone(
    canaries: list[Json], follows: Json | None, leaves: Json | None
) -> None:
    assert preferred(canaries) is follows
    assert outdone(canaries) is leaves
