"""After a new session: what was asked while nobody listened is asked now, as if it had just come.

A resumed session needs none of this, since Discord replays what it brought meanwhile.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from typing import TYPE_CHECKING, Protocol, cast

import discord
from discord.ext import commands

from bot.errors import StorageError
from bot.services.seen import MILLISECOND
from bot.ui.lookback import Channel, Found, newer, read

if TYPE_CHECKING:
    from bot.client import ForwardPassBot

log = logging.getLogger(__name__)

# Older than this, an answer would come out of nowhere, and most have asked again.
AT_MOST = 10 * 60_000 * MILLISECOND
REQUESTS = 100
DM_CHANNELS = 25


class Asker(Protocol):
    """The cog that takes questions."""

    def for_us(self, message: discord.Message) -> object | None: ...

    def take(self, message: discord.Message) -> asyncio.Task[None] | None: ...


class Lookback(commands.Cog):
    """Knows how far was read, and reads on from there."""

    def __init__(self, bot: ForwardPassBot) -> None:
        self._bot = bot
        self._seen = bot.app.seen
        self._looking: dict[int, asyncio.Task[None]] = {}
        self._ready: set[int] = set()
        self._waiting: set[int] = set()

    async def cog_load(self) -> None:
        """Before the gateway opens."""
        await self._seen.load()

    @commands.Cog.listener()
    async def on_message(self, message: discord.Message) -> None:
        """All up to here was read."""
        self._seen.note(message.guild.shard_id if message.guild else 0, message.id)

    @commands.Cog.listener()
    async def on_shard_connect(self, shard_id: int) -> None:
        """READY, never RESUMED. A look back that is still under way begins anew, from where it began."""
        if (task := self._looking.pop(shard_id, None)) is not None:
            task.cancel()
        self._ready.discard(shard_id)
        self._seen.begin(shard_id, self._bot.clock.now(), shards=self._bot.shard_count or 1)

    @commands.Cog.listener()
    async def on_shard_ready(self, shard_id: int) -> None:
        """The session's servers are known."""
        self._ready.add(shard_id)
        self._looking[shard_id] = self._bot.app.tasks.spawn(self._catch_up(shard_id), f"look back, shard {shard_id}")

    @commands.Cog.listener()
    async def on_guild_available(self, guild: discord.Guild) -> None:
        """One that came after the others."""
        if guild.shard_id in self._ready:
            self._bot.app.tasks.spawn(self._catch_up_in(guild), f"look back, guild {guild.id}")

    @commands.Cog.listener()
    async def on_raw_message_delete(self, payload: discord.RawMessageDeleteEvent) -> None:
        """What is deleted before its turn is not asked."""
        self._waiting.discard(payload.message_id)

    @commands.Cog.listener()
    async def on_raw_bulk_message_delete(self, payload: discord.RawBulkMessageDeleteEvent) -> None:
        """The same for a purge."""
        self._waiting -= payload.message_ids

    async def _catch_up(self, shard_id: int) -> None:
        since = self._since(shard_id)
        if since is not None:
            guilds = [guild for guild in self._bot.guilds if guild.shard_id == shard_id]
            channels = [channel for guild in guilds for channel in newer(guild, since)]
            if not await self._look([*await self._dms(shard_id), *channels], since):
                return  # the next session, or the next start, looks there again
        self._seen.caught_up(shard_id)

    async def _catch_up_in(self, guild: discord.Guild) -> None:
        if (since := self._since(guild.shard_id)) is not None:
            await self._look(newer(guild, since), since)

    def _since(self, shard_id: int) -> int | None:
        since, now = self._seen.since(shard_id), self._bot.clock.now()
        return None if since is None or now is None else max(since, now - AT_MOST)

    async def _dms(self, shard_id: int) -> list[Channel]:
        """Discord tells no bot of these; the journal knows those that were used before."""
        if shard_id != 0:
            return []
        try:
            known = await self._seen.dm_channels(DM_CHANNELS)
        except StorageError:
            return []
        return [self._bot.get_partial_messageable(channel_id, type=discord.ChannelType.private) for channel_id in known]

    async def _look(self, channels: list[Channel], since: int) -> bool:
        """Read, and ask what was asked there; whether all could be read."""
        found = await read(channels, since, requests=REQUESTS)
        if found.unread:
            log.warning("%d channels were not looked back at, or not to their end: there are too many", found.unread)
        try:
            missed = await self._missed(found)
        except StorageError as error:
            log.warning("what was asked meanwhile is not known: %s", error.for_user())
            return False
        if channels:
            log.info("looked back at %d channels: %d questions", len(channels), len(missed))
        await self._ask(missed)
        return found.complete

    async def _missed(self, found: Found) -> list[discord.Message]:
        me, now = self._bot.user, self._bot.clock.now()
        if me is None or now is None:
            return []
        done = found.dealt_with(me.id)
        fresh = [m for m in found.messages if m.id > now - AT_MOST and m.id not in done and self._asker.for_us(m)]
        done = await self._seen.journaled([message.id for message in fresh])
        return [message for message in fresh if message.id not in done]

    async def _ask(self, missed: list[discord.Message]) -> None:
        """Oldest first, and one of a person's questions after the other: together they would refuse each other."""
        self._waiting.update(message.id for message in missed)
        by_person = sorted(missed, key=lambda message: message.author.id)
        lines = [list(line) for _, line in itertools.groupby(by_person, key=lambda message: message.author.id)]
        await asyncio.gather(*(self._in_turn(line) for line in sorted(lines, key=lambda line: line[0].id)))

    async def _in_turn(self, messages: list[discord.Message]) -> None:
        for message in messages:
            if message.id in self._waiting:
                self._waiting.discard(message.id)
                if (task := self._asker.take(message)) is not None:
                    await asyncio.wait({task})

    @property
    def _asker(self) -> Asker:
        return cast("Asker", self._bot.get_cog("Ask"))


async def setup(bot: ForwardPassBot) -> None:
    """Called by discord.py when the extension is loaded."""
    await bot.add_cog(Lookback(bot))
