"""One open database: its engine, its migrations, and short sessions. Knows no table.

SQLite runs in WAL mode, where readers never wait. A session that writes takes the write lock at its *beginning*: a transaction
that reads first and then wants to write cannot wait for another writer (its snapshot would be stale) and would fail at once.
There is one writer at a time, so writers of this process wait for each other in a line of ours and hold no connection meanwhile:
while somebody else has the lock, one connection waits for it, and all others are there for readers.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, event, make_url
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool

from bot.errors import StorageError
from bot.storage.checking import check, damage_named, identity
from bot.storage.driver import connect
from bot.storage.faults import Alarm, NoTurnError, fault_of
from bot.storage.migrating import upgrade
from models.sentences import Sentence

log = logging.getLogger(__name__)

BUSY_MILLISECONDS = 15_000
LOG_SECONDS = 2.0
"""So long the readers under way have to finish before the write-ahead log is emptied."""
OWN_DRIVER = {"async_creator_fn": connect}
_WRITES = "forward_pass_writes"


class Database:
    """An open, migrated database; `open` is the only way to one."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine
        self._alarm = Alarm()
        self._one_writer = asyncio.Lock() if engine.dialect.name == "sqlite" else None
        file = engine.url.database
        self._file = Path(file) if self._one_writer and file and file != ":memory:" else None
        self._identity = identity(self._file) if self._file else None
        writer = engine.execution_options(**{_WRITES: True})
        self._reading = async_sessionmaker(engine, expire_on_commit=False)
        self._writing = async_sessionmaker(writer, expire_on_commit=False)

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str) -> AsyncIterator[Database]:
        """Open the database at an SQLAlchemy URL, bring its schema up to date, and close it in the end.

        Raises:
            StorageError: it cannot be reached, is no database, or was written by a newer version.
        """
        parsed = _parsed(url)
        engine = await _sqlite_engine(parsed) if parsed.get_backend_name() == "sqlite" else _engine(parsed, pool_pre_ping=True)
        try:
            database = cls(engine)
            with _told(Sentence("opened")):
                async with database._writing.begin() as session:
                    await (await session.connection()).run_sync(upgrade)
            yield database
        finally:
            await engine.dispose()

    def moved(self) -> Path | None:
        """The path of an SQLite file that was deleted, moved away or replaced since it was opened; None when all is well."""
        return self._file if self._file and identity(self._file) != self._identity else None

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncSession]:
        """A short session that only reads."""
        with _told(Sentence("read"), self._alarm):
            async with self._reading() as session:
                yield session

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncSession]:
        """A short session that writes: one transaction, committed at the end, rolled back on an error."""
        with _told(Sentence("written"), self._alarm):
            async with self._turn(), self._writing.begin() as session:
                yield session

    async def truncate_log(self) -> None:
        """Empty SQLite's write-ahead log, which else keeps the pages from before a change for as long as nobody needs its room.

        While somebody else reads, it cannot be done; the next time that words are removed does it.
        """
        if self._file is None:
            return
        try:
            async with self._turn():
                await asyncio.to_thread(_truncate, self._file)
        except (NoTurnError, sqlite3.Error) as error:
            log.info("the database's log was not emptied (%s): the next time does it", type(error).__name__)

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        if self._one_writer is None:
            yield
            return
        try:
            async with asyncio.timeout(BUSY_MILLISECONDS / 1000):
                await self._one_writer.acquire()
        except TimeoutError as error:
            raise NoTurnError from error
        try:
            yield
        finally:
            self._one_writer.release()


@contextmanager
def _told(what: str, alarm: Alarm | None = None) -> Iterator[None]:
    """Errors as one of ours, and a line in the log where nobody else tells the host."""
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error, OSError) as error:
        fault = fault_of(error)
        if alarm is not None:
            alarm.ring(what, fault)
        raise StorageError(
            Sentence("The database cannot be {what} ({reason}).", what=what, reason=fault.reason),
            hint=fault.advice or None,
            passing=fault.passing,
        ) from error


def sqlite_file(url: str) -> Path | None:
    """The file of an SQLite database, whether it is there or not; None for a database in memory or on a server.

    Raises:
        StorageError: it is no URL.
    """
    parsed = _parsed(url)
    in_file = parsed.get_backend_name() == "sqlite" and parsed.database not in {None, "", ":memory:"}
    return Path(str(parsed.database)) if in_file else None


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise _no_such_url() from None  # the parser's own words may quote the password
    return parsed.set(drivername="sqlite+aiosqlite") if parsed.drivername == "sqlite" else parsed


def _engine(url: URL, **options: Any) -> AsyncEngine:
    try:
        return create_async_engine(url, hide_parameters=True, **options)
    except (SQLAlchemyError, ImportError, ValueError, TypeError):  # no such driver, not installed, not async, or odd parameters
        raise _no_such_url() from None


def _no_such_url() -> StorageError:
    return StorageError(
        "I cannot open the database URL in `storage.url`.",
        hint="Set `storage.url` to sqlite+aiosqlite:///file, or leave it empty. For another database, install its async driver.",
    )


async def _sqlite_engine(url: URL) -> AsyncEngine:
    if url.database in (None, "", ":memory:"):
        # A database in memory lives as long as its one connection, so everybody takes turns with it.
        engine = _engine(url, poolclass=AsyncAdaptedQueuePool, pool_size=1, max_overflow=0, connect_args=OWN_DRIVER)
    else:
        engine = _engine(url, connect_args=OWN_DRIVER)
        with _told(Sentence("opened")):
            await asyncio.to_thread(_prepare_file, Path(str(url.database)))
    event.listen(engine.sync_engine, "connect", _set_up_connection)
    event.listen(engine.sync_engine, "begin", _begin)
    return engine


def _prepare_file(path: Path) -> None:
    """Questions are private: the file is its owner's alone. SQLite gives its -wal and -shm files the same mode."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        if os.name == "posix":
            path.chmod(0o600)
    except OSError as error:
        raise StorageError(Sentence("The database file cannot be made or written: {why}.", why=error.strerror)) from error
    # Another thread stops a check that takes too long.
    with damage_named(path), closing(sqlite3.connect(path, check_same_thread=False)) as connection:
        _to_wal(connection)
        check(connection, path)


def _to_wal(connection: sqlite3.Connection) -> None:
    """Once for a file: the mode stays. Here and not at each connection, since a switch does not heed the busy timeout."""
    deadline = time.monotonic() + BUSY_MILLISECONDS / 1000
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return


def _truncate(path: Path) -> None:
    with closing(sqlite3.connect(path, timeout=LOG_SECONDS)) as connection:
        busy, *_ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise sqlite3.OperationalError("somebody reads")


def _set_up_connection(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # the driver must not begin transactions behind our back; `_begin` does
    cursor = connection.cursor()
    for pragma in (
        f"busy_timeout = {BUSY_MILLISECONDS}",
        "synchronous = NORMAL",  # safe in WAL mode; a power cut may lose the last moment, never the file
        "foreign_keys = ON",
        "secure_delete = ON",  # what a user has forgotten is overwritten, not only unlinked
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get(_WRITES)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
