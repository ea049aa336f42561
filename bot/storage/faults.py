"""What goes wrong with a database: in words for its host, whether it may pass, and one line in the log a minute. Knows no table.

SQLite's own words are not used where a code says the same: a database's message may quote the values of a row.
"""

from __future__ import annotations

import errno
import logging
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

log = logging.getLogger(__name__)

QUIET_SECONDS = 60.0
PRIMARY = 0xFF  # SQLite's extended codes have the primary one in their lowest byte


@dataclass(frozen=True, slots=True)
class Fault:
    """``reason`` goes on from "The database cannot be written"; ``advice`` is a sentence, "" for the error's usual hint."""

    reason: str
    advice: str = ""
    passing: bool = False


RESCUE = (
    "Stop the bot. Put a backup in its place, or save what can be read with "
    '`sqlite3 {file} ".recover" | sqlite3 recovered.sqlite3` and name that file as `storage.url`.'
)
_FULL = Fault("the disk is full", "Free some space on the disk that holds the database; nothing is stored until then.", True)
_LOCKED = Fault("another program holds its lock", "End what writes into it: a backup, a database browser, a second bot.", True)
_READ_ONLY = Fault(
    "it may only be read", "Look at the rights of the file and its folder, and whether the disk is read-only.", True
)
_BY_CODE = {
    sqlite3.SQLITE_FULL: _FULL,
    sqlite3.SQLITE_BUSY: _LOCKED,
    sqlite3.SQLITE_LOCKED: _LOCKED,
    sqlite3.SQLITE_READONLY: _READ_ONLY,
    sqlite3.SQLITE_IOERR: Fault("the disk gives an error", "Look at the disk, its quota and the system's log.", True),
    sqlite3.SQLITE_CANTOPEN: Fault("the file cannot be opened", passing=True),
    sqlite3.SQLITE_CORRUPT: Fault("the file is damaged", RESCUE.format(file="FILE")),
    sqlite3.SQLITE_NOTADB: Fault("the file is no SQLite database", RESCUE.format(file="FILE")),
}


class NoTurnError(TimeoutError):
    """The writers of this process have waited for each other too long, since the first of them waits for the lock."""


def fault_of(error: BaseException) -> Fault:
    """What an error of SQLAlchemy, of a driver or of the system means."""
    cause = getattr(error, "orig", None) or error
    code = getattr(cause, "sqlite_errorcode", None)
    if code is not None and (found := _BY_CODE.get(code & PRIMARY)):
        return found
    if isinstance(cause, NoTurnError):
        return _LOCKED
    if isinstance(cause, OSError) and cause.errno in {errno.ENOSPC, errno.EDQUOT}:
        return _FULL
    lost = isinstance(error, DBAPIError) and error.connection_invalidated
    passing = lost or isinstance(error, OperationalError | InterfaceError | PoolTimeoutError | OSError)
    # The type alone: the database's own message may quote the values of a row.
    return Fault(type(cause).__name__, passing=passing)


class Alarm:
    """Tells the host of faults: each kind at once, then once a minute with how often it came meanwhile."""

    def __init__(self, *, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._told: dict[tuple[str, str], float] = {}
        self._unsaid: dict[tuple[str, str], int] = {}

    def ring(self, what: str, fault: Fault) -> None:
        """``what`` is opened, read or written."""
        kind, now = (what, fault.reason), self._now()
        if kind in self._told and now - self._told[kind] < QUIET_SECONDS:
            self._unsaid[kind] = self._unsaid.get(kind, 0) + 1
            return
        self._told[kind] = now
        more = self._unsaid.pop(kind, 0)
        again = f" ({more} more since the last such line)" if more else ""
        log.error("the database cannot be %s: %s.%s%s", what, fault.reason, f" {fault.advice}" if fault.advice else "", again)
