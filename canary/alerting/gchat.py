"""Google Chat: a card with the message and a widget for each fact."""

from html import escape
from typing import Final

from canary.model.announcement import Announcement, Post, Room, Severity
from canary.model.values import Json

COLORS: Final = {Severity.INFO: "#0076D7", Severity.WARN: "#FFA500", Severity.ERROR: "#FF0000"}


def post(room: Room, said: Announcement) -> Post:
    """Return the request that says something in a room."""
    return Post(url=room.address, body=payload(room, said))


def payload(room: Room, said: Announcement) -> Json:
    """Return the message. The texts of widgets are HTML."""
    message = f'<font color="{COLORS[said.severity]}">{escape(said.message, quote=False)}</font>'
    facts = [
        {"decoratedText": {"topLabel": title, "text": escape(value, quote=False), "wrapText": True}}
        for title, value in said.fields
    ]
    return {
        "cardsV2": [
            {
                "cardId": "headgate",
                "card": {
                    "header": {"title": room.username, "subtitle": said.subject},
                    "sections": [{"widgets": [{"textParagraph": {"text": message}}, *facts]}],
                },
            }
        ]
    }
