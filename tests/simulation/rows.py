"""The rows of the suite: what is run, and the bound or aim that it is held to.

Rows that rest on the same code lie in one module, for a result is kept as long as what its module
imports stays as it is (`tests.simulation.kept`).
"""

from tests.simulation import (
    cost_rows,
    count_rows,
    limitless_rows,
    moment_rows,
    scalar_rows,
    scrape_rows,
)
from tests.simulation.row import Row


def rows() -> tuple[Row, ...]:
    """Return every row, in the order in which they are printed."""
    return (
        *count_rows.requests(),
        *count_rows.until_refused(),
        *count_rows.healthy_refused(),
        *count_rows.guarded(),
        *scrape_rows.guarded(),
        *moment_rows.rows(),
        *count_rows.promotions(),
        *scrape_rows.counters(),
        *scalar_rows.rows(),
        *limitless_rows.rows(),
        *cost_rows.rows(),
    )
