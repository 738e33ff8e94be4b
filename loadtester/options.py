"""Which options of a program a hook may use, and what their values may be.

The programs can do more than to send requests: `curl -o` writes any file and `file://` reads one,
`wrk -s` runs what it finds in it, `-K` reads options. So what may be used is listed here, and what
is not listed is refused; names count as they are written, not abbreviated.
"""

import posixpath
import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final
from urllib.parse import SplitResult, urlsplit

_MASK: Final = "***"
_HOST: Final = re.compile(r"[\w.-]+:\d+|\[[\da-fA-F:.]+\]:\d+")
_BARE: Final = re.compile(r"\w[\w.-]*")
"""A file's name, without a folder."""
_QUOTED: Final = 60
"""Characters of an argument that a message quotes."""
_SHORTEST: Final = 8
"""Characters of a secret that is looked for in a report; less would be found by chance."""


class OptionError(ValueError):
    """An argument that may not be used; the message says which, and what may."""


class Value(StrEnum):
    """What an option takes, or an argument without one is."""

    NOTHING = "nothing"
    TEXT = "text"
    SECRET = "secret"  # noqa: S105 - a text that nobody is shown
    FORMAT = "format"
    PAIR = "pair"
    NOWHERE = "nowhere"
    SCRIPT = "script"
    URL = "URL"
    HOST = "host"


_TO_BE: Final[Mapping[Value, str]] = {
    Value.TEXT: "a text that does not begin with @, which would name a file",
    Value.SECRET: "a text that does not begin with @, which would name a file",
    Value.FORMAT: "a format without @ at its beginning and without %output, as no file is used",
    Value.PAIR: "name=value, with the value itself; a file is not read",
    Value.NOWHERE: "/dev/null or -, as no file is written",
    Value.SCRIPT: "the full path of a file in the load tester's folder of scripts, or its name",
    Value.URL: "a URL that begins with http:// or https://",
    Value.HOST: "host:port",
}


class _Style(StrEnum):
    """How a program reads its command line."""

    GETOPT = "-ab value, -bvalue, --long value, --long=value"
    CURL = "the same, but no --long=value"
    GO = "-long value, -long=value, and the same with two dashes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Grammar:
    """A program's options that may be used.

    `words` is what has to come first, `first` are arguments of ours, which come next, and `target`
    is what an argument without an option is. `variables` are its environment's, and `renamed` are
    options of an older version, with what they are called now.
    """

    style: _Style
    options: Mapping[str, Value]
    target: Value
    words: tuple[str, ...] = ()
    first: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    renamed: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Word:
    """One argument: `text[at:]` is a value of this kind."""

    text: str = field(repr=False)
    kind: Value
    at: int = 0

    @property
    def value(self) -> str:
        """The value in it, "" where there is none."""
        return self.text[self.at :]

    @property
    def shown(self) -> str:
        """The argument without what may be secret."""
        return self.text[: self.at] + _shown(self.kind, self.value)

    @property
    def secrets(self) -> tuple[str, ...]:
        """What of it nobody is to read."""
        if self.kind in _SECRET:
            _, _, after = self.value.partition(":")
            return (self.value, after.strip())
        if self.kind is Value.URL and (url := _split(self.value)) is not None:
            return (url.netloc.rpartition("@")[0], url.password or "", url.query)
        return ()


def _options(kind: Value, *names: str) -> dict[str, Value]:
    return dict.fromkeys(names, kind)


_SECRET: Final = frozenset({Value.SECRET, Value.PAIR})

