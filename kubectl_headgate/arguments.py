"""The command line of `kubectl headgate`."""

import argparse
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from canary.spec import parsers
from canary.spec.problems import Problems
from canary.spec.settings import TABLE, from_options

_MOST_POINTS: Final = 11_000
"""Points of one series that a Prometheus answers with."""
_USUAL_STEP: Final = timedelta(seconds=5)
"""A bad version may be refused within 15 s: a longer step would miss its whole run."""


class Verb(StrEnum):
    """What the command does."""

    EXPLAIN = "explain"
    REPLAY = "replay"
    APPROVE = "approve"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What was asked for. `start`, `end` and what follows concern `replay` only, `gate` `approve`.

    `tried` has the texts of options that override what the Canary or the admin has set, by option;
    all of them can be read. `minimum` and `maximum` are bounds by metric. Empty texts stand for no
    choice.
    """

    verb: Verb
    name: str
    namespace: str
    context: str
    kubeconfig: str
    json: bool
    start: datetime
    end: datetime
    step: timedelta
    prometheus: str
    revision: str
    against: str
    tried: Mapping[str, str]
    minimum: tuple[tuple[str, float], ...]
    maximum: tuple[tuple[str, float], ...]
    gate: str = ""


def read_arguments(arguments: Sequence[str], now: datetime) -> Options:
    """Read a command line.

    Args:
        arguments: without the program's own name.
        now: with its time zone, where a window ends that names no end.

    Raises:
        SystemExit: with 2, where it is not one; what is wrong is on standard error by then.

    """
    parser, replay = _parsers()
    given = parser.parse_args(arguments)
    verb, read = Verb(given.verb), vars(given).get
    start, end, step = now, now, timedelta(seconds=1)
    if verb is Verb.REPLAY:
        start, end, step = _window(given, replay, now)
    return Options(
        verb=verb,
        name=given.name.removeprefix("deployment/").removeprefix("canary/"),
        namespace=given.namespace,
        context=given.context,
        kubeconfig=given.kubeconfig,
        json=read("output", "text") == "json",
        start=start,
        end=end,
        step=step,
        prometheus=read("prometheus", ""),
        revision=read("revision", ""),
        against=read("against", ""),
        tried=_tried(given, replay),
        minimum=tuple(read("min") or ()),
        maximum=tuple(read("max") or ()),
        gate=read("gate_name") or "",
    )


def _parsers() -> tuple[argparse.ArgumentParser, argparse.ArgumentParser]:
    whose = argparse.ArgumentParser(add_help=False)
    whose.add_argument("name", metavar="NAME", help="the Deployment's name, or its Canary's")
    whose.add_argument("-n", "--namespace", default="", help="default: that of the context")
    whose.add_argument("--context", default="", help="of the kubeconfig")
    whose.add_argument("--kubeconfig", default="", help="path; default: $KUBECONFIG")
    common = argparse.ArgumentParser(add_help=False, parents=[whose])
    common.add_argument(
        "-o", "--output", choices=("text", "json"), default="text", help="default: text"
    )
    parser = argparse.ArgumentParser(
        prog="kubectl headgate", description="Why Headgate judged a run as it did."
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    verbs.add_parser(
        Verb.EXPLAIN,
        parents=[common],
        help="show the evidence of a run, and what would have changed the verdict",
    )
    replay = verbs.add_parser(
        Verb.REPLAY,
        parents=[common],
        help="judge a past window from Prometheus, by policies that may only be tried",
    )
    _add_window(replay)
    _add_trial(replay)
    approving = verbs.add_parser(
        Verb.APPROVE, parents=[whose], help="open a gate for the version that waits at it, once"
    )
    approving.add_argument(
        "gate_name", nargs="?", metavar="GATE", help="name of its hook; default: where it waits"
    )
    return parser, replay


def _add_window(parser: argparse.ArgumentParser) -> None:
    when = parser.add_argument_group("the window")
    moment, duration = _type(_moment, "a time"), _type(parsers.interval, "a duration")
    when.add_argument("--from", dest="start", type=moment, metavar="T", help="its beginning")
    when.add_argument("--to", dest="end", type=moment, metavar="T", help="default: now")
    when.add_argument("--last", type=duration, metavar="D", help="instead: its length, 30m")
    when.add_argument("--step", type=duration, metavar="D", help="the scrape interval, 5s")
    when.add_argument("--prometheus", default="", metavar="URL", help="default: each metric's own")
    when.add_argument("--revision", default="", metavar="HASH", help="of the candidate's pods")
    when.add_argument(
        "--against", "--baseline-revision", default="", metavar="HASH", help="of the stable's pods"
    )


def _add_trial(parser: argparse.ArgumentParser) -> None:
    trial = parser.add_argument_group("what to try; default: as the Canary and the admin have it")
    bound = _type(_bound, "a bound")
    for setting in TABLE:
        if setting.option:
            trial.add_argument(setting.option, dest=setting.option, metavar="X", help=setting.help)
    for name, what in (("--max", "upper"), ("--min", "lower")):
        trial.add_argument(
            name, type=bound, action="append", metavar="METRIC=VALUE", help=f"its {what} bound"
        )


def _tried(given: argparse.Namespace, parser: argparse.ArgumentParser) -> Mapping[str, str]:
    """Return what was given of the options in the table, or end with all that is wrong with it."""
    said = vars(given)
    options = (setting.option for setting in TABLE if setting.option)
    tried = {option: said[option] for option in options if said.get(option) is not None}
    problems = Problems()
    from_options(tried, problems)
    if problems.found:
        parser.error("; ".join(problems.found))
    return tried


def _window(
    given: argparse.Namespace, parser: argparse.ArgumentParser, now: datetime
) -> tuple[datetime, datetime, timedelta]:
    if given.start and given.last:
        parser.error("--from and --last both say when the window begins; leave one out")
    end = given.end or now
    start = given.start or end - (given.last or timedelta(minutes=30))
    step = given.step or _usual_step(end - start)
    if start >= end:
        parser.error("the window ends before it begins; let --from be earlier than --to")
    if (end - start) / step > _MOST_POINTS:
        parser.error(f"more than {_MOST_POINTS} steps; shorten the window or lengthen --step")
    return start, end, step


def _usual_step(length: timedelta) -> timedelta:
    """Return a step of whole seconds, longer where a Prometheus would not answer otherwise."""
    least = math.ceil(length.total_seconds() / _MOST_POINTS)
    return max(_USUAL_STEP, timedelta(seconds=least))


def _type(parse: Callable[[str], Any], what: str) -> Callable[[str], Any]:
    """Let argparse show why a value cannot be read, and not only that it cannot."""

    def read(text: str) -> Any:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"{what} cannot be read: {error}") from error

    return read


def _moment(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError(f"{text} has no time zone; write it as 2026-01-01T12:00:00Z")
    return found.astimezone(UTC)


def _bound(text: str) -> tuple[str, float]:
    name, separator, value = text.rpartition("=")
    if not name or not separator:
        raise ValueError(f"{text} must name a metric and its bound, as in request-duration=500")
    return name, float(value)
