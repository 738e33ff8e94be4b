"""Metrics from Graphite, by its render API.

https://graphite.readthedocs.io/en/stable/render_api.html has the form: a series has points
`[value, seconds]`, each the beginning of a step, with null where a step has no value.
"""

import base64
import re
from datetime import timedelta
from typing import Any, Final

from yarl import URL

from analyzer.fetching import Fetcher, Question, base_url, credentials, unexpected
from analyzer.ports import ProviderError
from canary.queries.points import IncompleteError, newest, number_of, step_of, window_of
from canary.queries.provider import ProviderSpec

SERVICE: Final = "Graphite"
_SPACE: Final = re.compile(r"\s+")


class GraphiteProvider:
    """Asks Graphite, and what speaks its render API (go-carbon's carbonapi, VictoriaMetrics).

    Args:
        fetcher: carries the questions.

    """

    def __init__(self, fetcher: Fetcher) -> None:
        self._fetcher = fetcher

    async def query(self, spec: ProviderSpec, query: str, interval: timedelta) -> tuple[float, ...]:
        """Return the newest complete point of every series.

        Args:
            spec: `address` with the path before `/render`, if there is one; `secret` with
                `username` and `password`, or empty.
            query: the query of a render URL: `target=...`, with `from` and `until` or, without
                `from`, over the last ten intervals.
            interval: of the metric.

        Raises:
            ProviderError: there is no answer to be had; the message says why.

        """
        base = base_url(SERVICE, spec, example="http://graphite.monitoring")
        window = window_of(interval)
        asked = _asked(query)
        timed = any(name == "from" for name, _ in asked)
        if not timed:
            asked.append(("from", f"-{max(1, round(window.total_seconds()))}s"))
        question = Question(
            service=SERVICE,
            spec=spec,
            url=(base / "render").with_query([*asked, ("format", "json")]),
            headers=_authorization(spec),
        )
        match await self._fetcher.json(question):
            case list(series):
                pass
            case _:
                raise unexpected(question)
        now, points = self._fetcher.now(), [_points(one, question) for one in series]
        try:
            # A time of the team's own is as long ago as the team wants it.
            found = [
                newest(one, now=now, window=None if timed else window, lasts=step_of(one))
                for one in points
            ]
        except IncompleteError as error:
            raise ProviderError(f"{question.place}: {error}") from None
        return tuple(value for value in found if value is not None)


def _asked(query: str) -> list[tuple[str, str]]:
    """Return the parameters of a query, which may stand on many lines; the form is ours to say.

    Raises:
        ProviderError: it has no target.

    """
    given = URL.build(query_string=_SPACE.sub(" ", query).strip()).query
    asked = [(name.strip(), value.strip()) for name, value in given.items()]
    asked = [(name, value) for name, value in asked if name != "format"]
    if not any(name == "target" and value for name, value in asked):
        raise ProviderError(
            "the query names no target for Graphite; write it as target=sumSeries(...), with "
            "&from=-5min if it is to look back further than ten intervals"
        )
    return asked


def _authorization(spec: ProviderSpec) -> dict[str, str]:
    if not spec.secret:
        return {}
    username, password = credentials(SERVICE, spec, "username", "password")
    pair = base64.b64encode(f"{username}:{password}".encode()).decode()
    return {"Authorization": f"Basic {pair}"}


def _points(series: Any, question: Question) -> list[tuple[float, float | None]]:
    match series:
        case {"datapoints": list(points)}:
            return [_point(it, question) for it in points]
        case _:
            raise unexpected(question)


def _point(point: Any, question: Question) -> tuple[float, float | None]:
    match point:
        case [None | float() | int() | str() as value, float() | int() as time]:
            return float(time), _value(value, question)
        case _:
            raise unexpected(question)


def _value(value: Any, question: Question) -> float | None:
    if not isinstance(value, str):
        return number_of(value)
    try:
        return float(value)
    except ValueError:
        raise unexpected(question) from None
