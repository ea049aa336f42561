"""After a restart: whatever was left open is brought to its end. While running: tells who waits that the session is back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from discord.ext import commands

from bot.ui.conversation import Conversation
from bot.ui.outbox import Outbox

if TYPE_CHECKING:
    from bot.client import ForwardPassBot
    from bot.storage.records import Run

log = logging.getLogger(__name__)

_OPEN = ("queued", "answering")
AT_ONCE = 4
"""Runs that are taken up side by side: sixty-four must not be sixty-four requests in one moment."""


class Recovery(commands.Cog):
    """Picks up what a stop left."""

    def __init__(self, bot: ForwardPassBot) -> None:
        app = bot.app
        self._app = app
        self._back = bot.back
        conversation = Conversation(app.config, app.asks, app.voices, bot.back, bot.own)
        self._outbox = Outbox(bot, app.config, app.asks, conversation)
        self._room = asyncio.Semaphore(max(AT_ONCE, app.config.model.max_batch))
        self._left: tuple[Run, ...] = ()

    async def cog_load(self) -> None:
        """Look before the gateway opens: questions come in before `on_ready`, and those are nobody's left-overs."""
        self._left = await self._app.asks.owed.everything()

    @commands.Cog.listener()
    async def on_disconnect(self) -> None:
        """The gateway is gone: what is to be delivered waits."""
        self._back.lost()

    @commands.Cog.listener()
    async def on_connect(self) -> None:
        """A new session is there. `on_ready` comes up to two seconds later, when it may be lost again."""
        self._back.ring()

    @commands.Cog.listener()
    async def on_resumed(self) -> None:
        """The same session goes on."""
        self._back.ring()

    @commands.Cog.listener()
    async def on_ready(self) -> None:
        """Once per process: `on_ready` comes again after each reconnect."""
        left, self._left = self._left, ()
        if left:
            log.info("taking up %d runs that the last stop left open", len(left))
        # What is there already goes first. Questions during whose answer a process ended go one after another, so that the next
        # end tells which of them it was.
        suspects = [run for run in left if run.state in _OPEN and run.attempts]
        for run in sorted((run for run in left if run not in suspects), key=_rank):
            self._app.tasks.spawn(self._take_up([run]), f"recover {run.id}")
        if suspects:
            self._app.tasks.spawn(self._take_up(suspects), "recover questions that were under way")

    async def _take_up(self, runs: Sequence[Run]) -> None:
        for run in runs:
            async with self._room:
                await self._outbox.take_up(run)


def _rank(run: Run) -> int:
    """Answers that exist, then questions, then inner voices; within these in the order in which they were asked."""
    if run.shown_at is not None:
        return 2
    return 1 if run.state in _OPEN else 0


async def setup(bot: ForwardPassBot) -> None:
    """Called by discord.py when the extension is loaded."""
    await bot.add_cog(Recovery(bot))
