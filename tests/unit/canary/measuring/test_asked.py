"""What a judge is asked for is told from what it was before an edit, whoever reads the Canary."""

from dataclasses import replace
from datetime import timedelta
from typing import Final

import pytest

from canary.measuring.countable import asked_of
from canary.model.steps import Needs
from canary.model.strategy import Builtin, Metric, Strategy
from canary.spec.steps import apart, linear

METRIC: Final = Metric(name="request-success-rate", source=Builtin.SUCCESS_RATE, minimum=99)
ASKED: Final = Strategy(
    interval=timedelta(seconds=10), threshold=1, steps=linear((50,)), metrics=(METRIC,)
)
EDITS: Final = [
    replace(ASKED, policy=replace(ASKED.policy, alpha=0.02)),
    replace(ASKED, metrics=(replace(METRIC, minimum=98),)),
    replace(ASKED, metrics=()),
    replace(ASKED, steps=tuple(replace(it, needs=Needs(gate=True)) for it in ASKED.steps)),
    replace(ASKED, steps=apart(3)),
]


@pytest.mark.parametrize("edited", EDITS)
def test_an_edit_of_what_is_judged_is_told(edited: Strategy) -> None:
    assert asked_of(edited) != asked_of(ASKED)


def test_what_asks_the_same_is_the_same_run_in_few_bytes() -> None:
    steps = linear((10, 50))
    again = replace(ASKED, steps=steps, interval=timedelta(minutes=1), service_name="other")
    assert asked_of(again) == asked_of(ASKED)
    assert len(asked_of(ASKED)) == 64
