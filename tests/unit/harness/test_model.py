"""Random events upon a target: what must be so is so, whatever happens.

Here in a seeded form; `make soak` makes `MODEL_STEPS` of them, a million if nothing is said.
"""

import os

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.harness.machine import Machine
from tests.harness.namespace import Namespace

STEPS = int(os.environ.get("MODEL_STEPS", "1000000"))
SEED = int(os.environ.get("MODEL_SEED", "1"))
TOGETHER = settings(
    max_examples=120,
    stateful_step_count=30,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate],
)
"""Nothing is shrunk: what fails is found again by its seed."""


@pytest.mark.timeout(600)
def test_random_events() -> None:
    Namespace.steps = 0
    run_state_machine_as_test(Machine, settings=TOGETHER)
    print(f"{Namespace.steps} steps")  # noqa: T201 - the figure is asked for
    assert Namespace.steps > 1_000


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_a_million_random_events() -> None:
    Namespace.steps, number = 0, SEED
    while Namespace.steps < STEPS:
        print(f"MODEL_SEED={number}: {Namespace.steps} steps", flush=True)  # noqa: T201 - as above
        other = seed(number)(type("Seeded", (Machine,), {}))
        form = settings(TOGETHER, derandomize=False, database=None, stateful_step_count=60)
        run_state_machine_as_test(other, settings=form)
        number += 1
    print(f"{Namespace.steps} steps")  # noqa: T201 - as above
