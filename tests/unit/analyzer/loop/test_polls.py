"""How soon what is waited for is looked at again."""

from datetime import timedelta

import pytest

from analyzer.loop.polls import LONGEST, Polls
from canary.model.state import State
from canary.model.values import Key
from canary.rules.actions import Action, Decision, SaveState

WEB, API = (Key(namespace="prod", name=name) for name in ("web", "api"))
POLL = timedelta(seconds=1)


def decision(after: timedelta | None = POLL, *actions: Action) -> Decision:
    return Decision(state=State(), actions=actions, requeue_after=after)


def delays(polls: Polls, count: int, key: Key = WEB) -> list[float]:
    found = [polls.after(key, decision(), POLL) for _ in range(count)]
    return [it.total_seconds() for it in found if it is not None]


def test_what_is_waited_for_in_vain_is_looked_for_ever_more_rarely() -> None:
    assert delays(Polls(), 5) == [1, 1.5, 2.25, LONGEST, LONGEST]
    assert delays(Polls(), 5_000)[-1] == LONGEST


def test_each_target_waits_for_itself() -> None:
    polls = Polls()
    assert delays(polls, 3) == [1, 1.5, 2.25]
    assert delays(polls, 1, API) == [1]


@pytest.mark.parametrize(
    "news",
    [decision(POLL, SaveState()), decision(timedelta(seconds=30)), decision(None)],
    ids=["something is done", "a check is due then", "nothing is waited for"],
)
def test_news_have_the_next_wait_begin_anew(news: Decision) -> None:
    polls = Polls()
    delays(polls, 4)
    assert polls.after(WEB, news, POLL) == news.requeue_after
    assert delays(polls, 2) == [1, 1.5]


def test_a_target_that_is_forgotten_begins_anew() -> None:
    polls = Polls()
    delays(polls, 4)
    polls.forget(WEB)
    polls.forget(API)
    assert delays(polls, 1) == [1]
