"""discord.py's REST client behind the limiter of the whole process. Knows routes; knows no message.

discord.py keeps the limit of each route, and not the 50 requests a second of the whole bot. Interaction callbacks and follow-ups
do not count there and do not pass here: discord.py sends them by another way.
https://docs.discord.com/developers/topics/rate-limits
"""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from typing import Any

import aiohttp
from discord.http import HTTPClient, Ratelimit, Route

from bot.mentions import guarded, guarded_form
from bot.services.limiter import Limiter, NoRoomError, Turn, Urgency, Wish, wished

_turn: ContextVar[Turn | None] = ContextVar("turn", default=None)

# How urgent a request is where the code that sends it says nothing. What is not here goes first, such as logging in.
BY_ROUTE = {
    ("POST", "/channels/{channel_id}/messages"): Urgency.ANSWER,
    ("PATCH", "/channels/{channel_id}/messages/{message_id}"): Urgency.ANSWER,
    ("GET", "/channels/{channel_id}/messages"): Urgency.ANSWER,
    ("GET", "/channels/{channel_id}/messages/{message_id}"): Urgency.ANSWER,
    ("PUT", "/channels/{channel_id}/messages/{message_id}/reactions/{emoji}/@me"): Urgency.SIGN,
    ("POST", "/users/@me/channels"): Urgency.SIGN,
    ("POST", "/channels/{channel_id}/messages/{message_id}/threads"): Urgency.VOICE,
    ("PATCH", "/channels/{channel_id}"): Urgency.VOICE,
    ("DELETE", "/channels/{channel_id}/messages/{message_id}"): Urgency.VOICE,
    ("POST", "/channels/{channel_id}/typing"): Urgency.TYPING,
}


class LimitedHTTP(HTTPClient):
    """Every request waits for its turn; each further try of discord.py's for one more."""

    def __init__(self, loop: asyncio.AbstractEventLoop, limiter: Limiter, trace: aiohttp.TraceConfig) -> None:
        """``trace``: who else hears of each request; discord.py takes one."""
        trace.on_request_start.append(self._starting)
        trace.on_request_end.append(self._ended)
        super().__init__(loop, http_trace=trace)
        self.limiter = limiter
        self._resting: set[asyncio.Task[None]] = set()

    async def request(self, route: Route, **kwargs: Any) -> Any:
        """As discord.py's, when its turn has come, and without pings. A typing sign without room is left out: nobody misses it.

        Raises:
            NoRoomError: an edit that is not worth waiting for.
        """
        kwargs |= {name: guard(kwargs[name]) for name, guard in (("json", guarded), ("form", guarded_form)) if name in kwargs}
        default = BY_ROUTE.get((route.method, route.path), Urgency.ACKNOWLEDGE)
        wish = wished() if default is not Urgency.TYPING else None
        try:
            async with self.limiter.turn(wish or Wish(default), (route.key, route.major_parameters)) as turn:
                token = _turn.set(turn)
                try:
                    return await super().request(route, **kwargs)
                finally:
                    _turn.reset(token)
        except NoRoomError:
            if default is not Urgency.TYPING:
                raise

    def get_ratelimit(self, key: str) -> Ratelimit:
        """As discord.py's, made here, so that the lane sleeps and not the caller."""
        if key not in self._buckets:
            self._buckets[key] = _Bucket(self.max_ratelimit_timeout, self._resting)
            self._try_clear_expired_ratelimits()  # each thread has its own; discord.py does this where it makes them
        return super().get_ratelimit(key)

    async def close(self) -> None:
        self.limiter.close()
        for task in self._resting:
            task.cancel()
        await asyncio.gather(*self._resting, return_exceptions=True)
        await super().close()

    async def _starting(self, _session: object, _context: object, _params: object) -> None:
        turn = _turn.get()
        if turn is None:
            return  # an interaction's own way, the gateway, or a file
        if turn.sent:
            await self.limiter.again(turn)
        turn.sent = True

    async def _ended(self, _session: object, _context: object, params: aiohttp.TraceRequestEndParams) -> None:
        response = params.response
        if _turn.get() is not None and response.status == 429 and "X-RateLimit-Global" in response.headers:
            self.limiter.pause(float(response.headers.get("Retry-After", 1)))


class _Bucket(Ratelimit):
    """A route's bucket. When it is used up, discord.py sleeps before it hands over what Discord said; here the caller goes on."""

    __slots__ = ("_resting",)

    def __init__(self, longest: float | None, resting: set[asyncio.Task[None]]) -> None:
        super().__init__(longest)
        self._resting = resting

    async def __aexit__(self, *error: Any) -> None:
        turn = _turn.get()
        if turn is None:
            await super().__aexit__(*error)
            return
        turn.rest = task = asyncio.create_task(super().__aexit__(*error), name="a route's limit")
        self._resting.add(task)
        task.add_done_callback(self._resting.discard)
