"""The smallest values: objects, names, full traffic."""

from dataclasses import dataclass
from typing import Any, Final

Json = dict[str, Any]
FULL: Final = 100
"""Percent: a weight that is all of the traffic."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Key:
    """Namespace and name of a target: all that a work queue carries."""

    namespace: str
    name: str

    def __str__(self) -> str:
        """Write the key as events and logs show it, in Flagger's order."""
        return f"{self.name}.{self.namespace}"
