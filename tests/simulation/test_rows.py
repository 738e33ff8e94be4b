"""The suite in short: every kind of row once with few runs, all rows with `-m slow`."""

import numpy as np
import pytest

from canary.evidence.policy import Policy
from tests.simulation import scalars
from tests.simulation.outcomes import too_many
from tests.simulation.row import SEED, Row
from tests.simulation.rows import rows

QUICK = 250
SLOW = 1000


def _quick() -> list[Row]:
    return [row for row in rows() if row.quick]


def _rest() -> list[Row]:
    return [row for row in rows() if not row.quick]


@pytest.mark.timeout(120)
@pytest.mark.parametrize("row", _quick(), ids=lambda row: f"{row.table}: {row.name}")
def test_row_keeps_its_bound(row: Row) -> None:
    result = row.run(row.runs(QUICK))
    assert result.ok, result.text


def test_judge_that_breaks_the_bound_is_noticed() -> None:
    policy = Policy(alpha=0.3, alpha_guard=0.9, scalar_spacing=5.0, scalar_margin=1.0)
    rng = np.random.default_rng(SEED)
    outcomes = scalars.runs_of(scalars.calm, rng, runs=QUICK // 2, policy=policy)
    failures = sum(one.refused is not None for one in outcomes)
    assert too_many(failures, QUICK // 2, 0.01)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("row", _rest(), ids=lambda row: f"{row.table}: {row.name}")
def test_other_row_keeps_its_bound(row: Row) -> None:
    result = row.run(row.runs(SLOW))
    assert result.ok, result.text
