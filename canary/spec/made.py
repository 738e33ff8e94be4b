"""The Canary that is made for a target without one, and how it becomes a team's own.

It says nothing but which target it is for. So whatever a team writes over it, on the client's side
or the server's, is all that it says then, and the admin's defaults hold for the rest.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from enum import Enum
from typing import Any, Final

from canary.contract import (
    AUTO_LABEL,
    AUTO_VALUE,
    FIELD_MANAGER,
    MANAGED_BY,
    MANAGED_BY_LABEL,
    Reason,
)
from canary.model.state import State
from canary.model.strategy import Builtin
from canary.model.values import Json, from_text
from canary.spec import parsers, settings
from canary.spec.defaults import Defaults
from canary.spec.problems import Problems

API_VERSION: Final = "flagger.app/v1beta1"
LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
_SETTINGS: Final = frozenset(row.annotation for row in settings.JUDGING if row.annotation)
_FORMER_FIELDS: Final = frozenset({"interval", "threshold", "stepWeights", "metrics"})
_FORMER_METRICS: Final = [(Builtin.SUCCESS_RATE, ("min",)), (Builtin.DURATION, ("max",))]


class Whose(Enum):
    """Whose word a Canary is.

    MADE: ours, for a target whose team has written none. FORMER: the same as the release before
    made it, with the defaults of its time in it. TAKEN: a team has written over it, and what marks
    it as ours is still there. OWN: a team's.
    """

    MADE = "made"
    FORMER = "former"
    TAKEN = "taken"
    OWN = "own"


def made_canary(namespace: str, target: str) -> Json:
    """Return the Canary that a target gets when its team has written none, without its owner.

    Args:
        namespace: of both.
        target: the Deployment's name.

    """
    return {
        "apiVersion": API_VERSION,
        "kind": "Canary",
        # No other label: a team that applies one of its own would meet ours as a conflict.
        "metadata": {
            "name": target,
            "namespace": namespace,
            "labels": {AUTO_LABEL: AUTO_VALUE},
        },
        "spec": {
            "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": target},
            "analysis": {},
        },
    }


def whose(canary: Json) -> Whose:
    """Tell whose a Canary is.

    Any word of a team's in it makes it theirs: a field, a setting by annotation, or an apply, be it
    of the very same fields, since what is applied is not to go with anything else. Labels and
    annotations that other tools put on all objects are no word about it.

    Args:
        canary: the object, with its managed fields.

    """
    labels = canary["metadata"].get("labels") or {}
    if labels.get(AUTO_LABEL) != AUTO_VALUE:
        return Whose.OWN
    if _is_applied(canary) or settings_of(canary):
        return Whose.TAKEN
    spec = canary["spec"]
    plain = spec.keys() == {"targetRef", "analysis"}
    if plain and not spec["analysis"]:
        return Whose.MADE
    former = plain and _is_former(spec["analysis"]) and not _others_wrote_spec(canary)
    return Whose.FORMER if former else Whose.TAKEN


def settings_of(canary: Json) -> dict[str, str]:
    """Return the annotations of a Canary that are settings."""
    notes = canary["metadata"].get("annotations") or {}
    return {name: text for name, text in notes.items() if name in _SETTINGS}


def owners_of_fields(canary: Json) -> Sequence[Json]:
    """Return by whose word of its fields `whose` tells, none where that is not asked.

    Args:
        canary: the object.

    """
    labels = canary["metadata"].get("labels") or {}
    return _entries(canary) if labels.get(AUTO_LABEL) == AUTO_VALUE else ()


def is_ours(canary: Json) -> bool:
    """Tell whether a Canary is the one that was made for a target without, and no team's word."""
    return whose(canary) in {Whose.MADE, Whose.FORMER}


def preferred(canaries: Iterable[Json]) -> Json | None:
    """Return the Canary that a target follows, of all that speak of it; None where there is none.

    A team's may have another name than the target: then it stands beside the one that was made. Of
    two of a team's the elder is in force, so that nobody takes a run over by a name; one that is
    being deleted comes last.

    Args:
        canaries: of one target.

    """
    return min(canaries, key=_rank, default=None)


def rivals(canaries: Sequence[Json]) -> tuple[Json, ...]:
    """Return the Canaries of a team that a target does not follow, as another one is in force."""
    chosen = preferred(canaries)
    return tuple(
        one
        for one in canaries
        if one is not chosen and not is_ours(one) and _is_for_a_deployment(one) and not _goes(one)
    )


def _is_for_a_deployment(canary: Json) -> bool:
    return bool(canary["spec"]["targetRef"].get("kind", "Deployment") == "Deployment")


def _goes(canary: Json) -> bool:
    return "deletionTimestamp" in canary["metadata"]


def not_in_force(rival: Json, canary: Json) -> State:
    """Return what a Canary is to show that its target does not follow.

    Args:
        rival: a team's, which remembers no run.
        canary: the one that is followed.

    """
    names = [one["metadata"]["name"] for one in (canary, rival)]
    message = (
        f"Canary {names[0]} and Canary {names[1]} are both for deployment "
        f"{rival['spec']['targetRef']['name']}: {names[0]} is in force, as it was there first; "
        f"delete one of them"
    )
    return State(reason=str(Reason.RIVAL), message=message)


def _rank(canary: Json) -> tuple[bool, bool, bool, str, str]:
    metadata = canary["metadata"]
    return (
        not _is_for_a_deployment(canary),
        _goes(canary),
        is_ours(canary),
        str(metadata.get("creationTimestamp") or ""),
        metadata["name"],
    )


def outdone(canaries: Sequence[Json]) -> Json | None:
    """Return the Canary of ours that a target does not follow, as its team has written one."""
    ours = (one for one in canaries if is_ours(one) and one is not preferred(canaries))
    return next(ours, None)


