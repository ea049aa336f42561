"""Writes that nobody shall wait for: in their order, each tried again until the database takes it. Knows no table.

An answer that exists is shown, whether it can be stored at that moment or not; who writes it down here is not held up by a lock
that somebody else has, nor by a full disk.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from bot.errors import StorageError

log = logging.getLogger(__name__)

Write = Callable[[], Awaitable[object]]

PATIENCE_SECONDS = 2.0
RETRY_SECONDS = 1.0
LAST_SECONDS = 5.0
MOST = 1000


@dataclass(slots=True)
class _Item:
    write: Write
    what: str
    made: asyncio.Future[bool] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class LateWrites:
    """A bounded queue with one worker, which runs while there is something to write."""

    def __init__(self, *, most: int = MOST) -> None:
        self._most = most
        self._items: deque[_Item] = deque()
        self._worker: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._items)

    async def put(self, write: Write, what: str) -> bool:
        """Write now, or later when that takes too long: whether it was done. ``what`` names it in the log, such as a run.

        Trouble with the database is logged and no error here. What else `write` raises comes from here while one waits, and is
        dropped later on: then the run is gone, and needs nothing written.
        """
        return await self._wait(write, what, PATIENCE_SECONDS)

    async def settle(self, write: Write, what: str) -> bool:
        """The same, but wait until it is written, however long that takes; False when it never will be."""
        return await self._wait(write, what, None)

    async def aclose(self) -> None:
        """Write what waits if that goes quickly, and say what is lost."""
        if self._worker is not None:
            await asyncio.wait({self._worker}, timeout=LAST_SECONDS)
            self._worker.cancel()
            await asyncio.gather(self._worker, return_exceptions=True)
        if self._items:
            log.error("the database did not take before the end: %s", ", ".join(item.what for item in self._items))
        for item in self._items:
            item.made.cancel()
        self._items.clear()

    async def _wait(self, write: Write, what: str, seconds: float | None) -> bool:
        if len(self) >= self._most:
            log.error("%s: not stored, since %d writes wait for the database already", what, len(self))
            return False
        item = _Item(write, what)
        self._items.append(item)
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work(), name="late writes")
        done, _ = await asyncio.wait({item.made}, timeout=seconds)
        if done:
            return item.made.result()
        log.warning("%s: goes on and is stored later, when the database takes it", what)
        return False

    async def _work(self) -> None:
        while self._items:
            item = self._items[0]
            try:
                await item.write()
            except StorageError as error:
                if error.passing:
                    await asyncio.sleep(RETRY_SECONDS)
                    continue
                log.warning("%s: not stored: %s", item.what, error.for_host())
                _set(item, made=False)
            except Exception as error:  # noqa: BLE001  whoever waits for it gets it
                _set(item, made=False, error=error)
            else:
                _set(item, made=True)
            self._items.popleft()


def _set(item: _Item, *, made: bool, error: Exception | None = None) -> None:
    if item.made.done():
        return
    if error is None:
        item.made.set_result(made)
    else:
        item.made.set_exception(error)
        item.made.exception()  # seen, even if nobody waits any more
