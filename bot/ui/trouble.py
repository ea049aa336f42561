"""What goes wrong between the bot and Discord, and trying again. Knows neither answers nor threads.

discord.py raises `discord.HTTPException` when Discord refuses, after its own retries; a connection that is cut, refused or too
slow comes through as aiohttp's or the system's error.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

import aiohttp
import discord

log = logging.getLogger(__name__)

T = TypeVar("T")

TROUBLE = (discord.HTTPException, aiohttp.ClientError, ConnectionError, TimeoutError)
"""Not our defects: they are a line in the log, never a traceback."""

UNKNOWN_MESSAGE = 10008
"""Discord's code for: somebody deleted it."""

RETRY_DELAYS = (1.0, 3.0)

_stumbles: ContextVar[list[str] | None] = ContextVar("stumbles", default=None)


def described(error: BaseException) -> str:
    """``HTTP 503``, or the name of what happened to the connection."""
    return f"HTTP {error.status}" if isinstance(error, discord.HTTPException) else type(error).__name__


def passing(error: BaseException) -> bool:
    """Whether the same request may go well in a moment. A 429 gets here only when discord.py does not wait it out."""
    return not isinstance(error, discord.HTTPException) or error.status >= 500 or error.status == 429


async def persist(attempt: Callable[[], Awaitable[T]], what: str) -> T:
    """Try again when Discord or the connection stumbles.

    ``attempt`` must be safe to repeat although it may have had its effect: only the reply may have been lost.

    Raises:
        discord.HTTPException, aiohttp.ClientError, ConnectionError, TimeoutError: refused, or the last try failed too.
    """
    for delay in RETRY_DELAYS:
        try:
            return await attempt()
        except TROUBLE as error:
            if not passing(error):
                raise
            log.info("%s: %s, trying again", what, described(error))
        await asyncio.sleep(delay)
    return await attempt()


@contextmanager
def stumbles() -> Iterator[list[str]]:
    """What went wrong under way, also where discord.py tried again by itself and nothing was raised.

    Each may still be carried out: a 502 says nothing about that.
    """
    found: list[str] = []
    token = _stumbles.set(found)
    try:
        yield found
    finally:
        _stumbles.reset(token)


def watch() -> aiohttp.TraceConfig:
    """For discord.py's session: reports to `stumbles`."""
    config = aiohttp.TraceConfig()

    async def ended(_session: Any, _context: Any, reply: aiohttp.TraceRequestEndParams) -> None:
        if (found := _stumbles.get()) is not None and reply.response.status >= 500:
            found.append(f"HTTP {reply.response.status}")

    async def failed(_session: Any, _context: Any, trouble: aiohttp.TraceRequestExceptionParams) -> None:
        if (found := _stumbles.get()) is not None:
            found.append(described(trouble.exception))

    config.on_request_end.append(ended)
    config.on_request_exception.append(failed)
    return config
