"""Which pods run which version: the canary's own, and the target's by the ReplicaSet they are of.

While a promotion rolls, the target has pods of both versions; those of the candidate are the
canary's side then, whoever their Deployment is.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum
from typing import Final

from canary.counting.endpoint import endpoint_of
from canary.evidence.counters import Arm, Pod
from canary.model.values import Json
from canary.model.world import Revision
from canary.objects.fates import of_newest_template

SKEW: Final = 2.0
"""Seconds by which the times of two clocks, and whole seconds, may be off."""


class Newest(Enum):
    """Whose the newest pods of the canary Deployment are.

    FORMER: a canary's before, however young, until the first pod of the run is made. OWN: the
    run's. TAKEN_OVER: of an earlier run of the same candidate, which count from where they are
    first read.
    """

    FORMER = "former"
    OWN = "own"
    TAKEN_OVER = "taken over"


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmPod:
    """A pod of one version.

    `url` is that of its metrics page, None where it names none; `runs` whether it has been started,
    `leaving` whether it is being deleted. `created` is its own time, in seconds since the epoch;
    what runs the candidate is `born` in its run, unless it is older by more than clocks differ.
    `former` is whether it is of a canary before this run's: whatever it says is of another version.
    """

    name: str
    arm: Arm
    born: float
    url: str | None
    runs: bool = True
    leaving: bool = False
    created: float = 0.0
    former: bool = False

    def known(self) -> Pod:
        """Return what counting has to know of it."""
        return Pod(arm=self.arm, born=self.born)


def arms_of(
    canary_pods: Iterable[Json],
    target_pods: Iterable[Json],
    revisions: Iterable[Revision],
    *,
    candidate: str,
    stable: str,
    began: float,
    newest: Newest = Newest.OWN,
) -> tuple[ArmPod, ...]:
    """Return every pod that serves one of the two versions.

    Args:
        canary_pods: pods of the canary Deployment.
        target_pods: pods that the target's selector matches.
        revisions: the target's ReplicaSets.
        candidate: template hash of the version that is judged.
        stable: template hash of the version that serves.
        began: when the run began, in seconds since the epoch.
        newest: whose the canary's newest pods are. Those of an older template are a former's.

    """
    sides = {
        revision.name: Arm.CANARY if revision.template_hash == candidate else Arm.STABLE
        for revision in revisions
        if revision.template_hash in {candidate, stable}
    }
    canary_pods = list(canary_pods)
    latest = of_newest_template(canary_pods)
    owned = ((pod, sides.get(_owner(pod))) for pod in target_pods)
    return (
        *(
            _canary_pod(pod, began, newest if pod in latest else Newest.FORMER)
            for pod in canary_pods
        ),
        *(_pod(pod, arm, began) for pod, arm in owned if arm is not None),
    )


def _owner(pod: Json) -> str:
    """Return the name of the ReplicaSet that a pod is of."""
    for owner in pod["metadata"].get("ownerReferences") or ():
        if owner.get("controller") and owner.get("kind") == "ReplicaSet":
            return str(owner["name"])
    return ""


def _canary_pod(pod: Json, began: float, whose: Newest) -> ArmPod:
    found = _pod(pod, Arm.CANARY, began)
    if found.created >= began - SKEW:
        return replace(found, former=whose is Newest.FORMER)
    return replace(found, born=found.created, former=whose is not Newest.TAKEN_OVER)


def _pod(pod: Json, arm: Arm, began: float) -> ArmPod:
    created = datetime.fromisoformat(pod["metadata"]["creationTimestamp"]).timestamp()
    born = max(created, began) if arm is Arm.CANARY else created
    leaving = bool(pod["metadata"].get("deletionTimestamp"))
    url = None if leaving else endpoint_of(pod)
    runs = (pod.get("status") or {}).get("phase") == "Running"
    return ArmPod(
        name=pod["metadata"]["name"],
        arm=arm,
        born=born,
        url=url,
        runs=runs,
        leaving=leaving,
        created=created,
    )
