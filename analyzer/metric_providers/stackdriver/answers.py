"""What Cloud Monitoring answers to a query in its query language (MQL).

Form: https://cloud.google.com/monitoring/api/ref_v3/rest/v3/projects.timeSeries/query
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from analyzer.ports import ProviderError
from canary.queries.points import Points

_FIELDS: Final = {"timeSeriesDescriptor", "timeSeriesData", "nextPageToken", "partialErrors"}
_SHOWN: Final = 256
"""Characters of Google's own words that a message quotes."""


def points_of(answer: object) -> Points:
    """Return the points of all series, each with the time of its end in seconds.

    Args:
        answer: the parsed body.

    Raises:
        ProviderError: it is incomplete, or has something else than numbers.
        ValueError: it has not the form of Cloud Monitoring's answers.

    """
    try:
        return list(_points(answer))
    except (ArithmeticError, AttributeError, LookupError, TypeError) as error:
        raise ValueError("no answer of Cloud Monitoring") from error


def _points(answer: Any) -> Iterator[tuple[float, float | None]]:
    if answer.keys() and not answer.keys() & _FIELDS:
        raise ValueError("an object of another service")
    if errors := answer.get("partialErrors"):
        said = str(errors[0].get("message", ""))[:_SHOWN]
        raise ProviderError(f"Google Cloud Monitoring has only a part of the answer: {said}")
    if answer.get("nextPageToken"):
        raise ProviderError(
            "the query has more series than are read of one; let it make one of all, with "
            "| group_by []"
        )
    for series in answer.get("timeSeriesData") or ():
        for point in series.get("pointData") or ():
            end = datetime.fromisoformat(point["timeInterval"]["endTime"])
            yield end.timestamp(), _number(point.get("values") or ())


def _number(values: Any) -> float | None:
    """Return a point's value, None for one without."""
    if len(values) > 1:
        raise ProviderError(
            f"the query has {len(values)} values for each point; let it end in one, with "
            "| value [name]"
        )
    typed: Mapping[str, Any] = values[0] if values else {}
    match dict(typed):
        case {"doubleValue": value} | {"int64Value": value} | {"boolValue": value}:
            return float(value)  # 64 bits come as a text, and so does what is no number
        case {"distributionValue": _}:
            raise ProviderError(
                "the query has a distribution for its value; let it make one number of it, with "
                "percentile() or mean()"
            )
        case {"stringValue": _}:
            raise ProviderError("the query has a text for its value; it has to be a number")
        case _:
            return None
