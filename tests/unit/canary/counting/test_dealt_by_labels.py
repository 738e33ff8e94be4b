"""Joined selectors: each gets the series that it picks alone, whatever the others pick."""

import re
from collections.abc import Mapping
from datetime import timedelta

import promql_parser as promql
import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.counting.dealing import Ranged, UndecidedError, dealt, joined, ranged, written
from canary.counting.series import NAME, Matcher, SeriesSelector

MINUTE = timedelta(minutes=1)
WORDS = ["", "web", "web-canary", "web-canary-1", "api", "api-1", "a.b", "axb"]
PATTERNS = [
    "web-.+",
    "web|api",
    "(web|api)-.*",
    "web-?.*",
    "a\\.b",
    "a.b",
    "",
    ".*",
    "webx*",
    "web",
]
LABELS = ["namespace", "pod", "code"]


@st.composite
def selectors(draw: st.DrawFn) -> SeriesSelector:
    """Return a selector of the metric, with conditions in any number and order."""

    def matcher() -> Matcher:
        op = draw(st.sampled_from(["=", "!=", "=~", "!~"]))
        value = draw(st.sampled_from(PATTERNS if op.endswith("~") else WORDS))
        return Matcher(label=draw(st.sampled_from(LABELS)), op=op, value=value)

    found = [matcher() for _ in range(draw(st.integers(0, 4)))]
    return SeriesSelector(matchers=(Matcher(label=NAME, op="=", value="a_total"), *found))


SERIES = st.fixed_dictionaries(
    {NAME: st.sampled_from(["a_total", "b_total"])},
    optional={label: st.sampled_from(WORDS[1:]) for label in LABELS},
)


def picks(query: str, labels: Mapping[str, str]) -> bool:
    """Tell what a Prometheus tells of a series, by what its parser reads of a query."""
    expression = promql.parse(query)
    assert isinstance(expression, promql.MatrixSelector)
    selector = expression.vector_selector
    conditions = [(it.name, str(it.op), it.value) for it in selector.matchers.matchers]
    if selector.name:
        conditions.append((NAME, str(promql.MatchOp.Equal), selector.name))
    return all(holds(op, value, labels.get(label, "")) for label, op, value in conditions)


def holds(op: str, wanted: str, value: str) -> bool:
    match op:
        case "MatchOp.Equal" | "=":
            return value == wanted
        case "MatchOp.NotEqual" | "!=":
            return value != wanted
        case "MatchOp.Re" | "=~":
            return re.fullmatch(wanted, value, re.DOTALL) is not None
        case "MatchOp.NotRe" | "!~":
            return re.fullmatch(wanted, value, re.DOTALL) is None
        case _:
            raise AssertionError(op)


@given(st.lists(selectors(), min_size=1, max_size=8), st.lists(SERIES, max_size=12))
def test_each_gets_what_it_picks_alone(
    given_: list[SeriesSelector], labels: list[dict[str, str]]
) -> None:
    stored = [(one, (at,)) for at, one in enumerate(labels)]
    groups: dict[object, list[Ranged]] = {}
    for selector in given_:
        one = Ranged(selector=selector, window=MINUTE)
        groups.setdefault(one.like, []).append(one)
    for alike in groups.values():
        answer = [one for one in stored if picks(joined(alike), one[0])]
        found = dealt(alike, answer)
        for one, own in zip(alike, found, strict=True):
            alone = written(one.selector, one.window)
            assert own == [it for it in stored if picks(alone, it[0])]


@given(selectors())
def test_what_is_written_is_read(selector: SeriesSelector) -> None:
    found = ranged(written(selector, MINUTE))
    assert found is not None
    assert set(found.selector.matchers) == set(selector.matchers)
    assert found.window == MINUTE


def test_those_that_differ_in_values_alone_are_one_query() -> None:
    queries = [
        f'a_total{{namespace="{name}",pod=~"{name}-canary-.+",pod!~"{name}-canary-x"}}[60000ms]'
        for name in ("api", "web")
    ]
    alike = [one for query in queries if (one := ranged(query)) is not None]
    assert len({one.like for one in alike}) == 1
    assert joined(alike) == (
        'a_total{namespace=~"api|web",pod=~"(?:api-canary-.+)|(?:web-canary-.+)"}[60000ms]'
    )


@pytest.mark.parametrize(
    "query",
    [
        "a_total",
        "rate(a_total[1m])",
        '{__name__=~"a.*"}[60000ms]',
        "a_total[60000ms] offset 5m",
        "a_total[60000ms:1000ms]",
        'a_total{x=~"("}[60000ms]',
        "no PromQL(",
    ],
)
def test_what_is_no_plain_selector_with_a_window_is_alone(query: str) -> None:
    assert ranged(query) is None


def test_whose_a_series_is_that_cannot_be_told_is_said() -> None:
    one = Ranged(
        selector=SeriesSelector(
            matchers=(
                Matcher(label=NAME, op="=", value="a_total"),
                Matcher(label="path", op="=~", value=".*x.*"),
            )
        ),
        window=MINUTE,
    )
    labels = {NAME: "a_total", "path": "y" * 5000}
    with pytest.raises(UndecidedError):
        dealt([one, one], [(labels, ())])
