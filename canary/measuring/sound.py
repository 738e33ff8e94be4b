"""Values that no counter and no measure can have are no data, and said.

What a pod's page or a metrics server answers is a team's own: it may be no number, infinite, below
zero or beyond all counting. One such value among the evidence would spoil what is computed from it,
and what is stored of it.
"""

from collections.abc import Container, Mapping, Sequence
from typing import Final

from canary.counting.series import NAME, Series, named_in
from canary.evidence.counters import is_count

_MOST: Final = 1e100
"""Beyond it a measure's sums and squares could be infinite."""
MOST_SERIES: Final = 5_000
"""Of one pod's page, with the names of what is counted: each is held against every condition."""
_SHOWN: Final = 80
"""Characters of a metric's name that a message has room for."""


def is_measure(value: float) -> bool:
    """Tell whether a value is a number that can be computed with; it may be below zero."""
    return -_MOST <= value <= _MOST


def sound(series: Sequence[Series], pods: Container[str]) -> tuple[Sequence[Series], str]:
    """Return the series whose values are counts, and what is wrong with the others.

    Args:
        series: raw counters, of any pods.
        pods: whose counters a word is said of: others are not the run's own.

    """
    found = [one for one in series if is_count(one.value)]
    if len(found) == len(series):
        return series, ""
    odd = [one for one in series if not is_count(one.value) and named_in(one.labels, pods)]
    return found, _told(odd)


def sound_pages(
    pages: Mapping[str, Sequence[Series]],
) -> tuple[Mapping[str, Sequence[Series]], str]:
    """Return pods' pages with the series whose values are counts, and what is wrong with others.

    Args:
        pages: by the pod's name.

    """
    large = [name for name, page in pages.items() if len(page) > MOST_SERIES]
    said = ""
    if large:
        pages = {name: page for name, page in pages.items() if name not in large}
        said = f"{large[0]} shows more than {MOST_SERIES} series of what is counted; it is left out"
    odd = [one for page in pages.values() for one in page if not is_count(one.value)]
    if odd:
        pages = {name: [one for one in page if is_count(one.value)] for name, page in pages.items()}
    return pages, said or _told(odd)


def _told(odd: Sequence[Series]) -> str:
    if not odd:
        return ""
    name, value = odd[0].labels.get(NAME, "")[:_SHOWN], odd[0].value
    return f"{name} has the value {value:g}, which no counter can have; it is left out"
