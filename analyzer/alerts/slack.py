"""Alerts in Slack, and what takes its incoming webhooks."""

from analyzer.posting import Poster
from canary.alerting import slack
from canary.model.announcement import Announcement, Room


class Slack:
    """Sends what `canary.alerting.slack` makes of an announcement.

    Args:
        poster: sends it.

    """

    def __init__(self, poster: Poster) -> None:
        self._poster = poster

    async def say(self, room: Room, said: Announcement) -> None:
        """Send one message, once; see the port."""
        await self._poster.send(slack.post(room, said), room.proxy)
