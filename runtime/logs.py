"""One line per event on stderr: JSON for machines, columns for a person at a terminal.

An event's name is constant and its data are keys, so that lines can be counted. What every line
of a reconcile or of a review shares (`reconcile_id`, `request_uid`) is bound once, with
`structlog.contextvars.bound_contextvars`, and travels with the task.
"""

import logging
import sys
from typing import Any, Final, TextIO

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

MASK: Final = "***"
_SECRET_KEYS: Final = frozenset({"authorization", "password", "secret_data", "token"})
_PRIVATE_KEY_MARK: Final = "PRIVATE KEY-----"


def configure(
    level: str = "info", *, json: bool | None = None, stream: TextIO | None = None
) -> None:
    """Set up structlog, and the `logging` of the libraries, for this process.

    Args:
        level: debug, info, warning or error.
        json: None for JSON unless the stream is a terminal.
        stream: None for stderr.

    Raises:
        ValueError: there is no such level.

    """
    stream = stream or sys.stderr
    threshold = logging.getLevelNamesMapping().get(level.upper())
    if threshold is None:
        raise ValueError(f"no such log level: {level}")
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        mask_secrets,
    ]
    rendering = _rendering(json=not stream.isatty() if json is None else json)
    structlog.configure(
        processors=[*shared, *rendering],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.WriteLoggerFactory(stream),
        # A cached logger could not be captured by the tests any more.
        cache_logger_on_first_use=False,
    )
    _route_libraries(stream, threshold, shared, rendering)


def _rendering(*, json: bool) -> list[Processor]:
    if json:
        return [
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(serializer=_to_json),
        ]
    return [structlog.dev.ConsoleRenderer()]


def _to_json(event: EventDict, **_: Any) -> str:
    try:
        return _dumped(event)
    except TypeError:  # a value is too deep, or a text no UTF-8
        return _dumped({str(key): _plain(value) for key, value in event.items()})


def _dumped(event: EventDict) -> str:
    return orjson.dumps(event, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


def _plain(value: object) -> str:
    """Return a value as text that any stream takes."""
    try:
        text = str(value)
    except RecursionError:
        text = f"a {type(value).__name__} that is too deep"
    return text.encode(errors="backslashreplace").decode()


def _route_libraries(
    stream: TextIO, threshold: int, shared: list[Processor], rendering: list[Processor]
) -> None:
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    # Below warning the libraries tell of every connection, and some of every body.
    root.setLevel(max(threshold, logging.WARNING))
    logging.captureWarnings(capture=True)


def mask_secrets(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Replace what must not be in a log: values under the names of secrets, private keys."""
    for key, value in event.items():
        if key.lower() in _SECRET_KEYS or _PRIVATE_KEY_MARK in _plain(value):
            event[key] = MASK
    return event
