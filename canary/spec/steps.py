"""From Flagger's fields of a linear canary to the steps that a run takes."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from canary.model.steps import Needs, Step
from canary.model.traffic import Traffic
from canary.model.values import FULL, Json
from canary.spec.problems import Problems


def linear(weights: Sequence[int]) -> tuple[Step, ...]:
    """Return the steps of a canary whose share grows.

    Args:
        weights: the shares in percent, rising.

    """
    return tuple(Step(traffic=Traffic(weight)) for weight in weights)


def judged(
    steps: Sequence[Step],
    *,
    gate: bool = False,
    error_budget: int | None = None,
    bake: timedelta = timedelta(0),
) -> tuple[Step, ...]:
    """Return the same steps with what must hold before each is left.

    Args:
        steps: the steps, without a bake.
        gate: whether the candidate must be shown to be no worse than the stable.
        error_budget: how many bad answers the next step may cost at worst; None for no limit.
        bake: how long a full-size canary is judged at weight 100 before the promotion. It takes a
            step of its own where none has all the traffic.

    """
    needs = Needs(gate=gate, error_budget=error_budget)
    if bake and steps[-1].traffic.weight < FULL:
        steps = (*steps, *linear((FULL,)))
    last = len(steps) - 1
    return tuple(
        replace(step, needs=needs, lasts=bake if i == last else timedelta(0))
        for i, step in enumerate(steps)
    )


def weights(analysis: Json, problems: Problems) -> tuple[int, ...]:
    """Read stepWeights, or stepWeight up to maxWeight; the last step is capped there.

    Args:
        analysis: `spec.analysis` of a Canary.
        problems: where mistakes are noted.

    """
    if steps := analysis.get("stepWeights"):
        found = tuple(min(FULL, int(step)) for step in steps)
        if list(found) != sorted(set(found)) or found[0] < 1:
            problems.found.append(
                "analysis.stepWeights: must rise from 1 to 100, as in [5, 20, 50]"
            )
        return found
    step = int(analysis.get("stepWeight") or 0)
    if step < 1:
        problems.found.append("analysis: needs stepWeight (such as 10) or stepWeights")
        return (FULL,)
    top = min(FULL, int(analysis.get("maxWeight") or FULL))
    # Flagger would pass maxWeight by the rest of a step.
    return (*range(step, top, step), top)
