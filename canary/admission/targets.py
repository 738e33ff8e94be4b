"""What each write to a target means: one pure answer per admission review.

The rules read in the order of the design's table; the first that applies answers. `admit` is
idempotent: given its own answer again, also with the changes of another webhook in it, it says what
it would have said of both at once.
"""

from collections.abc import Callable
from typing import Final

from canary.admission.facts import Allowances, Allowed, Answer, Denied, Facts, Write, read_write
from canary.contract import (
    HOLD,
    HOLD_UNKNOWN,
    INTERNAL_ANNOTATIONS,
    PROMOTING,
    REQUESTED_BY,
    STABLE,
    Command,
)
from canary.model.commands import given, not_asked_for
from canary.model.keys import unknown_on_target
from canary.model.signatures import givers_of, signature

__all__ = ["Allowances", "Allowed", "Answer", "Denied", "Write", "admit", "bare_hold"]


def admit(write: Write, allowances: Allowances) -> Answer:
    """Decide one write to a target.

    Args:
        write: the old and the new object, both defaulted, and who writes.
        allowances: what the admin allows.

    """
    facts = read_write(write, allowances)
    answer = next(answer for rule in _RULES if (answer := rule(facts)) is not None)
    return answer if isinstance(answer, Denied) else _guarded(facts, answer)


def bare_hold(name: str) -> Allowed:
    """Hold a write that could not be judged, so that an error never lets an update through."""
    return Allowed(
        outcome="error-held",
        paused=True,
        annotations={HOLD: HOLD_UNKNOWN},
        warnings=(f"headgate: an internal error; deployment {name} is held to be safe",),
    )


# --- the rules, in reading order ---------------------------------------------------------------


def _flaggers(facts: Facts) -> Answer | None:
    """A Deployment that Flagger made and looks after: it has judged what it writes there."""
    return Allowed(outcome="flagger") if facts.flaggers and not facts.held else None


def _back_to_stable(facts: Facts) -> Answer | None:
    """Template back to stable during a run: abort by revert, in this very request."""
    running = facts.held or (facts.rolling and facts.changed)
    if not running or not facts.stable_hash or facts.new_hash != facts.stable_hash:
        return None
    return Allowed(
        outcome="reverted",
        paused=False,
        annotations={HOLD: None, STABLE: None, PROMOTING: None},
        warnings=(f"headgate: {facts.name} is back on its stable template; the canary ends",),
    )


def _release_attempt(facts: Facts) -> Answer | None:
    """A bare resume of a held target, which would release the candidate without a verdict."""
    if not facts.held or facts.says_paused or facts.changed:
        return None
    if HOLD not in facts.new_marks or facts.manifest_unpauses or not facts.only_resumes:
        return None
    return Denied(message=_refused_ways(facts) if _was_refused(facts) else _ways(facts))


def _ways(facts: Facts) -> str:
    return (
        f"deployment {facts.name} is held by Headgate while its new version is judged. "
        f"To release it without waiting: kubectl annotate deployment {facts.name} "
        f"{Command.PROMOTE}=now. To give it up: kubectl annotate deployment {facts.name} "
        f"{Command.ABORT}=now, or set the previous image again "
        f"(kubectl set image deployment/{facts.name} ..., in place of kubectl rollout undo)"
    )


def _refused_ways(facts: Facts) -> str:
    return (
        f"deployment {facts.name} is held by Headgate because its new version was refused: "
        f"{facts.refused_why}. The version before it serves. To go back to that one: set its image "
        f"again (kubectl set image deployment/{facts.name} ..., in place of kubectl rollout undo). "
        f"To try the refused one once more: kubectl annotate deployment {facts.name} "
        f"{Command.RETRY}=now. To release it all the same: kubectl annotate deployment "
        f"{facts.name} {Command.PROMOTE}=now. To restart the pods that serve (in place of "
        "kubectl rollout restart): delete them one after the other"
    )


def _refused_again(facts: Facts) -> Answer | None:
    """The candidate that was refused: held, no new run; no way around the gate lets it through."""
    if not _was_refused(facts) or not _would_take_effect(facts):
        return None
    why, retry = facts.refused_why, f"kubectl annotate deployment {facts.name} {Command.RETRY}=now"
    return _hold(
        facts,
        outcome="refused-again",
        warnings=(
            f"headgate: this version of {facts.name} was refused and stays held: {why}",
            f"headgate: to try it once more: {retry}; to go back: set the previous image",
        ),
    )


def _same_while_held(facts: Facts) -> Answer | None:
    """The same object again, or a full replace that dropped our fields: put the hold back."""
    if not facts.held or facts.changed:
        return None
    resumes = not facts.says_paused and HOLD in facts.new_marks
    warning = (
        f"headgate: {facts.name} stays paused: its new version is held; "
        f"kubectl get canary {facts.name} says how far it is"
    )
    return Allowed(outcome="held-still", paused=True, warnings=(warning,) if resumes else ())


