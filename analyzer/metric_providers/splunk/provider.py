"""Metrics from Splunk Observability Cloud: a SignalFlow program, executed over the last minutes."""

from datetime import timedelta

from analyzer.fetching import Fetcher, unexpected
from analyzer.metric_providers.splunk.request import execution
from analyzer.metric_providers.splunk.stream import points_of
from canary.queries.points import at_newest, window_of
from canary.queries.provider import ProviderSpec


class Splunk:
    """Executes SignalFlow.

    Args:
        fetcher: sends the requests.

    """

    def __init__(self, fetcher: Fetcher) -> None:
        self._fetcher = fetcher

    async def query(self, spec: ProviderSpec, query: str, interval: timedelta) -> tuple[float, ...]:
        """Return the newest values of what a program publishes.

        Args:
            spec: as for `request.execution`.
            query: SignalFlow that publishes one stream.
            interval: the metric's.

        Raises:
            ProviderError: there is no answer to be had.

        """
        now = self._fetcher.now()
        question = execution(spec, query, interval, now)
        text = await self._fetcher.text(question)
        try:
            points = points_of(text)
        except ValueError:
            raise unexpected(question) from None
        return at_newest(points, now=now, window=window_of(interval))
