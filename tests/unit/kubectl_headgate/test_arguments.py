"""What is no command is refused with 2, and with how to write it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from canary.model.strategy import Strategy
from canary.spec.problems import Problems
from canary.spec.settings import TABLE, Tuning, from_options
from canary.spec.steps import linear
from kubectl_headgate.__main__ import start
from kubectl_headgate.arguments import Options, Verb, read_arguments
from kubectl_headgate.faults import Unreadable
from kubectl_headgate.trial import tried

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def read(*arguments: str) -> Options:
    return read_arguments(arguments, NOW)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "VERB"),
        (["mend", "web"], "invalid choice"),
        (["explain"], "NAME"),
        (["explain", "web", "-o", "yaml"], "invalid choice"),
        (["explain", "web", "--last", "5m"], "unrecognized arguments: --last 5m"),
        (["replay", "web", "--last", "soon"], "write it as 30s, 1m or 1m30s"),
        (["replay", "web", "--last", "0s"], "the shortest is 1s"),
        (["replay", "web", "--from", "2026-01-01T10:00:00"], "has no time zone"),
        (["replay", "web", "--from", "yesterday"], "a time cannot be read"),
        (["replay", "web", "--from", "2026-01-01T13:00:00Z"], "ends before it begins"),
        (["replay", "web", "--from", "2026-01-01T10:00:00Z", "--last", "5m"], "leave one out"),
        (["replay", "web", "--last", "90h", "--step", "5s"], "lengthen --step"),
        (["replay", "web", "--alpha", "70"], "above 0 and below 50"),
        (["replay", "web", "--gate", "open"], "is not one of non-inferiority, none"),
        (["replay", "web", "--max", "500"], "as in request-duration=500"),
        (["replay", "web", "--max", "request-duration=slow"], "a bound cannot be read"),
    ],
)
def test_a_wrong_command_is_refused_with_how_to_write_it(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        read(*arguments)
    assert ended.value.code == 2
    written = capsys.readouterr()
    assert said in " ".join(written.err.split())
    assert written.out == ""


def test_all_that_is_wrong_with_what_is_tried_is_told_at_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        read("replay", "web", "--alpha", "70", "--gate", "open")
    written = " ".join(capsys.readouterr().err.split())
    assert "--alpha: '70' must be" in written
    assert "--gate: 'open' is not one of" in written


def test_help_has_a_line_on_every_option_of_the_table(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit) as ended:
        read("replay", "--help")
    assert ended.value.code == 0
    shown = " ".join(capsys.readouterr().out.split())
    options = [setting for setting in TABLE if setting.option]
    assert options
    assert all(f"{setting.option} X {setting.help}" in shown for setting in options)


def test_a_text_that_cannot_be_read_is_never_tried() -> None:
    options = replace(read("replay", "web"), tried={"--alpha": "70"})
    strategy = Strategy(interval=timedelta(minutes=1), threshold=3, steps=linear((10,)))
    with pytest.raises(Unreadable, match="--alpha: '70' must be"):
        tried(strategy, options)


def test_a_kubeconfig_that_is_not_there_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = start(["explain", "web", "--kubeconfig", str(tmp_path / "none")], NOW)
    assert code == 2
    assert "give --kubeconfig or set KUBECONFIG" in capsys.readouterr().err


def test_the_window_is_the_last_half_hour_by_default() -> None:
    found = read("replay", "web")
    assert (found.verb, found.end, found.step) == (Verb.REPLAY, NOW, timedelta(seconds=5))
    assert found.end - found.start == timedelta(minutes=30)


def test_a_window_ends_where_it_is_told() -> None:
    found = read("replay", "web", "--to", "2026-01-01T11:00:00+01:00", "--last", "1h")
    assert found.end == datetime(2026, 1, 1, 10, tzinfo=UTC)
    assert found.start == datetime(2026, 1, 1, 9, tzinfo=UTC)


def test_what_is_tried_is_read_as_the_annotations_are() -> None:
    found = read(
        *("replay", "web", "--alpha", "0.5", "--beta", "10%", "--gate", "none"),
        *("--max", "p99=500", "--max", "errors=0.5", "--min", "request-success-rate=99.9"),
        *("--revision", "6e7f", "--against", "5d9f", "--context", "c", "-n", "shop"),
    )
    tuning = from_options(found.tried, Problems(), Tuning(gate=True))
    assert (tuning.alpha, tuning.beta, tuning.gate) == (0.005, 0.1, False)
    assert found.maximum == (("p99", 500.0), ("errors", 0.5))
    assert found.minimum == (("request-success-rate", 99.9),)
    assert (found.revision, found.against) == ("6e7f", "5d9f")
    assert (found.context, found.namespace) == ("c", "shop")
