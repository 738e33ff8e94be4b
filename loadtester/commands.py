"""What a hook may have run: one program of a list, with arguments, and never a shell."""

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from loadtester.options import GRAMMARS, OptionError, Word, masked, read_arguments

PROGRAMS: Final = tuple(GRAMMARS)
SCRIPTS: Final = "/scripts"
"""The folder whose files a program may read, unless the settings name another."""

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


class CommandError(ValueError):
    """The command is none that may run; the message is the answer to the hook."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A command that may run.

    `canary` is whose it is, as name.namespace, and `caller` from which address it came; `text` is
    the command as the hook has it.
    """

    canary: str
    text: str = field(repr=False)
    program: str
    words: tuple[Word, ...]
    caller: str = ""
    log_output: bool = False

    @property
    def arguments(self) -> tuple[str, ...]:
        """What the program is given: ours first, then the hook's as they are."""
        grammar = GRAMMARS[self.program]
        texts = [word.text for word in self.words]
        at = len(grammar.words)
        return (*texts[:at], *grammar.first, *texts[at:])

    @property
    def variables(self) -> Mapping[str, str]:
        """What its environment has besides."""
        return GRAMMARS[self.program].variables

    @property
    def shown(self) -> str:
        """The command as logs and answers show it: without values that may be secret."""
        return shlex.join((self.program, *(word.shown for word in self.words)))

    def masked(self, output: str) -> str:
        """Return what it wrote without the secrets that it was given."""
        return masked(output, self.words)


def parse_command(
    canary: str, text: str, *, caller: str = "", log_output: bool = False, scripts: str = SCRIPTS
) -> Command:
    """Read a command.

    Args:
        canary: whose it is.
        text: the command, quoted as for a shell.
        caller: the address that it came from.
        log_output: whether its output goes to the log even when it succeeds.
        scripts: the folder whose files a program may read.

    Raises:
        CommandError: it is empty, needs a shell, its program is not on the list, or one of its
            arguments may not be used.

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
    program, *rest = arguments
    try:
        words = read_arguments(program, rest, scripts)
    except OptionError as error:
        raise CommandError(str(error)) from error
    return Command(
        canary=canary,
        text=text,
        program=program,
        words=words,
        caller=caller,
        log_output=log_output,
    )


def _shell_syntax(line: str) -> str:
    for match in _UNQUOTED.finditer(line):
        if match["found"]:
            return match["found"]
        for inside in _IN_QUOTES.finditer(match["quoted"] or ""):
            if inside["found"]:
                return inside["found"]
    return ""
