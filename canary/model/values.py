"""The smallest values: objects, names, full traffic; and JSON that somebody wrote as text."""

from dataclasses import dataclass
from typing import Any, Final

import orjson

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


def from_text(text: str) -> Any:
    """Return the value of a text that anybody may have written, such as an annotation.

    Nothing in it is infinite or no number, and it nests no deeper than can be walked.

    Raises:
        ValueError: it is no such JSON.

    """
    return orjson.loads(text)
