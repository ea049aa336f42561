"""The answer that a question goes on from, and waiting for it: somebody may reply while it is still being written.

Knows no Discord.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator

from bot.services.asked import AskRequest
from bot.storage.records import UNFINISHED, Run
from bot.storage.runs import RunStore

LOOK_AGAIN = 1.0
"""Seconds after which the journal is asked: an answer that a restart left open is not under way yet."""
PATIENCE = 900.0
"""Seconds after which a reply is asked with what there is."""


class Parents:
    """Which runs are being answered, and whoever waits for one of them."""

    def __init__(self, runs: RunStore) -> None:
        self._runs = runs
        self._under_way: dict[str, asyncio.Event] = {}

    async def of(self, request: AskRequest) -> Run | None:
        """The run that a question goes on from: what it replies to, else what was said last in the thread under an answer."""
        parent = None
        if request.reply_to_message_id is not None:
            parent = await self._runs.by_message(request.reply_to_message_id)
        if parent is None and request.replied_to_answers is not None:
            parent = await self._runs.by_question(request.replied_to_answers)
        if parent is None and request.source in {"mention", "reply"}:
            # Whether the channel is a thread is often not known: discord.py drops a collapsed one, and a message opens it again.
            parent = await self._runs.latest_under(request.channel_id)
        return parent

    @contextlib.contextmanager
    def answering(self, run_id: str) -> Iterator[None]:
        """While this run is being answered."""
        event = self._under_way[run_id] = asyncio.Event()
        try:
            yield
        finally:
            del self._under_way[run_id]
            event.set()

    async def is_open(self, run_id: str) -> bool:
        """Whether an answer may still come."""
        return await self._runs.state(run_id) in UNFINISHED

    async def answered(self, run_id: str) -> None:
        """Return when no answer is to come any more, or after `PATIENCE`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                while await self.is_open(run_id):
                    await self._event_or_a_moment(run_id)

    async def _event_or_a_moment(self, run_id: str) -> None:
        event = self._under_way.get(run_id, asyncio.Event())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOOK_AGAIN):
                await event.wait()
