"""What the analyzer asked of the API server, by the API server's own log of requests.

Its counter `apiserver_request_total` does not say whose requests they are; the audit log does, for
one account, with the kind, the verb and the time in microseconds.
"""

import json
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from canary.contract import SPLIT

READS: Final = frozenset({"get", "list"})
WRITES: Final = frozenset({"create", "update", "patch", "delete"})
BESIDE: Final = frozenset({"leases"})
"""Not of any target: the lease is renewed however many there are."""
_FAILED: Final = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request; `at` is when it came and `done` when it was answered, in seconds since 1970.

    `weight` is the canary's share where a split was written that was taken.
    """

    at: float
    done: float
    verb: str
    resource: str
    namespace: str
    name: str
    code: int
    weight: int | None = None

    @property
    def what(self) -> str:
        """Verb and kind."""
        return f"{self.verb} {self.resource}"


@dataclass(slots=True)
class AuditLog:
    """Follows the log: each look returns what has come since the one before."""

    path: Path
    all: list[Asked] = field(default_factory=list)
    _offset: int = 0

    def look(self) -> None:
        """Read what has been written since."""
        with self.path.open("rb") as file:
            file.seek(self._offset)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                self._offset += len(line)
                if (asked := _parse(line)) is not None:
                    self.all.append(asked)

    def between(self, start: float, end: float) -> list[Asked]:
        """Return what was asked in a span of time, without the lease."""
        return [it for it in self.all if start <= it.at < end and it.resource not in BESIDE]


def counts(asked: list[Asked]) -> tuple[int, int, Counter[str]]:
    """Return reads, writes, and how many there were of each verb and kind."""
    verbs = Counter(it.verb for it in asked)
    reads = sum(verbs[verb] for verb in READS)
    writes = sum(verbs[verb] for verb in WRITES)
    return reads, writes, Counter(it.what for it in asked)


def splits(asked: list[Asked]) -> dict[tuple[str, str], list[Asked]]:
    """Return the splits that were written, by namespace and name of the target, in their order."""
    found = defaultdict[tuple[str, str], list[Asked]](list)
    for it in asked:
        if it.weight is not None:
            found[it.namespace, it.name].append(it)
    return found


def _parse(line: bytes) -> Asked | None:
    event = json.loads(line)
    what = event.get("objectRef")
    if what is None or event["verb"] == "watch":
        return None
    parts = (what.get("resource", ""), what.get("subresource", ""))
    code = event.get("responseStatus", {}).get("code", 0)
    body = event.get("requestObject") if code < _FAILED else None
    return Asked(
        at=_seconds(event["requestReceivedTimestamp"]),
        done=_seconds(event["stageTimestamp"]),
        verb=event["verb"],
        resource="/".join(part for part in parts if part),
        namespace=what.get("namespace", ""),
        name=what.get("name", ""),
        code=code,
        weight=_weight(body, what.get("name", "")) if isinstance(body, dict) else None,
    )


def _weight(patch: dict[str, Any], name: str) -> int | None:
    """Return the canary's share that a patch of the route of a target's own name asks for."""
    mark = patch.get("metadata", {}).get("annotations", {}).get(SPLIT)
    share = json.loads(mark)["targets"].get(name, {}).get("weight") if mark else None
    return None if share is None else int(share)


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
