"""While the loop is late evidence is gathered more rarely, and no more than may be."""

import asyncio
import time

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from analyzer.gathering.strain import LATE, LOOK, MOST, Strain


@given(st.lists(st.floats(-1, 100), max_size=100))
def test_it_stays_within_its_bounds_and_ends(late: list[float]) -> None:
    strain = Strain()
    for one in late:
        strain.found(one)
        assert 1 <= strain.factor <= MOST
    for _ in range(200):
        strain.found(0.0)
    assert strain.factor == 1


def test_it_grows_faster_than_it_ends() -> None:
    strain = Strain()
    for _ in range(10):
        strain.found(2 * LATE)
    assert strain.factor == MOST
    for _ in range(10):
        strain.found(LATE)
    assert strain.factor > MOST / 2


async def test_a_loop_that_is_kept_is_late() -> None:
    registry = CollectorRegistry()
    strain = Strain().registered(registry)
    assert registry.get_sample_value("headgate_evidence_stretch") == 1
    async with asyncio.TaskGroup() as group:
        measuring = group.create_task(strain.measure())
        await asyncio.sleep(0)
        time.sleep(LOOK + 2 * LATE)  # noqa: ASYNC251 - this is what keeps a loop
        await asyncio.sleep(0.01)
        assert registry.get_sample_value("headgate_evidence_stretch") == 1.25
        measuring.cancel()
