"""Messages that are deleted in Discord. Hands over to `bot.services.deleting`, and clears what still shows."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

import discord
from discord.ext import commands

from bot.ui.clearing import clear_thread

if TYPE_CHECKING:
    from bot.client import ForwardPassBot


class Deleting(commands.Cog):
    """Nothing is kept that was deleted."""

    def __init__(self, bot: ForwardPassBot) -> None:
        self._bot = bot
        self._app = bot.app

    @commands.Cog.listener()
    async def on_raw_message_delete(self, payload: discord.RawMessageDeleteEvent) -> None:
        """Of a person or of the bot: that is how an answer of a slash command is forgotten."""
        await self._forget({payload.message_id})

    @commands.Cog.listener()
    async def on_raw_bulk_message_delete(self, payload: discord.RawBulkMessageDeleteEvent) -> None:
        """A purge."""
        await self._forget(payload.message_ids)

    async def _forget(self, message_ids: Collection[int]) -> None:
        archive = self._app.config.threads.auto_archive
        for one in await self._app.deleting.messages(message_ids):
            if one.own and one.thread_id is not None:
                await clear_thread(self._bot, one.thread_id, one.locale, archive=archive)


async def setup(bot: ForwardPassBot) -> None:
    """Called by discord.py when the extension is loaded."""
    await bot.add_cog(Deleting(bot))
