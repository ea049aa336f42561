"""Looks at earlier answers: a bounded number for each person, and what two people want at once is looked at once.

Knows no Discord, no model and no torch.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from bot.errors import TooManyLooksError
from models.sentences import Sentence

T = TypeVar("T")


class Looks:
    """Lets each person have ``per_user`` looks in flight; one more is refused at once."""

    def __init__(self, *, per_user: int) -> None:
        self._per_user = per_user
        self._held = Counter[int]()

    @contextmanager
    def place(self, user_id: int) -> Iterator[None]:
        """Hold a place for one look.

        Raises:
            TooManyLooksError: all of this person's are taken.
        """
        if self._held[user_id] >= self._per_user:
            raise TooManyLooksError(
                Sentence("I am still looking into {count} things for you, and that is as many as I take.", count=self._per_user)
            )
        self._held[user_id] += 1
        try:
            yield
        finally:
            self._held[user_id] -= 1
            if not self._held[user_id]:
                del self._held[user_id]


@dataclass(slots=True)
class _Shared:
    task: asyncio.Task[Any]
    waiting: int = 0


class Sharing:
    """Work by its key: who asks for what is being done already gets the same result."""

    def __init__(self) -> None:
        self._running: dict[Hashable, _Shared] = {}

    async def once(self, key: Hashable, work: Callable[[], Awaitable[T]]) -> T:
        """The result of ``work``, or its error. It goes on as long as anybody waits for it."""
        shared = self._running.get(key)
        if shared is None:
            shared = self._running[key] = _Shared(asyncio.ensure_future(_awaited(work)))
            shared.task.add_done_callback(lambda done: self._finished(key, done))
        shared.waiting += 1
        try:
            return cast("T", await asyncio.shield(shared.task))
        finally:
            shared.waiting -= 1
            if not shared.waiting and not shared.task.done():
                self._running.pop(key, None)
                shared.task.cancel()

    def _finished(self, key: Hashable, task: asyncio.Task[Any]) -> None:
        if (shared := self._running.get(key)) is not None and shared.task is task:
            del self._running[key]
        if not task.cancelled():
            task.exception()  # seen, also when nobody is left


async def _awaited(work: Callable[[], Awaitable[T]]) -> T:
    return await work()
