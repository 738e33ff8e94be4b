"""Rocket.Chat: its incoming webhooks take attachments with a colour of the web."""

from typing import Final

from canary.model.announcement import Announcement, Post, Room, Severity
from canary.model.values import Json

COLORS: Final = {Severity.INFO: "#0076D7", Severity.WARN: "#FFA500", Severity.ERROR: "#FF0000"}


def post(room: Room, said: Announcement) -> Post:
    """Return the request that says something in a room."""
    return Post(url=room.address, body=payload(room, said))


def payload(room: Room, said: Announcement) -> Json:
    """Return the message, in an attachment with the colour of its severity."""
    return {
        "channel": room.channel,
        "username": room.username,
        "emoji": ":rocket:",
        "attachments": [
            {
                "color": COLORS[said.severity],
                "author_name": said.subject,
                "text": said.message,
                "fields": [
                    {"title": title, "value": value, "short": False} for title, value in said.fields
                ],
            }
        ],
    }
