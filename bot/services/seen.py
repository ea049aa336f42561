"""How far the bot has read, shard by shard, and from where a new session has to look back. Knows no Discord but its ids.

Ids (snowflakes) grow with time. A *shard* is one gateway connection; it brings the events of its own servers in order. So all up
to the newest one is read, but for the gap in front of a new session, until somebody has looked there.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection
from typing import Protocol

from bot.errors import StorageError

log = logging.getLogger(__name__)

BEAT_SECONDS = 5.0
MILLISECOND = 1 << 22
"""A snowflake's lower 22 bits count within one millisecond. https://docs.discord.com/developers/reference#snowflakes"""
MARGIN = 5_000 * MILLISECOND
"""Events of two channels may come a little out of order."""


class Store(Protocol):
    """Where the mark is kept; `bot.storage.seen`."""

    async def get(self) -> int | None: ...

    async def put(self, message_id: int) -> None: ...

    async def journaled(self, message_ids: Collection[int]) -> frozenset[int]: ...

    async def dm_channels(self, limit: int) -> tuple[int, ...]: ...


class Seen:
    """What was read, and what was not yet."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._kept: int | None = None
        self._shards = 1
        self._newest: dict[int, int] = {}
        self._since: dict[int, int | None] = {}
        self._open: set[int] = set()
        self._first: int | None = None
        self._begun = asyncio.Event()

    async def load(self) -> None:
        """Where the last process stopped reading."""
        self._kept = await self._store.get()

    def note(self, shard: int, snowflake: int) -> None:
        """Something came over the gateway."""
        self._newest[shard] = max(self._newest.get(shard, 0), snowflake)

    def begin(self, shard: int, now: int | None, *, shards: int = 1) -> None:
        """A new session: what comes from ``now`` on it brings by itself. A gap that nobody has looked at yet stays as wide."""
        self._shards = shards
        if shard not in self._open:
            last = self._newest.get(shard, self._kept)
            self._since[shard] = None if last is None else last - MARGIN
            self._open.add(shard)
        if now is not None:
            self.note(shard, now)
        if self._first is None and (mark := self.mark()) is not None:
            self._first = mark  # nothing has come yet, so nothing is missing in the journal
            self._begun.set()

    def since(self, shard: int) -> int | None:
        """Where the gap in front of the present session begins; None when the bot has never read anything."""
        return self._since.get(shard)

    def caught_up(self, shard: int) -> None:
        """The gap was looked at, and what was found there is in the journal."""
        self._open.discard(shard)

    def mark(self) -> int | None:
        """Up to where everything is read, on all shards; None while that is not known."""
        if len(self._newest) < self._shards:
            return None
        gaps = (self._since.get(shard) for shard in self._open)
        return min([*self._newest.values(), *(gap for gap in gaps if gap is not None)])

    async def keep(self) -> None:
        """Store the mark, the first one at once and then now and then. Never ends."""
        await asyncio.gather(self._keep_first(), self._keep_on())

    async def _keep_first(self) -> None:
        """A process that dies in its first seconds would else leave the newest question that it journaled as the mark, and others
        that were asked before that one would lie behind it.
        """
        await self._begun.wait()
        if self._first is not None and self._first != self._kept:
            await self._put(self._first)

    async def _keep_on(self) -> None:
        """As the mark was one beat before: what came since then may not be in the journal yet."""
        before: int | None = None
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            if before is not None and before != self._kept:
                await self._put(before)
            before = self.mark()

    async def _put(self, mark: int) -> None:
        try:
            await self._store.put(mark)
        except StorageError as error:
            log.info("how far I have read was not stored, it will be with the next beat: %s", error.for_host())
        else:
            self._kept = mark

    async def journaled(self, message_ids: Collection[int]) -> frozenset[int]:
        """Which of these messages are in the journal."""
        return await self._store.journaled(message_ids)

    async def dm_channels(self, limit: int) -> tuple[int, ...]:
        """Channels of private messages, the latest used first."""
        return await self._store.dm_channels(limit)
