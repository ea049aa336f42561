"""The waiting line in front of the model: bounded, fair, one place per person. Knows neither questions nor Discord."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

from bot.errors import AlreadyAskingError, QueueFullError, ShuttingDownError
from models.sentences import Sentence

PositionListener = Callable[[int], None]


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

    def join(self, user_id: int, on_position: PositionListener) -> Place:
        """Take a place at once, or refuse at once.

        Raises:
            ShuttingDownError, AlreadyAskingError, QueueFullError.
        """
        held = self._held.get(user_id, 0)
        if self._closed:
            raise ShuttingDownError("I am going offline.")
        if held >= self._per_user:
            raise AlreadyAskingError("I am still busy with your last question.")
        if not self._free and len(self._waiting) >= self._max_waiting:
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
        place.working, place.position, place.arrival = False, None, next(self._arrivals)
        place.turn = asyncio.get_running_loop().create_future()
        self._free += 1
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
            if place.position != index:
                place.position = index
                place.on_position(index)
