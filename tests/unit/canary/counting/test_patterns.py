"""Regular expressions match as RE2's do, and take no more than linear time."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.counting.automaton import matches
from canary.counting.patterns import PatternError


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("5..", ["500", "5\n0"], ["50", "5000", "400"]),
        ("5.*", ["5", "500"], ["15"]),
        ("2..|3..", ["200", "302"], ["500", "2003"]),
        ("|a", ["", "a"], ["b"]),
        ("", [""], ["a"]),
        ("web-[0-9a-zA-Z]+(-[0-9a-zA-Z]+)?", ["web-a1", "web-a-Z"], ["web-", "web-a-b-c"]),
        ("kube(ew)?_a__.*__b(_[0-9]+)?", ["kube_a__x__b", "kubeew_a____b_9"], ["kube_a_b"]),
        (r"a\.b", ["a.b"], ["axb"]),
        (r"\d{3}", ["200"], ["20", "2000", "٢٠٠"]),
        (r"\D+", ["ab"], ["a1"]),
        (r"a{2,}", ["aa", "aaaa"], ["a"]),
        (r"a{0}b", ["b"], ["ab"]),
        (r"a{1,2}?", ["a", "aa"], ["aaa"]),
        (r"a{x", ["a{x"], ["a"]),
        ("^web$", ["web"], ["webs", "^web$"]),
        (r"\Aweb\z", ["web"], ["web "]),
        ("a^b", [], ["ab", "a^b"]),
        ("(?i)get|post", ["GET", "Post"], ["put"]),
        ("(?i:g)et", ["Get"], ["GET"]),
        ("(?P<first>a)(?:b)", ["ab"], ["a"]),
        ("[[:alpha:]]+", ["Ab"], ["a1"]),
        ("[^[:digit:]]", ["a"], ["1"]),
        ("[]a-]+", ["]-a"], ["b"]),
        (r"[\w.-]+", ["a_b.c-1"], ["a b"]),
        ("[^5]..", ["200"], ["500"]),
        (r"\x41\x{e9}\t", ["Aé\t"], ["a"]),
        ("(a*)*b", ["b", "aab"], ["a"]),
        ("(?-s)a.b", ["axb"], ["a\nb"]),
    ],
)
def test_matches_the_whole_value(pattern: str, matching: list[str], others: list[str]) -> None:
    assert [value for value in matching if not matches(pattern, value)] == []
    assert [value for value in others if matches(pattern, value)] == []


@pytest.mark.parametrize(
    "pattern",
    ["(", "a)", "[a", "a**", "*a", r"\b", r"\pL", "(?=a)", r"(a)\1", "a{2,1}", "a{1001}", "[z-a]",
     "[[:nothing:]]", "\\", "(" * 60 + ")" * 60, "((a{99}){99}){99}"],
)  # fmt: skip
def test_what_cannot_be_read_is_refused(pattern: str) -> None:
    with pytest.raises(PatternError):
        matches(pattern, "a")


@pytest.mark.parametrize("pattern", ["(a+)+", "(a|a)*", "(.*a){9}", "a*a*a*a*a*a*b"])
def test_takes_linear_time(pattern: str) -> None:
    assert not matches(pattern, "a" * 3000 + "!")


_ATOMS = st.sampled_from(["a", "b", ".", "[ab]", "[^a]", "(a|b)", "(ab|)", "(?:b*a)", "a|b"])
_PATTERNS = st.lists(
    st.tuples(_ATOMS, st.sampled_from(["", "", "*", "+", "?", "{2}", "{0,2}"])), max_size=5
).map(lambda parts: "".join(atom + sign for atom, sign in parts))


@given(pattern=_PATTERNS, value=st.text(alphabet="abc", max_size=6))
def test_agrees_with_re(pattern: str, value: str) -> None:
    assert matches(pattern, value) == (re.fullmatch(pattern, value, re.DOTALL) is not None)
