"""A database that is locked, full, damaged or no database, with a real second connection or SQLite's own refusal."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from bot.errors import RunExpiredError, StorageError
from bot.storage import Database, NewRun, RunStore, VoteStore, database, late
from bot.storage.checking import check
from bot.storage.driver import connect
from bot.storage.faults import Alarm, Fault
from bot.storage.late import LateWrites
from models.types import Answer


def fill(opened: Database) -> None:
    """No page more than the file has: SQLite itself says that it is full."""

    def bound(connection: Any, *_: object) -> None:
        cursor = connection.cursor()
        cursor.execute("PRAGMA max_page_count = 1")
        cursor.close()

    event.listen(opened.engine.sync_engine, "checkout", bound)


def give_room(opened: Database) -> None:
    def unbound(connection: Any, *_: object) -> None:
        cursor = connection.cursor()
        cursor.execute("PRAGMA max_page_count = 1000000")
        cursor.close()

    event.listen(opened.engine.sync_engine, "checkout", unbound)


def long() -> NewRun:
    return NewRun("why " * 5000, "dm")


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "BUSY_MILLISECONDS", 100)
    monkeypatch.setattr(late, "PATIENCE_SECONDS", 0.2)
    monkeypatch.setattr(late, "RETRY_SECONDS", 0.05)


async def test_a_full_disk_is_told_once_a_minute_to_the_host(
    database: Database, runs: RunStore, caplog: pytest.LogCaptureFixture
) -> None:
    fill(database)
    for _ in range(12):
        with pytest.raises(StorageError, match="the disk is full") as caught:
            await runs.create(long())
        assert caught.value.passing
        assert "disk" not in caught.value.for_user()
    lines = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(lines) == 1
    assert lines[0].startswith("the database cannot be written: the disk is full. Free some space")
    give_room(database)
    await runs.create(long())


def test_each_kind_of_trouble_is_told_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    now = 0.0
    alarm = Alarm(now=lambda: now)
    for second in range(0, 130, 10):
        now = float(second)
        alarm.ring("written", Fault("the disk is full"))
        alarm.ring("read", Fault("the disk gives an error"))
    told = [record.getMessage() for record in caplog.records if "full" in record.getMessage()]
    assert told == [
        "the database cannot be written: the disk is full.",
        *["the database cannot be written: the disk is full. (5 more since the last such line)"] * 2,
    ]
    assert len(caplog.records) == 6


async def test_readers_and_writers_beside_a_lock(
    path: Path, lock: Any, database: Database, runs: RunStore, caplog: pytest.LogCaptureFixture
) -> None:
    """Thirty writers wait without a connection each, so that readers find one; all write when the lock is gone."""
    run = await runs.create(NewRun("q", "dm"))
    async with lock(path):
        writers = [asyncio.create_task(runs.create(NewRun("q", "dm"))) for _ in range(30)]
        await asyncio.sleep(0.2)
        async with asyncio.timeout(2):
            await asyncio.gather(*(runs.get(run.id) for _ in range(30)))
        assert not any(writer.done() for writer in writers)
    await asyncio.gather(*writers)
    assert len(await runs.unfinished()) == 31
    assert [r for r in caplog.records if r.levelno >= logging.WARNING] == []


@pytest.mark.usefixtures("impatient")
async def test_a_lock_that_lasts_is_told_as_one(path: Path, url: str, lock: Any, caplog: pytest.LogCaptureFixture) -> None:
    async with Database.open(url) as opened, lock(path):
        results = await asyncio.gather(*(RunStore(opened).create(NewRun("q", "dm")) for _ in range(5)), return_exceptions=True)
    assert {str(result) for result in results} == {"The database cannot be written (another program holds its lock)."}
    assert all(isinstance(result, StorageError) and result.passing for result in results)
    assert len([r for r in caplog.records if r.levelno >= logging.ERROR]) == 1


async def test_a_connection_closed_in_the_middle_gives_back_the_lock(path: Path, database: Database) -> None:
    """As when a task is cancelled: the statement is still open, and somebody still holds it."""
    for end in ("close", "stop"):
        connection = connect(str(path))
        await connection
        await connection.execute("BEGIN IMMEDIATE")
        held = await connection.execute("SELECT 1 UNION SELECT 2")
        if end == "close":
            await connection.close()
        else:
            await (connection.stop() or asyncio.sleep(0))
        with closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as other:
            other.execute("BEGIN IMMEDIATE")
        del held


async def test_no_cancelled_writer_holds_up_the_others(database: Database, runs: RunStore) -> None:
    for tenth in range(10):
        writers = [asyncio.create_task(runs.create(NewRun("q", "dm"))) for _ in range(20)]
        await asyncio.sleep(0.002 * tenth)
        for writer in writers[::2]:
            writer.cancel()
        async with asyncio.timeout(10):
            await asyncio.gather(*writers, return_exceptions=True)
    assert len(await runs.unfinished()) >= 100


@pytest.mark.usefixtures("impatient")
async def test_a_vote_is_tried_again(path: Path, url: str, lock: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.storage.votes.RETRY_SECONDS", 0.3)
    async with Database.open(url) as opened:
        run = await RunStore(opened).create(NewRun("q", "dm"))
        async with lock(path):
            pressed = asyncio.create_task(VoteStore(opened).press(run.id, 1, 1))
            await asyncio.sleep(0.25)
        assert (await pressed).up == 1


@pytest.mark.usefixtures("impatient")
async def test_a_late_write_goes_on_and_comes_in_its_order(path: Path, url: str, lock: Any, answer: Answer) -> None:
    async with Database.open(url) as opened:
        runs, writes = RunStore(opened), LateWrites()
        run = await runs.create(NewRun("q", "dm"))

        async def save() -> None:
            await runs.save_answer(run.id, answer, model_id="m", revision=None, dtype="float32")

        async with lock(path):
            assert not await writes.put(lambda: runs.mark(run.id, "answering"), "the state")
            assert not await writes.put(save, "the answer")
            messages = asyncio.create_task(writes.settle(lambda: runs.attach_messages(run.id, [5]), "the messages"))
            await asyncio.sleep(0.5)
            assert not messages.done()
            assert len(writes) == 3
        assert await messages
        found = await runs.by_message(5)
        assert found is not None
        assert (found.id, found.state) == (run.id, "answered")
        assert await runs.load_answer(run.id) == answer
        assert len(writes) == 0
        await writes.aclose()


@pytest.mark.usefixtures("impatient")
async def test_what_is_not_written_to_the_end_is_named(
    path: Path, url: str, lock: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(late, "LAST_SECONDS", 0.2)
    async with Database.open(url) as opened:
        runs, writes = RunStore(opened), LateWrites(most=1)
        run = await runs.create(NewRun("q", "dm"))
        async with lock(path):
            assert not await writes.put(lambda: runs.mark(run.id, "failed"), "the end of a run")
            assert not await writes.put(lambda: runs.mark(run.id, "failed"), "one too many")
            await writes.aclose()
    assert "one too many: not stored, since 1 writes wait" in caplog.text
    assert "the database did not take before the end: the end of a run" in caplog.text


async def test_a_late_write_of_a_run_that_is_gone_says_so(runs: RunStore, answer: Answer) -> None:
    writes = LateWrites()
    with pytest.raises(RunExpiredError):
        await writes.put(lambda: runs.set_thread("nobody", 1), "a thread")
    await writes.aclose()


async def test_an_error_that_will_not_pass_is_not_tried_for_ever(caplog: pytest.LogCaptureFixture) -> None:
    async def broken() -> None:
        raise StorageError("A stored answer cannot be read.")

    writes = LateWrites()
    assert not await writes.settle(broken, "it")
    assert "it: not stored: A stored answer cannot be read." in caplog.text
    await writes.aclose()


def damage(path: Path, page: int) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: page * 4096] + b"\xff" * 4096 + data[(page + 1) * 4096 :])


@pytest.mark.parametrize("page", [0, 1, 3])
async def test_a_damaged_file_is_named_with_what_to_do(path: Path, url: str, page: int) -> None:
    async with Database.open(url) as opened:
        for _ in range(20):
            await RunStore(opened).create(long())
    await asyncio.to_thread(damage, path, page)
    with pytest.raises(StorageError, match="is damaged") as caught:
        async with Database.open(url):
            pass
    assert f"sqlite3 {path}" in caught.value.hint
    assert ".recover" in caught.value.hint
    assert "backup" in caught.value.hint


async def test_a_file_that_was_cut_is_named(path: Path, url: str) -> None:
    async with Database.open(url) as opened:
        for _ in range(20):
            await RunStore(opened).create(long())
    data = await asyncio.to_thread(path.read_bytes)
    await asyncio.to_thread(path.write_bytes, data[: len(data) // 2])
    with pytest.raises(StorageError, match="is damaged"):
        async with Database.open(url):
            pass


def test_a_check_that_takes_too_long_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr("bot.storage.checking.LONGEST_SECONDS", 0.02)
    path = tmp_path / "large.sqlite3"
    with closing(sqlite3.connect(path, check_same_thread=False)) as connection:
        connection.execute("CREATE TABLE rows (id INTEGER PRIMARY KEY, text TEXT)")
        connection.executemany("INSERT INTO rows (text) VALUES (?)", (("q" * 100,) for _ in range(400_000)))
        connection.commit()
        check(connection, path)
        assert "too large for more" in caplog.text
        assert connection.execute("SELECT count(*) FROM rows").fetchone() == (400_000,)
