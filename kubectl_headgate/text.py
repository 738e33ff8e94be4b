"""What the command says to a person: aligned words, without colours where there is no terminal.

Tables have no frames, and nothing is said by colour or place alone, so that a screen reader reads
them as they are. Columns never break: what is piped is as wide as it is, 120 columns for messages.
"""

import math
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import IO, Final

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from canary.contract import EVIDENCE_ALPHA
from canary.durations import age
from canary.evidence.report import in_words
from canary.measuring.countable import Uncountable
from canary.model.state import Check, Outcome
from canary.rules.checks import HEALTH
from kubectl_headgate.evidence import Counts, EvidenceView, MetricRow
from kubectl_headgate.explain import Explanation, RefusedBy
from kubectl_headgate.replay import Replay, ReplayOutcome

_PIPED: Final = 120
_NARROWEST: Final = 80
_SHOWN: Final = 3
_NONE: Final = "-"
_NAMES: Final = {
    "Refuse": "refused",
    "NonInferior": "non-inferior",
    "Continue": "open",
    "Undecided": "undecided",
}


def console(file: IO[str] | None = None) -> Console:
    """Return a console that reads nothing into the text: cluster objects are not our markup.

    Args:
        file: where to write, None for standard output.

    """
    out = Console(file=file or sys.stdout, markup=False, highlight=False, emoji=False)
    out.width = max(_NARROWEST, out.width) if out.is_terminal else _PIPED
    return out


# --- explain ----------------------------------------------------------------------------------


def write_explanation(out: Console, found: Explanation, now: datetime) -> None:
    """Write why a run stands where it stands.

    Args:
        out: where to.
        found: the run.
        now: for ages, with its time zone.

    """
    with _page(out):
        _explanation(out, found, now)


def _explanation(out: Console, found: Explanation, now: datetime) -> None:
    _title(out, f"{found.target} in namespace {found.namespace} (Canary {found.name})")
    since = "" if found.since is None else f" since {_time(found.since)} ({age(found.since, now)})"
    _fields(
        out,
        [
            ("Phase", f"{found.phase}{since}"),
            ("Weight", found.traffic),
            ("Reason", found.reason or _NONE),
            ("Message", found.message or _NONE),
        ],
    )
    _title(out, "Layer 1: the Canary's own rules, as they were checked last")
    if found.checks:
        rows = [
            (check.name, _number(check.value), _number(check.bound), str(check.outcome))
            for check in found.checks
        ]
        _table(out, ("Check", "Value", "Bound", "Outcome"), rows)
    else:
        _line(out, "No check is on record.")
    if found.missing:
        _title(out, "Layer 2: evidence")
        _line(out, _sentence(found.missing))
        if found.blind_for:
            names = ", ".join(one.metric for one in found.blind_for)
            _line(out, f"Layer 1 alone judges {names}.")
    if found.evidence is not None:
        _evidence(out, found.evidence)
    if not found.missing:
        _blind(out, found.blind_for)
    _verdict(out, found)
    _differs(out, found)


def _verdict(out: Console, found: Explanation) -> None:
    """Say who has judged, and how; what the evidence alone says of it comes after a refusal."""
    evidence = found.evidence
    if found.refused_by is RefusedBy.CHECKS:
        _title(out, "Verdict")
        _refused_by_checks(out, found)
    elif found.refused_by is RefusedBy.OTHER:
        _title(out, "Verdict")
        _line(out, f"Ended by none of its metrics: {found.message}")
    elif evidence is not None:
        _title(out, "Verdict")
        name = _NAMES[evidence.verdict]
        _line(out, f"{name[0].upper()}{name[1:]}: {evidence.sentence}.")
        _would_change(out, evidence)


def _refused_by_checks(out: Console, found: Explanation) -> None:
    failed = [check for check in found.checks if check.outcome is Outcome.FAILED]
    times = "1 failed check" if found.failed_checks == 1 else f"{found.failed_checks} failed checks"
    _line(out, f"Refused by layer 1, the Canary's own rules, after {times}. The last one said:")
    for check in failed:
        _line(out, _sentence(check.message))
    if found.evidence is not None:
        _line(out, f"The evidence refused nothing: {found.evidence.sentence}.")
    bounds = [it for check in failed if (it := _passing_bound(check))]
    if bounds:
        _title(out, "What would have changed it")
        for line in bounds:
            _line(out, line)


