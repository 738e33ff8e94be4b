"""The demo's faults are exact, and its metrics say so."""

from fractions import Fraction

import pytest

from sandbox.demoapp.app import App, Behaviour, Metrics, fails, response


@pytest.mark.parametrize("share", ["0", "0.01", "0.2", "1/3", "0.5", "1"])
def test_every_prefix_has_the_exact_number_of_errors(share: str) -> None:
    exact, errors = Fraction(share), 0
    for number in range(1, 301):
        errors += fails(number, exact)
        assert errors == number * exact // 1


def test_settings_that_are_empty_are_defaults() -> None:
    empty = dict.fromkeys(("ERROR_SHARE", "LATENCY_MS", "CRASH_AFTER_S", "NEVER_READY"), "")
    assert Behaviour.of({"VERSION": "1.0", **empty}) == Behaviour(version="1.0")


@pytest.mark.parametrize(("role", "share"), [("web", "0.5"), ("web-canary", "0")])
def test_a_version_may_err_in_one_role_only(role: str, share: str) -> None:
    given = {"ERROR_SHARE": "0.5", "FAULTY_AS": "web", "ROLE": role}
    assert Behaviour.of(given).error_share == Fraction(share)


async def test_errors_are_counted_and_probes_are_not() -> None:
    app = App(Behaviour(version="bad", error_share=Fraction("0.5")))
    answers = [await app.answer("/") for _ in range(4)]
    assert [status for status, _ in answers] == [200, 500, 200, 500]
    assert await app.answer("/healthz") == (200, "ok\n")
    _, page = await app.answer("/metrics")
    assert 'http_requests_total{status="500"} 2' in page
    assert "http_request_duration_seconds_count 4" in page


async def test_a_version_that_is_never_ready_says_so() -> None:
    status, _ = await App(Behaviour(never_ready=True)).answer("/healthz")
    assert status == 503


def test_histogram_buckets_are_cumulative() -> None:
    metrics = Metrics()
    metrics.observe(200, 0.03)
    metrics.observe(200, 0.3)
    page = metrics.text()
    assert 'bucket{le="0.025"} 0' in page
    assert 'bucket{le="0.05"} 1' in page
    assert 'bucket{le="0.5"} 2' in page
    assert 'bucket{le="+Inf"} 2' in page


def test_a_connection_that_ends_is_announced() -> None:
    assert b"Connection: close" in response(200, "x", keep=False)
    assert b"Content-Length: 1\r\n" in response(200, "x", keep=True)
