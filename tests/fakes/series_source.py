"""A `SeriesSource` that asks nobody; verified by the contract tests of the real one."""

from analyzer.ports import ProviderError, ProviderSpec
from canary.counting.series import Series


class FakeSeriesSource:
    """Answers with the series that were set; none for a query that nothing was set for.

    `asked` holds each spec and query, in order.
    """

    def __init__(self) -> None:
        self.asked: list[tuple[ProviderSpec, str]] = []
        self._answers: dict[str, tuple[Series, ...] | ProviderError] = {}

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
