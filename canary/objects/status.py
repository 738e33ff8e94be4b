"""`Canary.status` to and from the state of a run: Flagger's fields, and our own under `run`."""

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from canary.contract import Reason
from canary.model.asking import Asked, HookAsk, Unanswered, Word
from canary.model.once import Once
from canary.model.state import WAITING_STAGES, Check, Notice, Outcome, Phase, State
from canary.model.steps import BEFORE_FIRST
from canary.model.strategy import HookType, Kind
from canary.model.traffic import NOTHING
from canary.model.values import FULL, Json
from canary.objects import gating, recorded
from canary.objects.announcements import announcements, dumped, dumped_event, events_told
from canary.routes.traffic_text import traffic_entry, traffic_in

CONDITION = "Promoted"
UNDERSTOOD = "Understood"
"""Condition that is there, and False, while the Canary says what nobody follows."""
_TIMES = (
    "started_at",
    "changed_at",
    "checked_at",
    "stepped_at",
    "no_data_since",
    "incident_since",
    "lost_since",
    "unready_since",
    "denied_since",
    "traffic_since",
    "former_until",
    "gated_until",
)
_COUNTS = ("restarts", "losses", "withheld", "full_size", "needed", "tries")


def state_from_status(status: Json) -> State:
    """Read what an earlier reconcile, perhaps of another process, has stored.

    What is not as this release writes it counts as not written (`canary.objects.recorded`).
    """
    if "run" not in status:
        return State()  # nobody's, or Flagger's, whose phases tell of its own primary
    return _state(status)


def _read(status: Json) -> State:
    run = recorded.mapping(status["run"])
    phase = recorded.text(status.get("phase"))
    condition = next(recorded.mappings(status.get("conditions")), {})
    weight = recorded.whole(status.get("canaryWeight"), most=FULL)
    state = State(
        phase=_phase(phase),
        candidate=recorded.text(status.get("lastAppliedSpec")),
        stable=recorded.text(status.get("lastPromotedSpec")),
        # A version before steps tells by the weight alone that a run has begun.
        step=0 if weight else BEFORE_FIRST,
        round=0,
        asked=(),
        weight=weight,
        share=recorded.number(status.get("canaryShare")),
        failed_checks=recorded.whole(status.get("failedChecks")),
        rollout_confirmed=bool(run.get("rolloutConfirmed")),
        pre_rollout_passed=bool(run.get("preRolloutPassed")),
        paused=bool(run.get("paused")),
        undoing=recorded.text(run.get("undoing")),
        forced=bool(run.get("forced")),
        post_rollout_called=bool(run.get("postRolloutCalled")),
        denied_why=recorded.text(run.get("deniedWhy")),
        target_uid=recorded.text(run.get("target")),
        reason=recorded.text(run.get("reason")) or recorded.text(condition.get("reason")),
        message=recorded.text(run.get("message")) or recorded.text(condition.get("message")),
        pods=recorded.texts(run.get("pods")),
        checks=tuple(map(_check, recorded.mappings(run.get("checks")))),
        evidence=recorded.mapping(run.get("evidence")),
        defaults=recorded.mapping(run.get("defaults")),
        in_force=recorded.mapping(run.get("inForce")),
        accepted=recorded.mapping_in_text(run.get("accepted")),
        noticed=tuple(map(_notice, recorded.mappings(run.get("noticed")))),
        alerts=announcements(run),
        told=events_told(run),
        waited_for=recorded.texts(run.get("waitedFor")),
        **gating.gating_of(run),
        **_fields(run),
    )
    if run.get("stepOf") != state.run:
        return state
    asked = (_asked(entry, state) for entry in recorded.mappings(run.get("asked")))
    kind = recorded.text(run.get("kind"))
    state = replace(
        state,
        step=recorded.whole(run.get("step"), state.step, least=BEFORE_FIRST),
        kind=Kind(kind) if kind in set(Kind) else Kind.CANARY,
        round=recorded.whole(run.get("round")),
        asked=tuple(one for one in asked if one is not None),
    )
    return _with_traffic(state, run)


_state: Final = Once(_read, room=2 << 20, size=lambda text, _: 4 * text)
"""Each look at a run reads its state several times. A state takes some 16 kB, three times its text,
so that there is room for a hundred: for the looks that are under way, and not for every version of
every run."""


def _with_traffic(state: State, run: Json) -> State:
    """Return the state with what its step matches, copies and keeps.

    Where that cannot be read its canary has no share: it was one of some requests, not of all.
    """
    if run.get("traffic") is None:
        return state
    try:
        beside = traffic_in(recorded.mapping_in_text(run["traffic"]))
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError):
        return replace(state, weight=0)
    return replace(state, beside=replace(beside, weight=0))


