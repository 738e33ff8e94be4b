"""Metrics from New Relic, by its Insights query API, as Flagger asks it.

https://docs.newrelic.com/docs/apis/insights-apis/query-insights-event-data-api/ has the form: each
function of a SELECT is one object in `results`, with FACET one list of them for each facet.
"""

import math
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Final

from analyzer.fetching import Fetcher, Question, base_url, credentials, unexpected
from analyzer.ports import ProviderError
from canary.queries.points import number_of
from canary.queries.provider import ProviderSpec

SERVICE: Final = "New Relic"
_DEFAULT: Final = "https://insights-api.newrelic.com"
_ACCOUNT: Final = re.compile(r"[0-9]+", re.ASCII)
_STRINGS: Final = re.compile(r"'(?:\\.|[^'\\])*+'|\"(?:\\.|[^\"\\])*+\"|`[^`]*+`", re.DOTALL)
_SINCE: Final = re.compile(r"\bSINCE\b", re.IGNORECASE)


class NewRelicProvider:
    """Asks New Relic.

    Args:
        fetcher: carries the questions.

    """

    def __init__(self, fetcher: Fetcher) -> None:
        self._fetcher = fetcher

    async def query(self, spec: ProviderSpec, query: str, interval: timedelta) -> tuple[float, ...]:
        """Return every number of the result, over the metric's interval.

        Args:
            spec: `address` of another region than the US; `secret` with `newrelic_account_id` and
                `newrelic_query_key`.
            query: NRQL; without a SINCE of its own it gets the interval as its time.
            interval: of the metric.

        Raises:
            ProviderError: there is no answer to be had; the message says why.

        """
        example = "https://insights-api.eu.newrelic.com"
        base = base_url(SERVICE, spec, default=_DEFAULT, example=example)
        account, key = credentials(SERVICE, spec, "newrelic_account_id", "newrelic_query_key")
        if not _ACCOUNT.fullmatch(account):
            raise ProviderError(
                "newrelic_account_id in the provider's Secret is no number; write the account's id "
                "there"
            )
        question = Question(
            service=SERVICE,
            spec=spec,
            url=(base / "v1/accounts" / account / "query").with_query(
                {"nrql": _timed(query, interval)}
            ),
            headers={"X-Query-Key": key, "Accept": "application/json"},
            complaint=lambda said: str(said["error"]),
        )
        said = await self._fetcher.json(question)
        return tuple(_numbers(said, question))


def _timed(query: str, interval: timedelta) -> str:
    """Return the query with its time, unless it has one."""
    if _SINCE.search(_STRINGS.sub("", query)):
        return query
    return f"{query.rstrip()} SINCE {max(1, round(interval.total_seconds()))} seconds ago"


def _numbers(said: Any, question: Question) -> Iterator[float]:
    match said:
        case {"facets": list(facets)}:
            for facet in facets:
                yield from _numbers(facet, question)
        case {"timeSeries": _} | {"results": [{"events": _}, *_]}:
            raise ProviderError(
                f"{question.place} gives points in time or events for the query, where one number "
                "is needed; leave TIMESERIES out of it, and wrap attributes in average() or such"
            )
        case {"results": list(results)}:
            for one in results:
                yield from _of_function(one, question)
        case _:
            raise unexpected(question)


def _of_function(result: Any, question: Question) -> Iterator[float]:
    """Return what a function gives: one number, or one for each percentile; null is no data."""
    if not isinstance(result, dict):
        raise unexpected(question)
    for value in result.values():
        if value is None:
            continue
        if isinstance(value, dict):
            yield from _of_function(value, question)
        elif (number := number_of(value)) is None:
            raise ProviderError(
                f"{question.place} gives something else than a number for the query, where one is "
                "needed; SELECT one function, such as percentage() or average()"
            )
        elif not math.isnan(number):
            yield number
