"""What another version of the analyzer leaves: a record without later fields, marks as they were.

The first record had few fields; each later one came by itself. What a later version stores beside
them is merged into what this one writes and stays there.
"""

from collections.abc import Iterable
from contextlib import suppress
from typing import Final

from canary.contract import HOLD, PROMOTING, REFUSED, STABLE
from canary.model.hashing import short_hash, template_hash
from canary.model.values import Json
from runtime.errors import Forbidden
from runtime.resources import CANARIES, DEPLOYMENTS
from tests.harness.client import ANALYZER
from tests.harness.stage import PLACE, Stage

NEWER: Final = (
    "accepted",
    "alerts",
    "approved",
    "asked",
    "defaults",
    "deniedSince",
    "deniedWhy",
    "evidence",
    "forced",
    "formerUntil",
    "fullSize",
    "gate",
    "gatedUntil",
    "gatesTook",
    "inForce",
    "incidentSince",
    "kind",
    "losses",
    "lostSince",
    "needed",
    "noticed",
    "pods",
    "rolloutConfirmed",
    "round",
    "step",
    "stepOf",
    "steppedAt",
    "target",
    "told",
    "traffic",
    "trafficSince",
    "tries",
    "unreadySince",
    "waitedFor",
    "withheld",
)
"""Fields of `Canary.status.run` that the first record of a run had not."""
_STRANGE: Final[Json] = {"tides": [{"high": True}], "step": {"of": "another kind"}}
"""What a later version may store: a field of its own, and one of ours in another form."""


def elder(stage: Stage, dropped: Iterable[str], *, marks: bool, strange: bool) -> None:
    """Have stored what another version stores of the same run.

    Args:
        stage: where it is played.
        dropped: fields that it does not know.
        marks: whether it writes short hashes.
        strange: whether it writes what this version does not know.

    """
    canary = stage.api.look(CANARIES, *PLACE)
    if canary is not None and "run" in (canary.get("status") or {}):
        run: Json = {**dict.fromkeys(dropped), **(_STRANGE if strange else {})}
        status: Json = {"run": run, **({"tides": 2} if strange else {})}
        stage.api.merge_patch(CANARIES, PLACE, {"status": status}, ANALYZER, "status")
    target = stage.api.look(DEPLOYMENTS, *PLACE)
    if marks and target is not None:
        _shorten(stage, target)


def _shorten(stage: Stage, target: Json) -> None:
    templates = [
        target["spec"]["template"],
        *(one["spec"]["template"] for one in stage.revisions()),
    ]
    short = {template_hash(one): short_hash(one) for one in templates}
    notes = target["metadata"].get("annotations") or {}
    marks = (HOLD, STABLE, PROMOTING, REFUSED)
    shorter = {key: short[notes[key]] for key in marks if notes.get(key) in short}
    patch = {"metadata": {"annotations": shorter}}
    with suppress(Forbidden):  # where another webhook changes the template with it
        stage.api.merge_patch(DEPLOYMENTS, PLACE, patch, ANALYZER)
    canary = stage.api.look(CANARIES, *PLACE) or {}
    status = canary.get("status") or {}
    said = {key: status.get(key) for key in ("lastAppliedSpec", "lastPromotedSpec")}
    shorter = {key: short[value] for key, value in said.items() if value in short}
    if "run" in status and shorter:
        stage.api.merge_patch(CANARIES, PLACE, {"status": shorter}, ANALYZER, "status")
