"""Canaries with records as runs leave them: made by really judging strata."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from canary.evidence.counters import Stratum
from canary.evidence.judge import Judge, Samples
from canary.evidence.plan import CountPlan
from canary.evidence.policy import Policy
from canary.evidence.report import Weighing
from canary.model.state import Check, Outcome, Phase, State
from canary.model.values import Json
from canary.objects.status import status_from_state
from tests.fakes import objects

START = datetime(2026, 1, 1, 12, tzinfo=UTC)
SICK = Stratum(20, 100, 0, 900, 5)
HEALTHY = Stratum(0, 100, 1, 900, 5)
SERVED_LONG = Stratum(0, 0, before_bad=500, before_all=1e6)
"""What the stable's pods have counted when they are first read."""
ERRORS = CountPlan(name="request-success-rate", maximum=0.01, promotes=False)
CHECKS = (
    Check(
        name="request-success-rate",
        outcome=Outcome.FAILED,
        message="80 < 99",
        value=80.0,
        bound=99.0,
    ),
    Check(name="request-duration", outcome=Outcome.NO_DATA, message="no value"),
)


def evidence(
    *strata: Stratum, plan: CountPlan = ERRORS, policy: Policy | None = None, candidate: str = "v2"
) -> Json:
    """Return the record of a run that has seen these strata."""
    judge = Judge(policy or Policy(), [plan])
    state = judge.start()
    for stratum in (SERVED_LONG, *strata):
        samples: Samples = {plan.name: stratum}
        state = judge.update(state, samples)
    return Weighing(
        candidate=candidate,
        verdict=judge.verdict(state),
        judge=judge,
        state=state,
        sources={plan.name: "pods (app)"},
        uncounted={"queue-length": "queue_length has no rate() and may be a gauge"},
    ).record()


def canary(record: Mapping[str, Any], *, phase: Phase = Phase.PROGRESSING, **changes: Any) -> Json:
    """Return the Canary of a run with this evidence; `changes` are of its state."""
    state = State(
        phase=phase,
        candidate="v2",
        stable="v1",
        weight=0 if phase is Phase.FAILED else 10,
        reason="Refused" if phase is Phase.FAILED else "Advanced",
        message="the candidate was rolled back" if phase is Phase.FAILED else "weight 10",
        checks=CHECKS,
        started_at=START,
        evidence=record,
    )
    state = replace(state, **changes)
    status = status_from_state(state, previous={}, generation=1, now=START)
    return {**objects.canary(), "status": status}
