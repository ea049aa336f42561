"""What time it is at Discord: its own `Date`, carried on by the monotonic clock. Knows nothing of the host's wall clock.

Whatever age a message has is the difference of two of Discord's times, so that a host whose clock is wrong is none the wiser, and
none the worse.
"""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from types import SimpleNamespace

import aiohttp
import discord


class DiscordClock:
    """Set by each reply of Discord's, that of the gateway's handshake among them."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._heard: tuple[datetime.datetime, float] | None = None

    def listen(self, trace: aiohttp.TraceConfig) -> None:
        """Let aiohttp tell of each reply."""
        trace.on_request_end.append(self._on_reply)

    def hear(self, date: str | None) -> None:
        """Take a reply's ``Date`` header, which has whole seconds."""
        try:
            when = parsedate_to_datetime(date or "")
        except ValueError:
            return
        if when.tzinfo is not None:
            self._heard = (when, self._monotonic())

    def now(self) -> int | None:
        """The first snowflake of this moment; None before the first reply."""
        if self._heard is None:
            return None
        when, then = self._heard
        return discord.utils.time_snowflake(when + datetime.timedelta(seconds=self._monotonic() - then))

    async def _on_reply(
        self, _session: aiohttp.ClientSession, _context: SimpleNamespace, reply: aiohttp.TraceRequestEndParams
    ) -> None:
        self.hear(reply.response.headers.get("Date"))
