"""Lines are JSON with bound context; secrets are masked; libraries come the same way."""

import io
import json
import logging
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from runtime import logs


@pytest.fixture(autouse=True)
def _restored_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    logging.captureWarnings(capture=False)
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def written(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_line_carries_name_data_level_time_and_bound_context() -> None:
    stream = io.StringIO()
    logs.configure(stream=stream)
    with structlog.contextvars.bound_contextvars(reconcile_id="r1"):
        structlog.get_logger().info("reconciled", name="web", weight=10)
    structlog.get_logger().debug("too_fine")
    (line,) = written(stream)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "reconciled",
        "level": "info",
        "name": "web",
        "reconcile_id": "r1",
        "weight": 10,
    }


def test_exception_comes_with_its_traceback_on_one_line() -> None:
    stream = io.StringIO()
    logs.configure(stream=stream)
    try:
        raise ValueError("boom")  # noqa: TRY301  # the traceback is the subject
    except ValueError:
        structlog.get_logger().exception("failed")
    (line,) = written(stream)
    assert "ValueError: boom" in line["exception"]


@pytest.mark.parametrize(
    "data",
    [
        {"token": "abc"},
        {"Authorization": "Bearer abc"},
        {"data": {"tls.key": "-----BEGIN PRIVATE KEY-----abc"}},
        {"pem": b"-----BEGIN EC PRIVATE KEY-----abc"},
    ],
)
def test_secrets_are_masked(data: dict[str, Any]) -> None:
    stream = io.StringIO()
    logs.configure(stream=stream)
    structlog.get_logger().info("event", **data)
    assert "abc" not in stream.getvalue()
    assert logs.MASK in stream.getvalue()


def test_libraries_are_routed_from_warning_up() -> None:
    stream = io.StringIO()
    logs.configure("debug", stream=stream)
    logging.getLogger("lib").debug("body of a secret")
    logging.getLogger("lib").warning("odd: %s", 7)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logs.configure("debug", stream=stream)
        warnings.warn("old", stacklevel=1)
    first, second = written(stream)
    assert (first["event"], first["level"], first["logger"]) == ("odd: 7", "warning", "lib")
    assert second["logger"] == "py.warnings"


def test_unknown_level_is_refused() -> None:
    with pytest.raises(ValueError, match="loud"):
        logs.configure("loud")


def test_terminal_gets_columns() -> None:
    stream = io.StringIO()
    logs.configure(json=False, stream=stream)
    structlog.get_logger().info("started", part="probes")
    assert "started" in stream.getvalue()
    assert not stream.getvalue().startswith("{")


@pytest.mark.parametrize("depth", [255, 5_000])
def test_a_line_is_written_whatever_is_in_it(depth: int) -> None:
    deep: list[Any] = []
    for _ in range(depth):
        deep = [deep]
    stream = io.StringIO()
    logs.configure(stream=stream)
    structlog.get_logger().info("told", deep=deep, name="\ud800")
    (line,) = written(stream)
    assert (line["event"], line["name"]) == ("told", "\\ud800")
    assert line["deep"].startswith(("[[", "a list that is too deep"))
