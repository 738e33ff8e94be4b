"""What must be so at every moment of a run, told from what is written."""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from analyzer.loop.sweeper import EVERY
from analyzer.routers.kinds import RESOURCES
from canary.contract import ANALYZER_USER, HOLD, JOINED, PROMOTING, SPLIT, STABLE, Reason
from canary.model.former import Identities
from canary.model.hashing import template_hash
from canary.model.selection import selects, workload_selector
from canary.model.values import Json
from canary.objects.status import CONDITION
from canary.rules.capacity import LONGEST
from runtime.resources import (
    CANARIES,
    DEPLOYMENTS,
    EVENTS,
    INGRESSES,
    PODS,
    REPLICASETS,
    SERVICES,
)
from tests.harness.api import Change
from tests.harness.client import TEAM
from tests.harness.controllers import image_of
from tests.harness.defaults import defaulted
from tests.harness.faults import Trap
from tests.harness.stage import CANARY, NAME, NEXT, NEXT_CANARY, PLACE, SPACE, Stage

_OURS: Final = {
    DEPLOYMENTS.plural: {NAME, CANARY, NEXT, NEXT_CANARY},
    SERVICES.plural: {CANARY, NEXT_CANARY},
    CANARIES.plural: {NAME, CANARY, NEXT, NEXT_CANARY},
    **{it.plural: {NAME} for it in RESOURCES.values()},
    INGRESSES.plural: {CANARY},
}
UNDOING: Final = timedelta(seconds=15)
"""In which a half-way promotion has its ReplicaSet scaled down once it is held."""
ANSWERED: Final = timedelta(seconds=90)
"""In which a Canary says nothing of the version before any more, whatever goes wrong meanwhile."""
SWEPT: Final = EVERY + ANSWERED
"""In which what a run has left is taken back although its target or its Canary has gone."""
KEPT: Final = LONGEST + ANSWERED
"""In which a refused canary has given back the share that a shrunken stable could not take."""
_NEVER_DELETED: Final = frozenset({NAME, NEXT})
_SAID: Final = frozenset({"True", "False"})
_HELD: Final = frozenset({Reason.INVALID, Reason.RIVAL})
"""Why a version may be held before its run begins: that is said of no other one."""


def is_held(target: Json) -> bool:
    """Tell whether a target carries the mark of a hold."""
    return HOLD in (target["metadata"].get("annotations") or {})


def is_of_target(change: Change) -> bool:
    """Tell whether a write is of the target, its canary or Canary, not of one on its route."""
    obj = change.new or change.old or {"metadata": {}}
    metadata = obj["metadata"]
    if change.resource == CANARIES:
        aim = obj["spec"]["targetRef"]["name"]
        return bool(metadata["namespace"] == SPACE and aim == NAME)
    return metadata.get("namespace") == SPACE and metadata.get("name") in {NAME, CANARY}


@dataclass
class Overdue:
    """Keeps since when there is what may be for a while, and no longer."""

    stage: Stage
    _since: dict[str, float] = field(default_factory=dict)

    def look(self, found: Mapping[str, timedelta]) -> list[str]:
        """Say what has been there for too long, of all that is there now with its most."""
        now = self.stage.seconds()
        self._since = {what: self._since.get(what, now) for what in found}
        return [
            f"for more than {most.total_seconds():.0f} s: {what}"
            for what, most in found.items()
            if now - max(self._since[what], self.stage.writable_since) > most.total_seconds()
        ]


