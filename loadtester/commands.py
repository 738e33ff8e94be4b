"""What a hook may have run: one program of a list, with arguments, and never a shell."""

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

PROGRAMS: Final = ("hey", "wrk", "k6", "curl", "ghz")

_ONE_PROGRAM: Final = f"a command is one of {', '.join(PROGRAMS)} with its arguments, and no shell"
_UNQUOTED: Final = re.compile(
    r"""
    \\. | '[^']*'
    | "(?P<quoted>(?:\\.|[^"\\])*)"
    | (?P<found>\|\|?|&&?|;|<<?|>>?|[()`\n]|\$[({\w])
    """,
    re.VERBOSE | re.DOTALL,
)
"""The syntax of a POSIX shell as far as it tells what would not be an argument."""
_IN_QUOTES: Final = re.compile(r"(?P<found>\\?`|\\\$|\$[({\w])|\\.", re.DOTALL)
"""The same inside double quotes. A shell drops the backslash of `\\$` there, and shlex does not."""
_SECRET_OPTIONS: Final = (
    *("-H", "--header", "-u", "--user", "-a", "-e", "--env", "-b", "--cookie"),
    *("-m", "--metadata", "--oauth2-bearer"),
)
"""Options of the programs whose values can be credentials."""
_MASK: Final = "***"


class CommandError(ValueError):
    """The command is none that may run; the message is the answer to the hook."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A command that may run.

    `canary` is whose it is, as name.namespace; `text` is the command as the hook has it.
    """

    canary: str
    text: str
    arguments: tuple[str, ...]
    log_output: bool = False

    @property
    def program(self) -> str:
        """The program's name."""
        return self.arguments[0]

    @property
    def shown(self) -> str:
        """The command as logs and answers show it: without values that may be secret."""
        return shlex.join(_masked(self.arguments))


def parse_command(canary: str, text: str, *, log_output: bool = False) -> Command:
    """Read a command.

    Args:
        canary: whose it is.
        text: the command, quoted as for a shell.
        log_output: whether its output goes to the log even when it succeeds.

    Raises:
        CommandError: it is empty, needs a shell, or its program is not on the list.

    """
    # A folded command in YAML often keeps its continuations.
    line = text.strip().replace("\\\n", " ")
    if syntax := _shell_syntax(line):
        raise CommandError(
            f"{syntax!r} is for a shell: {_ONE_PROGRAM}; put quotes around it where it belongs "
            "to an argument"
        )
    try:
        arguments = tuple(shlex.split(line))
    except ValueError as error:
        raise CommandError(f"the command cannot be read ({error}): {_ONE_PROGRAM}") from error
    if not arguments:
        raise CommandError(f"the command is empty: {_ONE_PROGRAM}")
    if arguments[0] not in PROGRAMS:
        raise CommandError(f"{arguments[0][:60]!r} may not run: {_ONE_PROGRAM}")
    return Command(canary=canary, text=text, arguments=arguments, log_output=log_output)


def _shell_syntax(line: str) -> str:
    for match in _UNQUOTED.finditer(line):
        if match["found"]:
            return match["found"]
        for inside in _IN_QUOTES.finditer(match["quoted"] or ""):
            if inside["found"]:
                return inside["found"]
    return ""


def _masked(arguments: Sequence[str]) -> Iterator[str]:
    secret = False
    for argument in arguments:
        glued = next((it for it in _SECRET_OPTIONS if argument.startswith(it)), "")
        yield _MASK if secret else glued + _MASK if glued not in {"", argument} else argument
        secret = argument in _SECRET_OPTIONS and not secret
