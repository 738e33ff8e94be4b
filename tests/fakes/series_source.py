"""A source of raw counters that asks nobody; verified by the contract tests of the real one."""

from datetime import datetime, timedelta

from analyzer.ports import ProviderError
from canary.counting.series import Series
from canary.measuring.history import Past
from canary.queries.provider import ProviderSpec


class FakeSeriesSource:
    """Answers with the series that were set; none for a query that nothing was set for.

    `asked` holds each spec and query, in order, `pasts` what a query's history and samples are.
    """

    def __init__(self) -> None:
        self.asked: list[tuple[ProviderSpec, str]] = []
        self._answers: dict[str, tuple[Series, ...] | ProviderError] = {}
        self.pasts: dict[str, tuple[Past, ...] | ProviderError] = {}

    def answer(self, query: str, answer: tuple[Series, ...] | ProviderError) -> None:
        """Set what a query answers from now on; an error is raised."""
        self._answers[query] = answer

    async def series(self, spec: ProviderSpec, query: str) -> tuple[Series, ...]:
        """Answer as a source does."""
        self.asked.append((spec, query))
        answer = self._answers.get(query, ())
        if isinstance(answer, ProviderError):
            raise answer
        return answer

    async def samples(self, spec: ProviderSpec, query: str) -> tuple[Past, ...]:
        """Answer as a source does."""
        self.asked.append((spec, query))
        answer = self.pasts.get(query, ())
        if isinstance(answer, ProviderError):
            raise answer
        return answer

    async def history(
        self,
        spec: ProviderSpec,
        query: str,
        *,
        start: datetime,
        end: datetime,
        step: timedelta,
    ) -> tuple[Past, ...]:
        """Answer as a source does."""
        del spec, start, end, step
        answer = self.pasts.get(query, ())
        if isinstance(answer, ProviderError):
            raise answer
        return answer
