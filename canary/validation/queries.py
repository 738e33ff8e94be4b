"""The text of a query: whether it renders, and whether a Prometheus could read what comes of it.

A MetricTemplate does not know its variables. In a string each stands for a string, so that whether
the query parses does not depend on it. Elsewhere it may be a word, a number, a duration or the name
of a function: by what stands around it one is tried, and what parses with none is only doubted.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from canary.contract import CANARY_SUFFIX
from canary.counting.errors import NotCounts, NotPromql
from canary.counting.expressions import parsed
from canary.model.names import canary_name
from canary.queries.sides import sides
from canary.queries.templates import TemplateError, TemplateValues, render
from canary.validation.verdict import Terms, Unparsed, Verdict

_TARGET: Final = "target"
"""What the app of a template is called that any app may use."""
_UNKNOWN: Final = "headgate_unknown"
"""Stands for a variable whose value is not known."""
_VARIABLES: Final = re.compile(r"variables\.(\w+)")
_TEXTS: Final = re.compile(
    r"""'(?:\\.|[^'\\])*+'|"(?:\\.|[^"\\])*+"|`[^`]*+`|\#[^\n]*+""", re.DOTALL
)
"""Strings and comments of PromQL."""
_DURATION: Final = re.compile(rf"(?<=\[)\s*{_UNKNOWN}|(?<=:)\s*{_UNKNOWN}|\boffset\s+{_UNKNOWN}")
_FUNCTION: Final = re.compile(rf"{_UNKNOWN}(?=\s*(?:\(|by\b|without\b))")
_OTHERS: Final = ("x", "1")
"""A metric or label, and a number."""
_DIALECT: Final = (
    "if your metrics server reads it all the same, ask the admin for HEADGATE_UNPARSED_QUERIES: "
    f"{Unparsed.WARN}"
)


@dataclass(frozen=True, slots=True)
class _Text:
    """A query with nothing in it that depends on variables, and whether it is what is asked."""

    query: str
    sure: bool = True


def of_canary(template: str, canary: TemplateValues, stable: TemplateValues) -> Verdict:
    """Judge a query whose every value is known, as the analyzer does when a run starts.

    Args:
        template: the query, with its actions.
        canary: what they stand for, for the canary.
        stable: the same for the stable.

    """
    try:
        found = sides(template, canary, stable)
    except TemplateError as error:
        return Verdict(refused=(str(error),))
    return Verdict(warnings=(found.note,) if found.note else ())


def parses(template: str, values: TemplateValues, terms: Terms) -> Verdict:
    """Judge whether a query renders to PromQL.

    Args:
        template: the query, with its actions.
        values: what they stand for.
        terms: the admin's.

    """
    try:
        text = render(template, values)
    except TemplateError as error:
        return Verdict(refused=(str(error),))
    return _judged((_Text(text),), terms)


def of_template(template: str, terms: Terms, *, promql: bool) -> Verdict:
    """Judge a query that any Canary may use, with values of its own.

    Args:
        template: the query, with its actions.
        terms: the admin's.
        promql: whether it is in the language of Prometheus.

    """
    canary = _nominal(template, canary_name(_TARGET))
    try:
        text = render(template, canary)
    except TemplateError as error:
        return Verdict(refused=(str(error),))
    if not promql:
        return Verdict()
    found = _judged(tuple(_texts(text)), terms)
    if found.refused or found.warnings:
        return found
    return Verdict(warnings=tuple(_doubts(template, canary)))


def _doubts(template: str, canary: TemplateValues) -> Iterator[str]:
    """Say of a query that it may not read the canary of whoever uses it."""
    stable = replace(canary, workload=_TARGET, backend=_TARGET)
    try:
        found = sides(template, canary, stable)
    except TemplateError as error:
        yield f"of a Deployment that is called {_TARGET}, {error}"
        return
    # One may be for a single app and name it itself, or be read with its variables only.
    if found.note and CANARY_SUFFIX not in found.canary:
        yield found.note


def _nominal(template: str, workload: str) -> TemplateValues:
    return TemplateValues(
        name=_TARGET,
        namespace="namespace",
        workload=workload,
        baseline=_TARGET,
        service=_TARGET,
        backend=workload,
        ingress=_UNKNOWN,
        route=_UNKNOWN,
        interval=timedelta(minutes=1),
        variables=dict.fromkeys(_VARIABLES.findall(template), _UNKNOWN),
    )


def _texts(text: str) -> Iterator[_Text]:
    """Yield what a query may be, with values in place of those that are not known."""
    plain = _TEXTS.sub(lambda it: '"x"' if _is_unknown_string(it[0]) else it[0], text)
    if _UNKNOWN not in plain:
        yield _Text(plain)
        return
    fitted = _FUNCTION.sub("sum", _DURATION.sub(lambda it: _as_duration(it[0]), plain))
    yield from (_Text(fitted.replace(_UNKNOWN, other), sure=False) for other in _OTHERS)


def _is_unknown_string(text: str) -> bool:
    return _UNKNOWN in text and not text.startswith("#")


def _as_duration(text: str) -> str:
    return text.replace(_UNKNOWN, "1m")


def _judged(texts: tuple[_Text, ...], terms: Terms) -> Verdict:
    """Judge a query by what it may be; it is taken if one of these can be read."""
    error = None
    for text in texts:
        try:
            parsed(text.query)
        except NotPromql as found:
            error = error or found
        except NotCounts:  # too much of it, or too new, to be told
            return Verdict()
        else:
            return Verdict()
    if error is None:
        return Verdict()
    if texts[0].sure and terms.unparsed is Unparsed.REFUSE:
        return Verdict(refused=(f"{error}; {_DIALECT}",))
    return Verdict(warnings=(str(error),))
