"""Sums by reading say what plain mappings, one for each reading, would say."""

from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from canary.evidence.counters import Arm
from canary.measuring.parts import Parts
from canary.measuring.standings import MOST_READINGS, Standings

WINDOW: Final = 60.0
BEGAN: Final = 1_800_000_000.0
SUMS: Final = st.fixed_dictionaries(
    {arm: st.dictionaries(st.sampled_from((-1.0, 0.5, float("inf"))), st.just(0.0)) for arm in Arm}
)
"""The parts of each side that a reading meets."""
READINGS: Final = st.lists(
    st.tuples(st.floats(0.5, 40.0), SUMS, st.floats(0.0, 1e6)), min_size=1, max_size=30
)


def met(known: dict[Arm, Parts], now: dict[Arm, Parts], more: float) -> dict[Arm, Parts]:
    """Return the sums after a reading: whatever was met counts, and is never left out again."""
    return {
        arm: {part: known[arm].get(part, 0.0) + more for part in {**known[arm], **now[arm]}}
        for arm in Arm
    }


@given(readings=READINGS, back=st.floats(0.0, WINDOW))
def test_an_increase_is_what_mappings_by_reading_would_say(
    readings: list[tuple[float, dict[Arm, Parts], float]], back: float
) -> None:
    standings, time = Standings(), BEGAN
    sums: dict[Arm, Parts] = {arm: {} for arm in Arm}
    plain: list[tuple[float, dict[Arm, Parts]]] = []
    for after, parts, more in readings:
        time, sums = time + after, met(sums, parts, more)
        plain.append((time, sums))
        standings.add(time, sums, window=WINDOW)
    begin, before = next((at, then) for at, then in plain if at >= time - back)
    since = standings.since(time - back)
    assert since is not None
    assert standings.times[since] == begin
    assert {arm: standings.increase(arm, since) for arm in Arm} == {
        arm: {part: value - before[arm].get(part, 0.0) for part, value in sums[arm].items()}
        for arm in Arm
    }


def test_nothing_is_since_what_is_not_over() -> None:
    standings = Standings()
    assert standings.since(BEGAN) is None
    standings.add(BEGAN, {arm: {} for arm in Arm}, window=WINDOW)
    assert standings.since(BEGAN) == 0
    assert standings.since(BEGAN + 0.1) is None


def test_of_what_is_older_than_the_window_the_last_is_kept() -> None:
    standings = Standings()
    for at in range(10):
        standings.add(BEGAN + 20 * at, {Arm.CANARY: {1.0: float(at)}}, window=WINDOW)
    assert [time - BEGAN for time in standings.times] == [100.0, 120.0, 140.0, 160.0, 180.0]
    assert list(standings.sums) == [5.0, 6.0, 7.0, 8.0, 9.0]


def test_of_too_many_readings_every_other_goes_and_the_ends_stay() -> None:
    standings = Standings()
    for at in range(MOST_READINGS + 1):
        standings.add(BEGAN + at, {Arm.CANARY: {1.0: 2.0 * at}}, window=1e6)
    assert len(standings.times) == MOST_READINGS // 2 + 2
    assert [standings.times[at] - BEGAN for at in (0, 1, 2, -2, -1)] == [0, 1, 3, 399, 400]
    assert list(standings.sums) == [2 * (time - BEGAN) for time in standings.times]
    assert standings.increase(Arm.CANARY, 1) == {1.0: 2.0 * (MOST_READINGS - 1)}