def _passing_bound(check: Check) -> str:
    """Say by which bound a failed check of a metric would have passed; "" of another check."""
    if check.value is None or check.bound is None or check.name == HEALTH:
        return ""
    side = "max" if check.value > check.bound else "min"
    more = "or more" if side == "max" else "or less"
    return (
        f"With thresholdRange {side} of {_number(check.value)} {more} for {check.name}, in place "
        f"of {_number(check.bound)}, its last check would have passed."
    )


def _differs(out: Console, found: Explanation) -> None:
    if found.differs and found.evidence is not None:
        stored = _NAMES.get(found.stored_verdict, found.stored_verdict or "nothing")
        _line(
            out,
            f"Attention: the stored word is {stored}, but its numbers amount to "
            f"{_NAMES[found.evidence.verdict]}. This command goes by the numbers.",
        )


# --- replay -----------------------------------------------------------------------------------


def write_replay(out: Console, found: Replay) -> None:
    """Write how a past window would have been judged."""
    with _page(out):
        _replay(out, found)


def _replay(out: Console, found: Replay) -> None:
    _title(out, f"{found.target} in namespace {found.namespace}: a replay of the evidence layer")
    window = f"{_time(found.start)} to {_time(found.end)}, every {found.step:g} s"
    sides = f"{_some(found.canary_pods)} against {_some(found.stable_pods)}"
    policy = f"alpha {_percent(found.evidence.alpha)}, beta {_percent(found.evidence.beta)}"
    gate = "non-inferiority" if found.evidence.gate else "none"
    _fields(
        out,
        [
            ("Window", window),
            ("Pods", sides),
            ("First canary request", _time(found.first_request)),
            ("Policy", f"{policy}, promotion gate {gate}"),
        ],
    )
    _evidence(out, found.evidence)
    _blind(out, found.evidence.uncounted)
    _title(out, "Would have been")
    _line(out, _outcome(found))
    _would_change(out, found.evidence)
    _title(out, "Notes")
    for remark in found.remarks:
        _line(out, _sentence(remark))


def _outcome(found: Replay) -> str:
    words = found.evidence.sentence
    when = (
        f"{_time(found.decided)}, {found.seconds:.0f} s after the first canary request"
        if (found.decided is not None and found.seconds is not None)
        else ""
    )
    match found.outcome:
        case ReplayOutcome.REFUSED:
            return f"Refused at {when}: {words}."
        case ReplayOutcome.PASSED:
            return f"Passed at {when}: {words}."
        case ReplayOutcome.UNDECIDED:
            return f"Not decided by the end of the window: {words}."
        case ReplayOutcome.NOT_REFUSED:
            return (
                "Not refused by the end of the window. No promotion gate asks for more, so layer 1 "
                "alone would have decided on the promotion."
            )


# --- what both have ---------------------------------------------------------------------------


def _evidence(out: Console, found: EvidenceView) -> None:
    if found.metrics:
        _title(out, "Layer 2: bad requests of all, counted")
        heads = ("Metric", "Canary", "Stable", "Times worse", "Allowed")
        _table(out, heads, [_counted(row) for row in found.metrics])
        _title(out, "Layer 2: evidence for a refusal, as e-value of what a metric needs alone")
        heads = ("Metric", "Evidence", "Loudest test", "Dispersion", "Counted from")
        _table(out, heads, [_weighed(row) for row in found.metrics])


def _blind(out: Console, found: Sequence[Uncountable]) -> None:
    if found:
        _title(out, "The evidence is blind for these, so layer 1 alone judges them")
        _table(out, ("Metric", "Because"), [(one.metric, one.why) for one in found])


def _counted(row: MetricRow) -> Sequence[str]:
    worse = _NONE if row.times_worse is None else f"{row.times_worse:.1f}"
    shares = row.canary is None or row.canary.all > 0
    bound = row.bound if row.bound is None or not shares else 100 * row.bound
    allowed = _number(bound) + (" %" if bound is not None and shares else "")
    return (row.metric, _counts(row.canary), _counts(row.stable), worse, allowed)


def _weighed(row: MetricRow) -> Sequence[str]:
    evidence = "has no say" if row.needed is None else f"{_e(row.value)} of {_e(row.needed)}"
    known = "known" if row.dispersion_known else "assumed"
    dispersion = _NONE if row.dispersion is None else f"{row.dispersion:.1f} {known}"
    return (row.metric, evidence, row.test or _NONE, dispersion, row.source or "nowhere yet")


