"""Whether an SQLite file is whole, and still the one that was opened. Knows no table."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bot.errors import StorageError
from bot.storage.faults import PRIMARY, RESCUE
from models.sentences import Sentence

log = logging.getLogger(__name__)

LONGEST_SECONDS = 3.0
"""A file of 600 MB is read in a fifth of a second when it is in the system's cache; a start shall not wait for a slow disk."""


@contextmanager
def damage_named(path: Path) -> Iterator[None]:
    """A file that is no database, or a damaged one, as an error that says so and what to do.

    Raises:
        StorageError: it is one of the two.
    """
    try:
        yield
    except sqlite3.DatabaseError as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & PRIMARY
        if code == sqlite3.SQLITE_NOTADB:
            raise StorageError(
                Sentence("The database cannot be opened: {file} is no SQLite database, or its first page is damaged.", file=path),
                hint=Sentence(
                    "If it is no database, name another file as `storage.url`. If it was one: {rescue}", rescue=_rescue(path)
                ),
            ) from error
        if code == sqlite3.SQLITE_CORRUPT:
            raise _damaged(path, "database disk image is malformed") from error
        raise


def check(connection: sqlite3.Connection, path: Path) -> None:
    """Read the whole structure of the file, for a few seconds at most.

    Raises:
        StorageError: it is damaged.
    """
    bound = threading.Timer(LONGEST_SECONDS, connection.interrupt)
    bound.start()
    began = time.monotonic()
    try:
        found = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & PRIMARY != sqlite3.SQLITE_INTERRUPT:
            raise
        log.info("the database was checked for %.1f s and found whole so far; it is too large for more", time.monotonic() - began)
    else:
        if found != "ok":
            raise _damaged(path, found.splitlines()[-1])
    finally:
        bound.cancel()
        bound.join()


def identity(path: Path) -> tuple[int, int] | None:
    """What tells a file from another of its name; None when there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _damaged(path: Path, why: str) -> StorageError:
    return StorageError(Sentence("The database file {file} is damaged ({why}).", file=path, why=why), hint=_rescue(path))


def _rescue(path: Path) -> str:
    return RESCUE.format(file=path)
