"""Metrics from Dynatrace, by its metrics API v2.

https://docs.dynatrace.com/docs/dynatrace-api/environment-api/metric-v2/get-data-points has the
form: a result for each metric of the selector, in it an object for each series, with `values`. With
the resolution Inf each series has one value for all the time that is asked for.
"""

import math
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Final

from analyzer.fetching import Fetcher, Question, base_url, credentials, unexpected
from canary.queries.points import number_of, window_of
from canary.queries.provider import ProviderSpec

SERVICE: Final = "Dynatrace"
_MILLISECONDS: Final = 1000


class DynatraceProvider:
    """Asks Dynatrace.

    Args:
        fetcher: carries the questions.

    """

    def __init__(self, fetcher: Fetcher) -> None:
        self._fetcher = fetcher

    async def query(self, spec: ProviderSpec, query: str, interval: timedelta) -> tuple[float, ...]:
        """Return the value of every series over the last ten intervals.

        Args:
            spec: `address` of the environment; `secret` with `dynatrace_token`.
            query: a metric selector.
            interval: of the metric.

        Raises:
            ProviderError: there is no answer to be had; the message says why.

        """
        base = base_url(SERVICE, spec, example="https://abc12345.live.dynatrace.com")
        (token,) = credentials(SERVICE, spec, "dynatrace_token")
        now = self._fetcher.now()
        asked = {
            "metricSelector": query.strip(),
            "resolution": "Inf",
            "from": _milliseconds(now.timestamp() - window_of(interval).total_seconds()),
            "to": _milliseconds(now.timestamp()),
        }
        question = Question(
            service=SERVICE,
            spec=spec,
            url=(base / "api/v2/metrics/query").with_query(asked),
            headers={"Authorization": f"Api-Token {token}", "Accept": "application/json"},
            complaint=lambda said: str(said["error"]["message"]),
        )
        match await self._fetcher.json(question):
            case {"result": list(results)}:
                return tuple(it for one in results for it in _values(one, question))
            case _:
                raise unexpected(question)


def _milliseconds(seconds: float) -> str:
    return str(int(seconds * _MILLISECONDS))


def _values(result: Any, question: Question) -> Iterator[float]:
    match result:
        case {"data": list(series)}:
            for one in series:
                yield from _newest(one, question)
        case _:
            raise unexpected(question)


def _newest(series: Any, question: Question) -> Iterator[float]:
    """Return the last value of a series; the API sorts them by time."""
    match series:
        case {"values": list(values)}:
            numbers = [number_of(it) for it in values if it is not None]
        case _:
            raise unexpected(question)
    known = [it for it in numbers if it is not None]
    if len(known) < len(numbers):
        raise unexpected(question)
    yield from [it for it in known if not math.isnan(it)][-1:]
