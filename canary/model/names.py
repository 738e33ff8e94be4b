"""Names that fit: what is derived from a target's name is cut where Kubernetes has less room.

A Deployment's name may have 253 characters, a Service's and a label's value 63, and of a pod's name
only the first 58 are its workload's. What is too long keeps its beginning and its end; a hash
stands for the rest, so that two long names stay two.
"""

import hashlib
from typing import Final

from canary.contract import CANARY_SUFFIX, MANAGED_BY, MANAGED_BY_LABEL, TARGET_LABEL
from canary.model.values import Json

MOST_IN_A_LABEL: Final = 63
"""Characters of a label's value."""
MOST_IN_A_NAME: Final = 57
"""Characters of a canary's name.

A Service could have 63. But the API server makes a pod's name from the first 58 characters of
`<name>-<hash>-`, and queries tell the canary's pods by `<name>-` in theirs.
"""
MOST_BEFORE_RANDOM: Final = 58
"""Characters of a pod's name before the five at random."""
_HASHES: Final = ("5d9f7c8b9d", "6d4cf56db", "76b5c8d9")
"""Of ReplicaSets, as long as they are."""
HASH_DIGITS: Final = 10
"""Hexadecimal digits, 40 bits: two long names of one namespace that begin alike stay two."""


def canary_name(target: str) -> str:
    """Return the name of the canary Deployment of a target, or of the canary Service of a Service.

    It is `<target>-canary`, for names of more than 50 characters `<beginning>-<hash>-canary`.
    """
    return suffixed(target, CANARY_SUFFIX, MOST_IN_A_NAME)


def target_label(target: str) -> str:
    """Return the value of the label `headgate.dev/target` for a target of this name."""
    return suffixed(target, "", MOST_IN_A_LABEL)


def canary_of(workload: Json) -> str:
    """Return the name of the target for which an object says it was made, "" if for none.

    The label has no room for every name, so that the name is read from the owner. Whether that is
    the target of today is for `canary.objects.ownership` to say.
    """
    metadata = workload["metadata"]
    labels = metadata.get("labels") or {}
    if labels.get(MANAGED_BY_LABEL) != MANAGED_BY or TARGET_LABEL not in labels:
        return ""
    owners = metadata.get("ownerReferences") or ()
    return next((str(one["name"]) for one in owners if one["kind"] == "Deployment"), "")


def pod_names(workload: str) -> tuple[str, ...]:
    """Return names as the pods of a Deployment have them, of each kind one.

    A ReplicaSet is called `<workload>-<hash>`, the hash of up to 10 characters. A pod has the first
    58 characters of `<ReplicaSet>-` and five more: of a workload of more than 46 characters the
    hash is cut, and it runs into the five (`MaxGeneratedNameLength` of
    k8s.io/apiserver/pkg/storage/names).
    """
    made = (f"{workload}-{digits}-"[:MOST_BEFORE_RANDOM] for digits in _HASHES)
    return tuple(dict.fromkeys(f"{base}x2x4z" for base in made))


def usual_pod_name(workload: str) -> str:
    """Return the name of a pod as patterns are written for it, whether or not there is room."""
    return f"{workload}-{_HASHES[0]}-x2x4z"


def suffixed(name: str, suffix: str, most: int) -> str:
    """Return a name with a suffix, its middle replaced by a hash where that is too long.

    Args:
        name: begins with a letter or digit.
        suffix: what it ends with; ends with a letter or digit, or is empty.
        most: characters that there is room for.

    """
    if len(name) + len(suffix) <= most:
        return f"{name}{suffix}"
    digest = hashlib.sha256(name.encode()).hexdigest()[:HASH_DIGITS]
    beginning = name[: most - len(suffix) - len(digest) - 1].rstrip("-._")
    return f"{beginning}-{digest}{suffix}"
