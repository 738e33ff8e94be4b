"""One write to a target, read once: what its author asks for, apart from what Headgate put there.

When another webhook changes the object after ours, the API server asks again, with our own answer
already in the new object. A pause that comes with a hold mark is therefore never its author's: the
mark says that the pause is Headgate's, whoever brought it, and the pause is decided anew.
"""

from dataclasses import dataclass, field
from typing import Final

from canary.contract import (
    COMMANDS,
    DOMAIN,
    FLAGGER_GROUP,
    FLAGGER_KIND,
    HOLD,
    INTERNAL_ANNOTATIONS,
    OPT_OUT,
    OPT_OUT_VALUE,
    PROMOTING,
    REFUSED,
    REFUSED_WHY,
    REQUESTED_BY,
    SEEN,
    STABLE,
)
from canary.model.former import Identities
from canary.model.hashing import template_hash
from canary.model.values import Json

_WRITTEN_BY_THE_SERVER: Final = frozenset(
    {"resourceVersion", "generation", "managedFields", "creationTimestamp", "uid", "selfLink"}
)
"""Metadata in which two objects that ask for the same can differ."""
_WITHOUT_A_WORD: Final = frozenset({HOLD, STABLE, REQUESTED_BY, SEEN})
"""Marks that are put right without a warning: when the API server asks again, they stand in the new
object by our own first answer; and what was seen tells nobody anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """One UPDATE of a Deployment, as the API server sends it for review."""

    old: Json
    new: Json
    user: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowances:
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
class Facts:
    """A write, read once.

    `touched` is whether the template differs in any way, also in what its identity leaves out.
    `says_paused` is `spec.paused` as it is sent. `half_way` is whether pods of more than one
    template may serve. `flaggers` is whether Flagger owns the Deployment, before and after.
    """

    write: Write
    name: str
    old_hash: str
    new_hash: str
    touched: bool
    was_paused: bool
    says_paused: bool
    old_marks: dict[str, str]
    new_marks: dict[str, str]
    known: Identities
    recreate: bool
    opted_out: bool
    half_way: bool
    flaggers: bool
    manifest_unpauses: bool

    @property
    def changed(self) -> bool:
        """Whether the write asks for another version."""
        return self.new_hash != self.old_hash

    @property
    def held(self) -> bool:
        """Whether Headgate held the target before this write."""
        return self.was_paused and HOLD in self.old_marks

    @property
    def rolling(self) -> bool:
        """Whether a promoted candidate was rolling."""
        return PROMOTING in self.old_marks

    @property
    def own_pause(self) -> bool:
        """Whether the write carries a pause of Headgate's that does not stand yet."""
        return self.says_paused and HOLD in self.new_marks and not self.held

    @property
    def asks_pause(self) -> bool:
        """Whether the author of the write wants the target paused."""
        return self.says_paused and not self.own_pause

    @property
    def resumed(self) -> bool:
        """Whether a pause ends with this write."""
        return self.was_paused and not self.asks_pause

    @property
    def stable_mark(self) -> str:
        """What serves: by the marks during a run, else the old template; "" if it cannot be told.

        A template that changed under a team's pause, or that has replaced only a part of the pods,
        is not the one that serves; the analyzer, who sees the pods, finds out.
        """
        if self.held or self.rolling:
            return self.old_marks.get(STABLE, "")
        return "" if self.was_paused or self.half_way else self.old_hash

    @property
    def stable_hash(self) -> str:
        """What serves, in a form that compares with the hashes of this write."""
        return self.known.current(self.stable_mark)

    @property
    def refused_hash(self) -> str:
        """The candidate that was refused last, in the same form."""
        return self.known.current(self.old_marks.get(REFUSED, ""))

    @property
    def refused_why(self) -> str:
        """Why that candidate was refused."""
        return self.old_marks.get(REFUSED_WHY, "it was refused")

    @property
    def only_resumes(self) -> bool:
        """Whether the end of the pause is all that the write changes."""
        return _asked(self.write.old) == _asked(self.write.new)

    def brought(self) -> dict[str, str | None]:
        """Return the annotations that may not come with this write, with what stands instead.

        `kubectl rollout undo` puts back what stood on the Deployment when its revision was made. So
        what comes with a template is nobody's word on it, and a command that was given before is
        the word on another one.
        """
        return {
            key: self.old_marks.get(key) if key in INTERNAL_ANNOTATIONS else None
            for key, value in self.new_marks.items()
            if key not in _WITHOUT_A_WORD
            and (
                (self.touched and self.old_marks.get(key) != value)
                or (self.changed and key in COMMANDS)
            )
        }


