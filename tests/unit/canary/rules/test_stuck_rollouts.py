"""A rollout that its controller gives up: held against the version that it is of, and no other."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from canary.contract import Command
from canary.model.former import Identities
from canary.model.state import Phase
from canary.objects.workloads import read_target
from canary.rules.decide import decide
from tests.fakes.objects import deployment
from tests.fakes.world import World

SECOND = timedelta(seconds=1)
LIMIT = timedelta(seconds=60)
"""After how long the controller gives a rollout up."""


def rolling() -> World:
    """Return a world in which a promotion rolls half-way."""
    world = World(replicas=4)
    world.update("v2")
    world.command(Command.PROMOTE)
    while world.pods.get("v2", 0) < 2:
        world.reconcile()
        world.roll()
        world.now += SECOND
    assert world.state.phase is Phase.PROMOTING
    return world


@pytest.mark.parametrize(
    ("since_promotion", "passed", "ends"),
    [
        pytest.param(-3600 * SECOND, SECOND, Phase.PROMOTING, id="of a rollout before"),
        pytest.param(-3600 * SECOND, LIMIT, Phase.FAILED, id="of one before, and of this one"),
        pytest.param(30 * SECOND, 31 * SECOND, Phase.FAILED, id="of this one"),
        pytest.param(-SECOND, LIMIT + SECOND, Phase.FAILED, id="by a clock that is slow"),
        pytest.param(None, SECOND, Phase.FAILED, id="of a time that is not said"),
    ],
)
def test_which_rollout_did_not_progress(
    since_promotion: timedelta | None, passed: timedelta, ends: Phase
) -> None:
    world = rolling()
    began = world.state.changed_at
    assert began is not None
    seen = world.observe()
    target = replace(
        seen.target,
        rollout_failed="its rolling update did not progress",
        rollout_failed_at=None if since_promotion is None else began + since_promotion,
        progress_deadline=LIMIT,
    )
    decision = decide(world.state, replace(seen, target=target), began + passed)
    assert decision.state.phase is ends


@pytest.mark.parametrize(
    ("spec", "time", "failed_at", "deadline"),
    [
        ({}, "2026-01-01T00:00:00Z", datetime.fromisoformat("2026-01-01T00:00:00Z"), 600),
        ({"progressDeadlineSeconds": 60}, None, None, 60),
        ({"progressDeadlineSeconds": 60}, "soon", None, 60),
    ],
)
def test_when_it_was_given_up(
    spec: dict[str, Any], time: str | None, failed_at: datetime | None, deadline: int
) -> None:
    late = {"type": "Progressing", "reason": "ProgressDeadlineExceeded", "lastUpdateTime": time}
    obj = deployment()
    obj = {
        **obj,
        "spec": {**obj["spec"], "paused": False, **spec},
        "status": {"observedGeneration": 99, "conditions": [late]},
    }
    found = read_target(obj, enabled=True, known=Identities())
    assert (found.rollout_failed_at, found.progress_deadline) == (failed_at, deadline * SECOND)
