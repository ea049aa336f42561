"""Whether the bot's session with Discord stands, and waiting until it does again. Knows no answer."""

from __future__ import annotations

import asyncio
import contextlib
import random


class Back:
    """Rung when the session is back; whoever waits tries again at once in place of after its time."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()
        self.away = False
        """Whether the session is known to be lost: then nothing need be tried."""
        self.turns = 0
        """How often it was lost or came back: what failed while this went up says nothing of where it was to be written."""

    def lost(self) -> None:
        """The gateway's connection is gone."""
        self.turns += not self.away
        self.away = True

    def ring(self) -> None:
        """It is back."""
        self.turns += self.away
        self.away = False
        rung, self._rung = self._rung, asyncio.Event()
        rung.set()

    def was_away(self, since: int) -> bool:
        """Whether it is lost, or was at any moment since `turns` was ``since``."""
        return self.away or self.turns != since

    async def wait(self, seconds: float) -> None:
        """Until it is rung, or so many seconds are over. All who wait do not come at the same moment."""
        rung = self._rung
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await rung.wait()
        await asyncio.sleep(random.uniform(0, SPREAD))  # noqa: S311  spreads requests, guards nothing


SPREAD = 0.5
"""Seconds over which those who waited come back."""