def _would_change(out: Console, found: EvidenceView) -> None:
    _line(out, f"Evidence of all metrics together: {_e(found.value)} of {_e(found.needed)}.")
    if found.silent:
        _line(out, f"No request was counted for {', '.join(found.silent)}.")
    _title(out, "What would have changed it")
    for line in _changes(found):
        _line(out, line)


def _changes(found: EvidenceView) -> Sequence[str]:
    if found.verdict == "Refuse":
        return (_stricter(found), _fewer(found))
    needs = found.change
    refuse = (
        "A refusal: what was counted so far does not point to one."
        if needs.to_refuse is None
        else f"A refusal needs {in_words(needs.to_refuse)} more on {needs.to_refuse.metric}, if "
        "they are like those so far."
    )
    if not found.gate:
        return (refuse, "A promotion needs no evidence: no gate asks for it.")
    if found.verdict == "NonInferior":
        return (refuse, f"A promotion has what it needs, at beta {_percent(found.beta)}.")
    return (refuse, f"A promotion needs evidence: {needs.to_promote_words}.")


def _stricter(found: EvidenceView) -> str:
    alpha = found.change.alpha
    if alpha is None:
        return "No error probability that can be set would have kept it: even the smallest refuses."
    return (
        f"An error probability below {_floored(alpha)} instead of {_percent(found.alpha)} "
        f"({EVIDENCE_ALPHA}) would have left it open."
    )


def _fewer(found: EvidenceView) -> str:
    fewer = found.change.fewer_bad
    if fewer is None:
        return "How many fewer bad requests would have left it open cannot be told from the record."
    return f"About {fewer} fewer bad canary requests would have left it open."


def _counts(found: Counts | None) -> str:
    if found is None:
        return _NONE
    if not found.all:
        return _number(found.value)
    return f"{found.bad:.0f} of {found.all:.0f} ({_percent(found.value)})"


def _percent(rate: float) -> str:
    return f"{100 * rate:.2g} %" if rate < 1 else f"{100 * rate:.0f} %"


def _number(value: float | None) -> str:
    return _NONE if value is None else f"{value:.4g}"


def _e(value: float) -> str:
    """Write an e-value; what is 1 or less is no evidence at all."""
    if value <= 1:
        return "1 or less"
    return "more than 1e308" if math.isinf(value) else f"{value:.3g}"


def _time(when: datetime) -> str:
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")


def _some(names: Sequence[str]) -> str:
    left = len(names) - _SHOWN
    shown = ", ".join(names[:_SHOWN]) or "none"
    return f"{shown} and {left} more" if left > 0 else shown


def _floored(rate: float) -> str:
    """Write a limit in percent, rounded to the side on which what is said of it holds."""
    digits = 2 - math.floor(math.log10(100 * rate))
    return f"{math.floor(100 * rate * 10**digits) / 10**digits:.3g} %"


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


# --- layout -----------------------------------------------------------------------------------


def _plain(text: str) -> str:
    """Leave out what would steer a terminal: others wrote these texts."""
    return "".join(one if one.isprintable() else " " for one in text)


@contextmanager
def _page(out: Console) -> Iterator[None]:
    """Write all at once, without the spaces that fill lines up."""
    with out.capture() as page:
        yield
    lines = [line.rstrip() for line in page.get().strip("\n").splitlines()]
    out.file.write("\n".join(lines) + "\n")


def _title(out: Console, text: str) -> None:
    out.print()
    out.print(Text(_plain(text), style="bold"), soft_wrap=True)


def _line(out: Console, text: str) -> None:
    out.print(Padding(Text(_plain(text)), (0, 0, 0, 2)))


def _fields(out: Console, rows: Sequence[tuple[str, str]]) -> None:
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(Text(name), Text(_plain(value)))
    out.print(Padding(table, (0, 0, 0, 2)))


def _table(out: Console, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="underline")
    for position, head in enumerate(heads):
        # The last column holds what may be long; the others are kept in one piece.
        table.add_column(head, no_wrap=position < len(heads) - 1, overflow="fold")
    for row in rows:
        table.add_row(*(Text(_plain(cell)) for cell in row))
    out.print(Padding(table, (0, 0, 0, 2)))
