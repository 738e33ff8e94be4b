"""Microsoft Teams: the form of its connectors, and that of the workflows that took their place."""

from typing import Final

from canary.model.announcement import Announcement, Post, Room, Severity
from canary.model.values import Json

COLORS: Final = {Severity.INFO: "0076D7", Severity.WARN: "FFA500", Severity.ERROR: "FF0000"}
_STYLES: Final = {
    Severity.INFO: "accent",
    Severity.WARN: "warning",
    Severity.ERROR: "attention",
}
_WORKFLOW: Final = "/workflows/"
"""In the path of every URL by which a workflow is started, whichever host it has."""


def post(room: Room, said: Announcement) -> Post:
    """Return the request that says something in a room, in the form that its address takes."""
    newer = _WORKFLOW in room.address.partition("?")[0]
    return Post(url=room.address, body=adaptive_card(said) if newer else message_card(said))


def message_card(said: Announcement) -> Json:
    """Return the message as connectors take it."""
    return {
        "@type": "MessageCard",
        "@context": "http://schema.org/extensions",
        "themeColor": COLORS[said.severity],
        "summary": said.subject,
        "sections": [
            {
                "activityTitle": said.message,
                "activitySubtitle": said.subject,
                "facts": [{"name": title, "value": value} for title, value in said.fields],
            }
        ],
    }


def adaptive_card(said: Announcement) -> Json:
    """Return the message as workflows take it."""
    return {
        "type": "message",
        "attachments": [
            {
                "contentType": "application/vnd.microsoft.card.adaptive",
                "contentUrl": None,
                "content": {
                    "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                    "type": "AdaptiveCard",
                    "version": "1.4",
                    "body": [
                        _text(said.subject, weight="bolder"),
                        _text(said.message, color=_STYLES[said.severity]),
                        {
                            "type": "FactSet",
                            "facts": [
                                {"title": title, "value": value} for title, value in said.fields
                            ],
                        },
                    ],
                },
            }
        ],
    }


def _text(text: str, **look: str) -> Json:
    return {"type": "TextBlock", "text": text, "wrap": True, **look}
