"""Alerts in Google Chat."""

from analyzer.posting import Poster
from canary.alerting import gchat
from canary.model.announcement import Announcement, Room


class GoogleChat:
    """Sends what `canary.alerting.gchat` makes of an announcement.

    Args:
        poster: sends it.

    """

    def __init__(self, poster: Poster) -> None:
        self._poster = poster

    async def say(self, room: Room, said: Announcement) -> None:
        """Send one message, once; see the port."""
        await self._poster.send(gchat.post(room, said), room.proxy)
