"""From Flagger's fields to the steps that a run takes, whatever its strategy."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Final

from canary.model.steps import Needs, Step, is_compared, is_everybody
from canary.model.strategy import Kind
from canary.model.traffic import NOTHING, Affinity, RequestMatch, Traffic
from canary.model.values import FULL, Json
from canary.spec import parsers
from canary.spec.problems import Problems

MOST_ITERATIONS: Final = 10_000
"""Checks of a run: a day of them with the shortest interval that Flagger takes, a week with 1m."""
USUAL_ITERATIONS: Final = 10
"""Checks without live traffic where a Canary says shares of it, as Flagger has it."""


def linear(
    weights: Sequence[int],
    *,
    match: tuple[RequestMatch, ...] = (),
    affinity: Affinity | None = None,
) -> tuple[Step, ...]:
    """Return the steps of a canary whose share grows.

    Args:
        weights: the shares in percent, rising.
        match: which requests they are shares of; of all without one.
        affinity: how users are kept with their version, if they are.

    """
    return tuple(Step(traffic=Traffic(w, match=match, affinity=affinity)) for w in weights)


def mirrored(share: int) -> tuple[Step, ...]:
    """Return the step before the first share, in which the canary answers copies alone.

    Args:
        share: of the stable's requests, in percent; with 0 there is no such step.

    """
    return (Step(traffic=Traffic(mirror=share)),) if share else ()


def matched(match: tuple[RequestMatch, ...], iterations: int) -> tuple[Step, ...]:
    """Return the steps of an A/B test: so many checks with all requests that match.

    Args:
        match: which requests those are.
        iterations: how many checks.

    """
    return (Step(traffic=Traffic(FULL, match=match)),) * iterations


def apart(iterations: int, *, mirror: int = 0) -> tuple[Step, ...]:
    """Return so many checks of a canary that answers no user.

    Args:
        iterations: how many checks.
        mirror: the share of the stable's requests that it gets a copy of, in percent.

    """
    return (Step(traffic=Traffic(mirror=mirror)),) * iterations


def blue_green(iterations: int, *, mirror: int = 0) -> tuple[Step, ...]:
    """Return checks without live traffic, and the step in which the canary has all of it.

    Args:
        iterations: how many checks.
        mirror: as in `apart`.

    """
    return (*apart(iterations, mirror=mirror), *linear((FULL,)))


def judged(
    steps: Sequence[Step],
    *,
    gate: bool = False,
    error_budget: int | None = None,
    bake: timedelta = timedelta(0),
    whole: bool = True,
) -> tuple[Step, ...]:
    """Return the same steps with what must hold before each is left.

    The gate holds where any step compares the versions. What nobody has sent cannot cost a budget:
    it holds where the canary has traffic.

    Args:
        steps: the steps, without a bake.
        gate: whether the candidate must be shown to be no worse than the stable.
        error_budget: how many bad answers the next step may cost at worst; None for no limit.
        bake: how long a full-size canary is judged at weight 100 before the promotion. It takes a
            step of its own where none has all the traffic. One that never answers users is judged
            so long in its last step.
        whole: whether a canary can have all of the traffic; else it bakes in its last step.

    """
    gate = gate and any(is_compared(step.traffic) for step in steps)
    answers = any(step.traffic.weight for step in steps)
    if bake and whole and answers and not is_everybody(steps[-1].traffic):
        steps = (*steps, *linear((FULL,)))
    needed: dict[int, Step] = {}
    for step in steps:  # Of many equal ones there is one.
        budget = None if step.traffic == NOTHING else error_budget
        needs = Needs(gate=gate, error_budget=budget)
        needed.setdefault(id(step), replace(step, needs=needs, lasts=timedelta(0)))
    found = [needed[id(step)] for step in steps]
    return (*found[:-1], replace(found[-1], lasts=bake))


def kind_of(analysis: Json) -> Kind:
    """Return which strategy an analysis asks for; as in Flagger its shape alone tells.

    Args:
        analysis: `spec.analysis` of a Canary.

    """
    if not analysis.get("iterations"):
        return Kind.CANARY
    return Kind.AB if analysis.get("match") else Kind.BLUE_GREEN


def iterations(analysis: Json, problems: Problems) -> int:
    """Read how many checks a run takes where its traffic does not grow.

    Args:
        analysis: `spec.analysis` of a Canary.
        problems: where mistakes are noted.

    """
    parse = parsers.whole(1, MOST_ITERATIONS, such_as="10")
    return problems.read("analysis.iterations", parse, analysis.get("iterations"), 1)


def weights(analysis: Json, problems: Problems) -> tuple[int, ...]:
    """Read stepWeights, or stepWeight up to maxWeight; the last step is capped there.

    Args:
        analysis: `spec.analysis` of a Canary.
        problems: where mistakes are noted.

    """
    if steps := analysis.get("stepWeights"):
        found = tuple(_share("stepWeights", step, problems) for step in steps)
        if list(found) != sorted(set(found)) or found[0] < 1:
            problems.found.append(
                "analysis.stepWeights: must rise from 1 to 100, as in [5, 20, 50]"
            )
        return found
    step = _share("stepWeight", analysis.get("stepWeight") or 0, problems)
    if step < 1:
        problems.found.append(
            "analysis: needs stepWeight (such as 10), stepWeights, or iterations above 0"
        )
        return (FULL,)
    top = _share("maxWeight", analysis.get("maxWeight") or FULL, problems)
    if top < 1:
        problems.found.append("analysis.maxWeight: must be from 1 to 100, as in 50")
        return (FULL,)
    # Flagger would pass maxWeight by the rest of a step.
    return (*range(step, top, step), top)


def _share(name: str, said: float, problems: Problems) -> int:
    """Read a share in percent; a schema takes any number, and one above 100 counts as 100."""
    found = int(said)
    if found != said:
        problems.found.append(
            f"analysis.{name}: {said:g} must be a whole number, for routes have no smaller shares"
        )
    return min(FULL, found)
