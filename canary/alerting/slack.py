"""Slack: incoming webhooks, and `chat.postMessage` where the Secret has a token."""

from typing import Final

from canary.model.announcement import Announcement, Post, Room, Severity
from canary.model.values import Json

COLORS: Final = {Severity.INFO: "good", Severity.WARN: "warning", Severity.ERROR: "danger"}
_REFUSED: Final = '"ok":false'


def post(room: Room, said: Announcement) -> Post:
    """Return the request that says something in a room."""
    if not room.token:
        return Post(url=room.address, body=payload(room, said))
    # The API answers 200 whatever it thinks of the message.
    headers = {"Authorization": f"Bearer {room.token}"}
    return Post(url=room.address, body=payload(room, said), headers=headers, refused_by=_REFUSED)


def payload(room: Room, said: Announcement) -> Json:
    """Return the message, in an attachment with the colour of its severity."""
    return {
        "channel": room.channel,
        "username": room.username,
        "icon_emoji": ":rocket:",
        "attachments": [
            {
                "color": COLORS[said.severity],
                "author_name": escaped(said.subject),
                "text": escaped(said.message),
                "mrkdwn_in": ["text"],
                "fields": [
                    {"title": escaped(title), "value": escaped(value), "short": False}
                    for title, value in said.fields
                ],
            }
        ],
    }


def escaped(text: str) -> str:
    """Return text without Slack's control characters, by which it could call everybody."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
