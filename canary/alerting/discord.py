"""Discord: its webhooks take what Slack's take, under `/slack`."""

from typing import Final

from canary.model.announcement import Announcement, Post, Room, Severity
from canary.model.values import Json

COLORS: Final = {Severity.INFO: "good", Severity.WARN: "warning", Severity.ERROR: "danger"}
_ENDING: Final = "/slack"


def post(room: Room, said: Announcement) -> Post:
    """Return the request that says something in a room."""
    return Post(url=_compatible(room.address), body=payload(room, said))


def _compatible(address: str) -> str:
    # By hand: what is no URL is the client's to refuse, which shows nothing of it.
    path, mark, query = address.partition("?")
    path = path.rstrip("/")
    return f"{path if path.endswith(_ENDING) else path + _ENDING}{mark}{query}"


def payload(room: Room, said: Announcement) -> Json:
    """Return the message, in an attachment with the colour of its severity.

    The room is the webhook's own.
    """
    return {
        "username": room.username,
        "attachments": [
            {
                "color": COLORS[said.severity],
                "author_name": said.subject,
                "text": said.message,
                "mrkdwn_in": ["text"],
                "fields": [
                    {"title": title, "value": value, "short": False} for title, value in said.fields
                ],
            }
        ],
    }
