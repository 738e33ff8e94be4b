"""Which side a pod of the past is on, by its name: the API server has forgotten it."""

import re
from dataclasses import dataclass
from functools import lru_cache

from canary.evidence.counters import Arm
from canary.objects.desired import canary_name
from canary.queries.sources import pod_pattern


@dataclass(frozen=True, slots=True, kw_only=True)
class Sides:
    """How pods are told apart, by the `pod-template-hash` in their names.

    By default those of `<target>-canary` are the canary's, and the target's the stable's. Of
    several candidates in a row each has a hash of its own: `canary` is that of the one that is
    judged, "" where it is the only one. `promoted` are the hashes with which the target's own pods
    run that candidate, while it rolls and afterwards.

    With a `revision`, the pods with that hash are the candidate's instead, so that a plain rolling
    update of the past can be judged. `against` names the hash of the stable's; without it, all
    others of the target are.
    """

    target: str
    revision: str = ""
    against: str = ""
    canary: str = ""
    promoted: frozenset[str] = frozenset()

    def arm(self, pod: str) -> Arm | None:
        """Return the side of a pod, None for a pod of another workload or version."""
        return _arm(self, pod)

    def candidate(self, pod: str) -> str | None:
        """Return the hash of a canary's pod, None for any other pod."""
        name = canary_name(self.target)
        return _hash(pod, name) if pod.startswith(f"{name}-") else None

    def of_target(self, pod: str) -> str | None:
        """Return the hash of one of the target's own pods, None for any other pod."""
        if self.candidate(pod) is not None or not re.fullmatch(pod_pattern(self.target), pod):
            return None
        return _hash(pod, self.target)


@lru_cache(maxsize=4096)
def _arm(sides: Sides, pod: str) -> Arm | None:
    """Look once per name: every sample of a window asks."""
    candidate = sides.candidate(pod)
    if candidate is not None:
        judged = sides.revision or sides.canary
        return Arm.CANARY if judged in {"", candidate} else None
    version = sides.of_target(pod)
    if version is None:
        return None
    if version == sides.revision or version in sides.promoted:
        return Arm.CANARY
    return Arm.STABLE if sides.against in {"", version} else None


def _hash(pod: str, workload: str) -> str:
    """Return the template hash in a pod's name, "" where a long name has left no room for it."""
    version, separator, _ = pod.removeprefix(f"{workload}-").rpartition("-")
    return version if separator else ""
