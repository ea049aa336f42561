"""After a restart: questions that were left open are answered now, or apologised for."""

from __future__ import annotations

import datetime
import logging
from typing import TYPE_CHECKING

import discord
from discord.ext import commands

from bot.services.ask import AskRequest
from bot.ui.conversation import Conversation, Place, whisper
from bot.ui.surfaces import MessageSurface
from bot.ui.text import quoted
from bot.ui.threads import permissions_in, placement
from bot.ui.trouble import TROUBLE, described, passing, persist
from bot.ui.wording import words

if TYPE_CHECKING:
    from bot.client import ForwardPassBot
    from bot.storage.records import Run

log = logging.getLogger(__name__)

# Older than this, an answer would come out of nowhere: an apology is kinder.
STILL_WANTED = datetime.timedelta(minutes=30)


class Recovery(commands.Cog):
    """Picks up what a crash left."""

    def __init__(self, bot: ForwardPassBot) -> None:
        self._bot = bot
        self._app = bot.app
        self._conversation = Conversation(bot.app.config, bot.app.asks, bot.app.voices)
        self._left: tuple[Run, ...] = ()

    async def cog_load(self) -> None:
        """Look before the gateway opens: questions come in before `on_ready`, and those are nobody's left-overs."""
        self._left = await self._app.asks.unfinished()

    @commands.Cog.listener()
    async def on_ready(self) -> None:
        """Once per process: `on_ready` comes again after each reconnect."""
        left, self._left = self._left, ()
        for run in left:
            self._app.tasks.spawn(self._pick_up(run), f"recover {run.id}")

    async def _pick_up(self, run: Run) -> None:
        if run.channel_id is None or run.user_id is None:
            await self._app.asks.give_up(run)
            return
        channel_id, user_id = run.channel_id, run.user_id
        try:
            channel = self._bot.get_channel(channel_id) or await persist(lambda: self._bot.fetch_channel(channel_id), "a channel")
            known = self._bot.get_user(user_id)
            user = known if known is not None else await persist(lambda: self._bot.fetch_user(user_id), "an asker")
        except TROUBLE as error:
            log.info("run %s: its channel or asker was not found: %s", run.id, described(error))
            if not passing(error):  # else it stays open for the next start
                await self._app.asks.give_up(run)
            return
        if not isinstance(channel, discord.abc.Messageable):
            await self._app.asks.give_up(run)
            return
        if run.private:  # its response is gone with the token, and the channel is not the place
            await self._app.asks.give_up(run)
            await whisper(user, quoted(run.question) + words(run.locale)("restarted"))
            return
        surface = MessageSurface(channel, self._reference(run), own=self._bot.own)
        if datetime.datetime.now(datetime.UTC) - run.created_at > STILL_WANTED:
            await self._app.asks.give_up(run)
            await self._apologise(surface, run)
            return
        voice = placement(self._app.config, channel, permissions_in(channel))
        place = Place(surface, voice, channel, user, self._heading(run))
        await self._conversation.lead(self._request(run, run.user_id, run.channel_id), place, resume=run)

    def _reference(self, run: Run) -> discord.MessageReference | None:
        if run.question_message_id is None:
            return None
        return discord.MessageReference(
            message_id=run.question_message_id, channel_id=run.channel_id or 0, guild_id=run.guild_id, fail_if_not_exists=False
        )

    def _heading(self, run: Run) -> str:
        if run.question_message_id is not None:
            return ""
        return f"{quoted(run.question)}<@{run.user_id}> "

    def _request(self, run: Run, user_id: int, channel_id: int) -> AskRequest:
        return AskRequest(
            question=run.question,
            user_id=user_id,
            channel_id=channel_id,
            guild_id=run.guild_id,
            question_message_id=run.question_message_id,
            source=run.source,
            locale=run.locale,
            style=run.style,
            sampling=run.sampling,
        )

    async def _apologise(self, surface: MessageSurface, run: Run) -> None:
        try:
            await surface.send(self._heading(run) + words(run.locale)("restarted"))
        except TROUBLE as error:
            log.info("run %s: no apology could be posted: %s", run.id, described(error))


async def setup(bot: ForwardPassBot) -> None:
    """Called by discord.py when the extension is loaded."""
    await bot.add_cog(Recovery(bot))
