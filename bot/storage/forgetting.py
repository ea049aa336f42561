"""The repository of what is deleted: a message's words, and every run that holds them, at once; and what is past its time.

A run holds the words of its own question, of the message that it quotes, and in its prompt those of the conversation that it goes
on from. Its answer was given with them in mind. So what goes on from a deleted message is forgotten with it, and not cut to fit.
Knows no Discord.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from sqlalchemy import ColumnElement, CursorResult, case, delete, exists, insert, not_, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from bot.storage.database import Database
from bot.storage.open_work import LEFT_STANDING
from bot.storage.records import UNFINISHED
from bot.storage.rows import gone
from bot.storage.tables import LineageRow, RunMessageRow, RunRow, VoteRow

_WORDS = ("interaction_token", "answer_text", "prompt_ids", "answer_ids", "sampled_prob", "final_top", "trace")
"""Columns that hold words, or could bring them back; the question itself is never null."""


@dataclass(frozen=True, slots=True)
class Forgotten:
    """A run whose words are gone.

    Attributes:
        run_id: which.
        own: its own words were deleted; else it only went on from them.
        thread_id: where its inner voice was told.
        locale: of its asker.
    """

    run_id: str
    own: bool
    thread_id: int | None
    locale: str


class Forgetting:
    """Removes words for good."""

    def __init__(self, database: Database, now: Callable[[], datetime]) -> None:
        self._database = database
        self._now = now

    async def messages(
        self,
        message_ids: Collection[int],
        *,
        begun: Collection[str] = (),
        tell: Callable[[Collection[str]], None] = lambda _found: None,
    ) -> tuple[Forgotten, ...]:
        """Forget whatever holds the words of these messages: questions, quoted messages, answers as they stand in Discord.

        A question that goes on from them and still waits is kept: it is asked without them.

        Args:
            message_ids: what was deleted.
            begun: runs that have read their history, though the journal may not say so yet.
            tell: hears which runs they are before anybody can see that they are gone.
        """
        posted = select(RunMessageRow.run_id).where(RunMessageRow.message_id.in_(message_ids), RunMessageRow.final.is_(True))
        below = select(LineageRow.run_id).where(LineageRow.message_id.in_(message_ids))
        own = or_(RunRow.question_message_id.in_(message_ids), RunRow.quoted_message_id.in_(message_ids), RunRow.id.in_(posted))
        # Most messages that people delete are nothing to the bot: these cost no turn of writing.
        async with self._database.read() as session:
            if await session.scalar(select(RunRow.id).where(or_(own, RunRow.id.in_(below))).limit(1)) is None:
                return ()
        return await self._forget(own, RunRow.id.in_(below), begun, tell)

    async def run(self, run_id: str) -> tuple[Forgotten, ...]:
        """Forget one run, and what goes on from it."""
        return await self._forget(RunRow.id == run_id, None, (), lambda _found: None)

    async def note(self, run_ids: Collection[str], message_id: int) -> None:
        """The words of these runs stand in that message, too, though none of them is answered there.

        Raises:
            RunExpiredError: one of them is gone.
        """
        alive = select(RunRow.id).where(RunRow.id.in_(run_ids), RunRow.expires_at > self._now())
        async with self._database.write() as session:
            found = (await session.scalars(alive)).all()
            if lost := set(run_ids) - set(found):
                raise gone(lost.pop())
            await session.execute(insert(LineageRow), [{"run_id": one, "message_id": message_id} for one in found])

    async def purge(self, now: datetime | None = None) -> int:
        """Delete all runs whose time is over; how many there were."""
        over = (RunRow.expires_at <= (now or self._now())) & not_(LEFT_STANDING)
        async with self._database.write() as session:
            await self._hand_down(session, over)
            count = cast("CursorResult[Any]", await session.execute(delete(RunRow).where(over))).rowcount
        if count:
            await self._database.truncate_log()
        return count

    async def _forget(
        self,
        own: ColumnElement[bool],
        below: ColumnElement[bool] | None,
        begun: Collection[str],
        tell: Callable[[Collection[str]], None],
    ) -> tuple[Forgotten, ...]:
        async with self._database.write() as session:
            found = {one.run_id: one for one in await self._read(session, own, own=True)}
            level = set(found)
            if below is not None:
                level |= await self._take(session, found, below, begun)
            while level:
                goes_on = or_(RunRow.parent_run_id.in_(level), RunRow.origin_run_id.in_(level))
                level = await self._take(session, found, goes_on, begun)
            if found:
                await self._empty(session, list(found))
                tell(found)
        if found:
            await self._database.truncate_log()
        return tuple(found.values())

    async def _take(
        self, session: AsyncSession, found: dict[str, Forgotten], where: ColumnElement[bool], begun: Collection[str]
    ) -> set[str]:
        """Those of one step down; what still waits there is cut loose."""
        waits = (RunRow.state == "queued") & RunRow.shown_at.is_(None) & RunRow.origin_run_id.is_(None) & RunRow.id.not_in(begun)
        await session.execute(update(RunRow).where(where, waits).values(parent_run_id=None), execution_options=_UNSEEN)
        new = {one.run_id: one for one in await self._read(session, where & not_(waits), own=False) if one.run_id not in found}
        found |= new
        return set(new)

    async def _read(self, session: AsyncSession, where: ColumnElement[bool], *, own: bool) -> list[Forgotten]:
        rows = await session.execute(select(RunRow.id, RunRow.thread_id, RunRow.locale).where(where))
        return [Forgotten(run_id, own, thread_id, locale) for run_id, thread_id, locale in rows]

    async def _empty(self, session: AsyncSession, run_ids: list[str]) -> None:
        values = {
            **dict.fromkeys(_WORDS),
            "question": "",
            "expires_at": self._now(),
            "voice_state": case((RunRow.voice_state == "open", "none"), else_=RunRow.voice_state),
            "state": case((RunRow.state.in_(UNFINISHED), "cancelled"), else_=RunRow.state),
        }
        await session.execute(update(RunRow).where(RunRow.id.in_(run_ids)).values(values), execution_options=_UNSEEN)
        await session.execute(delete(VoteRow).where(VoteRow.run_id.in_(run_ids)))

    async def _hand_down(self, session: AsyncSession, over: ColumnElement[bool]) -> None:
        """What goes on from a run outlives it, and still holds its words: it keeps the ids of the messages that they stood in."""
        child = aliased(RunRow)
        outlived = exists().where(or_(child.parent_run_id == RunRow.id, child.origin_run_id == RunRow.id)).correlate(RunRow)
        columns = select(RunRow.id, RunRow.question_message_id, RunRow.quoted_message_id).where(over, outlived)
        for run_id, *own in (await session.execute(columns.order_by(RunRow.created_at, RunRow.id))).all():
            posted = await session.scalars(select(RunMessageRow.message_id).where(RunMessageRow.run_id == run_id))
            above = await session.scalars(select(LineageRow.message_id).where(LineageRow.run_id == run_id))
            await self._add(session, run_id, {one for one in (*own, *posted, *above) if one is not None})

    async def _add(self, session: AsyncSession, run_id: str, messages: Iterable[int]) -> None:
        below = select(RunRow.id).where(or_(RunRow.parent_run_id == run_id, RunRow.origin_run_id == run_id))
        for heir in (await session.scalars(below)).all():
            has = set(await session.scalars(select(LineageRow.message_id).where(LineageRow.run_id == heir)))
            rows = [{"run_id": heir, "message_id": message} for message in messages if message not in has]
            if rows:
                await session.execute(insert(LineageRow), rows)


_UNSEEN = {"synchronize_session": False}
