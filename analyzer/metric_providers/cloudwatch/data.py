"""Metrics of CloudWatch as GetMetricData takes and gives them.

Form: https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricData.html
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from analyzer.ports import ProviderError
from canary.durations import format_duration
from canary.queries.points import INTERVALS, Points, at_newest, number_of, window_of

_MOST_QUERIES: Final = 500
"""That one request may have."""
_MOST_POINTS: Final = 500
"""That are asked for; the newest come first, and only those count."""
_PERIOD: Final = 60
"""Seconds of a point whose query names no period."""
_LONGEST_PERIOD: Final = 86_400
_SHOWN: Final = 256
"""Characters of AWS' own words that a message quotes."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for: points of whole periods, the newest of which has ended.

    A point stands for a period from its time on, and is given where its time is before the end of
    what is asked for: so that is where a period ends, or the newest point would be of a part of
    one. `period` is in seconds, the longest of those that the query names.
    """

    queries: list[dict[str, Any]]
    period: int
    window: timedelta
    now: datetime

    def body(self) -> dict[str, Any]:
        """Return the JSON of the request."""
        now, seconds = self.now.timestamp(), self.window.total_seconds()
        return {
            "MetricDataQueries": self.queries,
            "StartTime": math.ceil((now - seconds) / self.period) * self.period,
            "EndTime": math.floor(now / self.period) * self.period,
            "ScanBy": "TimestampDescending",
            "MaxDatapoints": _MOST_POINTS,
        }

    def values(self, answer: object) -> tuple[float, ...]:
        """Return the values at the newest time at which the query has any.

        Of a search expression, which has a result for every series, all at that time.

        Args:
            answer: the parsed body.

        Raises:
            ProviderError: the answer is of several queries, or incomplete.
            ValueError: it has not the form of CloudWatch's answers.

        """
        try:
            points = _points(answer)
        except (ArithmeticError, AttributeError, LookupError, TypeError) as error:
            raise ValueError(answer) from error
        return at_newest(points, now=self.now, window=self.window, lasts=self.period)


def request_of(query: str, interval: timedelta, now: datetime) -> Request:
    """Read a query.

    Args:
        query: JSON, the list `MetricDataQueries`.
        interval: the metric's.
        now: with its time zone.

    Raises:
        ProviderError: the query is none, or no period of it fits into what it looks back.

    """
    queries = _queries(query)
    period = max(_periods(queries), default=_PERIOD)
    window = window_of(interval)
    # Of two in a row one lies in it as a whole, whenever it is asked.
    if window.total_seconds() < 2 * period:
        least = format_duration(timedelta(seconds=math.ceil(2 * period / INTERVALS)))
        raise ProviderError(
            f"the query's Period of {period}s needs a longer interval of the metric, which looks "
            f"back over {INTERVALS} of them: {least} at least"
        )
    return Request(queries, period, window, now)


def _queries(text: str) -> list[dict[str, Any]]:
    try:
        found = json.loads(text)
    except (RecursionError, ValueError) as error:
        raise ProviderError(
            f"the query is no JSON ({str(error)[:_SHOWN]}); write it as the list "
            "MetricDataQueries of GetMetricData"
        ) from error
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found) or not found:
        raise ProviderError(
            "the query is no list of objects; write it as the list MetricDataQueries of "
            "GetMetricData"
        )
    if len(found) > _MOST_QUERIES:
        raise ProviderError(f"the query has more than {_MOST_QUERIES} objects")
    return found


def _periods(queries: Sequence[Mapping[str, Any]]) -> Iterator[int]:
    """Yield the seconds that the points of each query stand for, where it names them."""
    for one in queries:
        stat = one.get("MetricStat")
        for period in (one.get("Period"), stat.get("Period") if isinstance(stat, dict) else None):
            if period is None:
                continue
            if type(period) is not int or not 0 < period <= _LONGEST_PERIOD:
                raise ProviderError(
                    f"a Period of the query is not between 1 and {_LONGEST_PERIOD} seconds"
                )
            yield period


def _points(answer: Any) -> Points:
    results = answer["MetricDataResults"]
    names = sorted({str(one["Id"]) for one in results})
    if len(names) > 1:
        raise ProviderError(
            f"the query has {len(names)} results ({', '.join(names)[:_SHOWN]}); set ReturnData to "
            "false in all but one of its objects"
        )
    points = Points()
    for one in results:
        _check(one)
        pairs = zip(one.get("Timestamps") or (), one.get("Values") or (), strict=True)
        points += [(float(at), number_of(value)) for at, value in pairs]
    return points


def _check(result: Mapping[str, Any]) -> None:
    """Say what keeps a result from being known.

    One with a part of its points is none of those: the newest come first.
    """
    status = result.get("StatusCode", "Complete")
    partly = status == "PartialData" and result.get("Values")
    if status == "Complete" or partly:
        return
    said = "; ".join(str(one.get("Value", "")) for one in result.get("Messages") or ())
    raise ProviderError(
        f"CloudWatch gives no result for {str(result['Id'])[:_SHOWN]} ({str(status)[:_SHOWN]})"
        + (f": {said[:_SHOWN]}" if said else "")
    )
