"""How an answer becomes messages: the one writer per answer. Knows no model."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import discord

from bot.services.limiter import NoRoomError, Urgency, Wish, urgency
from bot.ui.surfaces import same
from bot.ui.text import CONTENT_LIMIT, clip, split
from bot.ui.trouble import TROUBLE, described, passing, persist, stumbles

log = logging.getLogger(__name__)

Placed = Callable[[int, discord.Message, bool], Awaitable[None]]
"""Hears which message stands for which part, and whether it stands there whole."""

GRACE = 3.0
"""Seconds that the final flush gives to a streamed step under way; one that takes longer sleeps on a rate limit."""
NOTICE_AFTER = 0.5
"""Seconds before a notice: whoever's turn comes sooner needs none, and a request is saved."""


LOOKS = (0.5, 2.0, 4.0)
"""Seconds of waiting before each look for an answer that no try could confirm."""
LAST_WORD = (2.0, 4.0, 6.0, 8.0)
"""Seconds of waiting before each look whether the final text still stands: a step was carried out 9 seconds late."""


class Surface(Protocol):
    """Where an answer goes: a reply to a message, or the response to an interaction."""

    async def send(self, content: str, *, view: discord.ui.View | None = None) -> discord.Message: ...

    async def edit(self, message: discord.Message, content: str, *, view: discord.ui.View | None = None) -> discord.Message: ...

    async def delete(self, message: discord.Message) -> None: ...

    async def read(self, message: discord.Message) -> discord.Message:
        """The message as it stands in Discord."""
        ...

    async def find(self, content: str) -> discord.Message | None:
        """What an unconfirmed `send` of this content left there, if it did; the next `send` is another part then."""
        ...


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
        self._wish: Wish | None = None
        self._doubtful = False
        """Whether a streamed step may still be carried out, since nobody knows what became of it."""
        self._unconfirmed = False
        """Whether a part of the final text may stand there, and nobody has looked yet."""
        self._last_word: asyncio.Task[None] | None = None

    def notice(self, text: str) -> None:
        """Something to read soon while the answer is not there yet, such as a place in the queue."""
        self._latest = text
        self._start(NOTICE_AFTER)

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
            await self._stands_whole(await put(parts[index], view=view if index == len(parts) - 1 else None), parts)
        if self._doubtful and self._last_word is None:
            watch = self._watch(self._placed[0], parts[0], view if len(parts) == 1 else None)
            self._last_word = asyncio.create_task(watch, name="the last word")
        return list(self._placed)

    async def deliver(
        self, text: str, *, view: discord.ui.View | None = None, away: Callable[[], bool] = lambda: False
    ) -> list[discord.Message]:
        """`finish`, tried again when Discord stumbles; what no try could confirm is looked for before it counts as not taken.

        Args:
            text: all of it.
            view: goes under the last part.
            away: whether Discord is known to be out of reach: then nothing can be seen, and the next call looks before it sends.

        Raises:
            TROUBLE: it was not taken, and it is not there.
        """
        if self._unconfirmed:
            await self._found(text, view, (0.0,), away)
        while True:
            try:
                return await persist(lambda: self.finish(text, view=view), "writing an answer")
            except TROUBLE as error:
                self._unconfirmed = passing(error)
                if not self._unconfirmed or not await self._found(text, view, LOOKS, away):
                    raise

    async def settle(self) -> None:
        """Wait until no streamed step can come late any more; nothing to wait for when each was confirmed."""
        if self._last_word is not None:
            try:
                await self._last_word
            finally:
                self._last_word.cancel()

    def close(self) -> None:
        """Write no more, whatever comes: the bot is going offline."""
        for task in (self._pump, self._last_word):
            if task is not None:
                task.cancel()

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

    async def _found(self, text: str, view: discord.ui.View | None, delays: Sequence[float], away: Callable[[], bool]) -> bool:
        """Whether the part that was not confirmed stands there after all; left open while Discord is away."""
        for delay in delays:
            if away():
                return False
            await asyncio.sleep(delay)
            try:
                there = await self._look(split(text), view)
            except TROUBLE as error:
                log.info("looking for an answer: %s", described(error))
                continue
            if there is not None:
                self._unconfirmed = False
                await self._stands_whole(there, split(text))
                return True
        return False

    async def _stands_whole(self, message: discord.Message, parts: Sequence[str]) -> None:
        self._placed.append(message)
        if len(self._placed) < len(parts):  # after the last one, the whole answer is journaled
            await self._tell(len(self._placed) - 1, message, whole=True)

    async def _look(self, parts: Sequence[str], view: discord.ui.View | None) -> discord.Message | None:
        """The next part where it stands, made to say what it should."""
        index = len(self._placed)
        known = None if self._placed else self._message
        there = await self._surface.find(parts[index]) if known is None else await self._surface.read(known)
        if there is None or same(there.content, parts[index]):
            return there
        return await self._surface.edit(there, parts[index], view=view if index == len(parts) - 1 else None)

    async def _watch(self, message: discord.Message, content: str, view: discord.ui.View | None) -> None:
        """Read the final text back for a while, and write it again where a streamed step came after it."""
        for delay in LAST_WORD:
            await asyncio.sleep(delay)
            try:
                with urgency(Urgency.VOICE):
                    if not await self._stands(message, content):
                        await persist(lambda: self._surface.edit(message, content, view=view), "the last word")
            except discord.NotFound:
                return
            except TROUBLE as error:
                log.info("the last word was not taken: %s", described(error))

    async def _stands(self, message: discord.Message, content: str) -> bool:
        try:
            return same((await self._surface.read(message)).content, content)
        except discord.Forbidden:  # without the permission to read the history it is written unseen
            return False

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
        with stumbles() as found:
            try:
                with urgency(Urgency.SIGN if self._message is None else Urgency.EDIT) as self._wish:
                    if self._message is None:
                        self._message = await self._surface.send(content)
                        await self._tell(0, self._message, whole=False)
                    else:
                        self._message = await self._surface.edit(self._message, content)
                self._shown = content
            except NoRoomError:
                self._changed.set()  # the next step is newer
            except asyncio.CancelledError:
                self._doubtful = True
                raise
            except TROUBLE as error:
                self._doubtful = self._doubtful or passing(error)
                # The final flush comes in any case; a missed step in between is no loss.
                log.info("a streamed edit was not taken: %s", described(error))
            self._doubtful = self._doubtful or bool(found)

    async def _stop(self) -> None:
        if self._pump is None:
            return
        pump, self._pump = self._pump, None
        waiting, doubtful = self._wish is not None and self._wish.waiting, self._doubtful
        if waiting:
            pump.cancel()  # nothing is on the way yet
        # A request under way is let through: cancelled, it might still be carried out, after the final flush.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GRACE), self._writing:
                pump.cancel()
        pump.cancel()
        await asyncio.gather(pump, return_exceptions=True)
        if waiting:
            self._doubtful = doubtful


def footer(parts: Sequence[str]) -> str:
    """The small line under an answer."""
    return "-# " + " · ".join(parts)
