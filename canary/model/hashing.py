"""The identity of a pod template: what tells two versions of a target apart.

Flagger hashes a dump of typed structs, so that each library upgrade starts a canary of everything;
here it is the canonical JSON of what the API server stores, without what means the same as its
absence (`canary.model.defaulted`). Why so, and how old marks are read: docs/adr/0009.
"""

import hashlib
from typing import Final

import orjson

from canary.contract import IGNORED_TEMPLATE_ANNOTATIONS, POD_TEMPLATE_HASH
from canary.model.defaulted import without_defaults
from canary.model.once import Once
from canary.model.values import Json

DIGITS: Final = 32
"""128 bits: two versions of one target do not meet by chance, nor by search."""
SHORT_DIGITS: Final = 10
"""What marks had before."""
_KEPT_BYTES: Final = 400
"""What a remembered identity takes, with what it is found by."""


def template_hash(template: Json) -> str:
    """Return the 32 hex digits that identify a pod template.

    Args:
        template: `spec.template` of a Deployment or ReplicaSet. The `pod-template-hash` label of a
            ReplicaSet, ignored annotations, defaults and empty values do not count.

    """
    return _identity(template)


def _read(template: Json) -> str:
    return _digest(without_defaults(template))[:DIGITS]


_identity: Final = Once(_read, room=2 << 20, size=lambda *_: _KEPT_BYTES)
"""The same few templates are asked about at every look at a target. There is room for some 5,000,
those of a thousand runs, however long they are."""


def short_hash(template: Json) -> str:
    """Return what releases before 128 bits called a template; only to read what they stored.

    Args:
        template: as for `template_hash`, but everything that is stored counts.

    """
    metadata = dict(template.get("metadata") or {})
    metadata.pop("creationTimestamp", None)
    _drop(metadata, "labels", (POD_TEMPLATE_HASH,))
    _drop(metadata, "annotations", IGNORED_TEMPLATE_ANNOTATIONS)
    return _digest({**template, "metadata": metadata})[:SHORT_DIGITS]


def _digest(value: Json) -> str:
    return hashlib.sha256(_canonical(value)).hexdigest()


def _canonical(value: Json) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def _drop(metadata: Json, field: str, keys: tuple[str, ...]) -> None:
    kept = {k: v for k, v in (metadata.pop(field, None) or {}).items() if k not in keys}
    if kept:
        metadata[field] = kept
