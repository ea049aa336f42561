"""One process of this user on this machine for a bot, whatever its database. Knows a bot by its digest alone.

The system frees the lock when its process ends, however it ends. Beside the lock lies the name of who should have it, so that a
holder hears of the one that takes its place.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

log = logging.getLogger(__name__)


class MachineLock:
    """Taken before Discord is spoken to, held until the end."""

    def __init__(self, folder: Path, bot: str, holder: str) -> None:
        self._lock = FileLock(folder / f"bot-{bot}.lock", timeout=0, thread_local=False)
        self._name = folder / f"bot-{bot}.holder"
        self._holder = holder

    def take(self, *, force: bool) -> bool:
        """Whether this process has it now; with ``force`` it has it as soon as the other one has heard of it.

        A folder that cannot be written is no reason not to serve.
        """
        try:
            self._name.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            if not self._acquired() and not force:
                return False
            self._name.write_text(self._holder)
        except OSError as error:
            log.info("no lock against a second process with this token on this machine (%s)", type(error).__name__)
        return True

    def free(self) -> bool:
        """Whether the one that was taken over has ended; so it is said of a lock that cannot be had at all."""
        try:
            return self._acquired()
        except OSError:
            return True

    def kept(self) -> bool:
        """Whether nobody has taken it over. A lock that was forced becomes ours once the other one has ended."""
        with suppress(OSError):
            if self._name.read_text() != self._holder:
                return False
            self._acquired()
        return True

    def release(self) -> None:
        """Let the next one in."""
        with suppress(OSError):
            self._lock.release()

    def _acquired(self) -> bool:
        if not self._lock.is_locked:
            try:
                self._lock.acquire()
            except Timeout:
                return False
        return True