def former_defaults(canary: Json, now: Defaults) -> Defaults:
    """Return the defaults that a Canary of the release before was made from.

    Args:
        canary: the object.
        now: what holds where it says nothing, or nothing that can be read.

    """
    analysis, problems = canary["spec"]["analysis"], Problems()
    bounds = {entry["name"]: entry["thresholdRange"] for entry in analysis["metrics"]}
    weights = ",".join(str(int(weight)) for weight in analysis["stepWeights"])
    read = problems.read
    return replace(
        now,
        interval=read("", parsers.duration, analysis["interval"], now.interval),
        threshold=int(analysis["threshold"]),
        weights=read("", parsers.weights, weights, now.weights),
        min_success_rate=float(bounds[Builtin.SUCCESS_RATE]["min"]),
        max_duration_ms=float(bounds[Builtin.DURATION]["max"]),
    )


def renewed(canary: Json) -> Json | None:
    """Return the merge patch (RFC 7386) that leaves a Canary as it should be, None where it is.

    What a team has taken over loses what marks it as ours, and what is left of ours beside what
    they apply. What the release before made loses the defaults of its time.

    Args:
        canary: the object as the API server stores it.

    """
    match whose(canary):
        case Whose.TAKEN:
            metadata = {"labels": _labels_of_ours(canary), "ownerReferences": _owners(canary)}
            left = _left_over(canary)
            patch: Json = {"metadata": metadata}
            return {**patch, "spec": {"analysis": dict.fromkeys(left)}} if left else patch
        case Whose.FORMER:
            labels = {**_labels_of_ours(canary), AUTO_LABEL: AUTO_VALUE}
            analysis = dict.fromkeys(canary["spec"]["analysis"])
            return {"metadata": {"labels": labels}, "spec": {"analysis": analysis}}
        case Whose.MADE | Whose.OWN:
            return None


def _labels_of_ours(canary: Json) -> dict[str, str | None]:
    """Return the patch that takes our labels off; another tool's name for itself stays."""
    labels = canary["metadata"].get("labels") or {}
    ours = labels.get(MANAGED_BY_LABEL) == MANAGED_BY
    return dict.fromkeys((AUTO_LABEL, *((MANAGED_BY_LABEL,) if ours else ())))


def _owners(canary: Json) -> list[Json] | None:
    """Return the owners without the target, None where none is left."""
    target = canary["spec"]["targetRef"]["name"]
    owners: list[Json] = canary["metadata"].get("ownerReferences") or []
    return [
        owner for owner in owners if (owner["kind"], owner["name"]) != ("Deployment", target)
    ] or None


# --- who wrote what: `metadata.managedFields`, and what kubectl notes of its applies ------------


def _entries(canary: Json) -> Sequence[Json]:
    """Return who owns which fields of the object itself, beside its status."""
    entries: list[Json] = canary["metadata"].get("managedFields") or []
    return [entry for entry in entries if not entry.get("subresource")]


def _is_ours(entry: Json) -> bool:
    return bool(entry.get("manager") == FIELD_MANAGER)


def _below(entry: Json, *path: str) -> Json:
    """Return the fields that an entry owns below a path (`fieldsV1`)."""
    fields: Json = entry.get("fieldsV1") or {}
    for name in path:
        fields = fields.get(f"f:{name}") or {}
    return fields


def _appliers(canary: Json) -> Iterable[Json]:
    """Return the entries of those who apply it on the server's side: all that they want."""
    return [
        entry
        for entry in _entries(canary)
        if entry.get("operation") == "Apply" and not _is_ours(entry) and _below(entry, "spec")
    ]


def _is_applied(canary: Json) -> bool:
    notes = canary["metadata"].get("annotations") or {}
    return LAST_APPLIED in notes or bool(_appliers(canary))


def _others_wrote_spec(canary: Json) -> bool:
    return any(not _is_ours(entry) and _below(entry, "spec") for entry in _entries(canary))


def _left_over(canary: Json) -> tuple[str, ...]:
    """Return the fields of the analysis that are ours alone beside those that a team applies.

    An apply on the client's side merges into what it finds and takes over no field of the same
    value: what kubectl notes of it says what the team wants.
    """
    if not _is_applied(canary):
        return ()
    wanted = set(_last_applied(canary))
    for entry in _appliers(canary):
        wanted |= {name.removeprefix("f:") for name in _below(entry, "spec", "analysis")}
    ours = {
        name.removeprefix("f:")
        for entry in _entries(canary)
        if _is_ours(entry)
        for name in _below(entry, "spec", "analysis")
    }
    return tuple(sorted((ours & (canary["spec"].get("analysis") or {}).keys()) - wanted))


def _last_applied(canary: Json) -> Json:
    """Return the analysis that kubectl applied last; empty where that cannot be read."""
    text = (canary["metadata"].get("annotations") or {}).get(LAST_APPLIED)
    try:
        applied: Any = from_text(text or "{}")
        return dict((applied.get("spec") or {}).get("analysis") or {})
    except (ValueError, AttributeError, TypeError, RecursionError):
        return dict(canary["spec"].get("analysis") or {})


def _is_former(analysis: Json) -> bool:
    """Tell whether an analysis has the form in which the release before wrote its defaults."""
    if analysis.keys() != _FORMER_FIELDS:
        return False
    found = [
        (entry["name"], tuple(entry.get("thresholdRange") or {}))
        for entry in analysis["metrics"]
        if entry.keys() == {"name", "interval", "thresholdRange"}
    ]
    return found == _FORMER_METRICS and len(found) == len(analysis["metrics"])
