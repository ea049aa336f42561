"""SQLite's connections, which give back the write lock when they are closed in the middle of their work. Knows no table.

When a task is cancelled, SQLAlchemy closes the connection that it was using. A statement that is still open then (an answer that
nobody fetched) keeps SQLite from ending the transaction, and with it the lock, until Python happens to free that statement: every
other writer waits in vain meanwhile. So a transaction is rolled back before its connection is closed.
"""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import suppress
from functools import partial
from typing import Any

import aiosqlite


class Connection(aiosqlite.Connection):
    """aiosqlite's own, but for its end."""

    async def close(self) -> None:
        """Roll back, then close."""
        self._roll_back_first()
        await super().close()

    def stop(self) -> asyncio.Future[Any] | None:
        """The same without waiting."""
        self._roll_back_first()
        return super().stop()

    def _roll_back_first(self) -> None:
        if self._running and self._connection is not None:
            self._tx.put_nowait((None, partial(_roll_back, self._connection)))


def _roll_back(connection: sqlite3.Connection) -> None:
    with suppress(sqlite3.Error):
        connection.rollback()


def connect(database: str, **options: Any) -> Connection:
    """Made as `aiosqlite.connect` and SQLAlchemy make one: its thread keeps no process from ending."""
    connection = Connection(partial(sqlite3.connect, database, **options), 64)
    connection._thread.daemon = True
    return connection
