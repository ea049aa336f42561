"""The mark up to which everything was read, and the journal by message."""

from __future__ import annotations

from bot.storage import Database, RunStore
from bot.storage.records import NewRun
from bot.storage.seen import SeenStore
from tests.bot.storage.conftest import Clock


async def test_the_mark(database: Database, runs: RunStore) -> None:
    """None at first; the last question of a journal that is older than marks; then what was put."""
    store = SeenStore(database)
    assert await store.get() is None
    await runs.create(NewRun("Why?", "slash"))
    assert await store.get() is None
    for message in (70, 90, 80):
        await runs.create(NewRun("Why?", "mention", question_message_id=message))
    assert await store.get() == 90
    for mark in (2**62, 50):
        await store.put(mark)
        assert await store.get() == mark


async def test_what_is_in_the_journal(database: Database, runs: RunStore) -> None:
    """Whatever became of it, and however many are asked for."""
    store = SeenStore(database)
    await runs.create(NewRun("Why?", "mention", question_message_id=7))
    forgotten = await runs.create(NewRun("Why not?", "mention", question_message_id=1200))
    await runs.forget(forgotten.id)
    assert await store.journaled(range(2000)) == {7, 1200}
    assert await store.journaled([]) == frozenset()


async def test_private_channels(database: Database, runs: RunStore, clock: Clock) -> None:
    """The latest used first, each once."""
    for channel, source in ((1, "dm"), (2, "dm"), (3, "mention"), (1, "dm"), (4, "slash"), (5, "dm"), (2, "dm")):
        clock.pass_days(0.01)
        await runs.create(NewRun("Why?", source, channel_id=channel))  # type: ignore[arg-type]
    assert await SeenStore(database).dm_channels(2) == (2, 5)
    assert await SeenStore(database).dm_channels(9) == (2, 5, 1)
