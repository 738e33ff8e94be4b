"""What of a decision is done before all is read once more: what can be taken back, and no more."""

import pytest

from canary.model.state import State
from canary.model.traffic import NOTHING, Traffic
from canary.rules.actions import (
    Action,
    Decision,
    Emit,
    EndProgress,
    MarkRefused,
    MarkTarget,
    Pause,
    SaveState,
    SetTraffic,
)

TAKEN = SetTraffic(NOTHING)
SAID = Emit("Refused", "it fails")


@pytest.mark.parametrize(
    ("actions", "taken"),
    [
        ((TAKEN, SAID, SaveState(), MarkRefused("it fails")), TAKEN),
        ((TAKEN, EndProgress("it was not judged"), SaveState()), TAKEN),
        # Where its last share is with the stable already, there is nothing to take.
        ((SAID, SaveState(), MarkRefused("it fails")), None),
        # A stable that has too few pods takes back as much as it can serve, which is counted first.
        ((SetTraffic(Traffic(20)), SaveState(), MarkRefused("it fails")), None),
        # What comes first comes first.
        ((SaveState(), TAKEN, MarkRefused("it fails")), None),
        # Let go, or a look at a run like any other.
        ((TAKEN, MarkTarget({}, Pause.CLEARED)), None),
        ((TAKEN, SaveState()), None),
        ((), None),
    ],
)
def test_traffic_is_taken_at_once_from_what_is_decided_against(
    actions: tuple[Action, ...], taken: SetTraffic | None
) -> None:
    assert Decision(state=State(), actions=actions).taken_at_once == taken
