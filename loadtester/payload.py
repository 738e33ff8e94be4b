"""What a hook sends, read without trust: name and namespace of a Canary, and metadata."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from runtime.values import too_deep

MAX_BODY: Final = 64 * 1024
"""Bytes of a payload: a hook's metadata are a few short strings."""
DEEPEST: Final = 20
"""Levels of a payload: a hook's has two."""
_LONGEST_NAME: Final = 253
_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
"""As the API server has it of objects (RFC 1123 subdomains)."""


class PayloadError(ValueError):
    """The payload cannot be followed; the message is the answer to the hook."""


class StrangerError(Exception):
    """The hook is another namespace's; the message is the answer to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """A hook's payload, as far as it is read; what is missing in it is empty.

    `checksum` tells the version that a run is about from others.
    """

    name: str
    namespace: str
    checksum: str
    metadata: Mapping[str, Any] = field(repr=False)

    @property
    def canary(self) -> str:
        """Whose hook it is, as name.namespace."""
        return f"{self.name}.{self.namespace}"

    def text(self, key: str) -> str | None:
        """Return a value of the metadata, None where it is none of Flagger's, which are strings."""
        value = self.metadata.get(key)
        return value if isinstance(value, str) else None

    def says(self, key: str, *, otherwise: bool) -> bool:
        """Tell whether a value of the metadata is "true"."""
        return str(self.metadata.get(key, otherwise)).lower() == "true"

    def check_namespace(self, served: str) -> None:
        """Raise StrangerError unless it is of the namespace that is served."""
        if self.namespace != served:
            raise StrangerError(
                f"this load tester serves canaries of the namespace {served}; install one in the "
                "canary's own namespace and let the hook name that"
            )

    def check_name(self) -> None:
        """Raise PayloadError unless its name is one that a Canary can have."""
        if len(self.name) > _LONGEST_NAME or not _NAME.fullmatch(self.name):
            raise PayloadError("the payload has no name of a Canary")


def read_payload(body: bytes) -> Payload:
    """Read a payload.

    Args:
        body: what was sent.

    Raises:
        PayloadError: it is no JSON, or nests deeper than is read.

    """
    # Before it is parsed: how deep a parser can go is not for a stranger to try.
    if too_deep(body, DEEPEST):
        raise PayloadError(f"the payload nests deeper than {DEEPEST} levels, and a hook's has two")
    try:
        payload = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise PayloadError(f"the payload is no JSON: {error}") from error
    if not isinstance(payload, dict):
        payload = {}
    metadata = payload.get("metadata")
    return Payload(
        name=_text(payload.get("name")),
        namespace=_text(payload.get("namespace")),
        checksum=_text(payload.get("checksum")),
        metadata=metadata if isinstance(metadata, dict) else {},
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
