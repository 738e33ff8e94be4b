"""The identity of a pod template.

Flagger hashes a dump of typed structs, so that each library upgrade starts a canary of everything;
here it is the canonical JSON of what the API server stores, without the keys that change nothing.
"""

import hashlib

import orjson

from canary.contract import IGNORED_TEMPLATE_ANNOTATIONS, POD_TEMPLATE_HASH
from canary.model.values import Json


def template_hash(template: Json) -> str:
    """Return ten hex digits that identify a pod template.

    Args:
        template: `spec.template` of a Deployment or ReplicaSet, defaulted by the API server. The
            `pod-template-hash` label of a ReplicaSet and ignored annotations do not count.

    """
    canonical = orjson.dumps(comparable(template), option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(canonical).hexdigest()[:10]


def comparable(template: Json) -> Json:
    """Return the template without what does not count as a change."""
    metadata = dict(template.get("metadata") or {})
    metadata.pop("creationTimestamp", None)
    _drop(metadata, "labels", (POD_TEMPLATE_HASH,))
    _drop(metadata, "annotations", IGNORED_TEMPLATE_ANNOTATIONS)
    return {**template, "metadata": metadata}


def _drop(metadata: Json, field: str, keys: tuple[str, ...]) -> None:
    kept = {k: v for k, v in (metadata.pop(field, None) or {}).items() if k not in keys}
    if kept:
        metadata[field] = kept