def read_write(write: Write, allowances: Allowances) -> Facts:
    """Read a write.

    Args:
        write: the old and the new object, both defaulted, and who writes.
        allowances: what the admin allows.

    """
    old, new = write.old, write.new
    before, after = old["spec"]["template"], new["spec"]["template"]
    old_hash, touched = template_hash(before), after != before
    old_marks, new_marks = marks_of(old), marks_of(new)
    strategy = (new["spec"].get("strategy") or {}).get("type")
    return Facts(
        write=write,
        name=name_of(new),
        old_hash=old_hash,
        new_hash=template_hash(after) if touched else old_hash,
        touched=touched,
        was_paused=bool(old["spec"].get("paused")),
        says_paused=bool(new["spec"].get("paused")),
        old_marks=old_marks,
        new_marks=new_marks,
        known=Identities((after, before)),
        recreate=strategy == "Recreate",
        opted_out=allowances.allow_opt_out and _opted_out(old_marks, new_marks, touched=touched),
        half_way=_half_way(old),
        flaggers=_owned_by_flagger(old) and _owned_by_flagger(new),
        manifest_unpauses=_manifest_owns_paused(new),
    )


def marks_of(obj: Json) -> dict[str, str]:
    """Return the annotations of an object that are of Headgate's domain."""
    annotations = obj["metadata"].get("annotations") or {}
    return {key: value for key, value in annotations.items() if key.startswith(f"{DOMAIN}/")}


def name_of(obj: Json) -> str:
    """Return what to call an object; one that is being created may have no name yet."""
    metadata = obj["metadata"]
    return str(metadata.get("name") or f"{metadata.get('generateName', '')}...")


def _opted_out(old: dict[str, str], new: dict[str, str], *, touched: bool) -> bool:
    """Tell whether the team has taken the target out, by a word that came without a template."""
    said = new.get(OPT_OUT) == OPT_OUT_VALUE
    return said and not (touched and old.get(OPT_OUT) != OPT_OUT_VALUE)


def _half_way(old: Json) -> bool:
    """Tell whether a rollout that nobody gated has replaced only a part of the pods.

    A status that is behind says nothing: every write of an annotation makes it so for a moment.
    """
    status = old.get("status") or {}
    return bool(status.get("replicas", 0) > status.get("updatedReplicas", 0))


def _owned_by_flagger(obj: Json) -> bool:
    return any(
        owner.get("kind") == FLAGGER_KIND
        and str(owner.get("apiVersion", "")).startswith(f"{FLAGGER_GROUP}/")
        for owner in obj["metadata"].get("ownerReferences") or ()
    )


def _manifest_owns_paused(new: Json) -> bool:
    """Tell whether an applied manifest itself says `paused`, so that it comes with every apply."""
    for entry in new["metadata"].get("managedFields") or ():
        applied = entry.get("operation") == "Apply"
        if not applied and entry.get("manager") != "kubectl-client-side-apply":
            continue
        if "f:paused" in (entry.get("fieldsV1") or {}).get("f:spec", {}):
            return True
    return False


def _asked(obj: Json) -> tuple[Json, Json]:
    """Return what a write asks for but the pause, without what the API server writes itself."""
    metadata = {
        key: value
        for key, value in obj["metadata"].items()
        if value and key not in _WRITTEN_BY_THE_SERVER
    }
    return metadata, {key: value for key, value in obj["spec"].items() if key != "paused"}
