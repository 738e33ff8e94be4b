"""An upgrade in the middle of anything: marks that the release before wrote, short, still count.

That release cannot be run here any more. What it would have stored is written down: its hashes are
ten digits of the whole template, it keeps marks that it does not write as they are, and it compares
marks with its own hashes, so that a long mark equals nothing for it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from canary.admission.targets import Allowances, Allowed, Answer, Denied, Write, admit
from canary.contract import (
    CANDIDATE,
    HOLD,
    PROMOTING,
    REFUSED,
    REFUSED_WHY,
    REQUESTED_BY,
    STABLE,
    Command,
    Reason,
)
from canary.model.former import Identities, outdated_marks
from canary.model.hashing import short_hash, template_hash
from canary.model.state import Phase, State, current_state
from canary.model.traffic import Traffic
from canary.model.world import CanaryAbsent, Split
from canary.objects.status import state_from_status, status_from_state
from canary.objects.workloads import known_templates, read_canary, read_revisions, read_target
from canary.rules.actions import (
    Decision,
    Emit,
    EnsureCanary,
    MarkRefused,
    MarkTarget,
    Pause,
    SaveState,
    ScaleDownRevision,
)
from canary.rules.context import Observed
from canary.rules.decide import decide
from canary.rules.half_way import undo_promotion
from canary.rules.transitions import release, settle
from tests.fakes.objects import Json, annotated, changed, deployment
from tests.fakes.world import KEY, STRATEGY


def stored(image: str, **more: Any) -> Json:
    """Return a Deployment with defaults in it, so that its two hashes have nothing in common."""
    obj = deployment(image=image, **more)
    obj["spec"]["template"]["spec"] |= {"restartPolicy": "Always", "dnsPolicy": "ClusterFirst"}
    return obj


V1, V2, V3 = (stored(f"web:{n}") for n in (1, 2, 3))
T1, T2, T3 = (obj["spec"]["template"] for obj in (V1, V2, V3))
S1, S2, S3 = (short_hash(template) for template in (T1, T2, T3))
L1, L2, L3 = (template_hash(template) for template in (T1, T2, T3))
NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)

Hash = Callable[[Json], str]


# --- one mark -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mark", "read"),
    [
        (S1, L1),
        (S2, L2),
        (S3, S3),
        (L1, L1),
        (L3, L3),
        ("", ""),
        ("unknown", "unknown"),
    ],
    ids=["short", "another", "of no template", "long", "unknown and long", "none", "no hash"],
)
def test_a_short_mark_stands_for_the_template_that_had_it(mark: str, read: str) -> None:
    assert Identities((T1, T2)).current(mark) == read


# --- the webhook of this release, marks of the one before ---------------------------------------

HELD = stored("web:2", paused=True, annotations={HOLD: S2, STABLE: S1})
ROLLING = stored("web:2", annotations={PROMOTING: S2, STABLE: S1})
REFUSED_MARKS = {REFUSED: S2, REFUSED_WHY: "error-rate 20 > 1"}
REFUSED_HELD = annotated(HELD, dict(REFUSED_MARKS))
REVERTED = annotated(V1, dict(REFUSED_MARKS))


def write(old: Json, new: Json) -> Answer:
    return admit(Write(old=old, new=new, user="alice"), Allowances())


def carried(old: Json, new: Json, **spec: Any) -> Json:
    """Return the old object with the template of another, as an apply leaves the rest alone."""
    return changed(old, template=new["spec"]["template"], **spec)


@dataclass(frozen=True)
class Row:
    """A row of "what each write to a target means": what comes of it, and of the marks."""

    name: str
    old: Json
    new: Json
    outcome: str
    paused: bool | None = None
    marks: dict[str, str | None] = field(default_factory=dict)


WRITES = (
    Row("a third template while held", HELD, carried(HELD, V3), "superseded", marks={HOLD: L3}),
    Row(
        "the stable one again while held",
        HELD,
        carried(HELD, V1),
        "reverted",
        paused=False,
        marks={HOLD: None, STABLE: None},
    ),
    Row(
        "the stable one again after a refusal",
        REFUSED_HELD,
        carried(REFUSED_HELD, V1),
        "reverted",
        paused=False,
        marks={HOLD: None, STABLE: None},
    ),
    Row(
        "the stable one again while it rolls",
        ROLLING,
        carried(ROLLING, V1),
        "reverted",
        marks={STABLE: None, PROMOTING: None},
    ),
    Row(
        "a third template while it rolls",
        ROLLING,
        carried(ROLLING, V3),
        "superseded",
        paused=True,
        marks={HOLD: L3, PROMOTING: None},
    ),
    Row("the refused one again", REFUSED_HELD, REFUSED_HELD, "refused-again", marks={HOLD: L2}),
    Row(
        "the refused one again after a revert",
        REVERTED,
        carried(REVERTED, V2),
        "refused-again",
        paused=True,
        marks={HOLD: L2, STABLE: L1},
    ),
    Row("the same object", HELD, HELD, "held-still"),
    Row(
        "a replace that dropped our fields",
        HELD,
        V2,
        "held-still",
        paused=True,
        marks={HOLD: S2, STABLE: S1},
    ),
    Row("scale", HELD, changed(HELD, replicas=9), "held-still"),
    Row(
        "a command",
        HELD,
        annotated(HELD, {Command.ABORT: "now"}),
        "held-still",
        marks={REQUESTED_BY: "alice"},
    ),
    Row("a write while it rolls", ROLLING, changed(ROLLING, replicas=9), "unchanged"),
    Row("an edited mark", HELD, annotated(HELD, {STABLE: L3}), "held-still", marks={STABLE: S1}),
)


@pytest.mark.parametrize("row", WRITES, ids=lambda row: row.name)
def test_every_write_means_the_same_with_marks_of_the_release_before(row: Row) -> None:
    """And no mark that stands is rewritten: an analyzer of that release may have to read it."""
    answer = write(row.old, row.new)
    assert isinstance(answer, Allowed)
    assert (answer.outcome, answer.paused, answer.annotations) == (
        row.outcome,
        row.paused,
        row.marks,
    )


def test_a_resume_is_refused_as_ever() -> None:
    assert isinstance(write(HELD, changed(HELD, paused=False)), Denied)


# --- the analyzer of this release ---------------------------------------------------------------


@dataclass(frozen=True)
class Stored:
    """What a cluster holds of one target; `alive` are pods by template, `marks` as annotated."""

    target: Json
    state: State
    alive: tuple[tuple[Json, int], ...]
    canary_of: str = ""

    def known(self) -> Identities:
        return known_templates(self.target, self.replicasets())

    def replicasets(self) -> list[Json]:
        owner = {"uid": self.target["metadata"]["uid"], "controller": True}
        return [
            {
                "metadata": {"name": f"web-{position}", "ownerReferences": [owner]},
                "spec": {"replicas": pods, "template": _of_a_replicaset(template)},
                "status": {"readyReplicas": pods},
            }
            for position, (template, pods) in enumerate(self.alive)
        ]

    def canary(self) -> Json:
        return {
            "metadata": {"name": "web-canary", "annotations": {CANDIDATE: self.canary_of}},
            "spec": {"replicas": 2, "template": T1},
            "status": {"readyReplicas": 2, "updatedReplicas": 2, "replicas": 2},
        }

    def read(self) -> tuple[State, Observed]:
        """Read everything as `analyzer.loop.observe` does, the state from the status as stored."""
        known = self.known()
        status = status_from_state(self.state, previous={}, generation=1, now=NOW)
        for unknown in ("step", "stepOf", "round", "asked"):
            status["run"].pop(unknown, None)
        observed = Observed(
            key=KEY,
            target=read_target(self.target, enabled=True, known=known),
            revisions=read_revisions(self.replicasets(), self.target),
            strategy=STRATEGY,
            canary=read_canary(self.canary(), [], known) if self.canary_of else CanaryAbsent(),
            split=Split(traffic=Traffic(self.state.weight), routes=1),
        )
        return current_state(state_from_status(status), known), observed

    def decide(self) -> Decision:
        state, observed = self.read()
        return decide(state, observed, NOW)


def _of_a_replicaset(template: Json) -> Json:
    labels = {**template["metadata"]["labels"], "pod-template-hash": "5f7c"}
    return {**template, "metadata": {**template["metadata"], "labels": labels}}


def marked(obj: Json, *, paused: bool | None = None, **marks: str) -> Json:
    names = {"hold": HOLD, "stable": STABLE, "promoting": PROMOTING, "refused": REFUSED}
    noted = annotated(obj, {names[name]: value for name, value in marks.items()})
    return changed(noted, paused=True) if paused else noted


def at(phase: Phase, candidate: str, stable: str, **more: Any) -> State:
    long_ago = NOW - timedelta(seconds=20)
    times = dict.fromkeys(("started_at", "changed_at", "checked_at", "stepped_at"), long_ago)
    reason = str(phase)
    return State(
        phase=phase, candidate=candidate, stable=stable, reason=reason, **{**times, **more}
    )


ALL_OLD, ALL_NEW, BOTH = ((T1, 4),), ((T2, 4), (T1, 0)), ((T1, 2), (T2, 3))


def progressing(of: Hash) -> Stored:
    held = marked(V2, paused=True, hold=of(T2), stable=of(T1))
    evidence = {"candidate": of(T2), "verdict": "Open"}
    state = at(Phase.PROGRESSING, of(T2), of(T1), weight=10, pre_rollout_passed=True)
    return Stored(held, replace(state, evidence=evidence), ALL_OLD, canary_of=of(T2))


def rolling(of: Hash) -> Stored:
    target = marked(V2, promoting=of(T2), stable=of(T1))
    return Stored(target, at(Phase.PROMOTING, of(T2), of(T1), weight=50), BOTH, canary_of=of(T2))


def not_released(of: Hash) -> Stored:
    held = marked(V2, paused=True, hold=of(T2), stable=of(T1))
    return Stored(held, at(Phase.PROMOTING, of(T2), of(T1), weight=50), ALL_OLD, canary_of=of(T2))


def undo_not_written(of: Hash) -> Stored:
    target = marked(V2, promoting=of(T2), stable=of(T1))
    state = at(Phase.FAILED, of(T2), of(T1), undoing=of(T2))
    return Stored(target, state, BOTH, canary_of=of(T2))


def undoing(of: Hash) -> Stored:
    held = marked(V2, paused=True, hold=of(T2), stable=of(T1))
    state = at(Phase.FAILED, of(T2), of(T1), undoing=of(T2))
    return Stored(held, state, BOTH, canary_of=of(T2))


def superseded_while_rolling(of: Hash) -> Stored:
    held = marked(V3, paused=True, hold=of(T3), stable=of(T1), promoting=of(T2))
    return Stored(held, at(Phase.PROMOTING, of(T2), of(T1), weight=50), BOTH, canary_of=of(T2))


def refused_at_rest(of: Hash) -> Stored:
    held = marked(V2, paused=True, hold=of(T2), stable=of(T1), refused=of(T2))
    return Stored(held, at(Phase.FAILED, of(T2), of(T1), post_rollout_called=True), ALL_OLD)


def refused_again(of: Hash) -> Stored:
    held = marked(V2, paused=True, hold=of(T2), stable=of(T1), refused=of(T2))
    return Stored(held, at(Phase.INITIALIZED, "", of(T1)), ALL_OLD)


def finalising(of: Hash) -> Stored:
    target = marked(V2, promoting=of(T2), stable=of(T1))
    return Stored(target, at(Phase.FINALISING, of(T2), of(T2)), ALL_NEW, canary_of=of(T2))


def succeeded(of: Hash) -> Stored:
    return Stored(V2, at(Phase.SUCCEEDED, of(T2), of(T2), post_rollout_called=True), ALL_NEW)


def idle(of: Hash) -> Stored:
    return Stored(V1, at(Phase.INITIALIZED, "", of(T1)), ALL_OLD)


def team_s_pause_ended(of: Hash) -> Stored:
    held = marked(V1, paused=True, hold=of(T1))
    return Stored(held, at(Phase.INITIALIZED, "", of(T1)), ALL_OLD)


SITUATIONS = (
    progressing,
    rolling,
    not_released,
    undo_not_written,
    undoing,
    superseded_while_rolling,
    refused_at_rest,
    refused_again,
    finalising,
    succeeded,
    idle,
    team_s_pause_ended,
)


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda made: made.__name__)
def test_a_run_goes_on_from_what_the_release_before_has_stored(
    situation: Callable[[Hash], Stored],
) -> None:
    former, today = situation(short_hash), situation(template_hash)
    assert former.read() == today.read()
    assert former.decide() == today.decide()
    assert short_hash(T1) not in str(former.decide())


LET_GO = MarkTarget({HOLD: None, STABLE: None}, Pause.CLEARED)


def kinds(decision: Decision) -> set[type]:
    return {type(action) for action in decision.actions}


def test_what_these_situations_come_to() -> None:
    """So that the equality above is not that of two wrong answers."""
    assert progressing(short_hash).decide().state.candidate == L2
    assert progressing(short_hash).decide().state.phase is Phase.PROGRESSING
    assert progressing(short_hash).decide().reason not in {Reason.SUPERSEDED, Reason.HELD}
    assert progressing(short_hash).read()[0].evidence["candidate"] == L2
    assert EnsureCanary not in kinds(progressing(short_hash).decide())
    assert rolling(short_hash).decide().state.phase is Phase.PROMOTING
    assert release(State(candidate=L2, stable=L1)) in not_released(short_hash).decide().actions
    held_again, scaled_down = undo_promotion(State(candidate=L2, stable=L1), L2)
    undone = undo_not_written(short_hash).decide().actions
    assert (held_again in undone, scaled_down in undone) == (True, True)
    assert ScaleDownRevision(L2) in undoing(short_hash).decide().actions
    assert superseded_while_rolling(short_hash).decide().state.undoing == L2
    assert refused_at_rest(short_hash).decide().actions == ()
    assert refused_again(short_hash).decide().reason == Reason.REFUSED
    assert settle(keep_refused=False) in finalising(short_hash).decide().actions
    assert succeeded(short_hash).decide().actions == ()
    assert idle(short_hash).decide().actions == ()
    assert LET_GO in team_s_pause_ended(short_hash).decide().actions


# --- the analyzer of this release, a webhook of the one before ----------------------------------


@dataclass(frozen=True)
class Skew:
    """What that webhook makes of a write to what this analyzer has written, and what follows."""

    name: str
    stored: Stored
    released: bool = False
    started_against: str = ""
    refused: bool = False
    undoing: str = ""


RUN = at(Phase.PROGRESSING, L2, L1, weight=10, pre_rollout_passed=True)
ROLL = at(Phase.PROMOTING, L2, L1, weight=50)

# It does not see a revert where the stable's mark is long, so it holds the stable's own template.
# It does not see that a version was refused where that mark is long, so it holds it as a new one.
SKEWS = (
    Skew(
        "a revert in a run is held, and released at once",
        Stored(marked(V1, paused=True, hold=S1, stable=L1), RUN, ALL_OLD, canary_of=L2),
        released=True,
    ),
    Skew(
        "a revert after a refusal is held, and released at once",
        Stored(
            marked(V1, paused=True, hold=S1, stable=L1, refused=L2),
            at(Phase.FAILED, L2, L1, post_rollout_called=True),
            ALL_OLD,
        ),
        released=True,
    ),
    Skew(
        "a revert while it rolls is held, and released at once",
        Stored(marked(V1, paused=True, hold=S1, stable=L1, promoting=L2), ROLL, BOTH, canary_of=L2),
        released=True,
    ),
    Skew(
        "the refused version again is held as a new one, and refused",
        Stored(
            marked(V2, paused=True, hold=S2, stable=S1, refused=L2),
            at(Phase.INITIALIZED, "", L1),
            ALL_OLD,
        ),
        refused=True,
    ),
    Skew(
        "a third version in a run is judged against the old stable",
        Stored(marked(V3, paused=True, hold=S3, stable=L1), RUN, ALL_OLD, canary_of=L2),
        started_against=L1,
    ),
    Skew(
        "a third version while it rolls undoes that and is judged against the old stable",
        Stored(marked(V3, paused=True, hold=S3, stable=L1, promoting=L2), ROLL, BOTH, canary_of=L2),
        started_against=L1,
        undoing=L2,
    ),
    Skew(
        "a new version is judged",
        Stored(marked(V2, paused=True, hold=S2, stable=S1), at(Phase.INITIALIZED, "", L1), ALL_OLD),
        started_against=L1,
    ),
)


@pytest.mark.parametrize("skew", SKEWS, ids=lambda skew: skew.name)
def test_what_a_webhook_of_the_release_before_holds(skew: Skew) -> None:
    decision = skew.stored.decide()
    marked = [action for action in decision.actions if isinstance(action, MarkTarget)]
    releases = [action for action in marked if action.pause is Pause.CLEARED]
    assert releases == ([LET_GO] if skew.released else [])
    assert (MarkRefused in kinds(decision)) is skew.refused
    if skew.started_against:
        assert decision.state.phase is Phase.PROGRESSING
        assert (decision.state.weight, decision.state.stable) == (0, skew.started_against)
    assert decision.state.undoing == skew.undoing


# --- written anew, once -------------------------------------------------------------------------


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda made: made.__name__)
def test_marks_of_templates_at_hand_are_written_anew_once(
    situation: Callable[[Hash], Stored],
) -> None:
    former, today = situation(short_hash), situation(template_hash)
    known, notes = former.known(), former.target["metadata"].get("annotations") or {}
    fresh = outdated_marks(notes, known)
    assert {**notes, **fresh} == (today.target["metadata"].get("annotations") or {})
    assert outdated_marks({**notes, **fresh}, known) == {}
    assert current_state(today.state, known) == today.state


def test_the_mark_of_a_refused_version_that_is_gone_stays_until_it_comes_again() -> None:
    gone = Stored(marked(V1, refused=S2), at(Phase.INITIALIZED, "", L1), ALL_OLD)
    assert outdated_marks({REFUSED: S2}, gone.known()) == {}
    assert gone.decide().actions == ()


def test_a_target_that_changed_past_the_webhook_is_still_reported() -> None:
    decision = Stored(V2, at(Phase.INITIALIZED, "", S1), ALL_NEW).decide()
    assert Emit in kinds(decision)
    assert SaveState in kinds(decision)
    assert decision.state.stable == L2
