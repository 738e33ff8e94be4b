"""Kubernetes events, as Headgate writes them."""

import hashlib
from datetime import datetime
from typing import Final

from canary.model.values import Json
from canary.rules.actions import Emit

MAX_MESSAGE: Final = 1024
"""Longest message that the events API takes."""
COMPONENT: Final = "headgate"


def event_of(subject: Json, event: Emit, now: datetime, run: str) -> Json:
    """Return an event whose name says what it is, so that a repeated write meets itself.

    Args:
        subject: the object that it is about, as the API server stores it.
        event: what is said.
        now: the time of this reconcile.
        run: tells one run from another; the same words may be said once in each.

    """
    metadata, time = subject["metadata"], now.strftime("%Y-%m-%dT%H:%M:%SZ")
    identity = f"{metadata['uid']}/{run}/{event.reason}/{event.message}"
    digest = hashlib.sha256(identity.encode()).hexdigest()[:16]
    return {
        "metadata": {"name": f"{metadata['name']}.{digest}", "namespace": metadata["namespace"]},
        "involvedObject": {
            "apiVersion": subject["apiVersion"],
            "kind": subject["kind"],
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "uid": metadata["uid"],
            "resourceVersion": metadata.get("resourceVersion", ""),
        },
        "reason": event.reason,
        "message": event.message[:MAX_MESSAGE],
        "type": "Warning" if event.warning else "Normal",
        "source": {"component": COMPONENT},
        "reportingComponent": COMPONENT,
        "firstTimestamp": time,
        "lastTimestamp": time,
        "count": 1,
    }
