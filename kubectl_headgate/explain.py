"""From a Canary object to why its run stands where it stands. Nothing that is stored is trusted."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from canary.contract import EVIDENCE, Reason
from canary.evidence.judge import Judge
from canary.evidence.report import Weighing, recall
from canary.evidence.verdict import Refuse
from canary.measuring.countable import Uncountable
from canary.model.state import Check, Outcome, Phase, State
from canary.model.values import Json
from canary.objects.status import state_from_status
from canary.rules.checks import summary
from kubectl_headgate.evidence import EvidenceView, view


class RefusedBy(StrEnum):
    """What a refusal rests on. OTHER: the pods' own fate, an annotation, a time that ran out."""

    NOBODY = ""
    CHECKS = "checks"
    EVIDENCE = "evidence"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """One run as its Canary has it, with the verdict computed anew.

    `stored_verdict` is the word in the record, "" without one. `missing` says what of layer 2 is
    not there, "" where `evidence` is. `failed_checks` are those that count toward the threshold.
    `blind_for` are the metrics that layer 1 alone judges, each with the reason.
    """

    namespace: str
    name: str
    target: str
    phase: str
    weight: int
    traffic: str
    since: datetime | None
    reason: str
    message: str
    candidate: str
    checks: tuple[Check, ...]
    failed_checks: int
    refused_by: RefusedBy
    blind_for: tuple[Uncountable, ...]
    stored_verdict: str
    evidence: EvidenceView | None
    missing: str
    refused: bool

    @property
    def differs(self) -> bool:
        """Whether the stored word is another than what its numbers amount to."""
        return self.evidence is not None and self.stored_verdict != self.evidence.verdict


def explain(canary: Json) -> Explanation:
    """Read a Canary and judge its run again.

    Args:
        canary: the object as the API server stores it.

    """
    status = canary.get("status") or {}
    state = state_from_status(status)
    evidence, missing = _evidence(canary, state)
    current = evidence is not None and evidence.candidate == state.candidate
    judged = evidence is not None and evidence.verdict == Refuse.__name__
    return Explanation(
        namespace=canary["metadata"].get("namespace", ""),
        name=canary["metadata"]["name"],
        target=canary["spec"]["targetRef"]["name"],
        phase=state.stage,
        weight=state.weight,
        traffic=_traffic(state),
        since=_since(status),
        reason=state.reason,
        message=state.message,
        candidate=state.candidate,
        checks=state.checks,
        failed_checks=state.failed_checks,
        refused_by=_refused_by(state, by_evidence=current and judged),
        blind_for=_blind_for(canary, evidence, missing),
        stored_verdict=str(state.evidence.get("verdict", "")),
        evidence=evidence,
        missing=missing,
        refused=state.phase is Phase.FAILED or (current and judged),
    )


def _traffic(state: State) -> str:
    """Say what the canary gets, and in which check of a strategy that counts them."""
    said = str(state.traffic)
    if state.kind.grows or not state.begun:
        return said if state.share is None else f"{said} ({state.share:g} % by its pods)"
    return f"{said} ({state.kind}, iteration {state.step + 1})"


def _refused_by(state: State, *, by_evidence: bool) -> RefusedBy:
    """Return what a refusal rests on.

    A verdict by checks is written with the words of the checks that failed last: a crash, or a
    command, may come while some check has failed as well.
    """
    if state.phase is not Phase.FAILED or state.reason == Reason.PROGRESS_DEADLINE:
        return RefusedBy.NOBODY
    failed = summary(state.checks, Outcome.FAILED)
    if failed and state.failed_checks and failed in state.message:
        return RefusedBy.CHECKS
    return RefusedBy.EVIDENCE if by_evidence else RefusedBy.OTHER


def _blind_for(
    canary: Json, evidence: EvidenceView | None, missing: str
) -> tuple[Uncountable, ...]:
    """Return the metrics of which the evidence has counted nothing; all of them where none is."""
    if evidence is None or missing:
        # What is made from the admin's defaults names no metrics of its own.
        metrics = (canary["spec"].get("analysis") or {}).get("metrics") or ()
        return tuple(Uncountable(metric=one["name"], why=missing) for one in metrics)
    return evidence.uncounted


def _since(status: Json) -> datetime | None:
    text = status.get("lastTransitionTime") if "run" in status else None
    return datetime.fromisoformat(text) if text else None


def _evidence(canary: Json, state: State) -> tuple[EvidenceView | None, str]:
    """Return the evidence, or else what is missing."""
    record = state.evidence
    if not record:
        return None, _why_none(canary)
    try:
        judge, seen = recall(record)
        weighing = Weighing(
            candidate=str(record.get("candidate", "")),
            verdict=judge.verdict(seen),
            judge=judge,
            state=seen,
            sources=dict(record.get("sources") or {}),
            uncounted=dict(record.get("uncounted") or {}),
        )
    except (ValueError, TypeError, AttributeError) as error:
        return None, (
            f"{error}: another version of Headgate wrote it; use the kubectl-headgate of the "
            "version that is installed"
        )
    return view(weighing), _stale(weighing, state, judge)


def _stale(weighing: Weighing, state: State, judge: Judge) -> str:
    if not judge.policy.enabled:
        return "the evidence is off, so only layer 1 judges"
    if weighing.candidate != state.candidate:
        return (
            f"the evidence on record is that of an earlier candidate ({weighing.candidate}); "
            f"none was gathered for the present one ({state.candidate or 'none'})"
        )
    return ""


def _why_none(canary: Json) -> str:
    if "run" not in (canary.get("status") or {}):
        return "no run of Headgate is on record yet: nothing was updated since it was installed"
    notes = canary["metadata"].get("annotations") or {}
    if notes.get(EVIDENCE) == "off":
        return f"the evidence is off by the annotation {EVIDENCE}; only layer 1 judges"
    return (
        "no evidence is on record: it is off for the installation, or this run has not come to "
        "its first look at the counters, or it ran under an older version"
    )
