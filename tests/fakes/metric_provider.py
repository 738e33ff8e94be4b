"""A `MetricProvider` that asks nobody; verified by the contract tests of the real one."""

import math
from collections import deque
from datetime import timedelta

from analyzer.ports import ProviderError
from canary.queries.provider import ProviderSpec

Value = float | tuple[float, ...] | None | ProviderError


class FakeMetricProvider:
    """Answers with scripted values, the last one again and again; None without a script.

    `asked` holds each spec and query, in order, and `intervals` what they were asked with.
    """

    def __init__(self) -> None:
        self.asked: list[tuple[ProviderSpec, str]] = []
        self.intervals: list[timedelta] = []
        self._scripts: dict[str, deque[Value]] = {}

    def script(self, part: str, *values: Value) -> None:
        """Set what queries that contain `part` answer, in order; an error is raised.

        Of several scripts that fit a query, the one set last answers.
        """
        self._scripts.pop(part, None)
        self._scripts[part] = deque(values)

    async def query(self, spec: ProviderSpec, query: str, interval: timedelta) -> tuple[float, ...]:
        """Answer as a provider does."""
        self.intervals.append(interval)
        self.asked.append((spec, query))
        value = self._next(query)
        if isinstance(value, ProviderError):
            raise value
        found = value if isinstance(value, tuple) else () if value is None else (value,)
        return tuple(one for one in found if not math.isnan(one))

    def _next(self, query: str) -> Value:
        for part, script in reversed(self._scripts.items()):
            if part in query:
                return script.popleft() if len(script) > 1 else script[0]
        return None