def _iterations(state: State) -> int:
    """Return which check a run is at where its traffic does not grow, as Flagger counts."""
    counts = not state.kind.grows and state.phase is Phase.PROGRESSING and state.begun
    return state.step + 1 if counts else 0


def _phase(shown: str) -> Phase:
    """Return the phase that stands behind the one that people are shown."""
    if shown in WAITING_STAGES.values():
        return Phase.PROGRESSING
    return Phase(shown) if shown in set(Phase) else Phase.INITIALIZED


def _fields(run: Json) -> dict[str, Any]:
    """Return what is stored under the name of its field."""
    return {
        **{name: recorded.whole(run.get(_camel(name))) for name in _COUNTS},
        **{name: recorded.moment(run.get(_camel(name))) for name in _TIMES},
    }


def is_edited(canary: Json) -> bool:
    """Tell whether a Canary's spec is a newer one than its status speaks of.

    Whoever waits for a condition waits until they are the same: `kubectl wait` takes no other.
    """
    status, generation = canary.get("status") or {}, canary["metadata"].get("generation", 0)
    return "run" in status and status.get("observedGeneration") != generation


def status_from_state(state: State, *, previous: Json, generation: int, now: datetime) -> Json:
    """Return the whole status to store.

    Args:
        state: what to remember.
        previous: the status that is stored now; its transition times stand where nothing moved.
        generation: the Canary's generation that was read.
        now: the time of this reconcile.

    """
    return {
        "phase": state.stage,
        "canaryWeight": state.weight,
        "canaryShare": state.share,
        "failedChecks": state.failed_checks,
        "iterations": _iterations(state),
        "lastAppliedSpec": state.candidate,
        "lastPromotedSpec": state.stable,
        "lastTransitionTime": _transition_time(state, previous, now),
        "observedGeneration": generation,
        "conditions": [_condition(state, previous, now), *_understood(state, previous, now)],
        "run": {
            "step": state.step,
            # What another version stores of a later run is merged into this and leaves it as it is.
            "stepOf": state.run,
            "round": state.round,
            # As text: what a step before has matched is no part of this one.
            "traffic": None
            if state.beside == NOTHING
            else json.dumps(traffic_entry(state.beside, alone=False)),
            "kind": None if state.kind is Kind.CANARY else str(state.kind),
            "asked": [_dump_asked(one) for one in state.asked] or None,
            "rolloutConfirmed": state.rollout_confirmed or None,
            "preRolloutPassed": state.pre_rollout_passed,
            "paused": state.paused,
            "undoing": state.undoing,
            "forced": state.forced,
            "postRolloutCalled": state.post_rollout_called,
            "restarts": state.restarts,
            "losses": state.losses,
            "withheld": state.withheld,
            "fullSize": state.full_size,
            "needed": state.needed,
            "tries": state.tries,
            "target": state.target_uid or None,
            "deniedWhy": state.denied_why or None,
            # While the condition says what is denied, these keep what it is to say afterwards.
            "reason": state.reason if _says_denied(state) else None,
            "message": state.message if _says_denied(state) else None,
            "pods": list(state.pods) or None,
            "checks": [_dump(check) for check in state.checks],
            "evidence": dict(state.evidence) or None,
            # Whole, or a merge would leave what another run had beside it.
            "noticed": [{"reason": one.reason, "message": one.message} for one in state.noticed]
            or None,
            "alerts": [dumped(one) for one in state.alerts] or None,
            "told": [dumped_event(one) for one in state.told] or None,
            "waitedFor": list(state.waited_for) or None,
            **gating.dumped(state),
            "defaults": _instead(previous, "defaults", state.defaults),
            "inForce": _instead(previous, "inForce", state.in_force),
            # As text: a merge into what is stored could not take a field of it away.
            "accepted": json.dumps(state.accepted, sort_keys=True) if state.accepted else None,
            **{_camel(name): _write_time(getattr(state, name)) for name in _TIMES},
        },
    }


def _instead(previous: Json, field: str, wanted: Mapping[str, Any]) -> Json | None:
    """Return the patch by which a mapping of the run takes the place of the one that is stored."""
    stored = recorded.mapping(recorded.mapping(previous.get("run")).get(field))
    return {**dict.fromkeys(stored), **wanted} if wanted else None


def _transition_time(state: State, previous: Json, now: datetime) -> str:
    """Move with phase or weight only: each write would hide when something last happened."""
    moved = previous.get("phase") != state.stage or previous.get("canaryWeight") != state.weight
    stored = previous.get("lastTransitionTime")
    return stored if stored and not moved else _seconds(now)


