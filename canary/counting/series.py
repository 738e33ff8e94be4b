"""One series of raw counters, as a page of metrics or Prometheus gives it."""

from collections.abc import Mapping
from typing import NamedTuple


class Series(NamedTuple):
    """A series and its value now; the labels include `__name__`, and the value may be NaN."""

    labels: Mapping[str, str]
    value: float
