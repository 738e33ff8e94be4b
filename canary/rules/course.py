"""Where in its strategy's steps a run stands, also once the strategy was edited."""

from dataclasses import replace

from canary.model.state import Phase, State
from canary.model.steps import Step, ahead, place
from canary.model.strategy import InvalidStrategy, Strategy
from canary.model.traffic import NOTHING
from canary.rules.context import Context


def left(strategy: Strategy, state: State) -> range:
    """Return the indexes of the steps that are still to be taken.

    Args:
        strategy: what the run follows now.
        state: the run.

    """
    return ahead(strategy.steps, state.step, state.traffic, anew=_is_another(strategy, state))


def place_of(strategy: Strategy, state: State) -> int:
    """Return the step in the present sequence whose needs hold for a run that has begun.

    Args:
        strategy: what the run follows now.
        state: the run.

    """
    return place(strategy.steps, state.step, state.traffic, anew=_is_another(strategy, state))


def located(state: State, strategy: Strategy | InvalidStrategy) -> State:
    """Return the state with its step in the present sequence, which may have been edited."""
    if not _is_at_a_step(state) or isinstance(strategy, InvalidStrategy):
        return state
    return replace(state, step=place_of(strategy, state))


def present(strategy: Strategy, state: State) -> Step:
    """Return the step that a run is at, as `place_of` has found it."""
    return strategy.steps[max(0, state.step)]


def mended(state: State, strategy: Strategy) -> State:
    """Return the state of a run with what its step says by now of copies and cookies.

    A route may refuse what the step said when it was taken, and its event asks for the edit.

    Args:
        state: the run, located in the present sequence.
        strategy: what it follows now.

    """
    if not _is_at_a_step(state):
        return state
    said, had = present(strategy, state).traffic, state.traffic
    same = (said.weight, said.match) == (had.weight, had.match)
    return replace(state, beside=replace(said, weight=0)) if same else state


def begins_anew(strategy: Strategy, state: State) -> bool:
    """Tell whether the strategy was edited to other users than the run's, or to another kind.

    Args:
        strategy: what the run follows now.
        state: the run, located in the present sequence.

    """
    if not _is_at_a_step(state):
        return False
    others = present(strategy, state).traffic.match != state.traffic.match
    return others or _is_another(strategy, state)


def words(strategy: Strategy, state: State) -> str:
    """Say what a run's canary has got by its step, in Flagger's words where it has some.

    Args:
        strategy: what the run follows.
        state: the run, at that step.

    """
    checks = strategy.iterations
    if not strategy.kind.grows and state.step < checks:
        return f"iteration {state.step + 1}/{checks}{_of(state)}"
    if state.beside.mirror:
        return f"gets a copy of {state.beside.mirror} % of the requests and answers no user"
    return f"weight {state.weight}"


def advancing(ctx: Context, strategy: Strategy, state: State) -> str:
    """Say that a step is taken.

    Args:
        ctx: the world.
        strategy: what the run follows.
        state: the run, at that step.

    """
    message = f"Advance {ctx.observed.key} canary {words(strategy, state)}"
    if (joining := ctx.observed.split.joining) is not None and state.weight:
        pods, share = joining.planned(state.weight)
        return f"{message} ({pods} of {pods + joining.stable} pods: {share:g} % of the requests)"
    if not ctx.observed.split.routes and not state.traffic.is_nothing:
        message += " (no route leads to its Service: no live traffic is shifted)"
    return message


def _of(state: State) -> str:
    if state.beside.mirror:
        return f", with a copy of {state.beside.mirror} % of the requests"
    return "" if state.traffic == NOTHING else f", with {state.traffic}"


def _is_at_a_step(state: State) -> bool:
    """Tell whether a run's canary has what its step says; then it is known which one that is."""
    return state.phase is Phase.PROGRESSING and state.begun and not state.is_without_share


def _is_another(strategy: Strategy, state: State) -> bool:
    return state.begun and state.kind is not strategy.kind
