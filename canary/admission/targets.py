"""What each write to a target means: one pure answer per admission review.

The rules read in the order of the design's table; the first that applies answers.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from canary.contract import (
    COMMANDS,
    DOMAIN,
    HOLD,
    HOLD_UNKNOWN,
    INTERNAL_ANNOTATIONS,
    OPT_OUT,
    OPT_OUT_VALUE,
    PROMOTING,
    REFUSED,
    REFUSED_WHY,
    REQUESTED_BY,
    STABLE,
    Command,
)
from canary.model.former import Identities
from canary.model.hashing import template_hash
from canary.model.values import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """One UPDATE of a Deployment, as the API server sends it for review."""

    old: Json
    new: Json
    user: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What the admin allows: `allow_opt_out` lets teams annotate a target out of gating."""

    allow_opt_out: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowed:
    """The write passes; `paused` and `annotations` (None removes) are what is changed in it.

    `paused` is None where the write's own value stands. `outcome` is the metric label.
    """

    outcome: str
    paused: bool | None = None
    annotations: dict[str, str | None] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Denied:
    """The write is refused with a message that says what to do instead."""

    message: str
    outcome: str = "denied"


Answer = Allowed | Denied


@dataclass(frozen=True, slots=True, kw_only=True)
class _Facts:
    """A write, read once."""

    name: str
    user: str
    old_hash: str
    new_hash: str
    was_paused: bool
    is_paused: bool
    old_marks: dict[str, str]
    new_marks: dict[str, str]
    known: Identities
    replicas: int
    recreate: bool
    opted_out: bool
    manifest_unpauses: bool

    @property
    def held(self) -> bool:
        return self.was_paused and HOLD in self.old_marks

    @property
    def stable_mark(self) -> str:
        """What serves: as the marks say it during a run, else the old template."""
        return self.old_marks.get(STABLE, "" if self.was_paused else self.old_hash)

    @property
    def stable_hash(self) -> str:
        """What serves, in a form that compares with the hashes of this write."""
        return self.known.current(self.stable_mark)

    @property
    def refused_hash(self) -> str:
        """The candidate that was refused last, in the same form."""
        return self.known.current(self.old_marks.get(REFUSED, ""))


def admit(write: Write, policy: Policy) -> Answer:
    """Decide one write to a target.

    Args:
        write: the old and the new object, both defaulted, and who writes.
        policy: what the admin allows.

    """
    facts = _read(write, policy)
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


def _read(write: Write, policy: Policy) -> _Facts:
    old, new = write.old, write.new
    annotations = new["metadata"].get("annotations") or {}
    strategy = (new["spec"].get("strategy") or {}).get("type")
    before, after = old["spec"]["template"], new["spec"]["template"]
    old_hash = template_hash(before)
    return _Facts(
        name=new["metadata"].get("name", ""),
        user=write.user,
        old_hash=old_hash,
        new_hash=old_hash if after == before else template_hash(after),
        was_paused=bool(old["spec"].get("paused")),
        is_paused=bool(new["spec"].get("paused")),
        old_marks=_marks(old),
        new_marks=_marks(new),
        known=Identities((after, before)),
        replicas=new["spec"].get("replicas", 1),
        recreate=strategy == "Recreate",
        opted_out=policy.allow_opt_out and annotations.get(OPT_OUT) == OPT_OUT_VALUE,
        manifest_unpauses=_manifest_owns_paused(new),
    )


def _marks(obj: Json) -> dict[str, str]:
    annotations = obj["metadata"].get("annotations") or {}
    return {k: v for k, v in annotations.items() if k.startswith(f"{DOMAIN}/")}


def _manifest_owns_paused(new: Json) -> bool:
    """Tell whether an applied manifest itself says `paused`, so that it comes with every apply."""
    for entry in new["metadata"].get("managedFields") or ():
        applied = entry.get("operation") == "Apply"
        if not applied and entry.get("manager") != "kubectl-client-side-apply":
            continue
        if "f:paused" in (entry.get("fieldsV1") or {}).get("f:spec", {}):
            return True
    return False


# --- the rules, in reading order ---------------------------------------------------------------


def _back_to_stable(facts: _Facts) -> Answer | None:
    """Template back to stable during a run: abort by revert, in this very request."""
    running = facts.held or (PROMOTING in facts.old_marks and facts.new_hash != facts.old_hash)
    if not running or not facts.stable_hash or facts.new_hash != facts.stable_hash:
        return None
    return Allowed(
        outcome="reverted",
        paused=False,
        annotations={HOLD: None, STABLE: None, PROMOTING: None},
        warnings=(f"headgate: {facts.name} is back on its stable template; the canary ends",),
    )


