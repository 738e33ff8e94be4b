"""The page of the command names every option and every field of its JSON, and shows its text."""

import dataclasses
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from canary.evidence.verdict import Need
from canary.measuring.countable import Uncountable
from canary.model.state import Check, Phase
from kubectl_headgate.arguments import read_arguments
from kubectl_headgate.evidence import Change, Counts, EvidenceView, MetricRow
from kubectl_headgate.explain import Explanation, explain
from kubectl_headgate.jsonform import to_json
from kubectl_headgate.replay import Replay, ReplayOutcome
from tests.unit.kubectl_headgate.records import SICK, canary, evidence
from tests.unit.kubectl_headgate.test_explain import text

PAGE = (Path(__file__).parents[3] / "docs" / "kubectl-headgate.md").read_text()
NAMED = set(re.findall(r"`([^`\n]+)`", PAGE))
WRITTEN: tuple[Any, ...] = (
    Explanation,
    Check,
    EvidenceView,
    MetricRow,
    Counts,
    Uncountable,
    Change,
    Need,
    Replay,
)
FULL = explain(canary(evidence(*[SICK] * 3), phase=Phase.FAILED))


@pytest.mark.parametrize("kind", WRITTEN, ids=lambda kind: kind.__name__)
def test_every_field_is_on_the_page(kind: Any) -> None:
    names = {
        re.sub("_(.)", lambda it: it[1].upper(), field.name) for field in dataclasses.fields(kind)
    }
    assert names - NAMED == set()


def test_every_outcome_is_on_the_page() -> None:
    assert set(ReplayOutcome) - NAMED == set()


@pytest.mark.parametrize("verb", ["explain", "replay"])
def test_every_option_is_on_the_page(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        read_arguments([verb, "--help"], datetime(2026, 1, 1, tzinfo=UTC))
    options = set(re.findall(r"--[a-z-]+|(?<![\w-])-[a-z]\b", capsys.readouterr().out))
    assert len(options) > 5
    assert options - NAMED - {"-h", "--help"} == set()


def test_the_example_is_what_is_written() -> None:
    assert f"```text\n{text(FULL)}```" in PAGE


def test_names_of_the_json_are_as_the_page_has_them() -> None:
    assert set(to_json(FULL)) <= NAMED
    assert to_json({"a": float("inf"), "b": (datetime(2026, 1, 1, tzinfo=UTC),)}) == {
        "a": None,
        "b": ["2026-01-01T00:00:00Z"],
    }
