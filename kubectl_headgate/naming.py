"""Which side a pod of the past is on, by its name: the API server has forgotten it."""

import re
from dataclasses import dataclass
from functools import lru_cache

from canary.evidence.counters import Arm
from canary.objects.desired import canary_name
from canary.queries.builtin import pod_pattern


@dataclass(frozen=True, slots=True, kw_only=True)
class Sides:
    """How pods are told apart.

    By default those of `<target>-canary` are the canary's, and the target's the stable's. With a
    `revision`, the target's pods with that pod-template-hash in their name are the canary's
    instead, so that a plain rolling update of the past can be judged. `against` names the hash of
    the stable's; without it, all others of the target are.
    """

    target: str
    revision: str = ""
    against: str = ""

    def arm(self, pod: str) -> Arm | None:
        """Return the side of a pod, None for a pod of another workload or version."""
        return _arm(self, pod)


@lru_cache(maxsize=4096)
def _arm(sides: Sides, pod: str) -> Arm | None:
    """Look once per name: every sample of a window asks."""
    canarys = pod.startswith(f"{canary_name(sides.target)}-")
    if not canarys and re.fullmatch(pod_pattern(sides.target), pod) is None:
        return None
    if _is_of(pod, sides.revision) if sides.revision else canarys:
        return Arm.CANARY
    return Arm.STABLE if not sides.against or _is_of(pod, sides.against) else None


def _is_of(pod: str, template_hash: str) -> bool:
    return f"-{template_hash}-" in pod
