"""What the benchmark prints, and that the review it sends is the one it speaks of."""

import pytest

from canary.admission.targets import Allowances, Allowed, Write, admit
from tests.bench.figures import Figure, Section, number, quantile, table
from tests.bench.review_sample import review
from webhook.review import read_review


@pytest.mark.parametrize(
    ("share", "expected"), [(0.5, 50), (0.99, 99), (1.0, 100), (0.001, 1)], ids=str
)
def test_a_quantile_is_a_value_that_was_measured(share: float, expected: int) -> None:
    assert quantile(range(1, 101), share) == expected


def test_no_values_have_no_quantile() -> None:
    with pytest.raises(ValueError, match="no values"):
        quantile([], 0.5)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.0222, "0.0222"),
        (1.5, "1.50"),
        (-0.25, "-0.250"),
        (43.21, "43.2"),
        (1869, "1869"),
    ],
)
def test_numbers_have_three_digits(value: float, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("figure", "ratio"),
    [
        (Figure(name="f", value=5, unit="ms", aim=10), "0.50"),
        (Figure(name="f", value=15, unit="ms", aim=10), "1.50 (missed)"),
        (Figure(name="f", value=3000, unit="/s", aim=2000, more=True), "1.50"),
        (Figure(name="f", value=1000, unit="/s", aim=2000, more=True), "0.50 (missed)"),
        (Figure(name="f", value=0, unit="lost", aim=0), "-"),
        (Figure(name="f", value=1, unit="lost", aim=0), "- (missed)"),
        (Figure(name="f", value=0.1, unit="ms", aim=0, noise=0.2), "-"),
        (Figure(name="f", value=7, unit="ms"), ""),
    ],
    ids=["under", "over", "more", "less", "none", "one", "noise", "no aim"],
)
def test_a_ratio_says_whether_the_aim_is_missed(figure: Figure, ratio: str) -> None:
    assert figure.row()[-1] == ratio


def test_a_section_without_figures_says_why() -> None:
    text = table(
        [
            Section("one", [Figure(name="f", value=1, unit="ms", note="noted")]),
            Section("two", skipped="no cluster"),
            Section("three", broken="it fell over"),
        ]
    )
    assert text.splitlines()[2:] == [
        "[one]",
        "f       1.00 ms",
        "    noted",
        "[two]",
        "skipped: no cluster",
        "[three]",
        "not measured: it fell over",
    ]


def test_the_review_is_15_kb_and_is_held() -> None:
    body = review()
    assert 14_500 <= len(body) <= 15_500
    sent = read_review(body)
    assert sent.old is not None
    answer = admit(Write(old=sent.old, new=sent.new, user=sent.user), Allowances())
    assert isinstance(answer, Allowed)
    assert answer.outcome == "held"
