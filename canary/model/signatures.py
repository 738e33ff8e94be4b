"""Who gave which command, in the one annotation that says so.

It is the name alone where one person has given all that stand, and else JSON: the name by command.
"""

import json
from collections.abc import Iterable, Mapping

from canary.contract import DOMAIN, Command
from canary.model.values import from_text

_OBJECT = "{"


def signature(givers: Mapping[Command, str]) -> str | None:
    """Return what the annotation says, None where there is nothing to say.

    Args:
        givers: who gave each command that stands, "" where it is not known.

    """
    names = set(givers.values())
    if not any(names):
        return None
    name = names.pop()
    # A name of this form would be read as names of others.
    if not names and not name.startswith(_OBJECT):
        return name
    return json.dumps({_short(it): givers[it] for it in sorted(givers)}, separators=(",", ":"))


def givers_of(text: str, commands: Iterable[Command]) -> dict[Command, str]:
    """Return who gave each of these commands, "" where it is not known.

    Args:
        text: the annotation.
        commands: those that stand.

    """
    if not text.startswith(_OBJECT):
        return dict.fromkeys(commands, text)
    try:
        names = from_text(text)
    except ValueError:
        names = {}
    return {command: str(names.get(_short(command), "")) for command in commands}


def giver_of(text: str, command: Command) -> str:
    """Return who gave a command that stands, as it is told to people.

    Args:
        text: the annotation.
        command: the command.

    """
    return givers_of(text, (command,))[command] or "an annotation"


def _short(command: Command) -> str:
    return command.removeprefix(f"{DOMAIN}/")
