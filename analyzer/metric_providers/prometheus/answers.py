"""Values, series and histories from what Prometheus answers.

https://prometheus.io/docs/prometheus/latest/querying/api/#expression-query-result-formats has the
forms; the client library leaves the envelope away.
"""

import math
from collections.abc import Mapping
from typing import Any

from analyzer.metric_providers.prometheus.faults import SHOWN, not_prometheus
from analyzer.ports import ProviderError
from canary.counting.joining import part_of
from canary.counting.series import Series

Point = tuple[float, float]
"""Unix time in seconds, and the value then."""
History = tuple[tuple[Mapping[str, str], tuple[Point, ...]], ...]
"""Of each series its labels and points, oldest first."""


def values_of(result: Any, address: str) -> tuple[float, ...]:
    """Return the numbers of a result; those that are NaN say that there was nothing to measure.

    Raises:
        ProviderError: it is something else.

    """
    match result:
        case [float() | int(), str(number)]:
            found = [_number(number, address)]
        case list():
            found = [_number(_text(item, address), address) for item in result]
        case _:
            raise not_prometheus(address)
    return tuple(number for number in found if not math.isnan(number))


def numbers_of(
    result: Any, parts: int, address: str
) -> tuple[tuple[float, ...] | ProviderError, ...]:
    """Return the numbers of each of some queries that were asked in one, or what is wrong with it.

    Raises:
        ProviderError: the result is something else.

    """
    if not isinstance(result, list):
        raise not_prometheus(address)
    items: list[list[Any]] = [[] for _ in range(parts)]
    for item in result:
        at = part_of(_labels_of(item, address))
        if at is None or at >= parts:
            raise not_prometheus(address)
        items[at].append(item)
    return tuple(_numbers(own, address) for own in items)


def _labels_of(item: Any, address: str) -> dict[str, str]:
    match item:
        case {"metric": dict(labels)}:
            return _labels(labels)
        case _:
            raise not_prometheus(address)


def _numbers(items: list[Any], address: str) -> tuple[float, ...] | ProviderError:
    try:
        return values_of(items, address)
    except ProviderError as error:
        return error


def _text(item: Any, address: str) -> str:
    """Return the number of one series of a vector, as it is written."""
    match item:
        case {"value": [_, str(number)]}:
            return number
        case {"values": _}:
            raise ProviderError(
                f"Prometheus at {address} gives a range of values for the query, where one number "
                "is needed; wrap it in rate(), avg_over_time() or the like"
            )
        case {"histogram": _}:
            raise ProviderError(
                f"Prometheus at {address} gives a histogram for the query, where one number is "
                "needed; wrap it in histogram_quantile() or the like"
            )
        case _:
            raise not_prometheus(address)


def _number(text: str, address: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise ProviderError(
            f"Prometheus at {address} gives the text {text[:SHOWN]!r} for the query, where one "
            "number is needed"
        ) from error


def series_of(result: Any, address: str) -> tuple[Series, ...]:
    """Return every series of a vector.

    Raises:
        ProviderError: the result is something else.

    """
    if not isinstance(result, list):
        raise not_prometheus(address)
    return tuple(_one_series(it, address) for it in result)


def history_of(result: Any, address: str) -> History:
    """Return every series of a matrix.

    Raises:
        ProviderError: the result is something else.

    """
    if not isinstance(result, list):
        raise not_prometheus(address)
    return tuple(_one_history(it, address) for it in result)


def _one_series(item: Any, address: str) -> Series:
    match item:
        case {"metric": dict(labels), "value": [_, str(number)]}:
            return Series(_labels(labels), _float(number, address))
        case float() | int() | str():
            raise ProviderError(
                f"Prometheus at {address} gives a single value for the query, where series are "
                "needed; leave scalar() out of it"
            )
        case {"values": _}:
            raise ProviderError(
                f"Prometheus at {address} gives a range of values for the query, where each series "
                "needs one; leave the range, such as [1m], out of it"
            )
        case _:
            raise _unusable(item, address)


def _one_history(item: Any, address: str) -> tuple[Mapping[str, str], tuple[Point, ...]]:
    match item:
        case {"metric": dict(labels), "values": list(points)}:
            return _labels(labels), tuple(_point(it, address) for it in points)
        case _:
            raise _unusable(item, address)


def _point(point: Any, address: str) -> Point:
    match point:
        case [float() | int() as time, str(number)]:
            return float(time), _float(number, address)
        case _:
            raise not_prometheus(address)


def _labels(labels: dict[str, Any]) -> dict[str, str]:
    # They are texts wherever a Prometheus answers; what else may answer there is the team's choice.
    if all(type(value) is str for value in labels.values()):
        return labels
    return {name: str(value) for name, value in labels.items()}


def _float(text: str, address: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise not_prometheus(address) from error


def _unusable(item: Any, address: str) -> ProviderError:
    if isinstance(item, dict) and item.keys() & {"histogram", "histograms"}:
        return ProviderError(
            f"Prometheus at {address} gives a native histogram for the query, where counters are "
            "needed; wrap it in histogram_count() or the like, or query a classic histogram"
        )
    return not_prometheus(address)
