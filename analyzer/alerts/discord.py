"""Alerts in Discord."""

from analyzer.posting import Poster
from canary.alerting import discord
from canary.model.announcement import Announcement, Room


class Discord:
    """Sends what `canary.alerting.discord` makes of an announcement.

    Args:
        poster: sends it.

    """

    def __init__(self, poster: Poster) -> None:
        self._poster = poster

    async def say(self, room: Room, said: Announcement) -> None:
        """Send one message, once; see the port."""
        await self._poster.send(discord.post(room, said), room.proxy)
