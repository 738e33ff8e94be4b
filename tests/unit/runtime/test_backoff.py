"""Delays stay in their bounds, whatever the failures; Retry-After in both forms; waiting."""

import asyncio
import random
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.backoff import Backoff, parse_retry_after, sleep_or

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
seconds = st.floats(min_value=0.001, max_value=1000)


@given(first=seconds, cap=seconds, failures=st.integers(0, 3000), seed=st.integers())
def test_delay_is_between_nothing_and_the_cap(
    first: float, cap: float, failures: int, seed: int
) -> None:
    backoff = Backoff(first, cap, rng=random.Random(seed))  # noqa: S311  # jitter, no secret
    delays = [backoff.next() for _ in range(failures + 1)]
    assert all(0 <= delay <= cap for delay in delays)
    assert delays[0] <= first


@given(first=seconds, failures=st.integers(1, 40))
def test_ceiling_doubles_per_failure_and_reset_forgets_them(first: float, failures: int) -> None:
    backoff = Backoff(first, cap=float("inf"))
    for _ in range(failures):
        backoff.next()
    assert backoff.ceiling == pytest.approx(first * 2**failures)
    backoff.reset()
    assert backoff.ceiling == first


def test_jitter_is_full() -> None:
    backoff = Backoff(1.0, 1.0, rng=random.Random(7))  # noqa: S311  # as above
    delays = [backoff.next() for _ in range(1000)]
    assert min(delays) < 0.01
    assert max(delays) > 0.99


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, None),
        ("0", 0.0),
        ("120", 120.0),
        ("1.5", 1.5),
        ("-3", 0.0),
        ("nan", None),
        ("inf", None),
        ("soon", None),
        ("", None),
        ("Sun, 01 Mar 2026 12:00:30 GMT", 30.0),
        ("Sunday, 01-Mar-26 12:00:30 GMT", 30.0),
        ("Sun, 01 Mar 2026 11:00:00 GMT", 0.0),
    ],
)
def test_retry_after(header: str | None, expected: float | None) -> None:
    assert parse_retry_after(header, NOW) == expected


@given(st.integers(0, 10**6))
def test_retry_after_as_date_is_the_time_until_it(ahead: int) -> None:
    header = format_datetime(NOW + timedelta(seconds=ahead), usegmt=True)
    assert parse_retry_after(header, NOW) == ahead


@settings(max_examples=40)
@given(st.text())
def test_retry_after_never_raises(header: str) -> None:
    wait = parse_retry_after(header, NOW)
    assert wait is None or wait >= 0


async def test_sleep_is_interrupted_by_its_event() -> None:
    event = asyncio.Event()
    assert not await sleep_or(event, 0.01)
    asyncio.get_running_loop().call_later(0.01, event.set)
    assert await sleep_or(event, 60)
    assert await sleep_or(event, 0)
