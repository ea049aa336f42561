"""How far was read: the gap in front of a session stays until it was looked at, and the mark never passes one."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

import pytest

from bot.errors import StorageError
from bot.services import seen
from bot.services.seen import MARGIN, MILLISECOND, Seen

SECOND = 1000 * MILLISECOND
NOON = 1_000_000 * SECOND


class Kept:
    def __init__(self, mark: int | None = None) -> None:
        self.mark = mark
        self.broken = False

    async def get(self) -> int | None:
        return self.mark

    async def put(self, message_id: int) -> None:
        if self.broken:
            raise StorageError("The database cannot be written.")
        self.mark = message_id

    async def journaled(self, message_ids: Collection[int]) -> frozenset[int]:
        return frozenset(message_ids)

    async def dm_channels(self, limit: int) -> tuple[int, ...]:
        return (1,)[:limit]


async def read(mark: int | None) -> Seen:
    found = Seen(Kept(mark))
    await found.load()
    return found


async def test_a_first_start_has_nothing_to_look_back_to() -> None:
    new = await read(None)
    new.begin(0, NOON)
    assert new.since(0) is None
    assert new.mark() == NOON


async def test_a_start_looks_back_to_where_the_last_process_was() -> None:
    again = await read(NOON)
    again.begin(0, NOON + 60 * SECOND)
    assert again.since(0) == NOON - MARGIN
    assert again.mark() == NOON - MARGIN
    again.caught_up(0)
    assert again.mark() == NOON + 60 * SECOND


async def test_a_gap_stays_open_until_it_was_looked_at() -> None:
    """What comes meanwhile, and another session, make it no narrower."""
    reading = await read(None)
    reading.note(0, NOON)
    for minute in (1, 2):
        reading.begin(0, NOON + minute * 60 * SECOND)
        reading.note(0, NOON + minute * 61 * SECOND)
        assert reading.since(0) == NOON - MARGIN
        assert reading.mark() == NOON - MARGIN
    reading.caught_up(0)
    reading.begin(0, NOON + 600 * SECOND)
    assert reading.since(0) == NOON + 122 * SECOND - MARGIN


async def test_the_mark_is_that_of_the_slowest_shard() -> None:
    reading = await read(NOON)
    reading.begin(0, NOON + SECOND, shards=2)
    reading.caught_up(0)
    assert reading.mark() is None
    reading.begin(1, NOON + 9 * SECOND, shards=2)
    assert reading.mark() == NOON - MARGIN
    reading.caught_up(1)
    assert reading.mark() == NOON + SECOND


async def test_late_news_does_not_move_it_back() -> None:
    reading = await read(None)
    reading.note(0, NOON)
    reading.note(0, NOON - SECOND)
    assert reading.mark() == NOON


async def test_the_first_one_is_stored_at_once() -> None:
    """Before anything came: who dies a moment later looks back from there, and not from what was journaled last."""
    store = Kept()
    reading = Seen(store)
    task = asyncio.create_task(reading.keep())
    reading.begin(0, NOON)
    reading.note(0, NOON + 3 * SECOND)
    async with asyncio.timeout(1):
        while store.mark is None:  # noqa: ASYNC110  a store sets no event
            await asyncio.sleep(0.01)
    assert store.mark == NOON
    again = Seen(store)
    await again.load()
    again.begin(0, NOON + 9 * SECOND)
    assert again.since(0) == NOON - MARGIN
    task.cancel()


async def test_it_is_stored_one_beat_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """What came just now may not be in the journal yet. A database that does not take it is asked again."""
    monkeypatch.setattr(seen, "BEAT_SECONDS", 0.05)
    store = Kept()
    reading = Seen(store)
    reading.note(0, NOON)
    task = asyncio.create_task(reading.keep())
    await asyncio.sleep(0.07)
    assert store.mark is None
    store.broken = True
    await asyncio.sleep(0.1)
    assert store.mark is None
    store.broken = False
    async with asyncio.timeout(5):
        while store.mark != NOON:  # noqa: ASYNC110  a store sets no event
            await asyncio.sleep(0.01)
    task.cancel()
