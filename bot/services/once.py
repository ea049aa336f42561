"""Tells what comes for the first time from what comes again: a resumed gateway session may repeat events. Knows no Discord."""

from __future__ import annotations


class Once:
    """Remembers the latest ``limit`` ids."""

    def __init__(self, limit: int = 1000) -> None:
        self._limit = limit
        self._seen: dict[int, None] = {}

    def first(self, identity: int) -> bool:
        """Whether this id is new; from now on it is not."""
        if identity in self._seen:
            return False
        self._seen[identity] = None
        if len(self._seen) > self._limit:
            del self._seen[next(iter(self._seen))]
        return True
