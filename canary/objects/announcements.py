"""Announcements as the status of a Canary keeps them until they are sent."""

from canary.model.announcement import Announcement, Severity, Told
from canary.model.values import Json
from canary.objects import recorded


def announcements(run: Json) -> tuple[Announcement, ...]:
    """Return what is yet to be sent; what another release may have written there is left out.

    Args:
        run: `Canary.status.run`.

    """
    found = run.get("alerts")
    entries = found if isinstance(found, list) else []
    return tuple(one for entry in entries if (one := _read(entry)) is not None)


def dumped(one: Announcement) -> Json:
    """Return an announcement as it is stored."""
    return {
        "subject": one.subject,
        "reason": one.reason,
        "message": one.message,
        "severity": str(one.severity),
        "fields": [{"title": title, "value": value} for title, value in one.fields],
    }


def _read(entry: object) -> Announcement | None:
    try:
        match entry:
            case dict() if isinstance(facts := entry.get("fields"), list):
                return Announcement(
                    subject=str(entry["subject"]),
                    reason=str(entry["reason"]),
                    message=str(entry["message"]),
                    severity=Severity(entry["severity"]),
                    fields=tuple((str(it["title"]), str(it["value"])) for it in facts),
                )
            case _:
                return None
    except (ValueError, TypeError, KeyError):
        return None


def events_told(run: Json) -> tuple[Told, ...]:
    """Return the events that hooks are yet to be told of; what cannot be read is left out.

    Args:
        run: `Canary.status.run`.

    """
    return tuple(
        Told(
            message=recorded.text(entry.get("message")),
            warning=bool(entry.get("warning")),
            at=at,
            phase=recorded.text(entry.get("phase")),
            checksum=recorded.text(entry.get("checksum")),
        )
        for entry in recorded.mappings(run.get("told"))
        if (at := recorded.moment(entry.get("at"))) is not None
    )


def dumped_event(one: Told) -> Json:
    """Return an event as it is stored until hooks are told of it."""
    return {
        "message": one.message,
        "warning": one.warning,
        "at": one.at.isoformat(),
        "phase": one.phase,
        "checksum": one.checksum,
    }
