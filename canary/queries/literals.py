"""Values of a template, written so that they stay what they are where they stand in a query.

A value is a team's, and the template may be another's, who has a Secret for it: so no value may end
the string that it stands in, nor be more than one word outside of one. Strings are those of PromQL
(https://prometheus.io/docs/prometheus/latest/querying/basics/#string-literals). In the languages of
other services nothing is known but that a quote begins and ends a string, so that a value has to
be harmless in all of them.
"""

import re
from collections.abc import Collection
from typing import Final, Protocol

_OPENS: Final = re.compile(r"""["'`#]""")
_CLOSES: Final = {
    '"': re.compile(r'\\.|"|\\\Z', re.DOTALL),
    "'": re.compile(r"\\.|'|\\\Z", re.DOTALL),
    "`": re.compile("`"),
    "#": re.compile("[\r\n]"),
}
"""What ends a string or a comment, by what began it; a backslash hides what follows it."""
_PIECE: Final = re.compile(r"\\.|[^\\]|\\\Z", re.DOTALL)
_WORD: Final = re.compile(r"[+-]?[\w:.-]*", re.ASCII)
"""A name, a number or a duration: what a value may be where it stands in no string."""


_HARMLESS: Final = re.compile(r"(?!.*(?:--|//))[+-]?[\w:./@-]*", re.ASCII)
"""The same in a language that is not known; `--` and `//` begin a comment in some."""
_HARMFUL: Final = re.compile(r"""["'`\\&%#\r\n]""")
"""What ends a string in one language or another, or stands for something else in it or an URL."""


class LiteralError(ValueError):
    """The value cannot stand there; the message says why."""


class Fitting(Protocol):
    """Writes values into a query."""

    def pass_over(self, text: str) -> None:
        """Take a part of the query as it is."""

    def fit(self, value: str, after: str) -> str:
        """Return a value as it is to be written here, before `after`.

        Raises:
            LiteralError: there is no way to write it.

        """


class Literals:
    """Follows a query as it is written, and knows in what a value would stand."""

    def __init__(self) -> None:
        self._inside = ""
        self._hides_next = False

    def pass_over(self, text: str) -> None:
        """Take a part of the query as it is."""
        position = 0
        self._hides_next = False
        while position < len(text):
            pattern = _CLOSES[self._inside] if self._inside else _OPENS
            found = pattern.search(text, position)
            if found is None:
                return
            position = found.end()
            if found[0] == "\\":
                self._hides_next = True
            elif not found[0].startswith("\\"):
                self._inside = "" if self._inside else found[0]

    def fit(self, value: str, after: str) -> str:
        """Return a value as it is to be written here, whatever comes after it.

        In a string of double or single quotes, a quote that would end it is hidden, and so is the
        end of a line; backslashes mean what they mean in PromQL, as in Flagger.

        Raises:
            LiteralError: there is no way to write it.

        """
        del after
        if self._hides_next:
            raise LiteralError("stands behind a backslash; put the backslash into the value")
        match self._inside:
            case "":
                if _WORD.fullmatch(value) is None:
                    raise LiteralError(
                        "is more than a name, a number or a duration; put quotes around it in the "
                        "query if it is to be a string"
                    )
                return value
            case "`" | "#" as around:
                if _CLOSES[around].search(value):
                    raise LiteralError(f"would end what begins with {around} before it")
                return value
            case quote:
                return "".join(_hidden(piece, quote) for piece in _PIECE.findall(value))


class UnreadLiterals:
    """Writes values into a query of whose language nothing is known.

    Args:
        names: of Kubernetes' objects, which are harmless as they are.

    """

    def __init__(self, names: Collection[str]) -> None:
        self._names = names
        self._before = ""

    def pass_over(self, text: str) -> None:
        """Take a part of the query as it is."""
        self._before = text[-1:]

    def fit(self, value: str, after: str) -> str:
        """Return a value as it is, if it is harmless here.

        Raises:
            LiteralError: it could become more than a value.

        """
        if value in self._names or _HARMLESS.fullmatch(value):
            return value
        if self._before not in {'"', "'"} or after[:1] != self._before:
            raise LiteralError(
                "is more than a name, a path, a number or a duration; put quotes before and behind "
                "it in the query if it is to be a string, or write it there itself"
            )
        if found := _HARMFUL.search(value):
            raise LiteralError(
                f"has {found[0]!r} in it, which could end the string or mean something else; write "
                "it into the query itself"
            )
        return value


def _hidden(piece: str, quote: str) -> str:
    match piece:
        case "\n":
            return "\\n"
        case "\\\n":
            return "\\\\\\n"
        case _ if piece in {quote, "\\"}:
            return f"\\{piece}"
        case _:
            return piece
