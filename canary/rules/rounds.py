"""Which questions a check of the metrics asks, when they are asked anew, and what they come to.

The metrics of one check are one question. While a hook is waited for, what they said grows old:
with every interval that has passed they are asked anew, which is another round of the same check.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from canary.model.asking import MetricsAnswer, MetricsAsk, OwnCount, Sample, Unanswered
from canary.model.state import Check, Outcome, Phase, State
from canary.model.steps import is_compared
from canary.model.strategy import HookType, Metric, NoDataPolicy
from canary.rules.checks import check_all, overall
from canary.rules.context import Tick
from canary.rules.hooks import came_last, hooks_of

_MOMENT: Final = timedelta(seconds=2)
"""What all gateways take."""
_HALF: Final = 50
"""Percent: a stable with less traffic than its canary is nothing to compare it with."""


def question(tick: Tick) -> MetricsAsk:
    """Return the question about metrics that an answer now must be to."""
    state = tick.state
    ask = MetricsAsk(
        run=state.run,
        step=state.step,
        round=state.round + _rounds_waited(tick),
        counted=frozenset(
            metric.name for metric in tick.strategy.metrics if _needs_no_question(tick, metric)
        ),
        baselines=_is_comparable(tick),
    )
    if not _unknown(tick, ask):
        return ask
    standing = tick.ctx.observed.standing
    return next((one for one in standing.metrics_asks() if _covers(one, ask)), ask)


def _unknown(tick: Tick, ask: MetricsAsk) -> bool:
    """Tell whether any metric is to be asked for."""
    return any(metric.name not in ask.counted for metric in tick.strategy.metrics)


def _covers(standing: MetricsAsk, ask: MetricsAsk) -> bool:
    """Tell whether a question that stands asks for more than is needed by now: it is left alone."""
    return replace(standing, counted=ask.counted) == ask and standing.counted <= ask.counted


def asked(tick: Tick, ask: MetricsAsk) -> tuple[MetricsAsk, ...]:
    """Return the question if this check asks metrics at all, and does not know all of them."""
    return (ask,) if is_measured(tick, ask) and _unknown(tick, ask) else ()


def is_measured(tick: Tick, ask: MetricsAsk) -> bool:
    """Tell whether health and metrics are judged.

    The first look after the first weight calls hooks alone: they may be what brings the traffic.
    """
    return tick.state.checked_at is not None or ask.round > tick.state.round


def samples_of(tick: Tick, ask: MetricsAsk) -> tuple[Sample, ...] | Unanswered:
    """Return what is known of the metrics; none where they are not measured."""
    if not is_measured(tick, ask):
        return ()
    read: tuple[Sample, ...] = ()
    if asked(tick, ask):
        answer = tick.ctx.observed.standing.answer_to(ask)
        if not isinstance(answer, MetricsAnswer):
            return Unanswered()
        read = answer.samples
    counts = tick.ctx.observed.counts
    counted = tuple(counts[name].sample for name in sorted(ask.counted & counts.keys()))
    return (*(_known(sample, counts.get(sample.metric.name)) for sample in read), *counted)


def _known(read: Sample, count: OwnCount | None) -> Sample:
    """What was asked for sees more than the pods do; without an answer their own counters do."""
    if count is None or (read.value is not None and not count.alone):
        return read
    return count.sample


def _needs_no_question(tick: Tick, metric: Metric) -> bool:
    count = tick.ctx.observed.counts.get(metric.name)
    return count is not None and count.alone


def measured(tick: Tick, ask: MetricsAsk, samples: tuple[Sample, ...]) -> tuple[Check, ...]:
    """Judge health and metrics."""
    if not is_measured(tick, ask):
        return ()
    return check_all(
        tick.ctx.observed.canary,
        samples,
        tick.strategy,
        tick.state.restarts,
        comparable=ask.baselines,
        untried=_is_untried(tick),
    )


def outcome_of(tick: Tick, checks: tuple[Check, ...]) -> Outcome:
    """Return what the checks come to; data that has been missing for long may be passed over."""
    outcome, since = overall(checks), tick.state.no_data_since
    over = (
        outcome is Outcome.NO_DATA
        and tick.strategy.no_data is NoDataPolicy.PASS
        and since is not None
        and tick.ctx.now - since >= tick.strategy.no_data_after
    )
    return Outcome.PASSED if over else outcome


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


def since_carried(tick: Tick) -> Tick:
    """The first traffic is not what was written, but what the gateways have had since."""
    state, lasted = tick.state, tick.ctx.observed.split.carried_for
    before = (step.traffic.is_nothing for step in tick.strategy.steps[: max(0, state.step)])
    if lasted is None or state.traffic_since is None or not all(before):
        return tick
    since = tick.ctx.now - lasted
    if since - state.traffic_since <= _MOMENT:
        return tick
    return replace(tick, state=replace(state, traffic_since=since))


def is_running(state: State) -> bool:
    """Tell whether a run takes its steps, rather than rolls out or has ended."""
    return state.phase is Phase.PROGRESSING


def _is_untried(tick: Tick) -> bool:
    """Tell whether nothing is sent to the canary: no user, no copy, and no hook that might."""
    state = tick.state
    quiet = state.traffic.is_nothing and not state.is_without_share
    return quiet and not hooks_of(tick.strategy, HookType.ROLLOUT)


def _is_comparable(tick: Tick) -> bool:
    """Tell whether the stable still serves at least half of the like traffic by itself."""
    running = is_running(tick.state) and tick.strategy.policy.enabled
    return running and is_compared(tick.state.traffic) and tick.state.weight <= _HALF
