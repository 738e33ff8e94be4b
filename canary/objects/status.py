"""`Canary.status` to and from the state of a run: Flagger's fields, and our own under `run`."""

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from canary.contract import Reason
from canary.model.asking import Asked, HookAsk, Unanswered, Word
from canary.model.state import Check, Notice, Outcome, Phase, State
from canary.model.steps import BEFORE_FIRST
from canary.model.strategy import HookType
from canary.model.values import Json, from_text

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
)


def state_from_status(status: Json) -> State:
    """Read what an earlier reconcile, perhaps of another process, has stored."""
    if "run" not in status:
        return State()  # nobody's, or Flagger's, whose phases tell of its own primary
    run = status.get("run") or {}
    phase = status.get("phase")
    condition: Json = next(iter(status.get("conditions") or ()), {})
    weight = int(status.get("canaryWeight") or 0)
    state = State(
        phase=Phase(phase) if phase in set(Phase) else Phase.INITIALIZED,
        candidate=status.get("lastAppliedSpec", ""),
        stable=status.get("lastPromotedSpec", ""),
        # A version before steps tells by the weight alone that a run has begun.
        step=0 if weight else BEFORE_FIRST,
        round=0,
        asked=(),
        weight=weight,
        failed_checks=int(status.get("failedChecks") or 0),
        pre_rollout_passed=bool(run.get("preRolloutPassed")),
        paused=bool(run.get("paused")),
        undoing=run.get("undoing", ""),
        forced=bool(run.get("forced")),
        post_rollout_called=bool(run.get("postRolloutCalled")),
        restarts=int(run.get("restarts") or 0),
        losses=int(run.get("losses") or 0),
        withheld=int(run.get("withheld") or 0),
        full_size=int(run.get("fullSize") or 0),
        needed=int(run.get("needed") or 0),
        denied_why=run.get("deniedWhy") or "",
        tries=int(run.get("tries") or 0),
        target_uid=run.get("target") or "",
        reason=run.get("reason") or condition.get("reason", ""),
        message=run.get("message") or condition.get("message", ""),
        pods=tuple(run.get("pods") or ()),
        checks=tuple(_check(entry) for entry in run.get("checks") or ()),
        evidence=run.get("evidence") or {},
        defaults=_mapping(run.get("defaults")),
        in_force=_mapping(run.get("inForce")),
        accepted=_from_text(run.get("accepted")),
        noticed=tuple(
            Notice(reason=one.get("reason", ""), message=one.get("message", ""))
            for one in run.get("noticed") or ()
        ),
        **{name: _read_time(run.get(_camel(name))) for name in _TIMES},
    )
    if run.get("stepOf") != state.run:
        return state
    return replace(
        state,
        step=int(run.get("step", state.step)),
        round=int(run.get("round") or 0),
        asked=tuple(_asked(entry, state) for entry in run.get("asked") or ()),
    )


def status_from_state(state: State, *, previous: Json, generation: int, now: datetime) -> Json:
    """Return the whole status to store.

    Args:
        state: what to remember.
        previous: the status that is stored now; its transition times stand where nothing moved.
        generation: the Canary's generation that was read.
        now: the time of this reconcile.

    """
    return {
        "phase": str(state.phase),
        "canaryWeight": state.weight,
        "failedChecks": state.failed_checks,
        "iterations": 0,
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
            "asked": [_dump_asked(one) for one in state.asked] or None,
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
            "defaults": _instead(previous, "defaults", state.defaults),
            "inForce": _instead(previous, "inForce", state.in_force),
            # As text: a merge into what is stored could not take a field of it away.
            "accepted": json.dumps(state.accepted, sort_keys=True) if state.accepted else None,
            **{_camel(name): _write_time(getattr(state, name)) for name in _TIMES},
        },
    }


def _mapping(value: object) -> Json:
    """Return a mapping as it is stored; what another release may have written there is none."""
    return value if isinstance(value, dict) else {}


def _from_text(value: object) -> Json:
    """Return a mapping that is stored as text, none where it cannot be read."""
    try:
        return _mapping(from_text(value)) if isinstance(value, str) else {}
    except ValueError:
        return {}


def _instead(previous: Json, field: str, wanted: Mapping[str, Any]) -> Json | None:
    """Return the patch by which a mapping of the run takes the place of the one that is stored."""
    stored = _mapping((previous.get("run") or {}).get(field))
    return {**dict.fromkeys(stored), **wanted} if wanted else None


def _transition_time(state: State, previous: Json, now: datetime) -> str:
    """Move with phase or weight only: each write would hide when something last happened."""
    moved = (
        previous.get("phase") != str(state.phase) or previous.get("canaryWeight") != state.weight
    )
    stored = previous.get("lastTransitionTime")
    return stored if stored and not moved else _seconds(now)


def _condition(state: State, previous: Json, now: datetime) -> Json:
    status = {
        Phase.INITIALIZED: "True",
        Phase.SUCCEEDED: "True",
        Phase.FAILED: "False",
    }.get(state.phase, "Unknown")
    if state.reason in {Reason.INVALID, Reason.RIVAL}:
        status = "False"
    before: Json = next(iter(previous.get("conditions") or ()), {})
    same = before.get("status") == status
    denied = _says_denied(state)
    return {
        "type": CONDITION,
        "status": status,
        "reason": str(Reason.WRITE_DENIED) if denied else state.reason or str(state.phase),
        "message": state.denied_why if denied else state.message,
        "lastUpdateTime": _seconds(now),
        "lastTransitionTime": before["lastTransitionTime"] if same else _seconds(now),
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


def _asked(entry: Json, state: State) -> Asked:
    ask = HookAsk(
        run=state.run,
        step=int(entry.get("step", state.step)),
        round=int(entry.get("round") or 0),
        hook=entry.get("hook", ""),
        type=HookType(entry.get("type", HookType.ROLLOUT)),
    )
    word: Word | Unanswered = Unanswered()
    if "ok" in entry:
        at = datetime.fromisoformat(entry["answeredAt"])
        word = Word(ok=bool(entry["ok"]), message=entry.get("message", ""), at=at)
    since = datetime.fromisoformat(entry["since"])
    return Asked(ask=ask, since=since, puts=int(entry.get("puts") or 1), word=word)


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


def _check(entry: Json) -> Check:
    return Check(
        name=entry.get("name", ""),
        outcome=Outcome(entry.get("outcome", Outcome.NO_DATA)),
        message=entry.get("message", ""),
        value=entry.get("value"),
        bound=entry.get("bound"),
        source=entry.get("source") or "",
        query=entry.get("query") or "",
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


def _read_time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _write_time(time: datetime | None) -> str | None:
    return time.isoformat() if time else None


def _seconds(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")