@dataclass
class Ledger:
    """Watches a stage and keeps what went wrong.

    Args:
        stage: where it is played.
        never: images that may never run in the target.

    """

    stage: Stage
    never: frozenset[str] = frozenset()
    wrong: list[str] = field(default_factory=list)
    released: Counter[str] = field(default_factory=Counter)
    weights: list[int] = field(default_factory=list)
    _held_at: dict[str, datetime] = field(default_factory=dict)
    _scaled_at: dict[str, float] = field(default_factory=dict)
    _served: frozenset[str] = frozenset()
    _by_headgate: bool = True
    _woken: bool = False
    _asks_for: tuple[str, str] = ("", "")
    _asks_since: float = 0.0
    _size: int = 0
    _shrunk: bool = False
    _beside: str = ""
    _refused: str = ""
    _refused_at: float = 0.0
    _refused_with: int = 0

    def __post_init__(self) -> None:
        self._overdue = Overdue(self.stage)
        self.stage.api.watchers.append(self.heard)

    def heard(self, change: Change) -> None:
        """Take in one write."""
        if change.writer.user == ANALYZER_USER:
            self._is_ours(change)
        if change.resource == PODS and change.old is None and change.new is not None:
            self._pod(change.new)
        if change.resource in {DEPLOYMENTS, REPLICASETS}:
            self._keep_who_scales(change)
            self._keep_who_holds(change)
            self._serve()
        if change.resource in {DEPLOYMENTS, CANARIES}:
            self._speak()
        if change.resource in {self.stage.routes, PODS, DEPLOYMENTS}:
            self._measure(change)
            self._share()
        if change.resource == PODS:
            self._membership(change)
        if change.resource == DEPLOYMENTS and change.old and change.new:
            self._release(change, change.old, change.new)

    def _is_ours(self, change: Change) -> None:
        obj = change.new or change.old or {"metadata": {}}
        metadata, kind = obj["metadata"], change.resource
        if kind == EVENTS:
            return
        if kind == REPLICASETS:
            ours = metadata["name"].startswith((f"{NAME}-", f"{NEXT}-"))
        elif kind == PODS:
            ours = metadata["name"].startswith((f"{CANARY}-", f"{NEXT_CANARY}-"))
        else:
            ours = metadata["name"] in _OURS.get(kind.plural, set())
        gone = change.new is None and metadata["name"] in _NEVER_DELETED
        if metadata.get("namespace") != SPACE or not ours or gone:
            self.wrong.append(f"foreign: {kind.plural} {metadata['name']} of {change.version}")

    def _keep_who_scales(self, change: Change) -> None:
        """Keep which version a person has scaled by its ReplicaSet, and when."""
        if change.resource == REPLICASETS and change.writer == TEAM and change.new is not None:
            self._scaled_at[image_of(change.new["spec"]["template"])] = self.stage.seconds()

    def _keep_who_holds(self, change: Change) -> None:
        """Keep whether Headgate is where a hold begins, which a saved copy may have brought."""
        old, new = change.old, change.new
        if change.resource != DEPLOYMENTS or new is None or new["metadata"]["name"] != NAME:
            return
        same = old is not None and old["spec"]["template"] == new["spec"]["template"]
        if same and old is not None and is_held(old):
            return
        self._by_headgate = self.stage.is_labelled()
        was, size = (it and it["spec"].get("replicas", 1) for it in (old, new))
        self._woken = was == 0 and bool(size)

    def _serve(self) -> None:
        """Keep which images had pods in the target when it was held with none last.

        One that is scaled to nothing loses those of one version before those of the other.
        """
        target = self.stage.api.look(DEPLOYMENTS, *PLACE)
        if target is None:
            self._served = frozenset()
        elif not is_held(target):
            now = frozenset(image for image, size in self.stage.sizes().items() if size)
            asleep = not target["spec"].get("replicas", 1)
            self._served = self._served | now if asleep else now or self._served

    def _speak(self) -> None:
        """A condition that is True or False speaks of the version that is held, or goes soon."""
        target, canary = self.stage.api.look(DEPLOYMENTS, *PLACE), self.stage.status()
        whose = (self.stage.canary() or {"metadata": {}})["metadata"].get("uid", "")
        gated = target is not None and is_held(target) and self.stage.is_labelled()
        template = target["spec"]["template"] if target is not None and gated else None
        wanted, now = "" if template is None else template_hash(template), self.stage.seconds()
        if (wanted, whose) != self._asks_for:
            self._asks_for, self._asks_since = (wanted, whose), now
        if (
            template is None
            or now - max(self._asks_since, self.stage.writable_since) < ANSWERED.total_seconds()
        ):
            return
        known, hashes = Identities((template,)), ("lastAppliedSpec", "lastPromotedSpec")
        said = {known.current(canary.get(name) or "") for name in hashes}
        conditions = [it for it in canary.get("conditions") or () if it["type"] == CONDITION]
        verdicts = [
            one for one in conditions if one["status"] in _SAID and one["reason"] not in _HELD
        ]
        if verdicts and wanted not in said:
            self.wrong.append(f"a verdict on another version stands: {verdicts[0]['message']}")

    def _pod(self, pod: Json) -> None:
        image, name = image_of(pod), pod["metadata"]["name"]
        own = pod["metadata"]["namespace"] == SPACE and name.startswith(f"{NAME}-")
        if name.startswith(f"{CANARY}-") or not own:
            return
        if image in self.never or (self._waits(image) and not self._is_excused(image)):
            self.wrong.append(f"{image} runs in the target: {name}")

    def _membership(self, change: Change) -> None:
        """Look at a pod of the canary that may be in the team's Service."""
        pod = change.new or change.old or {}
        labels, target = (
            pod["metadata"].get("labels") or {},
            self.stage.api.look(DEPLOYMENTS, *PLACE),
        )
        if not pod["metadata"]["name"].startswith(f"{CANARY}-") or target is None:
            return
        if change.new is None and JOINED in labels:
            self.wrong.append(f"{pod['metadata']['name']} ended while it was in the Service")
        if selects(workload_selector(target), labels):
            self.wrong.append(f"{pod['metadata']['name']} is in the target's selector")

    def _waits(self, image: str) -> bool:
        """Tell whether an image is held: it may have no pod then, or for no longer than it starts.

        A target at 0 that gets another version and a size in one write has pods before anybody
        hears of it, if it had that version before (ADR 15).

        Where the namespace's label is gone, a hold can be ended past the webhook. What served alone
        before its hold is no candidate. A hold without a stable mark may be of what served among
        others: the analyzer finds out.
        """
        target = self.stage.api.look(DEPLOYMENTS, *PLACE)
        if target is None or not target["spec"].get("paused"):
            return False
        if self._woken or not self._by_headgate:
            return False
        notes = target["metadata"].get("annotations") or {}
        if HOLD not in notes or image_of(target["spec"]["template"]) != image:
            return False
        if self._served == {image}:
            return False
        return bool(notes.get(STABLE)) or image not in self._served

    def _is_excused(self, image: str) -> bool:
        """Tell whether its ReplicaSet is told next: taken back just now, or scaled by a person.

        Where the API server answers nothing, what is held is parked later (ADR 15).
        """
        gate = self.stage.gate
        if isinstance(gate, Trap) and gate.hangs:
            return True
        since, scaled = self._held_at.get(image), self._scaled_at.get(image, -math.inf)
        if self.stage.seconds() - scaled < UNDOING.total_seconds():
            return True
        # A person has given it more than the stable has: taken down, all would be fewer by these.
        others = sum(size for whose, size in self.stage.serving().items() if whose != image)
        if scaled > -math.inf and self.stage.sizes().get(image, 0) > others:
            return True
        return since is not None and self.stage.now() - since < UNDOING

    def _share(self) -> None:
        weight = self.stage.weight()
        if not self.weights or self.weights[-1] != weight:
            self.weights.append(weight)
        refused = self.stage.refused_image()
        if refused != self._refused:
            self._refused, self._refused_at = refused, self.stage.seconds()
            self._refused_with = weight
        if not weight or not refused or refused != self.stage.canary_image():
            return
        if self._is_let_roll():
            return
        if not self._keeps(refused, weight):
            self.wrong.append(f"{refused} has {weight} % although it was refused")
        self._refused_with = min(self._refused_with, weight)

    def _is_let_roll(self) -> bool:
        """Tell whether a person has promoted what was refused: its share is a promotion's."""
        target = self.stage.api.look(DEPLOYMENTS, *PLACE)
        return target is not None and PROMOTING in (target["metadata"].get("annotations") or {})

    def _measure(self, change: Change) -> None:
        """Keep the largest size that the target has had beside the present canary."""
        target, image = self.stage.api.look(DEPLOYMENTS, *PLACE), self.stage.canary_image()
        size = 0 if target is None else int(target["spec"].get("replicas", 1))
        made = change.old is None and change.resource == DEPLOYMENTS and is_of_target(change)
        anew = made or image != self._beside
        self._size, self._beside = size if anew else max(self._size, size), image
        self._shrunk = size < self._size or (self._shrunk and not anew)

    def _keeps(self, refused: str, weight: int) -> bool:
        """Tell whether a refused canary may have a share still: what a shrunken stable lacks.

        It is never more than before, ends after a while, and a candidate that rolls has none (ADR
        14). One that grows again is short of what is not ready yet.
        """
        in_time = self.stage.seconds() - self._refused_at <= KEPT.total_seconds()
        rolls = bool(self.stage.sizes().get(refused))
        return self._shrunk and in_time and not rolls and weight <= self._refused_with

    def _release(self, change: Change, old: Json, new: Json) -> None:
        if new["metadata"]["name"] != NAME:
            return
        ours = change.writer.user == ANALYZER_USER
        image = image_of(new["spec"]["template"])
        if new["spec"].get("paused") and not old["spec"].get("paused") and self.released[image]:
            self._held_at[image] = self.stage.now()
        if ours and old["spec"].get("paused") and not new["spec"].get("paused"):
            self.released[image] += 1

    def settle(self) -> None:
        """Look at what is left once a run has ended.

        Raises:
            AssertionError: something is wrong, or was.

        """
        api = self.stage.api
        routes = self.stage.routes
        found = api.look(routes, *PLACE)
        if found is not None:
            if SPLIT in (found["metadata"].get("annotations") or {}):
                self.wrong.append("the route is marked still")
            if found["spec"] != defaulted(routes, self.stage.route)["spec"]:
                self.wrong.append(f"the route is not the team's: {found['spec']}")
        for kind in (DEPLOYMENTS, SERVICES, INGRESSES):
            for name in (CANARY, NEXT_CANARY):
                if api.look(kind, SPACE, name) is not None:
                    self.wrong.append(f"an orphan: {kind.kind} {name}")
        self.wrong += [f"parked still: {name}" for name in (*self.strays(), *self.strays(NEXT))]
        assert self.wrong == [], f"{self.wrong}; {self.stage.summary()}"

    def strays(self, name: str = NAME) -> list[str]:
        """Return the names of parked ReplicaSets that no held target needs."""
        target = self.stage.api.look(DEPLOYMENTS, SPACE, name)
        if target is not None and target["spec"].get("paused"):
            return []
        return [one["metadata"]["name"] for one in self.stage.parked(name)]
