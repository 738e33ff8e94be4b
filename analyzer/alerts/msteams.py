"""Alerts in Microsoft Teams, by a connector or a workflow."""

from analyzer.posting import Poster
from canary.alerting import msteams
from canary.model.announcement import Announcement, Room


class Teams:
    """Sends what `canary.alerting.msteams` makes of an announcement.

    Args:
        poster: sends it.

    """

    def __init__(self, poster: Poster) -> None:
        self._poster = poster

    async def say(self, room: Room, said: Announcement) -> None:
        """Send one message, once; see the port."""
        await self._poster.send(msteams.post(room, said), room.proxy)
