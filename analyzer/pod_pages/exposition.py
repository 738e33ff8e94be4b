"""Pages of metrics, in the Prometheus text format or OpenMetrics, to series.

The library's parsers take some 50 us for a line, and a page has thousands that nobody asks for:
only lines of the metrics that are wanted come before them.
https://prometheus.io/docs/instrumenting/exposition_formats/ and
https://github.com/prometheus/OpenMetrics/blob/main/specification/OpenMetrics.md are the formats.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from io import StringIO
from typing import Final, TextIO

from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_fd_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_fd_to_metric_families as parse_text

from canary.counting.series import Series

_Parser = Callable[[TextIO], Iterable[Metric]]

_LONGEST_LINE: Final = 4096
"""Characters. The parsers' time grows with the square of a line's length."""
_MIB: Final = 1024 * 1024
LONGEST_WANTED: Final = _MIB
"""Characters of all wanted lines: half a second of the interpreter's time."""
MOST_WANTED: Final = 10_000
"""Wanted lines. The shortest have four characters, and become half a kilobyte each."""
_SAMPLE: Final = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)[ \t{]")
_TYPE: Final = re.compile(r"# TYPE ([a-zA-Z_:][a-zA-Z0-9_:]*) ")
_END: Final = "# EOF"
_SUFFIXES: Final = ("", "_total", "_created", "_bucket", "_count", "_sum", "_gcount", "_gsum")
"""What OpenMetrics adds to a family's name for its samples."""


MOST_LINES: Final = 200_000
"""Lines of a page, wanted or not: a tenth of a second."""


class TooManyError(ValueError):
    """The page has more of something than is read; it says of what, in words."""


def read_text(page: bytes | bytearray, names: frozenset[str]) -> tuple[Series, ...]:
    """Return the series of a page in the text format whose sample name is in `names`.

    Raises:
        TooManyError: the series are too many to be read.
        ValueError: the page is not in the format, as far as it was read.

    """
    return _read(parse_text, _text_lines(_lines(page), names), names)


def read_openmetrics(page: bytes | bytearray, names: frozenset[str]) -> tuple[Series, ...]:
    """Return the series of a page in OpenMetrics whose sample name is in `names`.

    Raises:
        TooManyError: the series are too many to be read.
        ValueError: the page is not in the format, as far as it was read, or not complete.

    """
    return _read(parse_openmetrics, _openmetrics_lines(_lines(page), names), names)


def _lines(page: bytes | bytearray) -> Iterator[str]:
    """Give the lines of a page, one at a time: all together take up to fifty times as much.

    They end at line feeds alone: a label's value may have other characters that end lines.

    Raises:
        TooManyError: there are too many.
        ValueError: the page is not in UTF-8.

    """
    if page.count(b"\n") > MOST_LINES:
        raise TooManyError(f"{MOST_LINES} lines")
    start = 0
    while (end := page.find(b"\n", start)) >= 0:
        yield page[start:end].decode()
        start = end + 1
    yield page[start:].decode()


def _text_lines(page: Iterable[str], names: frozenset[str]) -> Iterator[str]:
    """Give the lines of wanted samples, without comments.

    By a counter's TYPE the parser would rename its samples to end in `_total`. Without one each
    keeps the name that the page has for it, and is a family by itself.
    """
    for padded in page:
        line = padded.strip()
        if not line or line.startswith("#"):
            continue
        # Where a line begins with its labels, the name is among them.
        if line.startswith("{") or _name(line) in names:
            yield line


def _openmetrics_lines(page: Iterable[str], names: frozenset[str]) -> Iterator[str]:
    """Give the lines of whole families with wanted samples, their types, and the end.

    The parser checks a histogram's samples against each other, takes exemplars by the type only,
    and knows by the end that nothing was cut off.
    """
    families = frozenset(name.removesuffix(it) for name in names for it in _SUFFIXES)
    samples = frozenset(family + it for family in families for it in _SUFFIXES)
    for line in page:
        if line.startswith("#"):
            found = _TYPE.match(line)
            if line == _END or (found and found[1] in families):
                yield line
        elif line.startswith("{") or (line and _name(line) in samples):
            yield line


def _name(line: str) -> str:
    found = _SAMPLE.match(line)
    if not found:
        raise ValueError("a line is neither a comment nor a sample")
    return found[1]


def _read(parse: _Parser, lines: Iterable[str], names: frozenset[str]) -> tuple[Series, ...]:
    try:
        return tuple(_wanted(parse(StringIO(_bounded(lines))), names))
    except (ArithmeticError, AttributeError, LookupError, TypeError) as error:
        # What the parsers stumble over where they do not look for it.
        raise ValueError("a line is no sample") from error


def _bounded(lines: Iterable[str]) -> str:
    kept: list[str] = []
    length = 0
    for line in lines:
        if len(line) > _LONGEST_LINE:
            raise ValueError(f"a line has more than {_LONGEST_LINE} characters")
        length += len(line)
        if length > LONGEST_WANTED:
            raise TooManyError(f"{LONGEST_WANTED // _MIB} MiB of the metrics that are judged")
        if len(kept) == MOST_WANTED:
            raise TooManyError(f"{MOST_WANTED} series of the metrics that are judged")
        kept.append(line)
    return "\n".join(kept)


def _wanted(families: Iterable[Metric], names: frozenset[str]) -> Iterator[Series]:
    for family in families:
        for sample in family.samples:
            # A native histogram has no value; its buckets are not counters.
            if sample.name in names and sample.value is not None:
                yield Series({"__name__": sample.name, **sample.labels}, float(sample.value))
