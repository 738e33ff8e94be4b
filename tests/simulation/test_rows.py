"""The suite in short: every kind of row once with few runs, all rows with `-m slow`."""

import pytest

from tests.simulation.rows import Row, rows

QUICK = 250
SLOW = 1000


def _quick() -> list[Row]:
    return [row for row in rows() if row.quick]


def _rest() -> list[Row]:
    return [row for row in rows() if not row.quick]


@pytest.mark.timeout(120)
@pytest.mark.parametrize("row", _quick(), ids=lambda row: f"{row.table}: {row.name}")
def test_row_keeps_its_bound(row: Row) -> None:
    result = row.run(max(20, QUICK // row.cost))
    assert result.ok, result.text


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("row", _rest(), ids=lambda row: f"{row.table}: {row.name}")
def test_other_row_keeps_its_bound(row: Row) -> None:
    result = row.run(max(20, SLOW // row.cost))
    assert result.ok, result.text
