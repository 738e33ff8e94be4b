"""States, plans and policies as plain JSON, without loss: what is read back is equal.

JSON numbers carry a float exactly, so a judge that goes on from a record ends in the same state as
one that was never stopped. What is null may be left out, as a merge patch leaves it out.
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, Final

from canary.evidence.bursty import BurstEvidence
from canary.evidence.counted import CountEvidence
from canary.evidence.counters import Arm, Counters, PodCounters
from canary.evidence.dispersion import Calibration
from canary.evidence.judge import Judge, JudgeState
from canary.evidence.latency import Frozen
from canary.evidence.plan import CountPlan, Plan, ScalarPlan
from canary.evidence.policy import Inconclusive, Policy
from canary.evidence.ranked import ScalarEvidence

Json = dict[str, Any]

_GONE: Final = ("start_bad", "start_all")
"""What an evidence had in versions before, and is of no use now."""


def dump_state(state: JudgeState) -> Json:
    """Write a state."""
    return {"metrics": [_dump_evidence(one) for one in state.metrics]}


def load_state(record: Mapping[str, Any], judge: Judge) -> JudgeState:
    """Read a state that this judge wrote.

    Raises:
        ValueError: it was written for other plans, or by another version.

    """
    metrics = tuple(_load_evidence(one) for one in record["metrics"])
    fresh = judge.start().metrics
    if [_form(one) for one in metrics] != [_form(one) for one in fresh]:
        raise ValueError("the state belongs to other plans")
    return JudgeState(metrics)


def dump_judge(judge: Judge) -> Json:
    """Write what a judge is made of: its policy and its plans, with what they have learned."""
    policy = {**dataclasses.asdict(judge.policy), "blocks": list(judge.policy.blocks)}
    return {"policy": policy, "plans": [_dump_plan(plan) for plan in judge.plans]}


_USUAL: Final = Policy(inferior_rate=0.5)


def load_judge(record: Mapping[str, Any]) -> Judge:
    """Make the judge that was written.

    Raises:
        ValueError: a value of it is none that the judge can calculate with.

    """
    values = dict(record["policy"])
    policy = Policy(
        **{
            **values,
            "blocks": tuple(values["blocks"]),
            "on_inconclusive": Inconclusive(values["on_inconclusive"]),
        }
    )
    if strange := [name for name in values if not _is_usual(policy, name)]:
        raise ValueError(f"{', '.join(strange)}: no such value is in a policy")
    return Judge(policy, [_load_plan(plan) for plan in record["plans"]])


def load_frozen(record: Mapping[str, Any]) -> dict[str, Frozen]:
    """Read where the stable's own latencies were held fast; what is none is held fast anew."""
    found = record.get("frozen")
    entries = found.items() if isinstance(found, dict) else ()
    return {name: Frozen(one["way"], one["bounds"]) for name, one in entries if _is_frozen(one)}


def dump_counters(counters: Counters) -> Json:
    """Write where the counters of a metric stand."""
    return {
        "began": counters.began,
        "warmup": counters.warmup,
        "lag": counters.lag,
        "alone": counters.alone,
        "start": counters.start,
        "past": counters.past,
        "time": counters.time if math.isfinite(counters.time) else None,
        "clamped": counters.clamped,
        "pods": {
            name: [pod.arm.value, pod.born, pod.time, dict(pod.values), _finite(pod.opened)]
            for name, pod in counters.seen.items()
        },
    }


def load_counters(record: Mapping[str, Any]) -> Counters:
    """Read where the counters of a metric stood."""
    return Counters(
        began=record["began"],
        warmup=record["warmup"],
        lag=record["lag"],
        alone=record["alone"],
        start=record["start"],
        past=record["past"],
        time=-math.inf if record["time"] is None else record["time"],
        clamped=record["clamped"],
        seen={
            name: PodCounters(
                arm=Arm(arm),
                born=born,
                time=time,
                values=values,
                opened=math.inf if opened is None else opened,
            )
            for name, (arm, born, time, values, opened) in record["pods"].items()
        },
    )


def _is_frozen(entry: Any) -> bool:
    match entry:
        case {"way": str(), "bounds": dict(bounds)}:
            return all(_formed(bound) is float for bound in bounds.values())
        case _:
            return False


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _dump_evidence(evidence: CountEvidence | ScalarEvidence) -> Json:
    return {name: _listed(value) for name, value in evidence._asdict().items()}


def _load_evidence(record: Mapping[str, Any]) -> CountEvidence | ScalarEvidence:
    values = {name: _tupled(value) for name, value in record.items()}
    if "dues" in values:
        for name in _GONE:
            values.pop(name, None)
        stored = values.pop("bursty", None)
        values["bursty"] = None if stored is None else BurstEvidence.of(stored)
    for kind in (CountEvidence, ScalarEvidence):
        if set(values) == set(kind._fields):
            return kind(**values)
    raise ValueError("the state was written by another version")


def _form(evidence: CountEvidence | ScalarEvidence) -> object:
    """Return where in an evidence its numbers are; no other value has a place there."""
    if isinstance(evidence, CountEvidence):
        # The tests of rates have their bets from the first reading on that has a rate.
        excess = tuple({_formed(one) for one in logs} <= {float} for logs in evidence.excess)
        return excess, _formed(evidence._replace(excess=()))
    time = 0.0 if evidence.time is None else evidence.time
    stable = 0.0 if evidence.stable is None else evidence.stable
    return _formed(evidence._replace(time=time, stable=stable))


def _formed(value: object) -> object:
    if isinstance(value, tuple):
        return tuple(map(_formed, value))
    return float if type(value) is int else type(value)


def _is_usual(policy: Policy, name: str) -> bool:
    """Tell whether a value is of the kind that the policy of nobody's wish has there."""
    value = getattr(policy, name)
    if name == "blocks":
        return {_formed(one) for one in value} <= {float}
    return (value is None and name == "inferior_rate") or _formed(value) == _formed(
        getattr(_USUAL, name)
    )


def _dump_plan(plan: Plan) -> Json:
    record = dataclasses.asdict(plan)
    if isinstance(plan, CountPlan) and plan.calibration:
        levels = [
            [volume if math.isfinite(volume) else None, dispersion]
            for volume, dispersion in plan.calibration.levels
        ]
        record["calibration"] = {**record["calibration"], "levels": levels}
    return record


def _load_plan(record: Mapping[str, Any]) -> Plan:
    if not isinstance(record["name"], str):
        raise ValueError("the name of a plan is no text")  # noqa: TRY004 - of a stored record
    if "promotes" not in record:
        return ScalarPlan(**record)
    found = record.get("calibration")
    if found is None:
        return CountPlan(**record)
    levels = tuple(
        (math.inf if volume is None else volume, dispersion)
        for volume, dispersion in found["levels"]
    )
    return CountPlan(**{**record, "calibration": Calibration(**{**found, "levels": levels})})


def _listed(value: object) -> object:
    return [_listed(part) for part in value] if isinstance(value, tuple) else value


def _tupled(value: object) -> Any:
    return tuple(_tupled(part) for part in value) if isinstance(value, list) else value
