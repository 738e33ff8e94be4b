"""Many queries in one: each is in it as it was written, and none reaches out of its own part."""

from collections.abc import Iterator
from itertools import pairwise

import promql_parser as promql
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from canary.counting.joining import (
    MOST_PARTS,
    PART,
    Joinable,
    joinable,
    joined,
    part_of,
    portions,
)

NAMES = st.sampled_from(["a_total", "b_total", "c_bucket", "d"])
VALUES = st.text(alphabet='web-.+|()[]\\"\n #', max_size=8)
NUMBERS = st.sampled_from(["1", "0.5", "100", "vector(0)", "scalar(vector(2))"])


def string(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


@st.composite
def counted(draw: st.DrawFn) -> str:
    """Return a sum of what a selector picks."""
    name, value = draw(NAMES), draw(VALUES)
    picked = f'{name}{{app="web",path={string(value)}}}'
    function = draw(st.sampled_from(["rate", "increase", "max_over_time", ""]))
    read = f"{function}({picked}[1m])" if function else picked
    return f"{draw(st.sampled_from(['sum', 'avg', 'count']))}({read})"


def operated(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    operators = st.sampled_from(["+", "-", "*", "/", ">", "> bool", "and", "or", "unless on ()"])
    return st.builds("({} {} {})".format, inner, operators, inner) | st.builds(
        "{}({})".format, st.sampled_from(["abs", "-", "sqrt", "round"]), inner
    )


QUERIES = st.recursive(counted(), operated, max_leaves=4)


def parts(query: str) -> Iterator[tuple[str, promql.Expr]]:
    """Return the parts of a query of several, as a parser finds them."""
    expression = promql.parse(query)

    def look(one: promql.Expr) -> Iterator[tuple[str, promql.Expr]]:
        match one:
            case promql.ParenExpr():
                yield from look(one.expr)
            case promql.BinaryExpr() if str(one.op) == "or":
                yield from look(one.lhs)
                yield from look(one.rhs)
            case promql.Call() if one.func.name == "label_replace":
                assert one.args[1].val == PART
                yield one.args[2].val, one.args[0]
            case _:
                raise AssertionError(one)

    yield from look(expression)


def written(expression: promql.Expr) -> str:
    return " ".join(expression.prettify().split())


@given(st.lists(QUERIES, min_size=1, max_size=12))
def test_each_is_in_it_as_it_was_written(queries: list[str]) -> None:
    found = [one for query in queries if (one := joinable(query)) is not None]
    if not found:
        return
    asked = list(parts(joined([one.text for one in found])))
    assert [at for at, _ in asked] == [str(at) for at in range(len(found))]
    for one, (_, expression) in zip(found, asked, strict=True):
        assert written(expression) == written(promql.parse(one.text))


@given(
    st.lists(
        st.sampled_from(
            [*"\"'`()[]{}#,\\\n", "sum(", 'a{x="1"}', " or ", "label_replace(", f'"{PART}"', "[1m]"]
        ),
        max_size=14,
    ).map("".join)
)
@example('sum(a{x="1"})) or (sum(b{x="1"})')
@example('sum(a{x="1"}) #')
@example('sum(a{x="\\"})) or sum(a{x=\\""})')
@example("sum(a{x='\"'})")
@example('sum(a{x="1"}),"x","","","") or label_replace(sum(a{x="2"})')
def test_none_reaches_out_of_its_own_part(query: str) -> None:
    found = joinable(query)
    if found is None:
        return
    other = joinable('sum(own{x="1"})')
    assert other is not None
    asked = list(parts(joined([other.text, found.text, other.text])))
    assert [at for at, _ in asked] == ["0", "1", "2"]
    assert [written(asked[at][1]) for at in (0, 2)] == ['(sum(own{x="1"}))'] * 2


@pytest.mark.parametrize(
    ("query", "families"),
    [
        ('sum(rate(a{x="1"}[1m]))', ("a",)),
        ('sum(rate(b{x=~"1"}[1m])) / sum(rate(a{x="1"}[15m])) > 0', ("a", "b")),
        ('100 * (sum(rate(a{x="1"}[1m])) or vector(0))', ("a",)),
        ('histogram_quantile(0.99, sum by (le) (rate(a_bucket{x="1"}[1m])))', ("a_bucket",)),
        ('sum(a{x="1"}) unless on () count(b{x="1"})', ("a", "b")),
        ('sum({__name__="a",x="1"} offset 5m)', ("a",)),
        ("sum(a{x='1'})", ("a",)),
    ],
)
def test_what_is_a_number_of_a_few_metrics_may_stand_beside_others(
    query: str, families: tuple[str, ...]
) -> None:
    found = joinable(query)
    assert found is not None
    assert found.families == families


@pytest.mark.parametrize(
    "query",
    [
        "1",
        "vector(1)",
        'a{x="1"}',
        'sum by (y) (a{x="1"})',
        'sum without (y) (a{x="1"})',
        'topk(1, a{x="1"})',
        'count_values("y", a{x="1"})',
        'sum(a{x="1"} * on (y) group_left b{x="1"})',
        'histogram_quantile(0.9, rate(a_bucket{x="1"}[1m]))',
        'histogram_quantile(0.9, sum by (le, y) (rate(a_bucket{x="1"}[1m])))',
        'max_over_time(sum(rate(a{x="1"}[1m]))[5m:])',
        'sum(label_replace(a{x="1"}, "y", "1", "", ""))',
        'sum(quantile_over_time(0.9, a{x="1"}[1m]))',
        'time() - sum(a{x="1"})',
        'absent(a{x="1"})',
    ],
)
def test_what_may_have_more_values_or_is_computed_of_pairs_is_alone(query: str) -> None:
    promql.parse(query)
    assert joinable(query) is None


@pytest.mark.parametrize(
    "query",
    [
        "sum(a)",
        'sum(a{x=""})',
        'sum(a{x!="1"})',
        'sum({__name__=~"a.*",x="1"})',
        'sum(rate(a{x="1"}[16m]))',
        'sum(rate(a{x="1"}[10m] offset 10m))',
        'sum(a{x="1"} @ 1767268800)',
        " + ".join(['sum(a{x="1"})'] * 9),
    ],
)
def test_what_may_be_much_to_read_is_alone(query: str) -> None:
    promql.parse(query)
    assert joinable(query) is None


@given(
    st.lists(st.integers(1, 50), max_size=40),
    st.integers(1, 100),
    st.integers(1, 10),
)
def test_portions_are_whole_in_order_and_within_their_bounds(
    weights: list[int], characters: int, most: int
) -> None:
    found = [list(it) for it in portions(weights, lambda it: it, characters=characters, most=most)]
    assert [weight for portion in found for weight in portion] == weights
    assert all(portion and len(portion) <= most for portion in found)
    assert all(sum(portion) <= characters or len(portion) == 1 for portion in found)
    for portion, after in pairwise(found):
        assert len(portion) == most or sum(portion) + after[0] > characters


@given(st.lists(st.integers(0, 400), min_size=1, max_size=MOST_PARTS))
def test_a_query_of_many_is_no_longer_than_they_weigh(lengths: list[int]) -> None:
    texts = [f"({'a' * length})" for length in lengths]
    whole = joined(texts)
    assert len(whole) <= sum(Joinable(text=text, families=()).size for text in texts)
    deepest = depth = 0
    for character in whole:
        depth += (character == "(") - (character == ")")
        deepest = max(deepest, depth)
    assert deepest <= 2 + len(texts).bit_length()


@pytest.mark.parametrize("text", ["", "-1", "1.0", "x", "²", "9999999999", " 1"])
def test_what_says_no_part_is_of_none(text: str) -> None:
    assert part_of({PART: text}) is None
    assert part_of({}) is None