CURL: Final = Grammar(
    style=_Style.CURL,
    # No file of options, and nothing but HTTP: neither by URL, nor by guess, nor by redirect.
    first=("-q", "--proto", "=http,https", "--proto-redir", "=http,https"),
    target=Value.URL,
    options=_options(
        Value.NOTHING,
        *("-4", "-6", "-f", "-g", "-G", "-i", "-I", "-k", "-L", "-N", "-s", "-S", "-#"),
        *("--compressed", "--fail", "--fail-with-body", "--get", "--globoff", "--head"),
        *("--http1.0", "--http1.1", "--http2", "--http2-prior-knowledge", "--include"),
        *("--insecure", "--ipv4", "--ipv6", "--location", "--no-buffer", "--retry-all-errors"),
        *("--retry-connrefused", "--show-error", "--silent"),
    )
    | _options(
        Value.TEXT,
        *("-A", "-e", "-m", "-X", "--connect-timeout", "--limit-rate", "--max-redirs"),
        *("--max-time", "--referer", "--request", "--retry", "--retry-delay", "--retry-max-time"),
        "--user-agent",
    )
    | _options(
        Value.SECRET,
        *("-d", "-H", "-u", "--data", "--data-ascii", "--data-binary", "--data-raw", "--header"),
        *("--json", "--oauth2-bearer", "--user"),
    )
    | _options(Value.PAIR, "-b", "--cookie", "--data-urlencode")
    | _options(Value.FORMAT, "-w", "--write-out")
    | _options(Value.NOWHERE, "-o", "--output")
    | _options(Value.URL, "--url"),
)
HEY: Final = Grammar(
    style=_Style.GO,
    target=Value.URL,
    options=_options(
        Value.NOTHING, "-disable-compression", "-disable-keepalive", "-disable-redirects", "-h2"
    )
    | _options(Value.TEXT, "-A", "-T", "-c", "-cpus", "-host", "-m", "-n", "-o", "-q", "-t", "-z")
    | _options(Value.SECRET, "-H", "-a", "-d"),
)
WRK: Final = Grammar(
    style=_Style.GETOPT,
    target=Value.URL,
    options=_options(Value.NOTHING, "--latency")
    | _options(
        Value.TEXT, "-c", "-d", "-t", "--connections", "--duration", "--threads", "--timeout"
    )
    | _options(Value.SECRET, "-H", "--header")
    | _options(Value.SCRIPT, "-s", "--script"),
)
K6: Final = Grammar(
    style=_Style.GETOPT,
    words=("run",),
    # Nobody else in the pod is to steer it, which its API at a port of localhost is for.
    first=("--address=",),
    # It would fetch a program with the extensions that a script names, and run that.
    variables={"K6_AUTO_EXTENSION_RESOLUTION": "false", "K6_NO_USAGE_REPORT": "true"},
    target=Value.SCRIPT,
    options=_options(
        Value.NOTHING,
        *("-q", "--insecure-skip-tls-verify", "--no-color", "--no-connection-reuse"),
        *("--no-summary", "--no-thresholds", "--no-usage-report", "--quiet"),
    )
    | _options(
        Value.TEXT,
        *("-d", "-i", "-s", "-u", "--duration", "--iterations", "--max-redirects", "--rps"),
        *("--stage", "--summary-trend-stats", "--tag", "--vus"),
    )
    | _options(Value.PAIR, "-e", "--env"),
)
GHZ: Final = Grammar(
    style=_Style.GETOPT,
    # As Flagger's documents have it.
    renamed={"-q": "-r"},
    target=Value.HOST,
    options=_options(Value.NOTHING, "-e", "--async", "--enable-compression", "--insecure")
    | _options(Value.NOTHING, "--skipTLS")
    | _options(
        Value.TEXT,
        *("-c", "-n", "-q", "-r", "-t", "-x", "-z", "--authority", "--call", "--cname"),
        *("--concurrency", "--connect-timeout", "--connections", "--cpus", "--duration"),
        *("--keepalive", "--max-duration", "--name", "--rps", "--timeout", "--total"),
    )
    | _options(Value.SECRET, "-d", "-m", "--data", "--metadata")
    | _options(Value.SCRIPT, "--proto", "--protoset"),
)
GRAMMARS: Final[Mapping[str, Grammar]] = {
    "hey": HEY,
    "wrk": WRK,
    "k6": K6,
    "curl": CURL,
    "ghz": GHZ,
}
"""By program; there are no others."""


def read_arguments(program: str, arguments: Sequence[str], scripts: str) -> tuple[Word, ...]:
    """Read what follows a program's name.

    Args:
        program: one of `GRAMMARS`.
        arguments: as a shell would hand them over.
        scripts: the folder whose files a program may read.

    Raises:
        OptionError: one of them may not be used.

    """
    grammar = GRAMMARS[program]
    read = _read(program, grammar, deque(arguments))
    words = tuple(_located(word, scripts) for word in read)
    for word in words:
        if not _allowed(word, scripts):
            shown = word.shown[:_QUOTED]
            raise OptionError(f"{program}: {shown!r} may not be used: it is {_TO_BE[word.kind]}")
    return words


