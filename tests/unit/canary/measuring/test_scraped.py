"""Whose samples are known to be of after a moment."""

from canary.counting.series import Series
from canary.measuring.scraped import DELIVERED, LOOKBACK, Scraped

AFTER = 1000.0


def answer(**values: float) -> list[Series]:
    return [Series({"__name__": "n", "instance": where}, value) for where, value in values.items()]


def test_what_has_changed_since_an_answer_of_after_it_was_scraped_after_it() -> None:
    scraped, then = Scraped(), AFTER + DELIVERED
    assert scraped.doubted(answer(a=1, b=1), AFTER, then) == {"a", "b"}
    assert scraped.doubted(answer(a=1, b=2), AFTER, then + 15) == {"a", "b"}, "shown by it"
    assert scraped.doubted(answer(a=1, b=2), AFTER, then + 30) == {"a"}
    assert scraped.doubted(answer(a=0, b=2), AFTER, then + 45) == {"a"}, "it began again"
    assert scraped.doubted(answer(a=0, b=2), AFTER, then + 60) == frozenset()


def test_an_answer_of_before_it_shows_nothing() -> None:
    scraped = Scraped()
    scraped.doubted(answer(a=1), AFTER, AFTER - 1)
    scraped.doubted(answer(a=2), AFTER, AFTER + DELIVERED - 1)
    scraped.doubted(answer(a=3), AFTER, AFTER + DELIVERED)
    assert scraped.doubted(answer(a=3), AFTER, AFTER + 20) == {"a"}


def test_a_series_that_is_there_for_once_may_not_have_been_asked_for() -> None:
    scraped = Scraped()
    other = Series({"__name__": "m", "instance": "a"}, 5.0)
    scraped.doubted(answer(a=1), AFTER, AFTER + 10)
    scraped.doubted([other], AFTER, AFTER + 20)
    scraped.doubted([*answer(a=1), other], AFTER, AFTER + 30)
    assert scraped.doubted(answer(a=1), AFTER, AFTER + 40) == {"a"}


def test_pods_of_before_that_are_still_there_make_another_moment() -> None:
    scraped = Scraped()
    scraped.doubted(answer(a=1), AFTER, AFTER + 10)
    scraped.doubted(answer(a=2), AFTER, AFTER + 20)
    assert scraped.doubted(answer(a=2), AFTER, AFTER + 30) == frozenset()
    assert scraped.doubted(answer(a=2), AFTER + 35, AFTER + 50) == {"a"}


def test_nothing_is_answered_with_that_is_older_than_the_servers_lookback() -> None:
    scraped = Scraped()
    assert scraped.doubted(answer(a=1), AFTER, AFTER + LOOKBACK) == {"a"}
    assert scraped.doubted(answer(a=1), AFTER, AFTER + LOOKBACK + DELIVERED) == frozenset()
