"""The repository of runs: journaled when asked, filled when answered, found again by message, forgotten when their time is over.

Each method is one short session. A run that is missing, forgotten or past its time to live is the same to a caller: it is gone.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import ColumnElement, CursorResult, delete, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from bot.errors import ForwardPassError, RunExpiredError, StorageError
from bot.storage.database import Database
from bot.storage.forgetting import Forgetting
from bot.storage.open_work import OpenWork
from bot.storage.records import ANSWERED, UNFINISHED, NewRun, Run, State, VoiceState, utc_now
from bot.storage.rows import FOR_ANSWER, RUN, answer_of, answer_values, gone, run_of
from bot.storage.tables import RunMessageRow, RunRow
from models.bounds import BROKEN
from models.trace import Trace
from models.types import Answer, Turn

logger = logging.getLogger(__name__)

_LONGEST_WALK = 200  # a reply chain is followed no further, whatever is stored


class RunStore:
    """All that is done with runs."""

    def __init__(self, database: Database, *, keep_days: int = 30, now: Callable[[], datetime] = utc_now) -> None:
        self._database = database
        self._keep = timedelta(days=keep_days)
        self._now = now
        self.open_work = OpenWork(database, now)
        self.forgetting = Forgetting(database, now)

    async def create(self, new: NewRun, *, owed: bool = True) -> Run:
        """Journal a question, as queued. A parent that is gone is left out. Not ``owed``: no later start need show it.

        Raises:
            RunExpiredError: its origin is gone.
        """
        now = self._now()
        async with self._database.write() as session:
            if new.origin_run_id is not None:
                await self._existing(session, new.origin_run_id)
            # None: no such parent. What goes on from a private run is private, too.
            parent = await session.scalar(select(RunRow.private).where(RunRow.id == new.parent_run_id))
            values = {
                **{name: getattr(new, name) for name in ("id", "source", "guild_id", "channel_id", "user_id", "locale", "style")},
                "created_at": now,
                "expires_at": now + self._keep,
                "state": "queued",
                "question": new.question,
                "question_message_id": new.question_message_id,
                "shown_at": None if owed else now,
                "wants_voice": new.wants_voice,
                "interaction_token": new.interaction_token,
                "response_message_id": new.response_message_id,
                "quoted_message_id": new.quoted_message_id,
                "origin_run_id": new.origin_run_id,
                "parent_run_id": None if parent is None else new.parent_run_id,
                "private": new.private or bool(parent),
                "sampling": None if new.sampling is None else new.sampling.model_dump(mode="json"),
            }
            await session.execute(insert(RunRow).values(values))
            if new.response_message_id is not None:
                first = {"message_id": new.response_message_id, "run_id": new.id, "part": 0, "final": False}
                await session.execute(insert(RunMessageRow).values(first))
            return await self._existing(session, new.id)

    async def get(self, run_id: str) -> Run:
        """One run.

        Raises:
            RunExpiredError: it is gone.
        """
        async with self._database.read() as session:
            return await self._existing(session, run_id)

    async def by_message(self, message_id: int) -> Run | None:
        """The run that this message is an answer of, whichever part of it."""
        message = select(RunMessageRow.run_id).where(RunMessageRow.message_id == message_id)
        return await self._latest(RunRow.id == message.scalar_subquery())

    async def by_question(self, message_id: int) -> Run | None:
        """The latest run that was asked in this message."""
        return await self._latest(RunRow.question_message_id == message_id)

    async def latest_in_channel(self, channel_id: int, *, user_id: int | None = None) -> Run | None:
        """The latest answered run in a channel, or in a thread of the inner voice; private ones for their asker alone."""
        here = or_(RunRow.channel_id == channel_id, RunRow.thread_id == channel_id)
        seen = or_(RunRow.private.is_(False), RunRow.user_id == user_id)
        return await self._latest(here, seen, RunRow.state.in_(ANSWERED))

    async def latest_under(self, thread_id: int) -> Run | None:
        """The latest run in a thread under an answer, or that answer's own; None in any other thread or channel.

        A thread has the id of the message that it stands under.
        """
        above = await self.by_message(thread_id) or await self._latest(RunRow.thread_id == thread_id)
        if above is None or above.private:
            return None
        return await self._latest(RunRow.channel_id == thread_id, RunRow.private.is_(False)) or above

    async def recent(self, limit: int) -> tuple[Run, ...]:
        """The latest answered runs of everybody, private ones too, newest first: for the host alone."""
        wanted = RUN.where(self._alive(), RunRow.state.in_(ANSWERED)).order_by(RunRow.created_at.desc(), RunRow.id).limit(limit)
        async with self._database.read() as session:
            return tuple(run_of(row) for row in await session.execute(wanted))

    async def unfinished(self) -> tuple[Run, ...]:
        """Runs that were queued or being answered, oldest first: after a start, those that the last stop cut off."""
        wanted = RUN.where(self._alive(), RunRow.state.in_(UNFINISHED), RunRow.shown_at.is_(None)).order_by(
            RunRow.created_at, RunRow.id
        )
        async with self._database.read() as session:
            return tuple(run_of(row) for row in await session.execute(wanted))

    async def state(self, run_id: str) -> State | None:
        """How far a run is; None when it is gone."""
        async with self._database.read() as session:
            return cast("State | None", await session.scalar(select(RunRow.state).where(RunRow.id == run_id, self._alive())))

    async def mark(self, run_id: str, state: State, *, error: BaseException | None = None) -> None:
        """Set the state, and the error that it comes from (none clears it). A run that is gone needs no state."""
        values = {
            "state": state,
            "error_kind": None if error is None else type(error).__name__[:64],
            # Only our own errors have words that are known to hold no message.
            "error_text": error.for_host() if isinstance(error, ForwardPassError) else None,
        }
        async with self._database.write() as session:
            await session.execute(update(RunRow).where(RunRow.id == run_id).values(values))

    async def save_answer(self, run_id: str, answer: Answer, *, model_id: str, revision: str | None, dtype: str) -> None:
        """Keep the answer pass, and mark the run as answered in the same transaction.

        Raises:
            RunExpiredError: it is gone; the question may have been deleted meanwhile, and then nothing is kept.
        """
        await self._change(
            run_id,
            state="answered",
            error_kind=None,
            error_text=None,
            model_id=model_id,
            revision=revision,
            dtype=dtype,
            **answer_values(answer),
        )

    async def load_answer(self, run_id: str) -> Answer:
        """The answer pass, equal to what was saved.

        Raises:
            RunExpiredError: the run is gone, or was never answered.
        """
        async with self._database.read() as session:
            row = (await session.execute(FOR_ANSWER.where(RunRow.id == run_id, self._alive()))).one_or_none()
        if row is None or row.answer_ids is None:
            raise gone(run_id) if row is None else RunExpiredError("That question was never answered.", request_id=run_id)
        try:
            return answer_of(row)
        except BROKEN as error:
            raise StorageError("A stored answer cannot be read.", request_id=run_id) from error

    async def save_trace(self, run_id: str, trace: Trace) -> None:
        """Keep the second pass.

        Raises:
            RunExpiredError: the run is gone.
        """
        await self._change(run_id, trace=await asyncio.to_thread(trace.to_bytes), voice_attempts=0)

    async def load_trace(self, run_id: str) -> Trace | None:
        """The second pass, or None when it was not kept, or in a form that this version cannot read: then it can be taken anew.

        Raises:
            RunExpiredError: the run is gone.
        """
        async with self._database.read() as session:
            row = (await session.execute(select(RunRow.trace).where(RunRow.id == run_id, self._alive()))).one_or_none()
        if row is None:
            raise gone(run_id)
        if row.trace is None:
            return None
        try:
            return await asyncio.to_thread(Trace.from_bytes, row.trace)
        except ValueError as error:
            logger.warning("the stored trace of run %s cannot be read (%s)", run_id, type(error).__name__)
            return None

    async def attach_messages(self, run_id: str, message_ids: Sequence[int], *, voice: VoiceState = "none") -> None:
        """Say which messages hold the answer, in their order, in place of those said before, and where its inner voice is.

        Raises:
            RunExpiredError: the run is gone.
        """
        async with self._database.write() as session:
            await self._update(session, run_id, answer_message_id=message_ids[0] if message_ids else None)
            await self.open_work.settle_in(session, run_id, voice)
            stale = or_(RunMessageRow.run_id == run_id, RunMessageRow.message_id.in_(message_ids))
            await session.execute(delete(RunMessageRow).where(stale))
            rows = [{"message_id": message, "run_id": run_id, "part": part} for part, message in enumerate(message_ids)]
            if rows:
                await session.execute(insert(RunMessageRow), rows)

    async def set_thread(self, run_id: str, thread_id: int | None) -> None:
        """Say in which thread the inner voice is told.

        Raises:
            RunExpiredError: the run is gone.
        """
        await self._change(run_id, thread_id=thread_id)

    async def conversation(self, run_id: str, limit: int) -> tuple[Turn, ...]:
        """The turns that led to a run, and those of the run itself once it is answered; oldest first.

        At most ``limit`` turns, the latest ones, never a question without its answer. Runs without an answer are left out.
        """
        pairs: list[tuple[Turn, Turn]] = []
        seen: set[str] = set()
        current: str | None = run_id
        async with self._database.read() as session:
            while current and current not in seen and len(seen) < _LONGEST_WALK and 2 * len(pairs) + 2 <= limit:
                seen.add(current)
                run = await self._find(session, RunRow.id == current)
                if run is not None and run.state in ANSWERED and run.answer_text is not None:
                    pairs.append((Turn("user", run.question), Turn("assistant", run.answer_text)))
                current = None if run is None else run.parent_run_id
        return tuple(turn for pair in reversed(pairs) for turn in pair)

    async def forget(self, run_id: str) -> None:
        """Remove the words and all that could bring them back, at once; the rest of the row goes with the next purge."""
        await self.forgetting.run(run_id)

    async def purge_expired(self, now: datetime | None = None) -> int:
        """Delete all runs whose time is over; how many there were."""
        return await self.forgetting.purge(now)

    def _alive(self) -> ColumnElement[bool]:
        return RunRow.expires_at > self._now()

    async def _find(self, session: AsyncSession, *where: ColumnElement[bool]) -> Run | None:
        latest = RUN.where(self._alive(), *where).order_by(RunRow.created_at.desc(), RunRow.id).limit(1)
        row = (await session.execute(latest)).one_or_none()
        return None if row is None else run_of(row)

    async def _existing(self, session: AsyncSession, run_id: str) -> Run:
        run = await self._find(session, RunRow.id == run_id)
        if run is None:
            raise gone(run_id)
        return run

    async def _latest(self, *where: ColumnElement[bool]) -> Run | None:
        async with self._database.read() as session:
            return await self._find(session, *where)

    async def _change(self, run_id: str, **values: object) -> None:
        async with self._database.write() as session:
            await self._update(session, run_id, **values)

    async def _update(self, session: AsyncSession, run_id: str, **values: object) -> None:
        changed = await session.execute(
            update(RunRow).where(RunRow.id == run_id, self._alive()).values(values),
            execution_options={"synchronize_session": False},
        )
        if cast("CursorResult[Any]", changed).rowcount == 0:
            raise gone(run_id)