def _read(program: str, grammar: Grammar, left: deque[str]) -> Iterator[Word]:
    for word in grammar.words:
        if not left or left.popleft() != word:
            raise OptionError(f"{program}: only {program} {' '.join(grammar.words)} may be used")
        yield Word(word, Value.NOTHING, len(word))
    while left:
        argument = left.popleft()
        if (now := grammar.renamed.get(argument[:2])) is not None:
            argument = now + argument[2:]
        if not argument.startswith("-"):
            yield Word(argument, grammar.target)
            continue
        kind, at = _option(program, grammar, argument)
        if at is not None:
            yield Word(argument, kind, at)
        elif left:
            yield Word(argument, Value.NOTHING, len(argument))
            yield Word(left.popleft(), kind)
        else:
            raise OptionError(f"{program}: {argument} needs a value")


def _located(word: Word, scripts: str) -> Word:
    """Return a script that is named alone with its folder, so that no other one can be meant."""
    if word.kind is not Value.SCRIPT or not _BARE.fullmatch(word.value):
        return word
    return Word(f"{word.text[: word.at]}{scripts.rstrip('/')}/{word.value}", word.kind, word.at)


def _option(program: str, grammar: Grammar, argument: str) -> tuple[Value, int | None]:
    """Return what an option takes, and where in it its value begins; None: it comes next."""
    long = argument.startswith("--") or grammar.style is _Style.GO
    name, joined, _ = argument.partition("=")
    if grammar.style is _Style.GO and name.startswith("--"):
        name = name[1:]
    if not long:
        return _cluster(program, grammar, argument)
    if joined and grammar.style is _Style.CURL:
        raise _unknown(program, grammar, name)
    if (kind := grammar.options.get(name)) is None:
        raise _unknown(program, grammar, name)
    if kind is Value.NOTHING:
        return kind, len(argument)
    return kind, argument.index("=") + 1 if joined else None


def _cluster(program: str, grammar: Grammar, argument: str) -> tuple[Value, int | None]:
    """Read options of one letter each, of which the last may have its value with it."""
    for at, letter in enumerate(argument[1:], start=2):
        if (kind := grammar.options.get(f"-{letter}")) is None:
            raise _unknown(program, grammar, f"-{letter}")
        if kind is not Value.NOTHING:
            return kind, at if at < len(argument) else None
    if argument == "-":
        raise _unknown(program, grammar, argument)
    return Value.NOTHING, len(argument)


def _unknown(program: str, grammar: Grammar, name: str) -> OptionError:
    known = " ".join(sorted(grammar.options))
    return OptionError(
        f"{program}: the option {name[:_QUOTED]!r} may not be used; these may: {known}"
    )


def _is_text(value: str) -> bool:
    return not value.startswith("@")


def _is_format(value: str) -> bool:
    return _is_text(value) and "%output" not in value


def _is_pair(value: str) -> bool:
    return _is_text(value) and "=" in value


def _is_nowhere(value: str) -> bool:
    return value in {"/dev/null", "-"}


def _is_url(value: str) -> bool:
    url = _split(value)
    return url is not None and url.scheme in {"http", "https"} and bool(url.netloc)


def _is_host(value: str) -> bool:
    return _HOST.fullmatch(value) is not None


def _is_anything(_: str) -> bool:
    return True


_IS: Final[Mapping[Value, Callable[[str], bool]]] = {
    Value.NOTHING: _is_anything,
    Value.TEXT: _is_text,
    Value.SECRET: _is_text,
    Value.FORMAT: _is_format,
    Value.PAIR: _is_pair,
    Value.NOWHERE: _is_nowhere,
    Value.URL: _is_url,
    Value.HOST: _is_host,
}


def _allowed(word: Word, scripts: str) -> bool:
    if word.kind is Value.SCRIPT:
        path = posixpath.normpath(word.value)
        return path == word.value and path.startswith(f"{scripts.rstrip('/')}/")
    return _IS[word.kind](word.value)


def _shown(kind: Value, value: str) -> str:
    if kind in _SECRET:
        return _MASK if value else ""
    url = _split(value) if kind is Value.URL else None
    if url is None or not url.netloc:
        before, at, host = value.rpartition("@")
        return f"{_MASK}@{host}" if at and kind in {Value.URL, Value.HOST} else before + at + host
    host = url.netloc.rpartition("@")[2]
    netloc = f"{_MASK}@{host}" if "@" in url.netloc else host
    if netloc == url.netloc and not url.query:
        return value
    return url._replace(netloc=netloc, query=_MASK if url.query else "", fragment="").geturl()


def _split(value: str) -> SplitResult | None:
    try:
        return urlsplit(value)
    except ValueError:
        return None


def masked(text: str, words: Sequence[Word]) -> str:
    """Return what a command wrote without the secrets it was given."""
    secrets = {secret for word in words for secret in word.secrets if len(secret) >= _SHORTEST}
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, _MASK)
    return text
