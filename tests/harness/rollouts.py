"""The Deployment controller: what it makes of a Deployment and its ReplicaSets in one sync.

Written after `sync.go`, `rolling.go`, `progress.go` and `deployment_util.go` of Kubernetes 1.36 and
held against a real one by the contract of `tests/contract`. Counting and hashing of its own are
kept; conditions are those that Headgate or `kubectl rollout status` read.
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import orjson

from canary.contract import POD_TEMPLATE_HASH
from canary.model.selection import selects, workload_selector
from canary.model.values import Json
from runtime.errors import AlreadyExists, NotFound
from runtime.resources import DEPLOYMENTS, REPLICASETS
from tests.harness.api import ApiServer, Writer
from tests.harness.fields import merged

CONTROLLER: Final = Writer("system:serviceaccount:kube-system:deployment-controller", "kcm")
REVISION: Final = "deployment.kubernetes.io/revision"
DESIRED: Final = "deployment.kubernetes.io/desired-replicas"
_NOT_COPIED: Final = frozenset(
    {
        REVISION,
        DESIRED,
        "deployment.kubernetes.io/max-replicas",
        "deployment.kubernetes.io/revision-history",
        "kubectl.kubernetes.io/last-applied-configuration",
    }
)
_TIMED_OUT: Final = "ProgressDeadlineExceeded"
_MOVES: Final = ("updatedReplicas", "readyReplicas", "availableReplicas")


@dataclass
class Rollout:
    """One Deployment in one sync."""

    api: ApiServer
    deployment: Json

    @property
    def wanted(self) -> int:
        """How many pods are asked for."""
        return int(self.deployment["spec"].get("replicas", 1))

    @property
    def surge(self) -> int:
        """How many pods more than that there may be."""
        return self._bounds()[0]

    @property
    def unavailable(self) -> int:
        """How many of them may be missing."""
        return self._bounds()[1]

    def _bounds(self) -> tuple[int, int]:
        strategy = self.deployment["spec"].get("strategy") or {}
        rolling = strategy.get("rollingUpdate") or {}
        surge = _share(rolling.get("maxSurge", "25%"), self.wanted, up=True)
        missing = _share(rolling.get("maxUnavailable", "25%"), self.wanted, up=False)
        return (surge, missing) if surge or missing else (0, 1)

    def sync(self) -> None:
        """Do what one sync does."""
        owned = self._claimed()
        self._say_paused()
        if self.deployment["spec"].get("paused"):
            self._sync_paused(owned)
            return
        if any(_count(one) and _desired(one) not in {None, self.wanted} for one in owned):
            self._sync_paused(owned)
            return
        self._roll(owned)

    # --- whose ReplicaSets ----------------------------------------------------------------------

    def _claimed(self) -> list[Json]:
        """Adopt what matches and is nobody's, let go what does not match any more."""
        uid, selector = self.deployment["metadata"]["uid"], workload_selector(self.deployment)
        space, owned = self.deployment["metadata"]["namespace"], []
        for one in self.api.peek(REPLICASETS):
            metadata = one["metadata"]
            if metadata["namespace"] != space:
                continue
            owners = [it for it in metadata.get("ownerReferences") or () if it.get("controller")]
            fits = selects(selector, metadata.get("labels") or {})
            if fits and not owners:
                owned.append(self._patched(one, {"ownerReferences": [self._reference()]}))
            elif fits and owners[0]["uid"] == uid:
                owned.append(one)
            elif owners and owners[0]["uid"] == uid:
                self._patched(one, {"ownerReferences": None})
        return sorted(owned, key=_age)

    def _reference(self) -> Json:
        metadata = self.deployment["metadata"]
        return {
            "apiVersion": DEPLOYMENTS.api_version,
            "kind": DEPLOYMENTS.kind,
            "name": metadata["name"],
            "uid": metadata["uid"],
            "controller": True,
            "blockOwnerDeletion": True,
        }

    def _patched(self, obj: Json, metadata: Json) -> Json:
        place = (obj["metadata"]["namespace"], obj["metadata"]["name"])
        return self.api.merge_patch(REPLICASETS, place, {"metadata": metadata}, CONTROLLER)

    def _new(self, owned: Sequence[Json]) -> Json | None:
        """Return the ReplicaSet of the Deployment's template, the oldest if there are several."""
        wanted = _bare(self.deployment["spec"]["template"])
        return next((one for one in owned if _bare(one["spec"]["template"]) == wanted), None)

    def _brought_up(self, owned: list[Json], *, create: bool) -> Json | None:
        """Return the new ReplicaSet with the Deployment's annotations and the latest number."""
        new = self._new(owned)
        old = [one for one in owned if new is None or _name(one) != _name(new)]
        number = max((_revision(one) for one in old), default=0) + 1
        if new is None:
            return self._made(number, old) if create else None
        notes = self._notes_for(new, number)
        if notes != (new["metadata"].get("annotations") or {}):
            new = self._patched(new, {"annotations": notes})
        self._numbered(_revision(new))
        return new

    def _notes_for(self, new: Json, number: int) -> dict[str, str]:
        notes = dict(new["metadata"].get("annotations") or {})
        theirs = self.deployment["metadata"].get("annotations") or {}
        notes |= {key: value for key, value in theirs.items() if key not in _NOT_COPIED}
        if int(notes.get(REVISION, "0")) < number:
            notes[REVISION] = str(number)
        return notes

    def _numbered(self, number: int) -> None:
        """Write the revision to the Deployment, by its status as the controller does."""
        notes = self.deployment["metadata"].get("annotations") or {}
        if notes.get(REVISION) != str(number):
            self._write_status({"metadata": {"annotations": {REVISION: str(number)}}})

    def _made(self, number: int, old: Sequence[Json]) -> Json | None:
        template, metadata = self.deployment["spec"]["template"], self.deployment["metadata"]
        collisions = int((self.deployment.get("status") or {}).get("collisionCount", 0))
        said = orjson.dumps([template, collisions], option=orjson.OPT_SORT_KEYS)
        digest = hashlib.sha256(said).hexdigest()
        tail = digest[:8].translate(str.maketrans("01ae", "gxhz"))
        labels = {**(template["metadata"].get("labels") or {}), POD_TEMPLATE_HASH: tail}
        notes = self._notes_for({"metadata": {}}, number)
        size = min(self.wanted, max(0, self.wanted + self.surge - sum(map(_count, old))))
        selector = self.deployment["spec"]["selector"]
        try:
            made = self.api.create(
                REPLICASETS,
                {
                    "metadata": {
                        "name": f"{metadata['name']}-{tail}",
                        "namespace": metadata["namespace"],
                        "labels": labels,
                        "annotations": {**notes, DESIRED: str(self.wanted)},
                        "ownerReferences": [self._reference()],
                    },
                    "spec": {
                        "replicas": size,
                        "selector": {
                            **selector,
                            "matchLabels": {
                                **(selector.get("matchLabels") or {}),
                                POD_TEMPLATE_HASH: tail,
                            },
                        },
                        "template": {
                            **template,
                            "metadata": {**template["metadata"], "labels": labels},
                        },
                    },
                },
                CONTROLLER,
            )
        except AlreadyExists:
            # A parked one has the name: the controller counts a collision and takes another hash.
            self._write_status({"status": {"collisionCount": collisions + 1}})
            return None
        self._numbered(number)
        return made

    # --- paused, or scaled ----------------------------------------------------------------------

    def _sync_paused(self, owned: list[Json]) -> None:
        new = self._brought_up(owned, create=False)
        old = [one for one in owned if new is None or _name(one) != _name(new)]
        self._scale(new, old)
        if self.deployment["spec"].get("paused"):
            self._clean_up(old)
        self._write_counts(new)

    def _scale(self, new: Json | None, old: list[Json]) -> None:
        everyone = [*old, *([] if new is None else [new])]
        active = [one for one in everyone if _count(one)]
        if len(active) <= 1:
            latest = max(old, key=_age, default=None)
            found = active[0] if active else new if new is not None else latest
            if found is not None:
                self._resize(found, self.wanted)
            return
        if new is not None and _saturated(new, self.wanted):
            for one in active:
                if _name(one) != _name(new):
                    self._resize(one, 0)
            return
        self._proportionally(active)

    def _proportionally(self, active: list[Json]) -> None:
        total = sum(map(_count, active))
        allowed = self.wanted + self.surge if self.wanted else 0
        left = allowed - total
        sizes = {}
        for one in sorted(active, key=lambda it: (-_count(it), _age(it))):
            share = round(_count(one) * allowed / (total or 1)) - _count(one)
            share = max(min(share, left), 0) if left > 0 else min(max(share, left), 0)
            sizes[_name(one)] = _count(one) + share
            left -= share
        for at, one in enumerate(sorted(active, key=lambda it: (-_count(it), _age(it)))):
            self._resize(one, max(0, sizes[_name(one)] + (left if at == 0 else 0)))

    def _clean_up(self, old: list[Json]) -> None:
        limit = int(self.deployment["spec"].get("revisionHistoryLimit", 10))
        for one in sorted(old, key=_revision)[: max(0, len(old) - limit)]:
            if not _count(one) and not _pods(one):
                place = (one["metadata"]["namespace"], _name(one))
                try:
                    self.api.delete(REPLICASETS, place, CONTROLLER)
                except NotFound:
                    continue

    # --- rolling --------------------------------------------------------------------------------

    def _roll(self, owned: list[Json]) -> None:
        new = self._brought_up(owned, create=True)
        if new is None:
            return
        old = [one for one in owned if _name(one) != _name(new)]
        size = self._new_size(new, old)
        if size != _count(new) or _desired(new) != self.wanted:
            self._resize(new, size)
        else:
            self._shrink(new, old)
        left = [self.api.look(REPLICASETS, one["metadata"]["namespace"], _name(one)) for one in old]
        if self._is_complete(new, [one for one in left if one is not None]):
            self._clean_up(old)
        self._write_counts(self.api.look(REPLICASETS, new["metadata"]["namespace"], _name(new)))

    def _new_size(self, new: Json, old: list[Json]) -> int:
        present = sum(map(_count, (new, *old)))
        if _count(new) >= self.wanted:
            return self.wanted
        return _count(new) + min(
            max(0, self.wanted + self.surge - present), self.wanted - _count(new)
        )

    def _shrink(self, new: Json, old: list[Json]) -> None:
        everyone = (new, *old)
        least = self.wanted - self.unavailable
        spare = sum(map(_count, everyone)) - least - (_count(new) - _available(new))
        for one in sorted(old, key=_age):
            broken = _count(one) - _available(one)
            if spare > 0 and broken > 0:
                one_less = min(spare, broken)
                self._resize(one, _count(one) - one_less)
                spare -= one_less
        spare = min(spare, sum(map(_available, everyone)) - least)
        for one in sorted(old, key=_age):
            now = self.api.look(REPLICASETS, one["metadata"]["namespace"], _name(one))
            if now is not None and spare > 0 and _count(now):
                one_less = min(spare, _count(now))
                self._resize(now, _count(now) - one_less)
                spare -= one_less

    def _is_complete(self, new: Json, old: list[Json]) -> bool:
        return _available(new) == self.wanted == _count(new) and not any(
            _count(one) or _pods(one) for one in old
        )

    def _resize(self, replica_set: Json, size: int) -> None:
        notes = {DESIRED: str(self.wanted)}
        patch: Json = {"metadata": {"annotations": notes}, "spec": {"replicas": size}}
        place = (replica_set["metadata"]["namespace"], _name(replica_set))
        self.api.merge_patch(REPLICASETS, place, patch, CONTROLLER)

    # --- status ---------------------------------------------------------------------------------

    def _say_paused(self) -> None:
        """Write that progress is unknown while paused; a verdict that was reported stays."""
        found, paused = self._progress(), bool(self.deployment["spec"].get("paused"))
        if found is not None and found.get("reason") == _TIMED_OUT:
            return
        said = found.get("reason") if found is not None else None
        if paused and said != "DeploymentPaused":
            self._write_progress("Unknown", "DeploymentPaused", "Deployment is paused")
        elif not paused and said == "DeploymentPaused":
            self._write_progress("Unknown", "DeploymentResumed", "Deployment is resumed")

    def _progress(self) -> Json | None:
        conditions = (self.deployment.get("status") or {}).get("conditions") or ()
        return next((one for one in conditions if one["type"] == "Progressing"), None)

    def _write_progress(
        self, status: str, reason: str, message: str, *, again: bool = False
    ) -> None:
        found = self._progress()
        same = found is not None and (found["status"], found["reason"]) == (status, reason)
        if same and not again:
            return
        conditions = (self.deployment.get("status") or {}).get("conditions") or ()
        others = [one for one in conditions if one["type"] != "Progressing"]
        time = self.api.clock().strftime("%Y-%m-%dT%H:%M:%SZ")
        said = {
            "type": "Progressing",
            "status": status,
            "reason": reason,
            "message": message,
            "lastUpdateTime": time,
            "lastTransitionTime": time,
        }
        self._write_status({"status": {"conditions": [*others, said]}})

    def _write_counts(self, new: Json | None) -> None:
        uid = self.deployment["metadata"]["uid"]
        owned = [one for one in self.api.peek(REPLICASETS) if owner_of(one) == uid]
        counts = {
            "observedGeneration": self.deployment["metadata"]["generation"],
            "replicas": sum(map(_pods, owned)),
            "updatedReplicas": 0 if new is None else _pods(new),
            "readyReplicas": sum(map(_available, owned)),
            "availableReplicas": sum(map(_available, owned)),
        }
        before = self.deployment.get("status") or {}
        moved = any(before.get(key) != value for key, value in counts.items() if key in _MOVES)
        self._write_status({"status": counts})
        if self.deployment["spec"].get("paused"):
            return
        complete = (
            counts["updatedReplicas"] == self.wanted == counts["availableReplicas"]
            and counts["replicas"] == self.wanted
        )
        if complete:
            self._write_progress("True", "NewReplicaSetAvailable", "has successfully progressed")
        elif moved or self._progress() is None:
            self._write_progress("True", "ReplicaSetUpdated", "is progressing", again=moved)
        elif self._is_late():
            self._write_progress("False", _TIMED_OUT, "has timed out progressing")

    def _is_late(self) -> bool:
        found = self._progress() or {}
        if found.get("reason") == "NewReplicaSetAvailable":
            return False
        since = datetime.fromisoformat(found["lastUpdateTime"])
        limit = int(self.deployment["spec"].get("progressDeadlineSeconds", 600))
        return self.api.clock() - since > timedelta(seconds=limit)

    def _write_status(self, patch: Json) -> None:
        place = (self.deployment["metadata"]["namespace"], _name(self.deployment))
        after = merged(self.deployment, patch)
        if after != self.deployment:
            self.deployment = self.api.merge_patch(DEPLOYMENTS, place, patch, CONTROLLER, "status")


