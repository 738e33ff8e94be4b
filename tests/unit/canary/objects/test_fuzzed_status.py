"""A run's record as nobody writes it: a saved copy, another release's, somebody's joke."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest
from hypothesis import strategies as st

from canary.contract import COMMANDS
from canary.model.asking import Asked, HookAsk, Word
from canary.model.former import Identities
from canary.model.signatures import giver_of, givers_of
from canary.model.state import Check, Notice, Outcome, Phase, State, current_state
from canary.model.strategy import HookType
from canary.model.values import Json
from canary.objects.status import state_from_status, status_from_state
from tests.fakes.fuzzed import DEEP, VALUES, Property, disturbed

NOW: Final = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
RUN: Final = State(
    phase=Phase.PROGRESSING,
    candidate="a1",
    stable="b2",
    started_at=NOW - timedelta(minutes=3),
    changed_at=NOW,
    checked_at=NOW,
    pods=("web-canary-1",),
    checks=(Check(name="m", outcome=Outcome.SHARED, message="so", value=1.0, bound=2.0),),
    evidence={"candidate": "a1", "metrics": {"m": {"n": 1}}},
    defaults={"interval": "1m"},
    in_force={"interval": "1m"},
    accepted={"analysis": {}},
    noticed=(Notice(reason="Ignored", message="alerts"),),
    step=1,
)
ASKED: Final = replace(
    RUN,
    asked=(
        Asked(
            ask=HookAsk(run=RUN.run, step=1, round=0, hook="h", type=HookType.ROLLOUT),
            since=NOW,
            puts=2,
            word=Word(ok=True, message="", at=NOW),
        ),
    ),
)
WHOLE: Final = status_from_state(ASKED, previous={}, generation=3, now=NOW)
FLAGGERS: Final[Json] = {"phase": "Progressing", "canaryWeight": 10, "trackedConfigs": {"a": "b"}}


@st.composite
def statuses(draw: st.DrawFn) -> Json:
    """Draw a status that the schema allows: `run` may hold anything, the rest is typed."""
    whole = json.loads(json.dumps(draw(st.sampled_from([WHOLE, FLAGGERS]))))
    run = draw(disturbed(WHOLE["run"], most=5) | st.dictionaries(st.text(max_size=5), VALUES))
    number = st.integers(-10, 200) | st.sampled_from([0.5, 1e300, -1e300, 2**62])
    found: Json = {
        **whole,
        "run": run,
        "phase": draw(st.sampled_from(["", "Waiting", "Terminated", *Phase])),
        "canaryWeight": draw(number),
        "failedChecks": draw(number),
    }
    for name in draw(st.sets(st.sampled_from(sorted(found)), max_size=3)):
        del found[name]
    return found


def is_read_and_written(status: Json) -> None:
    """Whatever is stored becomes a state, and the state what is read as the same state."""
    state = state_from_status(status)
    current_state(state, Identities())
    written = status_from_state(state, previous=status, generation=1, now=NOW)
    again = json.loads(json.dumps(written, allow_nan=False))
    assert state_from_status(again) == replace(state, **_said_once(state))


def _said_once(state: State) -> dict[str, Any]:
    """What stands in the condition where it stands nowhere else."""
    return {"reason": state.reason or str(state.phase)}


def is_of_somebody(text: str) -> None:
    """Each command was given by somebody, whatever the annotation says."""
    names = givers_of(text, COMMANDS)
    assert set(names) == set(COMMANDS)
    assert all(isinstance(name, str) for name in names.values())
    assert all(giver_of(text, one) for one in COMMANDS)


PROPERTIES: Final[dict[str, Property[Any]]] = {
    "status": Property(statuses(), is_read_and_written, few=90),
    "signature": Property(
        st.text(max_size=20)
        | DEEP
        | VALUES.map(json.dumps)
        | st.dictionaries(st.sampled_from(["abort", "promote", "x"]), VALUES).map(json.dumps),
        is_of_somebody,
        few=60,
    ),
}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("what", PROPERTIES)
def test_any_record_is_read(what: str) -> None:
    PROPERTIES[what].try_few()


@pytest.mark.soak
@pytest.mark.timeout(0)
@pytest.mark.parametrize("what", PROPERTIES)
def test_many_records_are_read(what: str) -> None:
    PROPERTIES[what].try_many()
