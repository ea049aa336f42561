"""discord.py's requests to interactions without its blind repeats of what may have been carried out. Knows no message.

discord.py asks up to five times when Discord answers 500 and above, or when the connection is reset on macOS or Windows. A
follow-up has no nonce (Discord ignores one there), so a repeat of one that was carried out stands twice. An acknowledgement has
three seconds, and discord.py's pauses use them up. What reads, edits or deletes may be repeated: it does the same again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import discord
from discord.http import json_or_text
from discord.webhook.async_ import AsyncWebhookAdapter, async_context

from bot.mentions import guarded, guarded_form

RESET = (54, 10054)
"""The system's numbers for a reset connection that discord.py takes for an invitation to repeat."""


class CarefulAdapter(AsyncWebhookAdapter):
    """Asks once for what posts; `bot.ui.acknowledging` and `bot.ui.followups` know when it may be asked for again."""

    async def request(self, route: Any, session: Any, **kwargs: Any) -> Any:
        """As discord.py does it, but for the repeats, and without pings."""
        kwargs |= {
            name: guard(kwargs[name]) for name, guard in (("payload", guarded), ("multipart", guarded_form)) if name in kwargs
        }
        return await super().request(route, session if route.method != "POST" else _once(session), **kwargs)


def _once(session: aiohttp.ClientSession) -> Any:
    return _Once(session)


class _Once:
    """A session whose failures are errors that discord.py passes on."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    @asynccontextmanager
    async def request(self, method: str, url: str, **kwargs: Any) -> AsyncIterator[aiohttp.ClientResponse]:
        try:
            async with self._session.request(method, url, **kwargs) as response:
                if response.status >= 500:
                    raise discord.DiscordServerError(response, await json_or_text(response))
                yield response
        except OSError as error:
            if error.errno not in RESET:
                raise
            raise aiohttp.ServerDisconnectedError("the connection was reset") from error


def careful_webhooks() -> None:
    """For this task and all that come of it. A simulation's own adapter stays."""
    if type(async_context.get()) is AsyncWebhookAdapter:
        async_context.set(CarefulAdapter())  # type: ignore[no-untyped-call]
