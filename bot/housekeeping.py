"""What a long life needs now and then: old runs deleted, and memory given back. Knows no Discord and no model."""

from __future__ import annotations

import asyncio
import ctypes
import logging
import sys
from collections.abc import Callable

from bot.errors import StorageError
from bot.log import log_unexpected
from bot.storage.runs import RunStore

log = logging.getLogger(__name__)

PURGE_HOURS = 6
TRIM_SECONDS = 60.0


async def purge(runs: RunStore) -> None:
    """Delete what is past its time to live, now and then again."""
    while True:
        try:
            await runs.purge_expired()
        except StorageError as error:
            log.warning("what is past its time was not deleted; it is tried again in %d hours: %s", PURGE_HOURS, error.for_host())
        except Exception as error:  # noqa: BLE001  a defect is no reason to keep everything for ever
            log_unexpected(log, error)
        await asyncio.sleep(PURGE_HOURS * 3600)


async def give_back_memory() -> None:
    """Let glibc give back what is free between what is in use.

    Pictures, traces and messages of many sizes, made in several threads, leave its heaps full of holes: after thousands of
    questions they hold twice what is in use, although nothing leaks. https://man7.org/linux/man-pages/man3/malloc_trim.3.html
    """
    trim = _trimmer()
    while trim is not None:
        await asyncio.sleep(TRIM_SECONDS)
        await asyncio.to_thread(trim)


def _trimmer() -> Callable[[], object] | None:
    """None where the C library has no such call: musl's, macOS's and Windows' give back by themselves."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):
        return None
    return lambda: trim(0)
