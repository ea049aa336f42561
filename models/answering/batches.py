"""Answers that share forward passes, and their cache of keys and values. Knows no model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from models.answering.course import Course
from models.answering.kv import GrowingCache


@dataclass(eq=False)
class Batch:
    """Courses in one batch."""

    courses: list[Course]
    cache: Any
    read: list[int]  # tokens of each course that the cache holds, padding not counted

    def each(self) -> Iterator[tuple[Course, int]]:
        """The courses, each with what the cache holds of it."""
        return zip(self.courses, self.read, strict=True)

    def drop_done(self) -> None:
        self.keep([not course.done for course in self.courses])

    def keep(self, wanted: Sequence[bool]) -> None:
        """Let the other courses go."""
        rows = [row for row, keeps in enumerate(wanted) if keeps]
        if len(rows) == len(self.courses):
            return
        before = max(self.read)
        self.courses, self.read = [self.courses[r] for r in rows], [self.read[r] for r in rows]
        if rows and isinstance(self.cache, GrowingCache):
            self.cache.keep(rows, before - max(self.read))

    def join(self, other: Batch) -> None:
        self.courses += other.courses  # before the cache: should that fail, these begin anew with the others
        self.read += other.read
        self.cache.join(other.cache)


def alike(mine: list[int], theirs: list[int], most: int) -> int:
    """How many tokens, ``most`` at most, two prompts begin with in common."""
    pairs = enumerate(zip(mine[:most], theirs, strict=False))
    return next((index for index, (one, other) in pairs if one != other), min(most, len(mine), len(theirs)))
