"""Selectors pick what Prometheus picks, and merging them loses nothing."""

import promql_parser as promql
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from canary.counting.selectors import raw
from canary.counting.series import TARGET_LABELS, Matcher, SeriesSelector, merged


def selector(name: str, *conditions: tuple[str, str, str]) -> SeriesSelector:
    written = [Matcher(label=label, op=op, value=value) for label, op, value in conditions]
    return SeriesSelector(matchers=(Matcher(label="__name__", op="=", value=name), *written))


def picked(query: str, labels: dict[str, str]) -> bool:
    """Say whether a query of selectors, joined with `or`, picks a series."""

    def picks(expression: promql.Expr) -> bool:
        if isinstance(expression, promql.BinaryExpr):
            return picks(expression.lhs) or picks(expression.rhs)
        assert isinstance(expression, promql.VectorSelector)
        return next(iter(raw(expression).terms)).accepts(labels)

    return picks(promql.parse(query))


@pytest.mark.parametrize(
    ("condition", "labels", "accepted"),
    [
        (("s", "=", "200"), {"s": "200"}, True),
        (("s", "=", "200"), {"s": "500"}, False),
        (("s", "=", ""), {}, True),
        (("s", "!=", ""), {}, False),
        (("s", "!=", "500"), {}, True),
        (("s", "=~", "5.."), {"s": "500"}, True),
        (("s", "=~", "5."), {"s": "500"}, False),
        (("s", "!~", "5.."), {}, True),
        (("s", "=~", ".+"), {}, False),
        (("le", "=", "1.0"), {"le": "1"}, True),
        (("le", "=", "+Inf"), {"le": "+Inf"}, True),
        (("le", "=", "+Inf"), {"le": "1"}, False),
        (("le", "!=", "0.50"), {"le": "0.5"}, False),
        (("x", "=", "1.0"), {"x": "1"}, False),
    ],
)
def test_accepts(condition: tuple[str, str, str], labels: dict[str, str], accepted: bool) -> None:  # noqa: FBT001 - a column
    one = selector("a_total", condition)
    assert one.accepts({"__name__": "a_total", **labels}) is accepted
    assert not one.accepts({"__name__": "b_total", **labels})


@pytest.mark.parametrize("op", ["=~", "!~"])
@pytest.mark.parametrize(
    ("pattern", "value"), [("a.*", "a" * 2000), ("(?:a?b?c?d?){500}", "ab" * 50)]
)
def test_what_would_take_long_is_not_picked(op: str, pattern: str, value: str) -> None:
    one = selector("a_total", ("s", op, pattern))
    assert not one.accepts({"__name__": "a_total", "s": value})


def test_the_names_of_hundreds_of_pods_are_picked() -> None:
    names = [f"web-canary-5d9f7c8b9d-{i:05}" for i in range(300)]
    named = f"web-canary-5d9f7c8b9d-(?:{'|'.join(name[-5:] for name in names)})"
    one = selector("a_total", ("pod", "=~", named))
    assert all(one.accepts({"__name__": "a_total", "pod": name}) for name in names)


def test_a_server_is_asked_in_parts_that_it_can_take() -> None:
    many = [selector("a_total", ("pod", "=", f"web-{i:060}")) for i in range(1200)]
    many += [selector("a_total", ("pod", "=~", f"x{i}.{{900}}")) for i in range(30)]
    many += [selector("a_total", ("pod", "=~", f"(?P<n>x{i})"), ("s", "=~", "5..")) for i in "ab"]
    queries = merged(many)
    assert 1 < len(queries) < 10
    assert all(len(query) <= 65_536 for query in queries)
    for i in (0, 600, 1199):
        labels = {"__name__": "a_total", "pod": f"web-{i:060}"}
        assert sum(picked(query, labels) for query in queries) == 1


def test_labels_that_prometheus_adds_are_satisfied_where_they_are_missing() -> None:
    one = selector("a_total", ("pod", "=~", "web-.+"), ("namespace", "!=", ""), ("s", "=", "5"))
    page = {"__name__": "a_total", "s": "5"}
    assert not one.accepts(page)
    assert one.accepts(page, given=TARGET_LABELS)
    assert not one.accepts({**page, "pod": "api-1"}, given=TARGET_LABELS)
    assert not one.accepts({"__name__": "a_total"}, given=TARGET_LABELS)


