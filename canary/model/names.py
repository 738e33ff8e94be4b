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
    """Return the name of the target whose canary a Deployment is, "" if it is no canary.

    The label has no room for every name, so that the name is read from the owner.
    """
    metadata = workload["metadata"]
    labels = metadata.get("labels") or {}
    if labels.get(MANAGED_BY_LABEL) != MANAGED_BY or TARGET_LABEL not in labels:
        return ""
    owners = metadata.get("ownerReferences") or ()
    return next((str(one["name"]) for one in owners if one["kind"] == "Deployment"), "")


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
