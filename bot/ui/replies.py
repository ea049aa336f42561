"""How an answer becomes messages: the one writer per answer. Knows no model."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import discord

from bot.ui.text import CONTENT_LIMIT, clip, split
from bot.ui.trouble import TROUBLE, described, passing

log = logging.getLogger(__name__)

Placed = Callable[[int, discord.Message, bool], Awaitable[None]]
"""Hears which message stands for which part, and whether it stands there whole."""

GRACE = 3.0
"""Seconds that the final flush gives to a streamed step under way; one that takes longer sleeps on a rate limit."""


class Surface(Protocol):
    """Where an answer goes: a reply to a message, or the response to an interaction."""

    async def send(self, content: str, *, view: discord.ui.View | None = None) -> discord.Message: ...

    async def edit(self, message: discord.Message, content: str, *, view: discord.ui.View | None = None) -> discord.Message: ...

    async def delete(self, message: discord.Message) -> None: ...


class AnswerWriter:
    """Writes one answer into Discord while it grows: one writer, the latest text wins, always a final flush.

    Nothing is written before ``stream_after`` seconds, so that a quick answer arrives as one message; then at most one edit
    every ``interval`` seconds.
    """

    def __init__(self, surface: Surface, *, stream_after: float, interval: float, placed: Placed | None = None) -> None:
        self._surface = surface
        self._tell_placed = placed
        self._stream_after = stream_after
        self._interval = interval
        self._latest = ""
        self._shown = ""
        self._message: discord.Message | None = None
        self._placed: list[discord.Message] = []
        self._changed = asyncio.Event()
        self._pump: asyncio.Task[None] | None = None
        self._writing = asyncio.Lock()

    def notice(self, text: str) -> None:
        """Something to read at once while the answer is not there yet, such as a place in the queue."""
        self._latest = text
        self._start(0.0)

    def text(self, so_far: str) -> None:
        """The answer so far; shown when its time has come."""
        if so_far.strip():
            self._latest = clip(so_far, CONTENT_LIMIT - 2) + " ▌"
            self._start(self._stream_after)

    def go_on(self, message: discord.Message | None, placed: Sequence[discord.Message]) -> None:
        """Begin where an earlier writer was cut off: with its unfinished message, or after the parts that stand there whole."""
        self._message, self._placed = message, list(placed)

    @property
    def placed(self) -> Sequence[discord.Message]:
        """The parts that stand there whole."""
        return tuple(self._placed)

    async def finish(self, text: str, *, view: discord.ui.View | None = None) -> list[discord.Message]:
        """The final flush: the whole text in as many messages as it takes, the view under the last.

        Called again with the same text after a failure, it goes on where it was.

        Raises:
            TROUBLE: Discord did not take it, after discord.py's own retries.
        """
        await self._stop()
        parts = split(text)
        for index in range(len(self._placed), len(parts)):
            put = self._surface.send if self._placed else self._put_first
            last = index == len(parts) - 1
            self._placed.append(await put(parts[index], view=view if last else None))
            if not last:  # after the last one, the whole answer is journaled
                await self._tell(index, self._placed[-1], whole=True)
        return list(self._placed)

    def close(self) -> None:
        """Write no more, whatever comes: the bot is going offline."""
        if self._pump is not None:
            self._pump.cancel()

    async def discard(self) -> bool:
        """Take back what was written: the question is gone. Whether nothing is left standing."""
        await self._stop()
        if self._message is None:
            return True
        try:
            await self._surface.delete(self._message)
        except TROUBLE as error:
            return not passing(error)
        return True

    async def _put_first(self, content: str, *, view: discord.ui.View | None) -> discord.Message:
        if self._message is None:
            return await self._surface.send(content, view=view)
        try:
            return await self._surface.edit(self._message, content, view=view)
        except discord.NotFound:
            return await self._surface.send(content, view=view)

    async def _tell(self, part: int, message: discord.Message, *, whole: bool) -> None:
        if self._tell_placed is not None:
            await self._tell_placed(part, message, whole)

    def _start(self, delay: float) -> None:
        self._changed.set()
        if self._pump is None:
            self._pump = asyncio.create_task(self._run(delay), name="stream an answer")

    async def _run(self, delay: float) -> None:
        await asyncio.sleep(delay)
        while True:
            await self._changed.wait()
            self._changed.clear()
            async with self._writing:
                await self._write()
            await asyncio.sleep(self._interval)

    async def _write(self) -> None:
        content = self._latest
        if content == self._shown:
            return
        try:
            if self._message is None:
                self._message = await self._surface.send(content)
                await self._tell(0, self._message, whole=False)
            else:
                self._message = await self._surface.edit(self._message, content)
            self._shown = content
        except TROUBLE as error:
            # The final flush comes in any case; a missed step in between is no loss.
            log.info("a streamed edit was not taken: %s", described(error))

    async def _stop(self) -> None:
        if self._pump is None:
            return
        pump, self._pump = self._pump, None
        # A request under way is let through: cancelled, it might still be carried out, after the final flush.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GRACE), self._writing:
                pump.cancel()
        pump.cancel()
        await asyncio.gather(pump, return_exceptions=True)


def footer(parts: Sequence[str]) -> str:
    """The small line under an answer."""
    return "-# " + " · ".join(parts)