def test_target_labels_are_none_by_which_answers_differ() -> None:
    assert {"namespace", "pod", "kubernetes_pod_name", "job", "instance"} <= TARGET_LABELS
    assert not TARGET_LABELS & {
        "__name__", "le", "quantile", "status", "status_code", "code", "response_code", "method",
        "path", "route", "handler", "classification", "envoy_cluster_name", "envoy_response_code",
        "envoy_response_code_class", "reporter", "direction", "type", "result", "error",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("one", "written"),
    [
        (selector("a"), "a"),
        (selector("a", ("x", "=", 'q"b\\s\n')), r'a{x="q\"b\\s\n"}'),
        (selector("a", ("x.y", "=~", r"\d")), r'a{"x.y"=~"\\d"}'),
        (selector("a.b", ("x", "!~", "é")), '{__name__="a.b",x!~"é"}'),
    ],
)
def test_is_written_as_promql(one: SeriesSelector, written: str) -> None:
    assert str(one) == written
    promql.parse(written)


@pytest.mark.parametrize(
    ("selectors", "queries"),
    [
        ([selector("a"), selector("b"), selector("a")], ("a", "b")),
        ([selector("a", ("s", "=", "1")), selector("a")], ("a",)),
        (
            [selector("a", ("p", "=", "w.1")), selector("a", ("p", "=~", "x|y"))],
            (r'a{p=~"w\\.1|(?:x|y)"}',),
        ),
        (
            [selector("a", ("p", "=", "1"), ("q", "=", "2")), selector("a", ("q", "=", "2"))],
            ('a{q="2"}',),
        ),
        (
            [selector("a", ("p", "=", "1")), selector("a", ("q", "=", "1"))],
            ('a{p="1"} or a{q="1"}',),
        ),
        (
            [selector("a", ("p", "=", "1"), ("p", "!=", "2")), selector("a", ("p", "=", "1"))],
            ('a{p="1"}',),
        ),
        (
            [selector("a", ("p", "!~", "1")), selector("a", ("p", "!~", "2"))],
            ('a{p!~"1"} or a{p!~"2"}',),
        ),
        ([], ()),
    ],
)
def test_merged(selectors: list[SeriesSelector], queries: tuple[str, ...]) -> None:
    assert merged(selectors) == queries
    assert merged(reversed(selectors)) == queries


_VALUES = st.sampled_from(["", "a", "b", 'q"', "\\", "a.", "\n"])
_LITERAL = st.tuples(st.sampled_from(["p", "q"]), st.sampled_from(["=", "!="]), _VALUES)
_REGEX = st.tuples(
    st.sampled_from(["p", "q"]), st.sampled_from(["=~", "!~"]), st.sampled_from(["a|b", ".+", "a."])
)
_SELECTORS = st.builds(
    lambda name, conditions: selector(name, *conditions),
    st.sampled_from(["x_total", "y_total"]),
    st.lists(_LITERAL | _REGEX, max_size=3),
)


@given(
    selectors=st.lists(_SELECTORS, min_size=1, max_size=4),
    labels=st.fixed_dictionaries({"p": _VALUES, "q": _VALUES}),
)
def test_merged_fetches_at_least_what_each_selector_picks(
    selectors: list[SeriesSelector], labels: dict[str, str]
) -> None:
    queries = merged(selectors)
    assert len(queries) == len({one.name for one in selectors})
    for name in ("x_total", "y_total"):
        series = {"__name__": name, **labels}
        if any(one.accepts(series) for one in selectors):
            assert any(picked(query, series) for query in queries)


@given(
    selectors=st.lists(_SELECTORS, min_size=1, max_size=6),
    position=st.integers(0, 5),
    more=_LITERAL | _REGEX,
)
def test_a_selector_that_another_covers_changes_no_query(
    selectors: list[SeriesSelector], position: int, more: tuple[str, str, str]
) -> None:
    wider = selectors[position % len(selectors)]
    label, op, value = more
    condition = Matcher(label=label, op=op, value=value)
    narrower = SeriesSelector(matchers=(*wider.matchers, condition))
    assume(not narrower.covers(wider))
    assert merged([*selectors, narrower]) == merged(selectors)
