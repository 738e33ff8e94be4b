"""A run is explained from its numbers, whatever word is stored beside them."""

import io
from dataclasses import replace
from datetime import timedelta

import pytest
from rich.console import Console

from canary.contract import EVIDENCE
from canary.evidence.counters import Stratum
from canary.evidence.policy import Policy
from canary.model.state import Phase
from canary.model.values import Json
from kubectl_headgate.explain import Explanation, explain
from kubectl_headgate.text import console, write_explanation
from tests.fakes import objects
from tests.unit.kubectl_headgate.conftest import Command
from tests.unit.kubectl_headgate.past import CANARIES, Objects, listed
from tests.unit.kubectl_headgate.records import (
    ERRORS,
    HEALTHY,
    SICK,
    START,
    canary,
    evidence,
)

REFUSED = evidence(*[SICK] * 3)
GATED = replace(ERRORS, promotes=True)


def text(found: Explanation, out: Console | None = None) -> str:
    file = io.StringIO()
    write_explanation(out or console(file), found, START + timedelta(minutes=5))
    return file.getvalue()


def words(found: Explanation) -> str:
    return " ".join(text(found).split())


async def test_a_refusal_is_explained_and_ends_with_1(command: Command, api: Objects) -> None:
    api.objects[CANARIES] = listed(canary(REFUSED, phase=Phase.FAILED))
    ended = await command("explain", "web", "-o", "json")
    assert (ended.code, ended.error) == (1, "")
    found = ended.json
    assert (found["phase"], found["evidence"]["verdict"]) == ("Failed", "Refuse")
    (row,) = found["evidence"]["metrics"]
    assert row["canary"] == {"bad": 60.0, "all": 300.0, "value": 0.2}
    assert row["value"] > row["needed"] > 100
    assert 1 < found["evidence"]["change"]["fewerBad"] < 60
    assert 0 < found["evidence"]["change"]["alpha"] < 0.01
    in_words = await command("explain", "web")
    assert in_words.code == 1
    assert "Refused: request-success-rate 20 % > 0.1 %" in in_words.out


async def test_an_open_run_ends_with_0(command: Command, api: Objects) -> None:
    api.objects[CANARIES] = listed(canary(evidence(HEALTHY)))
    ended = await command("explain", "web")
    assert (ended.code, ended.error) == (0, "")


async def test_a_canary_is_found_by_its_target_and_by_its_own_name(
    command: Command, api: Objects
) -> None:
    named = canary(REFUSED)
    named = {**named, "metadata": {**named["metadata"], "name": "checkout"}}
    api.objects[CANARIES] = listed(named)
    for name in ("web", "checkout", "deployment/web"):
        assert (await command("explain", name, "-o", "json")).json["name"] == "checkout"


async def test_no_canary_is_said_with_where_to_look(command: Command) -> None:
    ended = await command("explain", "shop")
    assert (ended.code, ended.out) == (2, "")
    assert "no Canary in namespace prod is for shop" in ended.error
    assert "kubectl get canaries -A" in ended.error


async def test_a_cluster_without_headgate_is_named(command: Command, api: Objects) -> None:
    del api.objects[CANARIES]
    ended = await command("explain", "web")
    assert ended.code == 2
    assert "install Headgate" in ended.error


async def test_missing_rights_are_named(command: Command, api: Objects) -> None:
    api.forbidden.add(CANARIES)
    ended = await command("explain", "web")
    assert ended.code == 2
    assert "ask for the right to get and list canaries" in ended.error


def test_the_stored_word_is_not_trusted() -> None:
    found = explain(canary({**evidence(HEALTHY), "verdict": "Refuse"}))
    assert found.differs
    assert not found.refused
    assert "the stored word is refused, but its numbers amount to open" in words(found)


@pytest.mark.parametrize(
    ("obj", "said"),
    [
        (objects.canary(), "no run of Headgate is on record yet"),
        (canary({}), "or this run has not come to its first look"),
        (objects.annotated(canary({}), {EVIDENCE: "off"}), f"by the annotation {EVIDENCE}"),
        (canary({"candidate": "v2", "verdict": "Refuse"}), "another version of Headgate wrote it"),
        (canary(evidence(SICK, candidate="v1")), "that of an earlier candidate (v1)"),
        (canary(evidence(SICK, policy=Policy(enabled=False))), "the evidence is off"),
    ],
    ids=["no run", "none yet", "off", "other version", "earlier candidate", "off by policy"],
)
def test_what_is_missing_is_said(obj: Json, said: str) -> None:
    found = explain(obj)
    assert said in found.missing
    assert said[1:] in words(found)
    assert not found.refused


def test_evidence_against_an_earlier_candidate_refuses_no_later_one() -> None:
    found = explain(canary(evidence(*[SICK] * 3, candidate="v1")))
    assert found.evidence is not None
    assert found.evidence.verdict == "Refuse"
    assert not found.refused


