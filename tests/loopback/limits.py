"""Discord's rate limits as its documentation and its headers tell them: 50 requests a second for a bot, and a bucket a route.

https://docs.discord.com/developers/topics/rate-limits. Knows no bot and no socket.
"""

from __future__ import annotations

import re
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.loopback.faults import Fault
from tests.loopback.rest import Call

GLOBAL = 50
"""Requests in any second. Strict: a window that slides, so that no lucky boundary hides a burst."""

EXEMPT = re.compile(r"/interactions/.*|/webhooks/.*")
"""“Interaction endpoints are not bound to the bot's Global Rate Limit.”"""

# What Discord's headers say of the routes that the bot uses: so many requests in so many seconds, for each major parameter.
ROUTES: tuple[tuple[str, str, int, float], ...] = (
    ("POST", r"/channels/(\d+)/messages", 5, 5.0),
    ("PATCH", r"/channels/(\d+)/messages/\d+", 5, 5.0),
    ("DELETE", r"/channels/(\d+)/messages/\d+", 5, 1.0),
    ("PUT", r"/channels/(\d+)/messages/\d+/reactions/.*", 1, 0.25),
    ("POST", r"/channels/(\d+)/typing", 5, 5.0),
    ("POST", r"/channels/(\d+)/messages/\d+/threads", 10, 10.0),
    ("PATCH", r"/channels/(\d+)", 5, 5.0),
    ("POST", r"/users/@me/channels", 10, 10.0),
    ("POST", r"/webhooks/\d+/([\w-]+)", 5, 2.0),
    ("PATCH", r"/webhooks/\d+/([\w-]+)/messages/.*", 5, 2.0),
)


@dataclass
class _Bucket:
    limit: int
    seconds: float
    remaining: int = 0
    resets: float = 0.0

    def take(self, now: float) -> bool:
        if now >= self.resets:
            self.remaining, self.resets = self.limit, now + self.seconds
        self.remaining -= 1
        return self.remaining >= 0

    def headers(self, name: str, now: float) -> dict[str, str]:
        after = max(self.resets - now, 0.0)
        return {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(max(self.remaining, 0)),
            "X-RateLimit-Reset": f"{time.time() + after:.3f}",
            "X-RateLimit-Reset-After": f"{after:.3f}",
            "X-RateLimit-Bucket": name,
        }


@dataclass
class Limits:
    """Counts what comes in and refuses what is too much.

    Attributes:
        per_second: the global limit; a test that is to be quick may lower it.
        refused: how many 429s, by ``global`` or the route.
        invalid: answers 401, 403 and 429, of which Discord takes 10,000 in ten minutes.
        busiest: the most requests that counted in any second.
    """

    per_second: int = GLOBAL
    clock: Callable[[], float] = time.monotonic
    refused: Counter[str] = field(default_factory=Counter)
    invalid: int = 0
    busiest: int = 0
    _recent: deque[float] = field(default_factory=deque)
    _buckets: dict[tuple[str, str], _Bucket] = field(default_factory=dict)

    def check(self, call: Call) -> tuple[Fault | None, dict[str, str]]:
        """The refusal of this request if it is one too many, and the headers of whatever answer it gets."""
        now = self.clock()
        if not EXEMPT.fullmatch(call.path) and (wait := self._globally(now)) is not None:
            return self._refusal(wait, "global"), {}
        for index, (method, pattern, limit, seconds) in enumerate(ROUTES):
            if method == call.method and (found := re.fullmatch(pattern, call.path)):
                name, major = f"bucket-{index}", found.group(1) if found.groups() else ""
                bucket = self._buckets.setdefault((name, major), _Bucket(limit, seconds))
                allowed = bucket.take(now)
                headers = bucket.headers(name, now)
                return None if allowed else self._refusal(bucket.resets - now, call.line), headers
        return None, {}

    def answered(self, status: int) -> None:
        """What a request got, for the count of invalid ones."""
        self.invalid += status in (401, 403, 429)

    def _globally(self, now: float) -> float | None:
        while self._recent and self._recent[0] <= now - 1:
            self._recent.popleft()
        if len(self._recent) >= self.per_second:
            return self._recent[0] + 1 - now if self._recent else 1.0
        self._recent.append(now)
        self.busiest = max(self.busiest, len(self._recent))
        return None

    def _refusal(self, seconds: float, what: str) -> Fault:
        self.refused[what] += 1
        everywhere = what == "global"
        body = {"message": "You are being rate limited.", "retry_after": round(seconds, 3), "global": everywhere}
        headers = {
            "Via": "1.1 google",
            "Retry-After": str(int(seconds) + 1),
            "X-RateLimit-Scope": "global" if everywhere else "user",
        }
        return Fault(429, body, headers | ({"X-RateLimit-Global": "true"} if everywhere else {}))