def _superseded(facts: Facts) -> Answer | None:
    """A third template during a run or a promotion."""
    running = facts.held or facts.rolling
    if not running or facts.new_hash in {facts.old_hash, facts.stable_hash}:
        return None
    return _hold(
        facts,
        outcome="superseded",
        warnings=(f"headgate: a newer version of {facts.name}: the canary starts again with it",),
    )


def _unchanged(facts: Facts) -> Answer | None:
    """Nothing that a canary could judge: a native restart, a command, an annotation."""
    return None if facts.changed or facts.was_paused else Allowed(outcome="unchanged")


def _opted_out(facts: Facts) -> Answer | None:
    """The team has taken the target out, and the admin lets it."""
    return Allowed(outcome="opted-out") if facts.opted_out else None


def _recreate(facts: Facts) -> Answer | None:
    """Two versions of this target may not run at the same time, so that no canary can."""
    if not facts.recreate:
        return None
    warning = f"headgate: {facts.name} is not gated, because its strategy is Recreate"
    return Allowed(outcome="ungated", warnings=(warning,))


def _team_pause(facts: Facts) -> Answer | None:
    """A pause that is the team's own stays theirs."""
    return Allowed(outcome="paused-by-team") if facts.asks_pause else None


def _gate(facts: Facts) -> Answer | None:
    """A changed template, or a team's resume of one: held, and a run starts."""
    return _hold(
        facts,
        outcome="held",
        warnings=(
            f"headgate: held as a canary; follow it with: kubectl get canary {facts.name} -w",
        ),
    )


_RULES: Final[tuple[Callable[[Facts], Answer | None], ...]] = (
    _flaggers,
    _back_to_stable,
    _release_attempt,
    _refused_again,
    _same_while_held,
    _superseded,
    _unchanged,
    _opted_out,
    _recreate,
    _team_pause,
    _gate,
)


def _was_refused(facts: Facts) -> bool:
    return facts.new_hash == facts.refused_hash


def _would_take_effect(facts: Facts) -> bool:
    """Tell whether a hold stands, or its version would roll out by this write."""
    starts = (facts.changed or facts.resumed) and not facts.asks_pause
    return facts.held or starts


def _hold(facts: Facts, *, outcome: str, warnings: tuple[str, ...]) -> Allowed:
    # A mark that stands is left as it is written: an analyzer of the release before may read it.
    stable = {STABLE: facts.stable_mark} if facts.stable_mark else {}
    rolls_no_more = {PROMOTING: None} if facts.rolling else {}
    return Allowed(
        outcome=outcome,
        paused=True,
        annotations={HOLD: facts.new_hash, **stable, **rolls_no_more},
        warnings=warnings,
    )


# --- what holds for every write that passes -----------------------------------------------------


def _guarded(facts: Facts, answer: Allowed) -> Allowed:
    """Keep our marks from edits, sign commands, and take off what may not come with the write.

    The answer's own marks win; every other internal mark is as it was before the write.
    """
    taken = facts.brought()
    wanted = {key: facts.old_marks.get(key) for key in INTERNAL_ANNOTATIONS}
    wanted |= {REQUESTED_BY: _signature(facts, taken), **taken, **answer.annotations}
    marks = {key: value for key, value in wanted.items() if value != facts.new_marks.get(key)}
    paused = False if answer.paused is None and facts.own_pause else answer.paused
    return Allowed(
        outcome=answer.outcome,
        paused=paused if paused != facts.says_paused else None,
        annotations=marks,
        warnings=(*answer.warnings, *_taken_off(facts, taken), *_unknown(facts)),
    )


def _signature(facts: Facts, taken: dict[str, str | None]) -> str | None:
    """Return who gave the commands that stand after this write; None if there are none."""
    before = {key: facts.old_marks[key] for key in given(facts.old_marks)}
    after = {key: facts.new_marks[key] for key in given(facts.new_marks) - taken.keys()}
    signed = facts.old_marks.get(REQUESTED_BY)
    if after == before:
        return signed
    known = givers_of(signed or "", before)
    return signature(
        {
            key: known[key] if before.get(key) == value else facts.write.user
            for key, value in after.items()
        }
    )


def _unknown(facts: Facts) -> tuple[str, ...]:
    """Say what nobody reads or follows: its author believes that it holds."""
    said = (*unknown_on_target(facts.new_marks), *not_asked_for(facts.new_marks))
    return tuple(f"headgate: {facts.name}: {text}" for text in said)


def _taken_off(facts: Facts, taken: dict[str, str | None]) -> tuple[str, ...]:
    if not taken:
        return ()
    names = ", ".join(sorted(taken))
    text = f"nothing but a version comes with a change of the template: {names}"
    return (f"headgate: taken off {facts.name}, because {text}",)
