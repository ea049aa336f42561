"""Reading in Discord's history what no session brought: which channels, which messages. Knows neither journal nor questions."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial

import discord

from bot.ui.threads import permissions_in
from bot.ui.trouble import TROUBLE, described, passing, persist

log = logging.getLogger(__name__)

Channel = discord.TextChannel | discord.VoiceChannel | discord.StageChannel | discord.Thread | discord.PartialMessageable

PAGE = 100  # as many as Discord gives at a time
AT_ONCE = 4
PATIENCE_SECONDS = 15.0


@dataclass(slots=True)
class Found:
    """What stands in some channels.

    Attributes:
        messages: of people and bots, oldest first.
        unread: how many channels were left out, since there were no more requests to spend.
        complete: whether all others could be read.
    """

    messages: list[discord.Message] = field(default_factory=list)
    unread: int = 0
    complete: bool = True

    def dealt_with(self, me: int) -> frozenset[int]:
        """Messages that the bot has answered or refused: by a reply, or by a reaction."""
        mine = (m.reference.message_id for m in self.messages if m.author.id == me and m.reference)
        marked = (m.id for m in self.messages if any(reaction.me for reaction in m.reactions))
        return frozenset(one for one in (*mine, *marked) if one is not None)


def newer(guild: discord.Guild, since: int) -> list[Channel]:
    """Channels and threads with something newer that the bot may read; that of which the newest message is oldest comes first."""
    every: Iterable[Channel] = (*guild.text_channels, *guild.voice_channels, *guild.stage_channels, *guild.threads)
    with_news = [channel for channel in every if _newest(channel) > since and _readable(channel)]
    return sorted(with_news, key=_newest)


def _newest(channel: Channel) -> int:
    return getattr(channel, "last_message_id", None) or 0


def _readable(channel: Channel) -> bool:
    may = permissions_in(channel)
    return may.view_channel and may.read_message_history


async def read(channels: Sequence[Channel], since: int, *, requests: int) -> Found:
    """All messages after ``since``, with at most so many requests."""
    found, reader = Found(), _Reader(requests)
    pages = await asyncio.gather(*(reader.read(channel, since) for channel in channels))
    for messages, whole in pages:
        found.messages += messages
        found.complete &= whole
    found.messages.sort(key=lambda message: message.id)
    found.unread = reader.unread
    return found


class _Reader:
    """A few channels at a time, page by page, while requests are left."""

    def __init__(self, requests: int) -> None:
        self._left = requests
        self._turns = asyncio.Semaphore(AT_ONCE)
        self.unread = 0

    async def read(self, channel: Channel, since: int) -> tuple[list[discord.Message], bool]:
        """The messages, and whether no trouble came between."""
        messages: list[discord.Message] = []
        async with self._turns:
            while self._left > 0:
                self._left -= 1
                try:
                    after = messages[-1].id if messages else since
                    page = await persist(partial(_page, channel, after), "looking back")
                except TROUBLE as error:
                    log.info("channel %d could not be looked back at: %s", channel.id, described(error))
                    return messages, not passing(error)
                messages += page
                if len(page) < PAGE:
                    return messages, True
            self.unread += 1
            return messages, True


async def _page(channel: Channel, after: int) -> list[discord.Message]:
    async with asyncio.timeout(PATIENCE_SECONDS):
        return [message async for message in channel.history(limit=PAGE, after=discord.Object(after), oldest_first=True)]
