"""AlertProvider objects: where a message goes, and what is wrong with what they say of it."""

import base64
import binascii
from typing import Final

from canary.model.announcement import Room
from canary.model.values import Json

CHANNEL: Final = "general"
"""For an AlertProvider that names no room; Flagger's."""
USERNAME: Final = "headgate"
"""For one that does not say from whom its messages are to come."""


def secret_of(provider: Json) -> str:
    """Return the name of the Secret that has an AlertProvider's address, "" where it names none.

    Args:
        provider: the AlertProvider as the API server stores it.

    """
    return str((provider["spec"].get("secretRef") or {}).get("name") or "")


def room_of(provider: Json, secret: Json | None) -> Room:
    """Return where an AlertProvider sends.

    Args:
        provider: the AlertProvider as the API server stores it.
        secret: the Secret that it names, as stored.

    Raises:
        ValueError: there is no address, or it cannot be read; the message shows nothing of it.

    """
    spec, data = provider["spec"], (secret or {}).get("data") or {}
    address = _read(data, "address") or str(spec.get("address") or "")
    if not address:
        raise ValueError("it has no address; give it one, or a secretRef to a Secret with one")
    return Room(
        type=str(spec.get("type", "")),
        address=address,
        token=_read(data, "token"),
        proxy=str(spec.get("proxy") or ""),
        channel=str(spec.get("channel") or CHANNEL),
        username=str(spec.get("username") or USERNAME),
    )


def _read(data: Json, key: str) -> str:
    try:
        # What is written into a Secret by hand ends in a new line more often than not.
        return base64.b64decode(data.get(key) or "").decode().strip()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise ValueError(f"{key} of its Secret is no text") from error
