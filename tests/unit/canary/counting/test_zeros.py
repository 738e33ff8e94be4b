"""An empty sum is 0 only where its condition is known to mean something."""

import re

import promql_parser as promql
import pytest

from canary.counting.rewriting import as_text
from canary.counting.zeros import completed

PODS = 'pod=~"web-canary-.+"'


def same(query: str) -> str:
    """Write a query as the parser does: conditions in order, one line."""
    return as_text(promql.parse(query)).replace(" ", "")


@pytest.mark.parametrize(
    ("query", "errors", "requests"),
    [
        (
            "E / sum(rate(a{P}[1m])) * 100",
            'sum(rate(a{P,status="503"}[1m]))',
            'sum(rate(a{P,status!=""}[1m]))',
        ),
        (
            "100 - E / sum(rate(a{P}[1m])) * 100",
            'sum(rate(a{P,code!~"5.."}[1m]))',
            'sum(rate(a{P,code!=""}[1m]))',
        ),
        ("E", 'sum(rate(a{P,status=~"5.."}[1m]))', 'sum(rate(a{P,status!=""}[1m]))'),
        (
            'E / sum(increase(a{P,m="got"}[1m]))',
            'sum(increase(a{P,m="got",s="500"}[1m] offset 5m))',
            'sum(increase(a{P,m="got",s!=""}[1m] offset 5m))',
        ),
        (
            "E / sum by (app) (rate(a{P}[1m]))",
            'sum by (app) (rate(a{P,status=~"5.."}[1m]))',
            'sum by (app) (rate(a{P,status!=""}[1m]))',
        ),
        ("E / sum(a{P})", 'sum(a{P,s="500"})', 'sum(a{P,s!=""})'),
        (
            "E",
            'sum(rate(b{cluster_name="prod_web-canary_80",code="500"}[1m]))',
            'sum(rate(b{cluster_name="prod_web-canary_80",code!=""}[1m]))',
        ),
    ],
    ids=["a ratio", "the good", "no ratio", "windows and more", "by app", "raw", "a gateway"],
)
def test_a_sum_of_errors_falls_back_to_0_where_requests_carry_its_label(
    query: str, errors: str, requests: str
) -> None:
    asked = query.replace("E", errors).replace("P", PODS)
    zero = f"0 * ({requests} > 0)"
    if "[" in errors:
        selector = re.search(r"[ab]\{.*\}|offset 5m", errors)
        assert selector is not None
        offset = " offset 5m" if "offset" in errors else ""
        zero = f"({zero} unless on () count({selector.group()}{offset}))"
    filled = query.replace("E", f"({errors} or {zero})").replace("P", PODS)
    found = completed(asked, ["web-canary", "web"])
    assert found is not None
    assert same(found.query) == same(filled)


@pytest.mark.parametrize(
    "query",
    [
        "sum(rate(errors{P}[1m])) / sum(rate(requests{P}[1m]))",
        'sum by (pod) (rate(a{P,status="503"}[1m])) / sum by (pod) (rate(a{P}[1m]))',
        'sum by (app, status) (rate(a{P,status="503"}[1m])) / sum by (app) (rate(a{P}[1m]))',
        "histogram_quantile(0.99, sum by (le) (rate(a_bucket{P}[1m])))",
        'avg(a{P,status="503"})',
        'sum(rate(a{namespace="prod",P,le="0.5",job="x"}[1m]))',
    ],
    ids=[
        "of their own",
        "by pods",
        "by what is asked for",
        "a quantile",
        "a mean",
        "none on errors",
    ],
)
def test_what_has_no_condition_on_errors_stays_empty(query: str) -> None:
    asked = query.replace("P", PODS)
    found = completed(asked)
    assert found is not None
    assert same(found.query) == same(asked)
    assert not any(one.labels for one in found.sums)


def test_what_is_left_out_is_told_with_its_metric_and_labels() -> None:
    found = completed(f'sum(rate(a{{{PODS},stauts="5\\"00"}}[1m])) / sum(rate(a{{{PODS}}}[1m]))')
    assert found is not None
    (errors, requests) = found.sums
    assert (errors.metric, errors.labels) == ("a", ("stauts",))
    assert errors.condition == 'stauts="5\\"00"'
    assert errors.requests == f"sum(rate(a{{{PODS}}}[1m]))"
    assert same(errors.seen) == same(f'count(a{{{PODS},stauts="5\\"00"}})')
    assert (requests.labels, requests.condition) == ((), "")


@pytest.mark.parametrize("query", ["sum(rate(", "SELECT 1", 'a{x=~"("}', "sum(" * 300])
def test_what_cannot_be_read_is_left_alone(query: str) -> None:
    assert completed(query) is None
