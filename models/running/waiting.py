"""What waits for the device: places of each kind are their own, and everything but an answer has a time at which it is late.

Answers and looks have so many places each; what belongs to the inner voice of an accepted answer always has one. Knows no device
and no threads: whoever calls holds the lock.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import Any

from models.errors import ModelError
from models.running.work import Priority, TraceWork, Work
from models.types import Answer

TOGETHER = 8
"""Second passes read in one sweep at most: more wait longer for each other than they gain."""

MANY, FEW = 4, 1
"""So many late voices hold new answers back, until so few are left: what is under way is finished, and nothing is begun whose
voice would be later still."""


LEAST_PATIENCE = 0.5
"""Seconds; an inner voice is late after half of what its answer took, and no sooner than this."""

_VOICES = 256
"""Of so many inner voices it is known when they were due."""


class Dues:
    """When each inner voice is late, counted from when it was first asked for: all that belongs to it goes by that."""

    def __init__(self) -> None:
        self._dues: dict[int, float] = {}

    def of(self, answer: Answer, now: float) -> float:
        """The time for this answer's voice."""
        due = self._dues.setdefault(hash(answer), now + max(LEAST_PATIENCE, answer.seconds / 2))
        while len(self._dues) > _VOICES:
            del self._dues[next(iter(self._dues))]
        return due


class Waiting:
    """The heap of waiting work, the best rank first.

    Args:
        limit: places for answers, and as many again for looks and dumps.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._heap: list[Work[Any]] = []
        self._holding = False

    def __len__(self) -> int:
        return len(self._heap)

    def __iter__(self) -> Iterator[Work[Any]]:
        return iter(self._heap)

    def __contains__(self, work: Work[Any]) -> bool:
        return work in self._heap

    @property
    def first(self) -> Work[Any] | None:
        """The best rank."""
        return self._heap[0] if self._heap else None

    def add(self, work: Work[Any]) -> None:
        """Give it a place.

        Raises:
            ModelError: all of its kind are taken.
        """
        if work.priority is Priority.ANSWER and self._count(Priority.ANSWER) >= self._limit:
            raise ModelError("Too many questions are waiting for the model.", hint="Ask again in a moment.")
        if work.priority in _LOOKS and self._count(*_LOOKS) >= self._limit:
            raise ModelError("Too many people are looking into answers.", hint="Try again in a moment.")
        heapq.heappush(self._heap, work)

    def remove(self, work: Work[Any]) -> None:
        """Take it out, wherever it stands."""
        self._heap.remove(work)
        heapq.heapify(self._heap)

    def take_with(self, work: TraceWork) -> list[TraceWork]:
        """``work``, and the second passes that can run with it, which are taken out."""
        others = [other for other in sorted(self._heap) if isinstance(other, TraceWork) and work.goes_with(other)][: TOGETHER - 1]
        for other in others:
            self.remove(other)
        return [work, *others]

    def clear(self) -> list[Work[Any]]:
        """Take everything out."""
        everything, self._heap = self._heap, []
        return everything

    def late(self, now: float) -> Work[Any] | None:
        """What is late for longest, inner voices that have not begun before all else; None when nothing is."""
        late = [work for work in self._heap if work.due <= now]
        return min(late, key=lambda work: (not _begins_a_voice(work), work.due, work.rank)) if late else None

    def holds(self, now: float) -> bool:
        """Whether no new answer shall begin, as too many voices are late."""
        late = sum(work.due <= now for work in self._heap if work.priority is Priority.VOICE)
        self._holding = late >= MANY or (self._holding and late > FEW)
        return self._holding

    def _count(self, *kinds: Priority) -> int:
        return sum(work.priority in kinds for work in self._heap)


_LOOKS = (Priority.LOOK, Priority.DUMP)


def _begins_a_voice(work: Work[Any]) -> bool:
    return isinstance(work, TraceWork) and work.priority is Priority.VOICE
