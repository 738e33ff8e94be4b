"""Metrics from InfluxDB 2, by Flux.

https://docs.influxdata.com/influxdb/v2/api/#operation/PostQuery has the request, and
https://docs.influxdata.com/influxdb/v2/reference/syntax/annotated-csv/ the answer: tables as CSV,
with an empty line between those whose columns differ, and the table's number in each row.
"""

import csv
import math
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final

from analyzer.fetching import Fetcher, Question, base_url, credentials, unexpected
from analyzer.ports import ProviderError
from canary.queries.provider import ProviderSpec

SERVICE: Final = "InfluxDB"
_VALUE: Final = "_value"
_MOST_ROWS: Final = 10_000
_Row = dict[str, str]


class InfluxdbProvider:
    """Asks InfluxDB.

    Args:
        fetcher: carries the questions.

    """

    def __init__(self, fetcher: Fetcher) -> None:
        self._fetcher = fetcher

    async def query(self, spec: ProviderSpec, query: str, interval: timedelta) -> tuple[float, ...]:
        """Return the newest value of every table of the result; none where there is no row.

        Args:
            spec: `address`; `secret` with `token` and `org`, or empty.
            query: Flux that says its own range.
            interval: nothing to it.

        Raises:
            ProviderError: there is no answer to be had; the message says why.

        """
        del interval
        base = base_url(SERVICE, spec, example="http://influxdb.monitoring:8086")
        headers = {"Accept": "application/csv", "Content-Type": "application/vnd.flux"}
        asked = {}
        if spec.secret:
            token, org = credentials(SERVICE, spec, "token", "org")
            headers |= {"Authorization": f"Token {token}"}
            asked = {"org": org}
        question = Question(
            service=SERVICE,
            spec=spec,
            url=(base / "api/v2/query").with_query(asked),
            headers=headers,
            body=query.encode(),
            complaint=lambda said: str(said["message"]),
        )
        tables: dict[tuple[str, str], list[_Row]] = {}
        for row in _rows(await self._fetcher.text(question), question):
            tables.setdefault((row.get("result", ""), row.get("table", "")), []).append(row)
        return tuple(it for rows in tables.values() for it in _values(rows, question))


def _rows(text: str, question: Question) -> Iterator[_Row]:
    """Return the rows of all tables, by the names of their columns."""
    columns: list[str] = []
    for number, cells in enumerate(_cells(text, question)):
        if number > _MOST_ROWS:
            raise ProviderError(
                f"{question.place} answers more than {_MOST_ROWS} rows; let the query make one of "
                "all, with mean(), last() or the like"
            )
        if not any(cells):
            columns = []
        elif cells[0].startswith("#"):
            continue
        elif not columns:
            if not {"table", "error"} & set(cells):
                raise unexpected(question)
            columns = cells
        else:
            row = dict(zip(columns, cells, strict=False))
            if "error" in row and _VALUE not in row:
                # The beginning of the answer was sent when the query failed.
                raise ProviderError(f"{question.place} gives up the query: {row['error'][:256]}")
            yield row


def _cells(text: str, question: Question) -> Iterable[list[str]]:
    try:
        yield from csv.reader(text.splitlines())
    except csv.Error:
        raise unexpected(question) from None


def _values(rows: list[_Row], question: Question) -> Iterator[float]:
    """Return the newest value of a table; all of them where its rows have no time."""
    if not all(_VALUE in row for row in rows):
        raise ProviderError(
            f"{question.place} gives a table without the column {_VALUE}; let the query keep it, "
            "or rename() another one to it"
        )
    if not all(row.get("_time") for row in rows):
        found = rows
    else:
        whole = _whole(rows, question)
        found = [row for _, row in whole if _is_number(row[_VALUE], question)][-1:]
    yield from (float(row[_VALUE]) for row in found if _is_number(row[_VALUE], question))


def _whole(rows: list[_Row], question: Question) -> list[tuple[datetime, _Row]]:
    """Return the rows by time without a last one that is cut short.

    The last window of aggregateWindow() ends with the range, wherever that is: then it is closer to
    the one before than they are to each other
    (https://docs.influxdata.com/flux/v0/stdlib/universe/aggregatewindow/).
    """
    try:
        timed = sorted(((datetime.fromisoformat(row["_time"]), row) for row in rows), key=_time)
    except (ValueError, TypeError):
        raise unexpected(question) from None
    times = [time for time, _ in timed]
    gaps = [later - former for former, later in pairwise(times)]
    between = gaps[1:-1]  # The first may be cut too.
    regular = len(between) > 1 and len(set(between)) == 1
    return timed[:-1] if regular and gaps[-1] < between[0] else timed


def _time(timed: tuple[datetime, _Row]) -> datetime:
    return timed[0]


def _is_number(text: str, question: Question) -> bool:
    """Tell whether a cell has a number; an empty one is null, and NaN says nothing either."""
    if not text:
        return False
    try:
        number = float(text)
    except ValueError:
        raise ProviderError(
            f"{question.place} gives the text {text[:60]!r} for the query, where one number is "
            "needed; let it aggregate a field of numbers"
        ) from None
    return not math.isnan(number)
