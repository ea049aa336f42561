"""How far Discord was read, and what of it the journal has already. Knows no words, and nothing of sessions."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import func, select

from bot.storage.database import Database
from bot.storage.tables import RunRow, SeenRow

_SCOPE = "gateway"
_AT_ONCE = 500  # databases bound how many values one statement may name


class SeenStore:
    """The mark, and questions by the message that they were asked in."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self) -> int | None:
        """The mark; without one (an earlier version kept none) the last question's message; None when nothing was ever asked."""
        async with self._database.read() as session:
            row = await session.get(SeenRow, _SCOPE)
            return await session.scalar(select(func.max(RunRow.question_message_id))) if row is None else row.message_id

    async def put(self, message_id: int) -> None:
        """Move the mark."""
        async with self._database.write() as session:
            await session.merge(SeenRow(scope=_SCOPE, message_id=message_id))

    async def journaled(self, message_ids: Collection[int]) -> frozenset[int]:
        """Which of these messages have a run, whatever became of it."""
        ids, found = sorted(message_ids), set[int | None]()
        async with self._database.read() as session:
            for start in range(0, len(ids), _AT_ONCE):
                some = RunRow.question_message_id.in_(ids[start : start + _AT_ONCE])
                found.update(await session.scalars(select(RunRow.question_message_id).where(some)))
        return frozenset(one for one in found if one is not None)

    async def dm_channels(self, limit: int) -> tuple[int, ...]:
        """Channels of private messages, the latest used first."""
        latest = func.max(RunRow.created_at).desc()
        wanted = select(RunRow.channel_id).where(RunRow.source == "dm").group_by(RunRow.channel_id).order_by(latest).limit(limit)
        async with self._database.read() as session:
            return tuple(channel for channel in await session.scalars(wanted) if channel is not None)
