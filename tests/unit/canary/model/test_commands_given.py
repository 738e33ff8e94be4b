"""Which annotations are commands: one whose value says no asks for nothing."""

import pytest

from canary.contract import COMMANDS, Command
from canary.model.commands import given, not_asked_for

VALUED = {Command.PAUSE, Command.APPROVE}


@pytest.mark.parametrize("value", ["now", "true", "", "2026-01-01", "nope"])
def test_whatever_does_not_say_no_gives_a_command(value: str) -> None:
    assert given(dict.fromkeys(COMMANDS, value)) == COMMANDS
    assert not_asked_for(dict.fromkeys(COMMANDS, value)) == ()


@pytest.mark.parametrize("value", ["false", "False", " off ", "NO"])
def test_a_command_that_says_no_is_none_and_its_author_is_told(value: str) -> None:
    notes = {**dict.fromkeys(map(str, COMMANDS), value), "example.com/promote": "now"}
    assert given(notes) == VALUED
    said, it = not_asked_for(notes), Command.PROMOTE
    assert [text.split("=")[0] for text in said] == sorted(map(str, COMMANDS - VALUED))
    assert said[1] == f"{it}={value} asks for nothing; what does is {it}=now"
