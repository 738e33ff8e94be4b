"""What is said of a run to people who do not look at the cluster, and who wants to hear it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final


class Severity(StrEnum):
    """How bad something is, as `analysis.alerts` names it."""

    INFO = "info"
    WARN = "warn"
    ERROR = "error"


_ORDER: Final = (Severity.INFO, Severity.WARN, Severity.ERROR)


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    """One thing that is said of a run, once.

    Args:
        subject: the target, `name.namespace`.
        reason: CamelCase, as status and event have it.
        message: for a person, with what decided.
        severity: how bad it is.
        fields: facts beside the message, by title, in order.

    """

    subject: str
    reason: str
    message: str
    severity: Severity
    fields: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """An event of a run as event hooks are told of it.

    `phase` is what people are shown, `checksum` the candidate's, both as they were then.
    """

    message: str
    warning: bool
    at: datetime
    phase: str
    checksum: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One entry of `analysis.alerts`: what it wants to hear, and which AlertProvider tells it.

    `admins` is whether it is the admin's own, who may name any namespace's.
    """

    name: str
    severity: Severity
    namespace: str
    provider: str
    admins: bool = False

    def hears(self, severity: Severity) -> bool:
        """Tell whether something is for this alert: as bad as it asks for, or worse."""
        return _ORDER.index(severity) >= _ORDER.index(self.severity)


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """Where an AlertProvider sends: `AlertProvider.spec` with its Secret's data read.

    `address`, `token` and `proxy` are credentials: they are never shown.
    """

    type: str
    address: str = field(repr=False)
    token: str = field(default="", repr=False)
    proxy: str = field(default="", repr=False)
    channel: str = ""
    username: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """One request to a chat service, ready to be sent.

    `refused_by` is the text in an answer of success that says that it was none, "" where the status
    says all.
    """

    url: str = field(repr=False)
    body: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    refused_by: str = ""
