"""Who is next in the work queue: what cannot wait, then every namespace in its turn."""

from collections import Counter
from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from analyzer.loop.lines import URGENT_IN_A_ROW, Lines

ALL: Final = 1000


def lines(at_once: int = ALL) -> Lines[str]:
    """Return lines of keys that are owned by what stands before their dash."""
    return Lines(lambda key: key.partition("-")[0], at_once)


def drained(line: Lines[str], *, urgent_only: bool = False) -> list[str]:
    """Return who is next, until nobody is; each is done at once."""
    found = []
    while (taken := line.take(urgent_only=urgent_only)) is not None:
        line.done(taken[0])
        found.append(taken[0])
    return found


def test_a_burst_of_one_lets_another_go_second() -> None:
    line = lines()
    for number in range(300):
        line.join(f"a-{number}")
    line.join("b-0")
    assert drained(line)[:3] == ["a-0", "b-0", "a-1"]


def test_what_is_urgent_goes_before_a_burst_also_of_its_own_owner() -> None:
    line = lines()
    for number in range(300):
        line.join(f"a-{number}")
    line.join("a-299", urgent=True)
    assert len(line) == 300
    assert line.take() == ("a-299", True)


def test_what_is_urgent_stays_so_when_it_is_added_as_usual() -> None:
    line = lines()
    line.join("a-0")
    line.join("b-0", urgent=True)
    line.join("b-0")
    assert drained(line) == ["b-0", "a-0"]


def test_urgent_ones_stop_nobody() -> None:
    line = lines()
    line.join("slow-0")
    for number in range(3 * URGENT_IN_A_ROW):
        line.join(f"busy-{number}", urgent=True)
    assert drained(line).index("slow-0") == URGENT_IN_A_ROW


def test_only_urgent_ones_are_given_where_only_they_are_wanted() -> None:
    line = lines()
    line.join("a-0")
    assert line.take(urgent_only=True) is None
    line.join("b-0", urgent=True)
    assert line.take(urgent_only=True) == ("b-0", True)
    assert line.take() == ("a-0", False)


def test_no_more_of_an_owner_are_at_work_than_may_be_but_for_urgent_ones() -> None:
    line = lines(at_once=2)
    for number in range(4):
        line.join(f"a-{number}")
    assert [line.take(), line.take(), line.take()] == [("a-0", False), ("a-1", False), None]
    line.join("a-9", urgent=True)
    assert [line.take(), line.take()] == [("a-9", True), None]
    line.done("a-9")
    line.join("b-0")
    assert [line.take(), line.take()] == [("b-0", False), None]
    line.done("a-0")
    assert line.take() == ("a-2", False)


def test_what_is_not_urgent_gives_way_while_an_urgent_one_is_at_work_and_a_few_go_on() -> None:
    line = lines()
    for number in range(9):
        line.join(f"a-{number}")
    line.join("b-0", urgent=True)
    taken = [line.take() for _ in range(4)]
    assert taken == [("b-0", True), ("a-0", False), ("a-1", False), None]
    line.done("a-0")
    assert [line.take(), line.take()] == [("a-2", False), None]
    line.done("b-0")
    assert [line.take(), line.take()] == [("a-3", False), ("a-4", False)]


JOINING = st.tuples(st.sampled_from("abcd"), st.integers(0, 9), st.booleans())


@given(st.lists(JOINING, max_size=60), st.integers(1, 4))
def test_each_that_joined_comes_once_and_urgent_ones_of_an_owner_before_its_others(
    joined: list[tuple[str, int, bool]], at_once: int
) -> None:
    line = lines(at_once)
    urgent: dict[str, bool] = {}
    for owner, number, hurry in joined:
        key = f"{owner}-{number}"
        line.join(key, urgent=hurry)
        urgent[key] = urgent.get(key, False) or hurry
    assert len(line) == len(urgent)
    order = drained(line)
    assert Counter(order) == Counter(urgent.keys())
    assert len(line) == 0
    last = max((at for at, key in enumerate(order) if urgent[key]), default=-1)
    between = sum(not urgent[key] for key in order[: last + 1])
    assert between <= sum(urgent.values()) / URGENT_IN_A_ROW


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 99)), max_size=80))
def test_nobody_goes_twice_while_another_waits(joined: list[tuple[str, int]]) -> None:
    line = lines()
    for owner, number in joined:
        line.join(f"{owner}-{number}")
    left = Counter(key.partition("-")[0] for key in {f"{o}-{n}" for o, n in joined})
    since: dict[str, Counter[str]] = {owner: Counter() for owner in left}
    for key in drained(line):
        owner = key.partition("-")[0]
        left[owner] -= 1
        since[owner].clear()
        for other, gone in since.items():
            if other != owner and left[other]:
                gone[owner] += 1
                assert gone[owner] <= 1
