"""Metrics from Datadog, by the time series query of its API v1.

https://docs.datadoghq.com/api/latest/metrics/#query-timeseries-data-across-multiple-products has
the form: a series has points `[milliseconds, value]`, each the beginning of a bucket of `interval`
seconds, and null for a bucket without data.
"""

from datetime import timedelta
from typing import Any, Final

from analyzer.fetching import Fetcher, Question, base_url, credentials, unexpected
from analyzer.ports import ProviderError
from canary.queries.points import IncompleteError, newest, number_of, window_of
from canary.queries.provider import ProviderSpec

SERVICE: Final = "Datadog"
_DEFAULT: Final = "https://api.datadoghq.com"
_MILLISECONDS: Final = 1000


class DatadogProvider:
    """Asks Datadog.

    Args:
        fetcher: carries the questions.

    """

    def __init__(self, fetcher: Fetcher) -> None:
        self._fetcher = fetcher

    async def query(self, spec: ProviderSpec, query: str, interval: timedelta) -> tuple[float, ...]:
        """Return the newest complete point of every series of the last ten intervals.

        Args:
            spec: `address` of another site than the US1; `secret` with `datadog_api_key` and
                `datadog_application_key`.
            query: Datadog's, such as `avg:system.load.1{app:web}`.
            interval: of the metric.

        Raises:
            ProviderError: there is no answer to be had; the message says why.

        """
        base = base_url(SERVICE, spec, default=_DEFAULT, example="https://api.datadoghq.eu")
        api_key, application_key = credentials(
            SERVICE, spec, "datadog_api_key", "datadog_application_key"
        )
        now, window = self._fetcher.now(), window_of(interval)
        asked = {
            "query": query,
            "from": str(int((now - window).timestamp())),
            "to": str(int(now.timestamp())),
        }
        question = Question(
            service=SERVICE,
            spec=spec,
            url=(base / "api/v1/query").with_query(asked),
            headers={"DD-API-KEY": api_key, "DD-APPLICATION-KEY": application_key},
            complaint=lambda said: "; ".join(said["errors"]),
            rest_header="X-RateLimit-Reset",
        )
        match await self._fetcher.json(question):
            case {"status": "error", "error": str(error)}:
                raise ProviderError(f"{question.place} refuses the query: {error[:256]}; mend it")
            case {"series": list(series)}:
                pass
            case _:
                raise unexpected(question)
        try:
            found = [
                newest(_points(one, question), now=now, window=window, lasts=_lasts(one))
                for one in series
            ]
        except IncompleteError as error:
            raise ProviderError(f"{question.place}: {error}") from None
        return tuple(value for value in found if value is not None)


def _points(series: Any, question: Question) -> list[tuple[float, float | None]]:
    match series:
        case {"pointlist": list(points)}:
            return [_point(it, question) for it in points]
        case _:
            raise unexpected(question)


def _point(point: Any, question: Question) -> tuple[float, float | None]:
    match point:
        case [float() | int() as time, None | float() | int() as value]:
            return time / _MILLISECONDS, number_of(value)
        case _:
            raise unexpected(question)


def _lasts(series: Any) -> float:
    lasts = number_of(series.get("interval")) if isinstance(series, dict) else None
    return lasts or 0.0
