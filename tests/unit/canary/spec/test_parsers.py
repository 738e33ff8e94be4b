"""What people write is read, or they are told how to write it; nothing else ever happens."""

from collections.abc import Callable
from datetime import timedelta
from enum import StrEnum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.spec import parsers
from canary.spec.problems import Problems

Parser = Callable[[str], object]
THRESHOLD = parsers.whole(1, such_as="3")
RATE = parsers.number(0, 100, such_as="99")


class Colour(StrEnum):
    RED = "red"
    GREEN = "green"


ALL: dict[str, Parser] = {
    "duration": parsers.duration,
    "interval": parsers.interval,
    "timeout": parsers.timeout,
    "retries": parsers.retries,
    "whole": THRESHOLD,
    "number": RATE,
    "percent": parsers.percent,
    "answers": parsers.answers,
    "port": parsers.port,
    "weights": parsers.weights,
    "switch": parsers.switch,
    "gate": parsers.promotion_gate,
    "truth": parsers.truth,
    "member": parsers.member(Colour),
}


@pytest.mark.parametrize(
    ("parse", "written", "value"),
    [
        (parsers.duration, "1m30s", timedelta(seconds=90)),
        (parsers.duration, "0s", timedelta(0)),
        (parsers.duration, "8784h", timedelta(days=366)),
        (parsers.interval, "1s", timedelta(seconds=1)),
        (parsers.timeout, "1ms", timedelta(milliseconds=1)),
        (parsers.timeout, "60m", timedelta(hours=1)),
        (parsers.timeout, "1h", timedelta(hours=1)),
        (parsers.retries, "0", 0),
        (parsers.retries, "100", 100),
        (THRESHOLD, "3", 3),
        (RATE, "99.5", 99.5),
        (RATE, "0", 0.0),
        (parsers.percent, "1", 0.01),
        (parsers.percent, "0.5%", 0.005),
        (parsers.answers, "50", 50),
        (parsers.port, "65535", 65535),
        (parsers.weights, "5,10,25,50", (5, 10, 25, 50)),
        (parsers.weights, "1, 100", (1, 100)),
        (parsers.switch, "off", False),
        (parsers.promotion_gate, "non-inferiority", True),
        (parsers.truth, "True", True),
        (parsers.member(Colour), "green", Colour.GREEN),
        (parsers.text, " as it is ", " as it is "),
    ],
)
def test_what_can_be_read(parse: Parser, written: str, value: object) -> None:
    assert parse(written) == value


@pytest.mark.parametrize(
    ("parse", "written", "mend"),
    [
        (parsers.duration, "soon", "write it as 30s, 1m or 1m30s"),
        (parsers.duration, "8785h", "longer than 366 days; write less"),
        (parsers.duration, "999999999999999999h", "longer than 366 days; write less"),
        (parsers.interval, "999ms", "the shortest is 1s"),
        (parsers.timeout, "0s", "write it as 10s or 5m"),
        (parsers.timeout, "3601s", "write 60m or less"),
        (parsers.timeout, "-1s", "write it as 30s"),
        (parsers.retries, "-1", "from 0 to 100, as in 3"),
        (parsers.retries, "2.5", "from 0 to 100, as in 3"),
        (parsers.retries, "101", "from 0 to 100, as in 3"),
        (THRESHOLD, "0", "of at least 1, as in 3"),
        (THRESHOLD, "9" * 5000, "of at least 1, as in 3"),
        (RATE, "101", "from 0 to 100, as in 99"),
        (RATE, "nan", "from 0 to 100, as in 99"),
        (parsers.number(0, float("inf"), such_as="500"), "inf", "of at least 0, as in 500"),
        (parsers.percent, "50", "above 0 and below 50, as in 1"),
        (parsers.percent, "nan", "above 0 and below 50, as in 1"),
        (parsers.percent, "1e-9", "write 0.000001 or more"),
        (parsers.answers, "2 %", "of at least 1, as in 50"),
        (parsers.port, "https", "from 1 to 65535, as in 8080"),
        (parsers.weights, "", "as in 5,10,25,50"),
        (parsers.weights, "5,ten", "as in 5,10,25,50"),
        (parsers.weights, "10,5", "as in 5,10,25,50"),
        (parsers.weights, "0,5", "as in 5,10,25,50"),
        (parsers.weights, "5,101", "as in 5,10,25,50"),
        (parsers.switch, "yes", "is not one of on, off"),
        (parsers.promotion_gate, "open", "is not one of non-inferiority, none"),
        (parsers.truth, "yes", "is not one of true, false"),
        (parsers.member(Colour), "blue", "is not one of red, green"),
    ],
)
def test_what_cannot_be_read_says_what_it_is_and_how_to_write_it(
    parse: Parser, written: str, mend: str
) -> None:
    with pytest.raises(ValueError, match="'") as raised:
        parse(written)
    said = str(raised.value)
    assert said.startswith(repr(written)[:20])
    assert mend in said


@pytest.mark.parametrize("parse", ALL.values(), ids=list(ALL))
@given(written=st.one_of(st.text(), st.from_regex(r"[0-9.,%]{1,30}(h|m|s|ms)?", fullmatch=True)))
def test_any_text_is_read_or_refused_in_a_line(parse: Parser, written: str) -> None:
    problems, nothing = Problems(), object()
    value = problems.read("here", parse, written, nothing)
    assert (value is nothing) == bool(problems.found)
    assert all(len(said) < 400 for said in problems.found)


def test_a_long_value_is_cut_in_the_message() -> None:
    with pytest.raises(ValueError, match="is not one of") as raised:
        parsers.switch("x" * 10_000)
    assert len(str(raised.value)) < 100


def test_problems_are_collected_with_their_places_and_said_at_once() -> None:
    problems = Problems()
    assert problems.read("a", parsers.switch, "on", default=False)
    assert problems.read("b", parsers.answers, 7, 1) == 7
    assert problems.read("c", parsers.answers, None, 1) == 1
    problems.check()
    assert problems.read("d", parsers.answers, 0, 1) == 1
    assert problems.read("e", parsers.answers, "none", 2) == 2
    with pytest.raises(ValueError, match=r"^d: '0' must .* as in 50; e: 'none' must") as raised:
        problems.check()
    assert str(raised.value) == "; ".join(problems.found)