def _release_attempt(facts: _Facts) -> Answer | None:
    """A bare resume of a held target, which would release the candidate without a verdict."""
    if not facts.held or facts.is_paused or facts.new_hash != facts.old_hash:
        return None
    if HOLD not in facts.new_marks or facts.manifest_unpauses:
        return None
    return Denied(
        message=(
            f"deployment {facts.name} is held by Headgate while its new version is judged. "
            f"To release it without waiting: kubectl annotate deployment {facts.name} "
            f"{Command.PROMOTE}=now. To give it up: kubectl annotate deployment {facts.name} "
            f"{Command.ABORT}=now, or set the previous template again"
        ),
    )


def _refused_again(facts: _Facts) -> Answer | None:
    """The candidate that was refused: held, no new run."""
    if facts.new_hash != facts.refused_hash or not _would_hold(facts):
        return None
    why = facts.old_marks.get(REFUSED_WHY, "it was refused")
    return _hold(
        facts,
        outcome="refused-again",
        warning=(
            f"headgate: this version of {facts.name} was refused and stays held: {why}. To try "
            f"it once more: kubectl annotate deployment {facts.name} {Command.RETRY}=now"
        ),
    )


def _same_while_held(facts: _Facts) -> Answer | None:
    """The same object again, or a full replace that dropped our fields: put the hold back."""
    if not facts.held or facts.new_hash != facts.old_hash:
        return None
    return Allowed(outcome="held-still", paused=True)


def _superseded(facts: _Facts) -> Answer | None:
    """A third template during a run or a promotion."""
    running = facts.held or PROMOTING in facts.old_marks
    if not running or facts.new_hash in {facts.old_hash, facts.stable_hash}:
        return None
    return _hold(
        facts,
        outcome="superseded",
        warning=f"headgate: a newer version of {facts.name}: the canary starts again with it",
    )


def _ungated(facts: _Facts) -> Answer | None:
    """Updates that no canary can judge pass, and say so."""
    if facts.new_hash == facts.old_hash and not facts.was_paused:
        return Allowed(outcome="unchanged")
    if facts.opted_out:
        return Allowed(outcome="opted-out")
    why = ""
    if facts.replicas == 0:
        why = "it has no replicas"
    elif facts.recreate:
        why = "its strategy is Recreate"
    if not why:
        return None
    warning = f"headgate: {facts.name} is not gated, because {why}"
    return Allowed(outcome="ungated", warnings=(warning,))


def _team_pause(facts: _Facts) -> Answer | None:
    """A pause that is the team's own stays theirs."""
    return Allowed(outcome="paused-by-team") if facts.is_paused else None


def _gate(facts: _Facts) -> Answer | None:
    """A changed template, or a team's resume of one: held, and a run starts."""
    return _hold(
        facts,
        outcome="held",
        warning=(f"headgate: held as a canary; follow it with: kubectl get canary {facts.name} -w"),
    )


_RULES: Final[tuple[Callable[[_Facts], Answer | None], ...]] = (
    _back_to_stable,
    _release_attempt,
    _refused_again,
    _same_while_held,
    _superseded,
    _ungated,
    _team_pause,
    _gate,
)


def _would_hold(facts: _Facts) -> bool:
    """Tell whether a hold is what this write is about, rather than a pass or a team's pause."""
    if facts.held:
        return True
    changed = facts.new_hash != facts.old_hash
    resumed = facts.was_paused and not facts.is_paused
    return (
        (changed or resumed)
        and not facts.is_paused
        and not facts.opted_out
        and not facts.recreate
        and facts.replicas > 0
    )


def _hold(facts: _Facts, *, outcome: str, warning: str) -> Allowed:
    # A mark that stands is left as it is written: an analyzer of the release before may read it.
    stable = {STABLE: facts.stable_mark} if facts.stable_mark else {}
    return Allowed(
        outcome=outcome,
        paused=True,
        annotations={HOLD: facts.new_hash, **stable},
        warnings=(warning,),
    )


def _guarded(facts: _Facts, answer: Allowed) -> Allowed:
    """Add what holds for every write that passes: our marks cannot be edited, commands are signed.

    The answer's own marks win; every other internal mark is as it was before the write.
    """
    marks: dict[str, str | None] = {}
    for key in INTERNAL_ANNOTATIONS:
        wanted = answer.annotations.get(key, facts.old_marks.get(key))
        if wanted != facts.new_marks.get(key):
            marks[key] = wanted
    if any(facts.new_marks.get(key) != facts.old_marks.get(key) for key in COMMANDS):
        asked = any(key in facts.new_marks for key in COMMANDS)
        marks[REQUESTED_BY] = facts.user if asked else None
    paused = answer.paused if answer.paused != facts.is_paused else None
    return Allowed(
        outcome=answer.outcome, paused=paused, annotations=marks, warnings=answer.warnings
    )
