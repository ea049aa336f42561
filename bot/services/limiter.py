"""At most so many requests a second, the urgent ones first. Knows neither Discord nor what a request is.

Discord allows a bot 50 requests a second in all. Who wants to send waits here for a turn: in the order of its class, and inside a
class in the order of arrival. A lane (one kind of request in one channel) carries one request at a time, so that nobody takes a
turn and then waits for something else.
"""

from __future__ import annotations

import asyncio
import bisect
import itertools
from collections.abc import AsyncIterator, Hashable, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import IntEnum

RATE, BURST = 36.0, 5
"""Turns a second, and how many at once after a quiet time: 41 in any second at most, since a busy network may bunch what a
quarter of a second brings."""

TICK = 0.001
"""Seconds that a timer waits at least: a millionth of a turn may be missing to rounding."""


class Urgency(IntEnum):
    """What goes first. The last two do not wait: what comes later in their place is newer."""

    ACKNOWLEDGE = 0
    ANSWER = 1
    SIGN = 2
    """A refusal, or the first that an asker sees of a place in the line."""
    VOICE = 3
    """Threads, the inner voice and its pictures."""
    EDIT = 4
    """A step of a streamed answer, a better place in the line."""
    TYPING = 5


class NoRoomError(TimeoutError):
    """Others wait, and this request is not worth a place: nothing was sent."""


@dataclass(slots=True)
class Wish:
    """How urgent the requests of one piece of code are.

    Attributes:
        waiting: whether a request waits for its turn: nothing is on the way yet, and cancelling it takes nothing back.
    """

    urgency: Urgency
    waiting: bool = False


_wish: ContextVar[Wish | None] = ContextVar("wish", default=None)


@contextmanager
def urgency(level: Urgency) -> Iterator[Wish]:
    """What is sent inside, in this task, is so urgent."""
    wish = Wish(level)
    token = _wish.set(wish)
    try:
        yield wish
    finally:
        _wish.reset(token)


def wished() -> Wish | None:
    """What `urgency` says here; None where nobody said anything."""
    return _wish.get()


@dataclass(slots=True, order=True)
class _Waiting:
    urgency: Urgency
    arrival: int
    lane: Hashable = field(compare=False)
    go: asyncio.Future[None] = field(compare=False)


class Turn:
    """One request that may go.

    Attributes:
        sent: whether it has gone: one more try of the same request needs a turn of its own.
        rest: work after which the lane is free again; None frees it at once.
    """

    def __init__(self, urgency: Urgency) -> None:
        self.urgency = urgency
        self.sent = False
        self.rest: asyncio.Task[None] | None = None


class Limiter:
    """A token bucket with a line in front of it. The clock is the event loop's, which is monotonic."""

    def __init__(self, *, rate: float = RATE, burst: int = BURST) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = float(burst)
        self._reckoned = float("-inf")
        self._waiting: list[_Waiting] = []
        self._busy: set[Hashable] = set()
        self._arrivals = itertools.count()
        self._timer: asyncio.TimerHandle | None = None
        self.dropped = 0
        """How many requests found no room."""

    @property
    def waiting(self) -> int:
        """How many requests wait for their turn."""
        return len(self._waiting)

    @asynccontextmanager
    async def turn(self, wish: Wish, lane: Hashable) -> AsyncIterator[Turn]:
        """Wait for a turn, and hold the lane until the end.

        Raises:
            NoRoomError: the wish is not worth waiting for.
        """
        await self._enter(wish, lane)
        turn = Turn(wish.urgency)
        try:
            yield turn
        finally:
            if turn.rest is None:
                self._free(lane)
            else:
                turn.rest.add_done_callback(lambda _: self._free(lane))

    async def again(self, turn: Turn) -> None:
        """Wait for one more turn in the lane that is held: a further try of the same request."""
        own = object()
        await self._wait(_Waiting(turn.urgency, next(self._arrivals), own, _future()))
        self._busy.discard(own)

    def pause(self, seconds: float) -> None:
        """Discord says that it was too much, perhaps for another process of the same bot: nobody goes for so long."""
        self._tokens, self._reckoned = 0.0, max(self._reckoned, asyncio.get_running_loop().time() + seconds)
        self._advance()

    async def _enter(self, wish: Wish, lane: Hashable) -> None:
        if wish.urgency >= Urgency.EDIT and not self._room(lane):
            self.dropped += 1
            raise NoRoomError
        wish.waiting = True
        try:
            await self._wait(_Waiting(wish.urgency, next(self._arrivals), lane, _future()))
        finally:
            wish.waiting = False

    def _room(self, lane: Hashable) -> bool:
        self._reckon()
        return not self._waiting and self._tokens >= 1 and lane not in self._busy

    async def _wait(self, waiting: _Waiting) -> None:
        bisect.insort(self._waiting, waiting)
        self._advance()
        try:
            await waiting.go
        except asyncio.CancelledError:
            if waiting.go.cancelled():
                self._waiting.remove(waiting)
                self._advance()
            else:  # it got its turn in the same moment
                self._free(waiting.lane)
            raise

    def _free(self, lane: Hashable) -> None:
        self._busy.discard(lane)
        self._advance()

    def _reckon(self) -> None:
        now = asyncio.get_running_loop().time()
        if now > self._reckoned:
            self._tokens = min(self._burst, self._tokens + (now - self._reckoned) * self._rate)
            self._reckoned = now

    def _advance(self) -> None:
        self._reckon()
        while (free := self._first()) is not None and self._tokens >= 1:
            self._tokens -= 1
            self._waiting.remove(free)
            self._busy.add(free.lane)
            free.go.set_result(None)
        if free is not None and self._timer is None:
            loop = asyncio.get_running_loop()
            wait = max(self._reckoned - loop.time(), 0.0) + (1 - self._tokens) / self._rate
            self._timer = loop.call_later(max(wait, TICK), self._tick)

    def _first(self) -> _Waiting | None:
        return next((one for one in self._waiting if one.lane not in self._busy and not one.go.done()), None)

    def _tick(self) -> None:
        self._timer = None
        self._advance()

    def close(self) -> None:
        """Leave no timer behind."""
        if self._timer is not None:
            self._timer.cancel()


def _future() -> asyncio.Future[None]:
    return asyncio.get_running_loop().create_future()
