"""Who serves: one process at a time for a database, and one for a bot. Knows no Discord, and a bot by its digest alone.

A holder counts its heartbeats in its rows. Whether it lives is seen by looking at the process, where that can be done from
here, and otherwise by watching whether the count goes on: clocks of two machines are never compared.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import logging
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from sqlalchemy import CursorResult, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from bot.errors import AlreadyRunningError, StorageError
from bot.storage.database import Database
from bot.storage.machine_lock import MachineLock
from bot.storage.process import Process, is_gone, this_process
from bot.storage.tables import LeaseRow
from models.sentences import Sentence

log = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 5.0
WATCH_SECONDS = 16.0  # three heartbeats and a bit: one may wait for a lock
LOOK_SECONDS = 0.2
FAREWELL_SECONDS = 30.0
WHOLE = "database"


def digest_of(token: str) -> str:
    """A bot's name in leases: of the id that its token begins with, so that a token that was reset names the same bot."""
    first = token.partition(".")[0]
    try:
        name = base64.urlsafe_b64decode(first + "=" * (-len(first) % 4)).decode("ascii")
    except (binascii.Error, ValueError):
        name = ""
    return hashlib.sha256((name if name.isdecimal() else token).encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Held:
    """A row of somebody."""

    scope: str
    holder: str
    beat: int
    process: Process


class _OutrunError(Exception):
    """Somebody was faster; look again."""


class Lease:
    """One process's claim to a database and a bot.

    Args:
        database: where the rows are.
        bot: from `digest_of`.
        folder: where the lock against a process with another database lies.
        process: this one; a test names another.
        heartbeat, watch: seconds between two heartbeats, and for how long a count is watched that may have stopped.
    """

    def __init__(
        self,
        database: Database,
        bot: str,
        folder: Path,
        *,
        process: Process | None = None,
        heartbeat: float = HEARTBEAT_SECONDS,
        watch: float = WATCH_SECONDS,
    ) -> None:
        self._database = database
        self._scopes = (f"bot:{bot}", WHOLE)
        self._process = process or this_process()
        self._heartbeat = heartbeat
        self._watch = watch
        self._holder = secrets.token_hex(16)
        self._elsewhere = MachineLock(folder, bot, self._holder)
        self._seen: dict[str, tuple[int, float]] = {}

    @asynccontextmanager
    async def held(self, *, force: bool = False) -> AsyncIterator[asyncio.Task[None]]:
        """Take it, and hold it until the end. The task ends when the lease is lost, with an error if the database is.

        Raises:
            AlreadyRunningError: another process has it.
        """
        former = await self._take(force=force)
        beating = asyncio.create_task(self._beat(), name="lease")
        try:
            if not self._elsewhere.take(force=force):
                raise AlreadyRunningError("This bot is being run already on this machine, with another database.")
            await self._let_go(former)
            yield beating
        finally:
            beating.cancel()
            await asyncio.gather(beating, return_exceptions=True)
            self._elsewhere.release()
            await self._give_back()

    async def _take(self, *, force: bool) -> list[Held]:
        """Returns those that were put out while they may live."""
        while True:
            found = await self._rows()
            alive = [row for row in found if is_gone(row.process) is not True and not self._stopped(row)]
            if not alive or force:
                with suppress(_OutrunError):
                    await self._write(found)
                    return alive
            elif any(self._lives(row) for row in alive):
                raise _already(alive)
            await asyncio.sleep(LOOK_SECONDS)

    def _lives(self, row: Held) -> bool:
        """Whether it is certain that the holder lives: its process is here, or its count went on while it was watched."""
        if is_gone(row.process) is False:
            return True
        if row.holder not in self._seen:
            log.info("the lease is held by a process on %s: watching for its heartbeat for %.0f s", row.process.host, self._watch)
            self._seen[row.holder] = (row.beat, time.monotonic())
        return row.beat != self._seen[row.holder][0]

    def _stopped(self, row: Held) -> bool:
        """Whether the count has stood still for the whole watch, of a process that cannot be looked at from here."""
        beat, since = self._seen.get(row.holder, (row.beat, time.monotonic()))
        return is_gone(row.process) is None and row.beat == beat and time.monotonic() - since >= self._watch

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self._heartbeat)
            if (file := self._database.moved()) is not None:
                raise StorageError(
                    Sentence(
                        "The database file {file} was deleted, moved away or replaced while the bot was running.", file=file
                    ),
                    hint="Put back what shall be used, then start the bot again; without a file it begins with an empty one.",
                )
            if not self._elsewhere.kept() or not await self._counted():
                log.warning("another process has taken over with --force: this one ends")
                return

    async def _counted(self) -> bool:
        """One heartbeat; whether the rows are still ours. A database that is away for a moment has given them to nobody."""
        more = update(LeaseRow).where(LeaseRow.holder == self._holder).values(beat=LeaseRow.beat + 1)
        try:
            async with self._database.write() as session:
                return cast("CursorResult[Any]", await session.execute(more)).rowcount == len(self._scopes)
        except StorageError:  # the database has logged it
            return True

    async def _rows(self) -> list[Held]:
        wanted = select(LeaseRow).where(LeaseRow.scope.in_(self._scopes))
        async with self._database.read() as session:
            rows = list(await session.scalars(wanted))
        return [Held(row.scope, row.holder, row.beat, Process(row.host, row.pid, row.mark)) for row in rows]

    async def _write(self, found: list[Held]) -> None:
        """Put our name into all rows, if they still are as they were found."""
        before = {row.scope: row for row in found}
        mine = {
            "holder": self._holder,
            "beat": 0,
            "host": self._process.host,
            "pid": self._process.pid,
            "mark": self._process.mark,
        }
        async with self._database.write() as session:
            for scope in self._scopes:
                if (old := before.get(scope)) is not None:
                    as_found = (LeaseRow.scope == scope, LeaseRow.holder == old.holder, LeaseRow.beat == old.beat)
                    changed = await session.execute(update(LeaseRow).where(*as_found).values(mine))
                    if cast("CursorResult[Any]", changed).rowcount == 0:
                        raise _OutrunError
                else:
                    try:
                        await session.execute(insert(LeaseRow).values(scope=scope, **mine))
                    except IntegrityError as error:
                        raise _OutrunError from error

    async def _let_go(self, former: list[Held]) -> None:
        """Wait until those that were put out have heard of it: what they leave open is answered here, once."""
        for process in {row.process for row in former}:
            log.warning("taking over from process %d on %s: waiting for its end", process.pid, process.host)
            unseen = is_gone(process) is None
            until = time.monotonic() + (3 * self._heartbeat if unseen else FAREWELL_SECONDS)
            while time.monotonic() < until and not is_gone(process):  # noqa: ASYNC110  another process sets no event
                await asyncio.sleep(LOOK_SECONDS)
        until = time.monotonic() + FAREWELL_SECONDS
        while time.monotonic() < until and not self._elsewhere.free():  # noqa: ASYNC110
            await asyncio.sleep(LOOK_SECONDS)

    async def _give_back(self) -> None:
        if self._database.moved() is not None:
            return
        with suppress(StorageError):  # the next one sees that this process is gone
            async with self._database.write() as session:
                await session.execute(delete(LeaseRow).where(LeaseRow.holder == self._holder))


def _already(alive: list[Held]) -> AlreadyRunningError:
    by = {row.scope: row.process for row in alive}
    who = by.get(WHOLE) or alive[0].process
    where = Sentence("by process {pid} on {host}", pid=who.pid, host=who.host)
    if any(scope != WHOLE for scope in by):
        return AlreadyRunningError(Sentence("This bot is being run already, {where}.", where=where))
    return AlreadyRunningError(
        Sentence("This database is in use already, {where}, which runs another bot.", where=where),
        hint="Give each bot a database of its own as `storage.url`, or take the other's place with `forwardpass run --force`.",
    )
