"""Votes on answers: one a person and run, changeable, gone with the run. Knows no word of a question."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import delete, exists, func, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from bot.errors import RunExpiredError, StorageError
from bot.storage.database import Database
from bot.storage.records import utc_now
from bot.storage.tables import RunRow, VoteRow

Value = Literal[1, -1]

TRIES = 3
RETRY_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Tally:
    """How many thumbs an answer has."""

    up: int = 0
    down: int = 0


class VoteStore:
    """All that is done with votes."""

    def __init__(self, database: Database, *, now: Callable[[], datetime] = utc_now) -> None:
        self._database = database
        self._now = now

    async def press(self, run_id: str, user_id: int, value: Value) -> Tally:
        """Cast a vote, turn it round, or take it back when the same one is pressed again; the counts afterwards.

        A database that is locked or full is tried again: what failed was rolled back, so no press counts twice.

        Raises:
            RunExpiredError: the run is gone.
            StorageError: the last try failed, too.
        """
        for _ in range(TRIES - 1):
            try:
                return await self._press(run_id, user_id, value)
            except StorageError as error:
                if not error.passing:
                    raise
            await asyncio.sleep(RETRY_SECONDS)
        return await self._press(run_id, user_id, value)

    async def _press(self, run_id: str, user_id: int, value: Value) -> Tally:
        mine = (VoteRow.run_id == run_id) & (VoteRow.user_id == user_id)
        async with self._database.write() as session:
            if not await session.scalar(select(exists().where(RunRow.id == run_id, RunRow.expires_at > self._now()))):
                raise RunExpiredError("I do not remember that answer any more.", request_id=run_id)
            before = await session.scalar(select(VoteRow.value).where(mine))
            await session.execute(delete(VoteRow).where(mine))
            if before != value:
                row = {"run_id": run_id, "user_id": user_id, "value": value, "cast_at": self._now()}
                await session.execute(insert(VoteRow).values(row))
            return await _tally(session, run_id)

    async def tally(self, run_id: str) -> Tally:
        """The counts; none for a run that is gone."""
        async with self._database.read() as session:
            return await _tally(session, run_id)


async def _tally(session: AsyncSession, run_id: str) -> Tally:
    counted = select(VoteRow.value, func.count()).where(VoteRow.run_id == run_id).group_by(VoteRow.value)
    counts = {row[0]: row[1] for row in await session.execute(counted)}
    return Tally(counts.get(1, 0), counts.get(-1, 0))
