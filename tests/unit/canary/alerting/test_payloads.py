"""What each chat service is sent, against the form that it documents."""

import pytest

from canary.alerting import discord, gchat, msteams, rocket, slack
from canary.model.announcement import Announcement, Room, Severity

FACTS = (("Target", "Deployment/web.prod"), ("errors", "failed: 7.5, bound 1"))
SAID = Announcement(
    subject="web.prod",
    reason="Refused",
    message="Rolling back web.prod: 7.5 > 1",
    severity=Severity.ERROR,
    fields=FACTS,
)
ROOM = Room(type="", address="http://chat/hook", channel="general", username="headgate")
TITLED = [{"title": title, "value": value, "short": False} for title, value in FACTS]
BY_SEVERITY = {
    Severity.INFO: ("good", "#0076D7", "0076D7", "accent"),
    Severity.WARN: ("warning", "#FFA500", "FFA500", "warning"),
    Severity.ERROR: ("danger", "#FF0000", "FF0000", "attention"),
}


def of(severity: Severity) -> Announcement:
    return Announcement(subject="s", reason="r", message="m", severity=severity)


@pytest.mark.parametrize(("severity", "looks"), BY_SEVERITY.items())
def test_each_severity_has_a_look_of_its_own(
    severity: Severity, looks: tuple[str, str, str, str]
) -> None:
    said, (named, web, bare, style) = of(severity), looks
    assert slack.payload(ROOM, said)["attachments"][0]["color"] == named
    assert discord.payload(ROOM, said)["attachments"][0]["color"] == named
    assert rocket.payload(ROOM, said)["attachments"][0]["color"] == web
    assert msteams.message_card(said)["themeColor"] == bare
    card = msteams.adaptive_card(said)["attachments"][0]["content"]
    assert card["body"][1]["color"] == style
    (section,) = gchat.payload(ROOM, said)["cardsV2"][0]["card"]["sections"]
    assert f'color="{web}"' in section["widgets"][0]["textParagraph"]["text"]


def test_slack() -> None:
    post = slack.post(ROOM, SAID)
    assert (post.url, post.headers, post.refused_by) == ("http://chat/hook", {}, "")
    assert post.body == {
        "channel": "general",
        "username": "headgate",
        "icon_emoji": ":rocket:",
        "attachments": [
            {
                "color": "danger",
                "author_name": "web.prod",
                "text": "Rolling back web.prod: 7.5 &gt; 1",
                "mrkdwn_in": ["text"],
                "fields": TITLED,
            }
        ],
    }


def test_slack_by_its_api() -> None:
    room = Room(type="slack", address="https://slack.com/api/chat.postMessage", token="xoxb-1")  # noqa: S106 - of nobody
    post = slack.post(room, SAID)
    assert post.headers == {"Authorization": "Bearer xoxb-1"}
    assert post.refused_by == '"ok":false'
    assert "xoxb" not in repr(post) + repr(room)


def test_what_would_call_everybody_in_slack_calls_nobody() -> None:
    said = Announcement(
        subject="<x>", reason="r", message="<!channel> & co", severity=Severity.INFO
    )
    (attachment,) = slack.payload(ROOM, said)["attachments"]
    assert attachment["text"] == "&lt;!channel&gt; &amp; co"
    assert attachment["author_name"] == "&lt;x&gt;"


def test_rocket() -> None:
    assert rocket.post(ROOM, SAID).body == {
        "channel": "general",
        "username": "headgate",
        "emoji": ":rocket:",
        "attachments": [
            {
                "color": "#FF0000",
                "author_name": "web.prod",
                "text": SAID.message,
                "fields": TITLED,
            }
        ],
    }


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ("https://discord.com/api/webhooks/1/a", "https://discord.com/api/webhooks/1/a/slack"),
        ("https://discord.com/api/webhooks/1/a/", "https://discord.com/api/webhooks/1/a/slack"),
        (
            "https://discord.com/api/webhooks/1/a/slack",
            "https://discord.com/api/webhooks/1/a/slack",
        ),
        ("https://discord.com/h?thread_id=7", "https://discord.com/h/slack?thread_id=7"),
    ],
)
def test_discord_takes_what_slack_takes_under_a_path_of_its_own(address: str, url: str) -> None:
    post = discord.post(Room(type="discord", address=address, username="headgate"), SAID)
    assert post.url == url
    assert post.body == {
        "username": "headgate",
        "attachments": [
            {
                "color": "danger",
                "author_name": "web.prod",
                "text": SAID.message,
                "mrkdwn_in": ["text"],
                "fields": TITLED,
            }
        ],
    }


def test_teams_by_a_connector() -> None:
    room = Room(
        type="msteams", address="https://team.webhook.office.com/webhookb2/1/IncomingWebhook/2"
    )
    assert msteams.post(room, SAID).body == {
        "@type": "MessageCard",
        "@context": "http://schema.org/extensions",
        "themeColor": "FF0000",
        "summary": "web.prod",
        "sections": [
            {
                "activityTitle": SAID.message,
                "activitySubtitle": "web.prod",
                "facts": [{"name": title, "value": value} for title, value in FACTS],
            }
        ],
    }


@pytest.mark.parametrize(
    "address",
    [
        "https://prod-1.westeurope.logic.azure.com:443/workflows/1/triggers/manual/paths/invoke?sig=s",
        "https://x.environment.api.powerplatform.com/powerautomate/automations/direct/workflows/1/x",
    ],
)
def test_teams_by_a_workflow(address: str) -> None:
    body = msteams.post(Room(type="msteams", address=address), SAID).body
    (attachment,) = body["attachments"]
    assert body["type"] == "message"
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    content = attachment["content"]
    assert (content["type"], content["version"]) == ("AdaptiveCard", "1.4")
    texts = [(one["type"], one.get("text")) for one in content["body"]]
    assert texts == [("TextBlock", "web.prod"), ("TextBlock", SAID.message), ("FactSet", None)]
    assert content["body"][2]["facts"] == [
        {"title": title, "value": value} for title, value in FACTS
    ]


def test_google_chat() -> None:
    (card,) = gchat.post(ROOM, SAID).body["cardsV2"]
    assert card["card"]["header"] == {"title": "headgate", "subtitle": "web.prod"}
    (section,) = card["card"]["sections"]
    message, *facts = section["widgets"]
    assert message == {
        "textParagraph": {"text": '<font color="#FF0000">Rolling back web.prod: 7.5 &gt; 1</font>'}
    }
    assert facts == [
        {"decoratedText": {"topLabel": title, "text": value, "wrapText": True}}
        for title, value in FACTS
    ]
