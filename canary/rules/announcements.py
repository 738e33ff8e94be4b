"""Which announcements a decision makes: by what a run was before and what it is afterwards.

An announcement is stored with the state that it speaks of, in one write, and taken out of it before
it is sent: after a death at any moment it is sent once, or in the worst case not at all.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from typing import Final

from canary.contract import Reason
from canary.model.announcement import Announcement, Severity
from canary.model.state import RUNNING_PHASES, Check, Outcome, Phase, State
from canary.model.strategy import InvalidStrategy, Strategy
from canary.model.values import Key
from canary.rules.actions import Decision, SaveState
from canary.rules.approvals import is_muted
from canary.rules.context import Context
from canary.rules.polls import agreeing

MAX_TEXT: Final = 1000
"""Characters of a message."""
MAX_FIELDS: Final = 10
MOST: Final = 20
"""Announcements that wait to be sent; where more come up, the oldest are left out."""
_MAX_VALUE: Final = 200
_WAITING: Final = frozenset(
    map(
        str,
        (
            Reason.PAUSED,
            Reason.SUSPENDED,
            Reason.INCONCLUSIVE,
            Reason.INVALID,
            Reason.WAITING_FOR_APPROVAL,
        ),
    )
)
"""Reasons by which a run waits for people. Each is said once at each step of a run."""
_HELD_BY: Final = frozenset(map(str, (Reason.SUSPENDED, Reason.INVALID)))
"""Those by which a version is held before its run can begin."""
_WELL: Final = frozenset(
    map(str, (Reason.INITIALIZED, Reason.SUCCEEDED, Reason.REVERTED, Reason.SUPERSEDED))
)
"""What nobody needs to look at; any other end without a verdict is a warning."""


def announced(ctx: Context, decision: Decision) -> Decision:
    """Add to a decision what is to be announced, where its Canary has alerts that want to hear it.

    Args:
        ctx: the world, and the run before.
        decision: what was decided.

    """
    strategy, before = ctx.observed.strategy, ctx.state
    state = replace(decision.state, alerts=before.alerts, waited_for=())
    if strategy.alerts:
        state = replace(state, waited_for=_waited_for(before, state, muted=_muted_gate(ctx, state)))
        found = (
            [] if _is_muted_end(ctx, state) else _news(ctx.observed.key, strategy, before, state)
        )
        heard = [it for it in found if any(one.hears(it.severity) for one in strategy.alerts)]
        state = replace(state, alerts=(*state.alerts, *heard)[-MOST:])
    changed = (state.alerts, state.waited_for) != (before.alerts, before.waited_for)
    save = (SaveState(),) if changed and SaveState() not in decision.actions else ()
    return replace(decision, state=state, actions=(*decision.actions, *save))


def _muted_gate(ctx: Context, state: State) -> bool:
    """Tell whether a run waits at a gate that no alert is to speak of."""
    strategy = ctx.observed.strategy
    return isinstance(strategy, Strategy) and is_muted(strategy, state)


def _is_muted_end(ctx: Context, state: State) -> bool:
    """Tell whether a run has been ended by rollback hooks that no alert is to speak of."""
    by_hooks = state.phase is Phase.FAILED and state.reason == Reason.ROLLBACK_HOOK
    return by_hooks and all(hook.muted for hook in agreeing(ctx))


def _waited_for(before: State, after: State, *, muted: bool) -> tuple[str, ...]:
    """Return for which reasons a run, or a version that is held, has waited where it is now."""
    if after.phase not in RUNNING_PHASES:
        return (after.reason,) if after.reason in _HELD_BY else ()
    same = before.run == after.run and before.step == after.step
    said = before.waited_for if same else ()
    why = _why_waiting(after)
    if after.reason == Reason.WAITING_FOR_APPROVAL and muted:
        return said
    new = after.reason in _WAITING and why not in said
    return (*said, why) if new else said


def _why_waiting(after: State) -> str:
    """Return what a run waits for: before its first step it may come to two kinds of gates."""
    if after.gate is None or after.reason != Reason.WAITING_FOR_APPROVAL:
        return after.reason
    return f"{after.reason} {after.gate.kind}"


def _news(
    key: Key, strategy: Strategy | InvalidStrategy, before: State, after: State
) -> Iterator[Announcement]:
    if (severity := _severity(before, after)) is None:
        return
    message, new = after.message, "New revision detected!"
    if _starts(before, after) and not message.startswith(new):
        message = f"{new} {message}"
    yield Announcement(
        subject=f"{key.name}.{key.namespace}",
        reason=after.reason,
        message=_cut(message, MAX_TEXT),
        severity=severity,
        fields=_fields(key, strategy, before, after),
    )


def _severity(before: State, after: State) -> Severity | None:
    """Return how bad that is which has come about, None where nothing has."""
    if _starts(before, after):
        return Severity.INFO
    if set(after.waited_for) - set(before.waited_for):
        return Severity.WARN
    if after.phase in RUNNING_PHASES:
        return None
    if after.phase is Phase.FAILED:
        same = before.phase is Phase.FAILED and before.run == after.run
        ended = Severity.WARN if after.reason == Reason.ROLLBACK_HOOK else Severity.ERROR
        return None if same else ended
    first = after.reason == Reason.INITIALIZED and after.reason != before.reason
    if before.phase not in RUNNING_PHASES and not first:
        return None
    return Severity.INFO if after.reason in _WELL else Severity.WARN


def _starts(before: State, after: State) -> bool:
    """Tell whether a run has begun: of another candidate, or of the same one once more."""
    begins = after.phase is Phase.PROGRESSING and after.started_at is not None
    return begins and (before.phase not in RUNNING_PHASES or before.candidate != after.candidate)


def _fields(
    key: Key, strategy: Strategy | InvalidStrategy, before: State, after: State
) -> tuple[tuple[str, str], ...]:
    """Return Flagger's facts, and of an end by what it was decided."""
    facts = [("Target", f"Deployment/{key.name}.{key.namespace}")]
    if isinstance(strategy, InvalidStrategy):
        facts.append(("Reason", after.reason))
    elif _starts(before, after) or after.phase is Phase.INITIALIZED:
        facts += [
            ("Failed checks threshold", str(strategy.threshold)),
            ("Progress deadline", f"{int(strategy.progress_deadline.total_seconds())}s"),
            ("Traffic routing", _routing(strategy)),
        ]
    else:
        facts += [("Reason", after.reason), ("Weight", f"{before.weight} %")]
        # What has failed comes first: of many checks not all have room.
        checks = sorted(after.checks, key=lambda check: check.outcome is Outcome.PASSED)
        facts += [(check.name, _numbers(check)) for check in checks if _counts(check)]
    cut = ((_cut(title, _MAX_VALUE), _cut(value, _MAX_VALUE)) for title, value in facts)
    return tuple(islice(cut, MAX_FIELDS))


def _routing(strategy: Strategy) -> str:
    if not strategy.kind.grows:
        return f"{strategy.kind}, {strategy.iterations} iterations"
    return f"Weights: {' '.join(map(str, strategy.weights))}"


def _counts(check: Check) -> bool:
    return check.value is not None or check.outcome is not Outcome.PASSED


def _numbers(check: Check) -> str:
    if check.value is None:
        return f"{check.outcome}: {check.message}"
    bound = f", bound {check.bound:g}" if check.bound is not None else ""
    return f"{check.outcome}: {check.value:g}{bound}"


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 3]}..."
