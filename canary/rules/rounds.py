"""Which questions a check of the metrics asks, and when they are asked anew.

The metrics of one check are one question. While a hook is waited for, what they said grows old:
with every interval that has passed they are asked anew, which is another round of the same check.
"""

from datetime import datetime
from typing import Final

from canary.model.asking import MetricsAnswer, MetricsAsk, Sample, Unanswered
from canary.model.state import Phase, State
from canary.rules.context import Tick
from canary.rules.hooks import came_last

_HALF: Final = 50
"""Percent: a stable with less traffic than its canary is nothing to compare it with."""


def question(tick: Tick) -> MetricsAsk:
    """Return the question about metrics that an answer now must be to."""
    state = tick.state
    return MetricsAsk(
        run=state.run,
        step=state.step,
        round=state.round + _rounds_waited(tick),
        baselines=_is_comparable(tick),
    )


def asked(tick: Tick, ask: MetricsAsk) -> tuple[MetricsAsk, ...]:
    """Return the question if this check asks metrics at all."""
    return (ask,) if is_measured(tick, ask) and tick.strategy.metrics else ()


def is_measured(tick: Tick, ask: MetricsAsk) -> bool:
    """Tell whether health and metrics are judged.

    The first look after the first weight calls hooks alone: they may be what brings the traffic.
    """
    return tick.state.checked_at is not None or ask.round > tick.state.round


def samples_of(tick: Tick, ask: MetricsAsk) -> tuple[Sample, ...] | Unanswered:
    """Return what was read of the metrics; none where they are not asked."""
    if not asked(tick, ask):
        return ()
    answer = tick.ctx.observed.standing.answer_to(ask)
    return answer.samples if isinstance(answer, MetricsAnswer) else Unanswered()


def began(tick: Tick) -> datetime:
    """Return since when this check has waited for hooks; now where it waits for none."""
    state, now = tick.state, tick.ctx.now
    first = min((one.since for one in state.asked), default=now)
    due = first if state.checked_at is None else state.checked_at + tick.strategy.interval
    return max(first, due)


def _rounds_waited(tick: Tick) -> int:
    """Return how often the metrics are to be asked anew, because hooks have been waited for."""
    last = came_last(tick.state)
    until = tick.ctx.now if isinstance(last, Unanswered) else last
    return max(0, (until - began(tick)) // tick.strategy.interval)


def is_running(state: State) -> bool:
    """Tell whether a run takes its steps, rather than rolls out or has ended."""
    return state.phase is Phase.PROGRESSING


def _is_comparable(tick: Tick) -> bool:
    """Tell whether the stable still serves at least half of the traffic by itself."""
    running = is_running(tick.state) and tick.strategy.policy.enabled
    return running and tick.state.weight <= _HALF