def _condition(state: State, previous: Json, now: datetime) -> Json:
    status = {
        Phase.INITIALIZED: "True",
        Phase.SUCCEEDED: "True",
        Phase.FAILED: "False",
    }.get(state.phase, "Unknown")
    if state.reason in {Reason.INVALID, Reason.RIVAL, Reason.NO_TARGET}:
        status = "False"
    elif state.reason == Reason.SUSPENDED:
        status = "Unknown"  # a version is held, and the phase is not of it
    before: Json = next(iter(previous.get("conditions") or ()), {})
    since = before.get("lastTransitionTime") if before.get("status") == status else None
    denied = _says_denied(state)
    return {
        "type": CONDITION,
        "status": status,
        "reason": str(Reason.WRITE_DENIED) if denied else state.reason or str(state.phase),
        "message": state.denied_why if denied else state.message,
        "lastUpdateTime": _seconds(now),
        "lastTransitionTime": since or _seconds(now),
    }


def _understood(state: State, previous: Json, now: datetime) -> list[Json]:
    """Return the condition that tells what of the Canary is not followed; none where all is."""
    if not state.noticed:
        return []
    stored: list[Json] = previous.get("conditions") or []
    known = (one.get("lastTransitionTime") for one in stored if one.get("type") == UNDERSTOOD)
    return [
        {
            "type": UNDERSTOOD,
            "status": "False",
            "reason": state.noticed[0].reason,
            "message": "; ".join(one.message for one in state.noticed),
            "lastUpdateTime": _seconds(now),
            "lastTransitionTime": next(known, None) or _seconds(now),
        }
    ]


def _says_denied(state: State) -> bool:
    """Tell whether what the API server denies comes before all else; a verdict stands above it."""
    return state.denied_since is not None and state.phase is not Phase.FAILED


def _asked(entry: Mapping[str, Any], state: State) -> Asked | None:
    """Return a question that was put; None for one that cannot be told, which is put again."""
    since = recorded.moment(entry.get("since"))
    type_ = recorded.text(entry.get("type"), HookType.ROLLOUT)
    if since is None or type_ not in set(HookType):
        return None
    ask = HookAsk(
        run=state.run,
        step=recorded.whole(entry.get("step"), state.step, least=BEFORE_FIRST),
        round=recorded.whole(entry.get("round")),
        hook=recorded.text(entry.get("hook")),
        type=HookType(type_),
    )
    at = recorded.moment(entry.get("answeredAt"))
    word: Word | Unanswered = Unanswered()
    if "ok" in entry and at is not None:
        word = Word(ok=bool(entry["ok"]), message=recorded.text(entry.get("message")), at=at)
    return Asked(
        ask=ask, since=since, puts=recorded.whole(entry.get("puts"), 1, least=1), word=word
    )


def _dump_asked(one: Asked) -> Json:
    entry: Json = {
        "hook": one.ask.hook,
        "type": str(one.ask.type),
        "step": one.ask.step,
        "round": one.ask.round,
        "puts": one.puts,
        "since": one.since.isoformat(),
    }
    if isinstance(one.word, Word):
        word = one.word
        entry |= {"ok": word.ok, "message": word.message, "answeredAt": word.at.isoformat()}
    return entry


def _check(entry: Mapping[str, Any]) -> Check:
    outcome = recorded.text(entry.get("outcome"))
    return Check(
        name=recorded.text(entry.get("name")),
        outcome=Outcome(outcome) if outcome in set(Outcome) else Outcome.NO_DATA,
        message=recorded.text(entry.get("message")),
        value=recorded.number(entry.get("value")),
        bound=recorded.number(entry.get("bound")),
        source=recorded.text(entry.get("source")),
        query=recorded.text(entry.get("query")),
    )


def _notice(entry: Mapping[str, Any]) -> Notice:
    return Notice(
        reason=recorded.text(entry.get("reason")), message=recorded.text(entry.get("message"))
    )


def _dump(check: Check) -> Json:
    fields = {
        "name": check.name,
        "outcome": str(check.outcome),
        "message": check.message,
        "value": check.value,
        "bound": check.bound,
        "source": check.source or None,
        "query": check.query or None,
    }
    # JSON has no infinity; the message still says what the value was.
    return {
        name: value
        for name, value in fields.items()
        if value is not None and not (isinstance(value, float) and not math.isfinite(value))
    }


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def _write_time(time: datetime | None) -> str | None:
    return time.isoformat() if time else None


def _seconds(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")