def _share(text: object, of: int, *, up: bool) -> int:
    if isinstance(text, int):
        return text
    exact = of * int(str(text).removesuffix("%")) / 100
    return math.ceil(exact) if up else math.floor(exact)


def _bare(template: Json) -> Json:
    metadata = dict(template.get("metadata") or {})
    metadata.pop("creationTimestamp", None)
    labels = dict(metadata.get("labels") or {})
    labels.pop(POD_TEMPLATE_HASH, None)
    return {**template, "metadata": {**metadata, "labels": labels}}


def _name(obj: Json) -> str:
    return str(obj["metadata"]["name"])


def _age(obj: Json) -> tuple[str, str]:
    return (obj["metadata"]["creationTimestamp"], _name(obj))


def owner_of(obj: Json) -> str:
    """Return the uid of an object's controller, "" where it has none."""
    owners = obj["metadata"].get("ownerReferences") or ()
    return next((str(one["uid"]) for one in owners if one.get("controller")), "")


def _count(replica_set: Json) -> int:
    return int(replica_set["spec"].get("replicas", 0))


def _pods(replica_set: Json) -> int:
    return int((replica_set.get("status") or {}).get("replicas", 0))


def _available(replica_set: Json) -> int:
    return int((replica_set.get("status") or {}).get("availableReplicas", 0))


def _revision(replica_set: Json) -> int:
    return int((replica_set["metadata"].get("annotations") or {}).get(REVISION, "0"))


def _desired(replica_set: Json) -> int | None:
    text = (replica_set["metadata"].get("annotations") or {}).get(DESIRED)
    return None if text is None else int(text)


def _saturated(new: Json, wanted: int) -> bool:
    return _count(new) == wanted == _desired(new) == _available(new)
