"""What cannot be read as counts says why."""

import pytest

from canary.counting.derive import NotCounts, derive

ALL = "sum(rate(http_total[1m]))"
BAD = 'sum(rate(http_total{status=~"5.."}[1m]))'
ERRORS = "sum(rate(errors_total[1m]))"
LE = "sum by (le) (rate(s_bucket[1m]))"


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("sum(rate(x[1m])", "no PromQL"),
        ("", "no PromQL"),
        (f"{BAD} / {ALL} " + " " * 5000, "more than 4096"),
        ("(" * 2000 + "a_total" + ")" * 2000, "more than 200"),
        ("# '\n" + "-" * 2000 + "a_total # '", "more than 200"),
        (" or ".join(["a"] * 400), "more than 200"),
        ("-" * 190 + "a_total", "one value per series"),
        ("1", "neither"),
        (ERRORS, "neither"),
        ("sum(up) / sum(http_total)", "up has no rate"),
        ("avg(rate(errors_total[1m])) / avg(rate(http_total[1m]))", "avg() of counters"),
        ("topk(1, rate(errors_total[1m]))", "topk() of counters"),
        ("rate(errors_total[1m]) / rate(http_total[1m])", "one value per series"),
        ("sum(rate(errors_total[1m]) / rate(http_total[1m]))", "one value per series"),
        (
            "sum by (pod) (rate(errors_total[1m])) / sum by (pod) (rate(http_total[1m]))",
            "one value per pod",
        ),
        (f"sum without (x) (rate(errors_total[1m])) / {ALL}", "one value per series"),
        (f"sum(rate(errors_total[1m] offset 5m)) / {ALL}", "another time"),
        (f"sum(rate(errors_total[1m] @ 5)) / {ALL}", "another time"),
        (f"max_over_time(({ERRORS} / {ALL})[5m:1m])", "max_over_time()"),
        (f"sum(rate(errors_total[5m:1m])) / {ALL}", "subquery"),
        ("sum(delta(errors_total[5m])) / sum(delta(http_total[5m]))", "delta()"),
        (f"round({ERRORS} / {ALL}, 0.1)", "round()"),
        (f"{ERRORS} / {ALL} > 0.5", "other than > 0"),
        (f"{ERRORS} / ({ALL} > 10)", "other than > 0"),
        (f"{ERRORS} / {ALL} > bool 0", "other than > 0"),
        (f"clamp_max({ERRORS} / {ALL}, 0.5)", "clamp cuts"),
        (f"{ERRORS} / clamp_min({ALL}, 1)", "clamp cuts"),
        (f"clamp_max({ERRORS}, 10) / {ALL}", "clamp cuts"),
        (f"{ERRORS} or vector(1)", "vector(0)"),
        (f"{ERRORS} or {ALL}", "vector(0)"),
        (f"{ERRORS} / {ALL} and sum(rate(other_total[1m])) > 0", "of the same ratio"),
        (f"{ERRORS} / {ALL} unless {ALL}", "operator unless"),
        (f"{ERRORS} ^ 2 / {ALL}", "operator ^"),
        (f"{ERRORS} * {ALL}", "multiplies counters"),
        (f"1 / ({ERRORS} / {ALL})", "no sum of counters"),
        (f"({ERRORS} / {ALL}) / ({BAD} / {ALL})", "no sum of counters"),
        (f"{ERRORS} / {ALL} / 0", "divides by zero"),
        (f"{ERRORS} / ({ALL} - {ALL})", "cancel out"),
        (f"{ERRORS} / -({ALL})", "no count of requests"),
        (f"({ERRORS} + 1) / {ALL}", "adds a number"),
        (f"{ERRORS} / {ALL} + {BAD} / {ERRORS}", "common denominator"),
        (f"{ERRORS} / {ALL} * NaN", "nan"),
        (f"{ALL} / {ALL}", "always the same"),
        (f"0 * {ERRORS} / {ALL}", "always the same"),
        (f"({ERRORS} + 2 * {BAD}) / {ALL}", "weights counters"),
        (f"{ERRORS} / ({ALL} + 3 * {ERRORS})", "no count of requests"),
        (f"{ERRORS} / sum(http_total)", "mixes raw"),
        (f'{BAD} / sum(rate(http_total{{status!~"5.."}}[1m]))', "not plainly a part"),
        (f'({BAD} + sum(rate(http_total{{status="500"}}[1m]))) / {ALL}', "counts twice"),
        (f'({BAD} - sum(rate(http_total{{status=~"2.."}}[1m]))) / {ALL}', "not plainly a part"),
        (f'{ERRORS} / ({BAD} - sum(rate(http_total{{status=~"2.."}}[1m])))', "not plainly a part"),
        ("sum(rate(s_sum[1m])) / sum(rate(s_count[1m]))", "a mean"),
        (f"sum(rate(cpu_seconds_total[1m])) / {ALL}", "a mean"),
        ("sum(rate(s_bucket[1m])) / sum(rate(s_count[1m]))", "several buckets"),
        (f'{ERRORS} / sum(rate({{__name__=~"http.*"}}[1m]))', "must name its metric"),
        (f'{ERRORS} / sum(rate(http_total{{x=~"(?:a{{1000}}){{3}}"}}[1m]))', "regular expression"),
        ('a_total{x="1" or y="2"}', "not PromQL of Prometheus"),
        ("histogram_quantile(0.9, rate(s_bucket[1m]))", "sum by (le)"),
        ("histogram_quantile(0.9, sum by (le, pod) (rate(s_bucket[1m])))", "sum by (le)"),
        ("histogram_quantile(0.9, sum(rate(s[1m])))", "sum by (le)"),
        ("histogram_quantile(0.9, sum by (le) (rate(s[1m])))", "all buckets"),
        ('histogram_quantile(0.9, sum by (le) (rate(s_bucket{le!="1"}[1m])))', "all buckets"),
        ("histogram_quantile(0.9, 0 * sum by (le) (rate(s_bucket[1m])))", "all buckets"),
        (f"histogram_quantile(1, {LE})", "between 0 and 1"),
        (f"histogram_quantile(scalar({ALL}), {LE})", "no number"),
        (f"histogram_quantile(0.9, {LE}) * -1", "must not fall"),
        (f"histogram_quantile(0.9, {LE}) / {ALL}", "no sum of counters"),
        (f"histogram_quantile(0.9, {LE}) + {ERRORS} / {ALL}", "common denominator"),
        ("absent(http_total)", "absent()"),
        ("time()", "time()"),
        ('"text"', "string"),
        ("http_total[5m]", "range"),
    ],
)
def test_reason(query: str, reason: str) -> None:
    with pytest.raises(NotCounts) as refused:
        derive(query, minimum=None, maximum=0.1)
    assert reason in str(refused.value)


def test_quantile_with_a_minimum_alone() -> None:
    query = f"histogram_quantile(0.9, {LE})"
    with pytest.raises(NotCounts, match="must not fall"):
        derive(query, minimum=1, maximum=None)
    assert derive(query, minimum=0, maximum=None) == derive(query, minimum=None, maximum=None)


def test_the_rest_must_be_a_count() -> None:
    query = f"({BAD} - {ERRORS}) / ({ALL} + {ERRORS})"
    with pytest.raises(NotCounts, match="what is left"):
        derive(query, minimum=0.9, maximum=None)
