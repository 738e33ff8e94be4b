"""Alerts in Rocket.Chat."""

from analyzer.posting import Poster
from canary.alerting import rocket
from canary.model.announcement import Announcement, Room


class Rocket:
    """Sends what `canary.alerting.rocket` makes of an announcement.

    Args:
        poster: sends it.

    """

    def __init__(self, poster: Poster) -> None:
        self._poster = poster

    async def say(self, room: Room, said: Announcement) -> None:
        """Send one message, once; see the port."""
        await self._poster.send(rocket.post(room, said), room.proxy)
