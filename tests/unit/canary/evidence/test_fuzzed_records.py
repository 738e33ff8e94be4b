"""The judge's record as nobody writes it: it is read and judged on, or said to be none."""

from dataclasses import fields
from typing import Any, Final

import pytest
from hypothesis import strategies as st

from canary.evidence.judge import Judge
from canary.evidence.latency import Frozen
from canary.evidence.plan import CountPlan, ScalarPlan
from canary.evidence.policy import Policy
from canary.evidence.record import load_frozen
from canary.evidence.report import Weighing, recall
from canary.model.values import Json
from kubectl_headgate.explain import explain
from tests.fakes.fuzzed import VALUES, Property, disturbed
from tests.unit.kubectl_headgate.records import ERRORS, HEALTHY, SICK, canary, evidence

SCALAR: Final = ScalarPlan(
    name="queue", minimum=None, maximum=5.0, baseline=True, higher_is_worse=True
)
JUDGE: Final = Judge(Policy(), [ERRORS, CountPlan(name="other", maximum=None), SCALAR])
MIXED: Final = Weighing(
    candidate="v2", verdict=JUDGE.verdict(JUDGE.start()), judge=JUDGE, state=JUDGE.start()
).record()
RECORDS: Final = st.one_of(
    disturbed(evidence(SICK, HEALTHY, HEALTHY), most=2),
    disturbed(MIXED, most=2),
    st.dictionaries(st.sampled_from(["judge", "state", "at", "candidate"]), VALUES),
)


def is_judged_or_none(record: Json) -> None:
    """What is recalled can be judged on with what comes next."""
    try:
        judge, state = recall(record)
    except ValueError:
        return
    for stratum in (HEALTHY, SICK):
        state = judge.update(state, {ERRORS.name: stratum})
        judge.verdict(state)


def is_explained(record: Json) -> None:
    """What people are shown of a run says what it is, or why there is nothing."""
    found = explain(canary(record))
    assert found.evidence is not None or found.missing


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("bad", None),
        ("bad", "1"),
        ("bad", [1]),
        ("dues", [None, 0.0]),
        ("quiet", True),
        ("bets", 0),
    ],
)
def test_what_is_no_number_of_the_judge_is_no_record(field: str, value: object) -> None:
    record = evidence(SICK, HEALTHY)
    recall(record)
    record["state"]["metrics"][0][field] = value
    with pytest.raises(ValueError, match=r"plans|read"):
        recall(record)


def test_policy_and_plans_that_cannot_be_judged_by_are_no_record() -> None:
    for part, field, value in (("policy", "blocks", [None, 30.0]), ("plan", "name", None)):
        record = evidence(SICK, HEALTHY)
        holder = record["judge"]["policy"] if part == "policy" else record["judge"]["plans"][0]
        assert field in holder
        holder[field] = value
        with pytest.raises(ValueError, match=r"cannot be read|no text"):
            recall(record)


@pytest.mark.parametrize("value", [None, "1", [1.0], {}])
@pytest.mark.parametrize("name", [one.name for one in fields(Policy)])
def test_a_policy_with_what_nobody_can_calculate_with_is_no_record(name: str, value: Any) -> None:
    record = evidence(SICK, HEALTHY)
    record["judge"]["policy"][name] = value
    if (name, value) in [("inferior_rate", None), ("blocks", [1.0])]:
        is_judged_or_none(record)
        return
    with pytest.raises(
        ValueError, match=r"cannot be read|no such value|is not a valid|other plans"
    ):
        recall(record)


def test_what_was_not_held_fast_is_not_recalled_as_such() -> None:
    held = {"way": "pods (app)", "bounds": {"p99": 0.5}}
    strange = [1, {"way": "pods (app)"}, {**held, "bounds": {"p99": None}}, {**held, "way": 3}]
    found = {"one": held, **{str(at): one for at, one in enumerate(strange)}}
    assert load_frozen({"frozen": found}) == {"one": Frozen("pods (app)", {"p99": 0.5})}
    assert load_frozen({"frozen": []}) == load_frozen({}) == {}


PROPERTIES: Final[dict[str, Property[Any]]] = {
    "judged": Property(RECORDS, is_judged_or_none, few=70),
    "explained": Property(RECORDS, is_explained, few=40),
}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("what", PROPERTIES)
def test_any_record_is_judged_on_or_is_none(what: str) -> None:
    PROPERTIES[what].try_few()


@pytest.mark.soak
@pytest.mark.timeout(0)
@pytest.mark.parametrize("what", PROPERTIES)
def test_many_records_are_judged_on_or_are_none(what: str) -> None:
    PROPERTIES[what].try_many()
