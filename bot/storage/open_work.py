"""The repository of what is owed: passes that were begun, messages that stand already, answers and inner voices not told yet.

A run is open until what there is to say of it stands in Discord (``shown_at``) and its inner voice is told (``voice_state``).
Knows no Discord, and no words.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

from sqlalchemy import and_, case, delete, exists, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from bot.storage.database import Database
from bot.storage.records import Placed, Run, VoiceState
from bot.storage.rows import RUN, gone, run_of
from bot.storage.tables import RunMessageRow, RunRow

TOKEN_MINUTES = 15
"""So long Discord takes an interaction's token. https://docs.discord.com/developers/interactions/receiving-and-responding"""

LEFT_STANDING = and_(
    RunRow.question == "", RunRow.shown_at.is_(None), exists().where(RunMessageRow.run_id == RunRow.id).correlate(RunRow)
)
"""Forgotten while messages of it stood in Discord: the row goes after they are taken back."""


class OpenWork:
    """What is left to do for runs."""

    def __init__(self, database: Database, now: Callable[[], datetime]) -> None:
        self._database = database
        self._now = now

    async def everything(self) -> tuple[Run, ...]:
        """All open runs that somebody in Discord waits for, oldest first; also forgotten ones, whose messages may still stand.

        Tokens that no longer open anything are deleted on the way.
        """
        dead = RunRow.created_at <= self._now() - timedelta(minutes=TOKEN_MINUTES)
        async with self._database.write() as session:
            await session.execute(
                update(RunRow).where(RunRow.interaction_token.is_not(None), dead).values(interaction_token=None)
            )
            is_open = or_(RunRow.shown_at.is_(None), RunRow.voice_state == "open")
            wanted = RUN.where(is_open, RunRow.source != "cli", RunRow.expires_at > self._now())
            left = RUN.where(LEFT_STANDING, RunRow.source != "cli", RunRow.expires_at <= self._now())
            rows = [*await session.execute(wanted), *await session.execute(left)]
        return tuple(sorted((run_of(row) for row in rows), key=lambda run: (run.created_at, run.id)))

    async def begin(self, run_id: str) -> None:
        """An answer pass begins: what ends the process from here on is counted."""
        await self._change(run_id, state="answering", attempts=RunRow.attempts + 1)

    async def spare(self, run_id: str) -> None:
        """The pass was broken off from outside, by a stop: that says nothing about its question."""
        fewer = case((RunRow.attempts > 0, RunRow.attempts - 1), else_=0)
        async with self._database.write() as session:
            await session.execute(
                update(RunRow).where(RunRow.id == run_id, RunRow.state == "answering").values(state="queued", attempts=fewer)
            )

    @asynccontextmanager
    async def voice_attempt(self, run_id: str) -> AsyncIterator[None]:
        """Around a second pass: counted before it begins, and taken back whatever its end, unless the process ends with it.

        A pass that went well takes the count back when its trace is saved.
        """
        await self._change(run_id, voice_attempts=RunRow.voice_attempts + 1)
        try:
            yield
        except BaseException:
            await self._change(run_id, voice_attempts=case((RunRow.voice_attempts > 0, RunRow.voice_attempts - 1), else_=0))
            raise

    async def place(self, run_id: str, part: int, message_id: int, *, final: bool) -> None:
        """A message stands for this part, in place of one said before. Not ``final``: it will be edited.

        Raises:
            RunExpiredError: there is no such run.
        """
        stale = or_(RunMessageRow.message_id == message_id, (RunMessageRow.run_id == run_id) & (RunMessageRow.part == part))
        async with self._database.write() as session:
            if await session.scalar(select(RunRow.id).where(RunRow.id == run_id)) is None:
                raise gone(run_id)
            await session.execute(delete(RunMessageRow).where(stale))
            row = {"message_id": message_id, "run_id": run_id, "part": part, "final": final}
            await session.execute(insert(RunMessageRow).values(row))

    async def places(self, run_id: str) -> tuple[Placed, ...]:
        """The messages that were posted for a run, as far as they are known, by their parts."""
        columns = select(RunMessageRow.message_id, RunMessageRow.part, RunMessageRow.final)
        async with self._database.read() as session:
            rows = await session.execute(columns.where(RunMessageRow.run_id == run_id).order_by(RunMessageRow.part))
            return tuple(Placed(*row) for row in rows)

    async def settle(self, run_id: str, voice: VoiceState = "none") -> None:
        """All that there is to say stands in Discord. A run that is gone owes nothing."""
        async with self._database.write() as session:
            await self.settle_in(session, run_id, voice)

    async def settle_in(self, session: AsyncSession, run_id: str, voice: VoiceState) -> None:
        """The same within a session of the caller's. The token goes, but for a voice that is still open."""
        shown_at = case((RunRow.shown_at.is_(None), self._now()), else_=RunRow.shown_at)
        values: dict[str, object] = {"shown_at": shown_at, "voice_state": voice}
        if voice != "open":
            values["interaction_token"] = None
        await session.execute(
            update(RunRow).where(RunRow.id == run_id).values(values), execution_options={"synchronize_session": False}
        )

    async def _change(self, run_id: str, **values: object) -> None:
        async with self._database.write() as session:
            await session.execute(
                update(RunRow).where(RunRow.id == run_id).values(values), execution_options={"synchronize_session": False}
            )