def test_an_open_run_says_what_both_ends_need() -> None:
    found = explain(canary(evidence(Stratum(1, 20, 1, 180, 5), plan=GATED)))
    assert found.evidence is not None
    assert found.evidence.verdict == "Continue"
    assert found.evidence.change.to_refuse is not None
    assert "A refusal needs" in words(found)
    assert "A promotion needs evidence:" in words(found)


def test_a_non_inferior_run_says_how_sure_that_is() -> None:
    found = explain(canary(evidence(*[HEALTHY] * 40, plan=GATED)))
    assert found.evidence is not None
    assert found.evidence.verdict == "NonInferior"
    assert "Non-inferior: no metric is worse" in words(found)
    assert "at beta 5 %" in words(found)


BY_CHECKS = {
    "failed_checks": 3,
    "message": "Rolling back prod/web failed checks threshold reached 3: 80 < 99",
}


async def test_a_refusal_by_checks_is_the_checks_own(command: Command, api: Objects) -> None:
    obj = canary(evidence(HEALTHY), phase=Phase.FAILED, **BY_CHECKS)
    api.objects[CANARIES] = listed(obj)
    ended = await command("explain", "web", "-o", "json")
    assert (ended.code, ended.json["refusedBy"], ended.json["failedChecks"]) == (1, "checks", 3)
    assert ended.json["evidence"]["verdict"] == "Continue"
    said = words(explain(obj))
    assert "Refused by layer 1, the Canary's own rules, after 3 failed checks" in said
    assert "80 < 99." in said
    assert "The evidence refused nothing: nothing is shown yet." in said
    assert "With thresholdRange min of 80 or less for request-success-rate" in said
    assert "Open:" not in said
    assert "A promotion needs" not in said


@pytest.mark.parametrize(
    ("obj", "refused_by"),
    [
        (canary(REFUSED, phase=Phase.FAILED), "evidence"),
        (canary(REFUSED, phase=Phase.FAILED, failed_checks=1), "evidence"),
        (canary({}, phase=Phase.FAILED, **BY_CHECKS), "checks"),
        # One check had failed when its pod crashed: the crash has refused it.
        (canary(evidence(HEALTHY), phase=Phase.FAILED, failed_checks=1), "other"),
        (canary(evidence(HEALTHY), phase=Phase.FAILED, reason="Aborted"), "other"),
        (canary({}, phase=Phase.FAILED, reason="ProgressDeadlineExceeded"), ""),
        (canary(REFUSED), ""),
    ],
    ids=["evidence", "both", "no evidence", "crash", "abort", "no verdict", "open"],
)
def test_who_refused_is_told(obj: Json, refused_by: str) -> None:
    assert explain(obj).refused_by == refused_by


def test_a_run_that_no_metric_has_ended_says_what_has() -> None:
    said = words(explain(canary(evidence(HEALTHY), phase=Phase.FAILED, reason="Aborted")))
    assert "Ended by none of its metrics: the candidate was rolled back" in said
    assert "Open:" not in said


def test_what_the_evidence_is_blind_for_is_named_with_the_reason() -> None:
    found = explain(canary(evidence()))
    assert sorted((one.metric, one.why) for one in found.blind_for) == [
        ("queue-length", "queue_length has no rate() and may be a gauge"),
        ("request-success-rate", "no request to the canary was counted yet"),
    ]
    assert "The evidence is blind for these, so layer 1 alone judges them" in text(found)


def test_without_evidence_layer_1_alone_judges_every_metric() -> None:
    obj = objects.annotated(canary({}), {EVIDENCE: "off"})
    obj["spec"]["analysis"]["metrics"] = [{"name": "request-duration"}, {"name": "error-rate"}]
    assert [one.metric for one in explain(obj).blind_for] == ["request-duration", "error-rate"]
    assert "Layer 1 alone judges request-duration, error-rate." in text(explain(obj))


def test_a_metric_without_requests_is_silent() -> None:
    found = explain(canary(evidence()))
    assert found.evidence is not None
    assert found.evidence.silent == ("request-success-rate",)
    assert "No request was counted for request-success-rate." in text(found)


def test_texts_of_others_do_not_steer_the_terminal() -> None:
    obj = canary(REFUSED)
    obj["status"]["conditions"][0]["message"] = "\x1b[2J[red]gone[/red]"
    shown = text(explain(obj))
    assert "\x1b" not in shown
    assert "[red]gone[/red]" in shown


def test_a_terminal_of_80_columns_keeps_numbers_in_one_piece() -> None:
    file = io.StringIO()
    narrow = Console(file=file, width=80, markup=False, highlight=False, no_color=True)
    write_explanation(narrow, explain(canary(REFUSED)), START)
    lines = file.getvalue().splitlines()
    assert max(len(line) for line in lines) <= 80
    assert any("60 of 300 (20 %)" in line and "0 of 2700 (0 %)" in line for line in lines)
