"""The waiting line in front of the model: bounded, fair, one place per person. Knows neither questions nor Discord."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from bot.errors import AlreadyAskingError, QueueFullError, ShuttingDownError
from models.sentences import Sentence

PositionListener = Callable[[int], None]

TELL_EVERY = 5.0
"""Seconds between two words about one place."""


@dataclass(slots=True, eq=False)
class Place:
    """One person's place in the line."""

    user_id: int
    arrival: int
    round: int
    """How many earlier questions of the same person wait or run: those with fewer go first."""
    on_position: PositionListener
    turn: asyncio.Future[None] = field(repr=False)
    position: int | None = None
    told: int | None = None
    """The position that was last told, and when."""
    told_at: float = 0.0
    working: bool = False
    """Whether it holds one of the running places."""


class WaitingLine:
    """Lets ``running`` places work at once and the rest wait, at most ``max_waiting`` of them and ``per_user`` a person."""

    def __init__(self, *, max_waiting: int, per_user: int = 1, running: int = 1) -> None:
        self._max_waiting = max_waiting
        self._per_user = per_user
        self._free = running
        self._waiting: list[Place] = []
        self._held: dict[int, int] = {}
        self._arrivals = itertools.count()
        self._closed = False

    @property
    def waiting(self) -> int:
        """How many places wait."""
        return len(self._waiting)

    def busy(self, user_id: int) -> bool:
        """Whether a person holds as many places as one may."""
        return self._held.get(user_id, 0) >= self._per_user

    def join(self, user_id: int, on_position: PositionListener, *, owed: bool = False) -> Place:
        """Take a place at once, or refuse at once. One that is ``owed`` since before a restart is given in a full line, too.

        Raises:
            ShuttingDownError, AlreadyAskingError, QueueFullError.
        """
        held = self._held.get(user_id, 0)
        if self._closed:
            raise ShuttingDownError("I am going offline.")
        if held >= self._per_user:
            raise AlreadyAskingError("I am still busy with your last question.")
        if not owed and not self._free and len(self._waiting) >= self._max_waiting:
            raise QueueFullError(
                Sentence("{count} people are already waiting, and I cannot take more.", count=len(self._waiting))
            )
        turn = asyncio.get_running_loop().create_future()
        place = Place(user_id, next(self._arrivals), held, on_position, turn)
        self._held[user_id] = held + 1
        self._waiting.append(place)
        self._advance()
        return place

    async def wait(self, place: Place) -> None:
        """Return when it is this place's turn. A cancelled wait must still be followed by `leave`."""
        await place.turn

    async def let_pass(self, place: Place) -> None:
        """Between two pieces of one place's work, whoever waits goes first. The place is kept: nothing is refused halfway.

        Raises:
            ShuttingDownError.
        """
        if self._closed:
            raise ShuttingDownError("I am going offline.")
        if not self._waiting:
            return
        place.working, place.position, place.told, place.arrival = False, None, None, next(self._arrivals)
        place.turn = asyncio.get_running_loop().create_future()
        self._free += 1
        self._waiting.append(place)
        self._advance()
        await place.turn

    def listen(self, place: Place, on_position: PositionListener) -> None:
        """Let somebody else hear of a place, from its present position on."""
        place.on_position, place.told = on_position, None
        if place.position is not None and not place.working:
            self._tell(place)

    async def step_aside(self, place: Place, until: Awaitable[None]) -> None:
        """Give the turn back while ``until`` is awaited, then wait for another one. The place in the line's count is kept.

        Raises:
            ShuttingDownError; and what ``until`` raises.
        """
        place.working = False
        self._free += 1
        self._advance()
        await until
        if self._closed:
            raise ShuttingDownError("I am going offline.")
        place.position = None
        place.turn = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        self._advance()
        await place.turn

    def leave(self, place: Place) -> None:
        """Give the place back, whether it waited, worked or failed."""
        if place in self._waiting:
            self._waiting.remove(place)
        elif place.working:
            self._free += 1
        place.working = False
        if not place.turn.cancel() and not place.turn.cancelled():
            place.turn.exception()  # seen, also when whoever waited was cancelled in the same moment
        self._held[place.user_id] -= 1
        if not self._held[place.user_id]:
            del self._held[place.user_id]
        self._advance()

    def close(self) -> None:
        """Take nobody new, and let nobody who waits begin."""
        self._closed = True
        for place in self._waiting:
            if not place.turn.done():
                place.turn.set_exception(ShuttingDownError("I am going offline."))
        self._waiting.clear()

    def _advance(self) -> None:
        self._waiting.sort(key=lambda place: (place.round, place.arrival))
        while self._free and self._waiting:
            place = self._waiting.pop(0)
            if place.turn.done():  # cancelled, and about to leave
                continue
            self._free -= 1
            place.working = True
            place.turn.set_result(None)
        for index, place in enumerate(self._waiting, start=1):
            place.position = index
            if self._worth_telling(place, index):
                self._tell(place)

    def _worth_telling(self, place: Place, position: int) -> bool:
        """Each word is a request to Discord: the first, "you are next", and now and then a place that has halved, or doubled."""
        if place.told is None or position == 1:
            return True
        halved = not place.told < 2 * position < 4 * place.told
        return halved and asyncio.get_running_loop().time() - place.told_at >= TELL_EVERY

    def _tell(self, place: Place) -> None:
        if place.position is not None and place.position != place.told:
            place.told, place.told_at = place.position, asyncio.get_running_loop().time()
            place.on_position(place.position)
