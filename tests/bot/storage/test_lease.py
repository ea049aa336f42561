"""One process at a time: the second says so, the dead give way, --force takes over, and no clock is asked."""

from __future__ import annotations

import asyncio
import base64
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import select
from sqlalchemy.dialects import postgresql

from bot.errors import AlreadyRunningError, StorageError
from bot.storage import Database
from bot.storage import lease as module
from bot.storage.lease import Lease, digest_of
from bot.storage.process import Process, _machine, _started, is_gone, this_process
from bot.storage.tables import LeaseRow

FAST = {"heartbeat": 0.05, "watch": 0.3}
AWAY = Process("another", 1, "another machine:1")
TOKEN = base64.urlsafe_b64encode(b"1200000000000000001").decode().rstrip("=") + ".Gabcde.a-secret-that-nobody-shall-see"


@pytest_asyncio.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


@pytest.fixture
def make(database: Database, tmp_path: Path) -> Any:
    def make(bot: str = "a", folder: str = "data", **more: Any) -> Lease:
        return Lease(database, bot, tmp_path / folder, **{**FAST, **more})

    return make


async def rows(database: Database) -> dict[str, LeaseRow]:
    async with database.read() as session:
        return {row.scope: row for row in await session.scalars(select(LeaseRow))}


def mark_of(pid: int) -> str:
    return f"{_machine()}:{_started(pid)}"


async def stopped(lease: Lease, stack: AsyncExitStack) -> None:
    """Its holder stays in the rows, and its heartbeat stops, as when it is killed or frozen."""
    held = await stack.enter_async_context(lease.held())
    held.cancel()


async def test_it_is_held_counted_and_given_back(make: Any, database: Database) -> None:
    async with make().held() as held:
        first = await rows(database)
        assert set(first) == {"bot:a", "database"}
        await asyncio.sleep(0.3)
        assert all(row.beat > first[scope].beat for scope, row in (await rows(database)).items())
        assert not held.done()
    assert await rows(database) == {}
    async with make().held():
        pass


async def test_the_second_one_hears_at_once_who_serves(make: Any, stack: AsyncExitStack) -> None:
    await stack.enter_async_context(make().held())
    async with asyncio.timeout(1):
        with pytest.raises(AlreadyRunningError, match=f"This bot is being run already, by process {os.getpid()} on ") as caught:
            await stack.enter_async_context(make().held())
    assert "--force" in caught.value.for_host()


async def test_another_bot_with_the_same_database_is_told_what_it_lacks(make: Any, stack: AsyncExitStack) -> None:
    await stack.enter_async_context(make().held())
    with pytest.raises(AlreadyRunningError, match="This database is in use already") as caught:
        await stack.enter_async_context(make("b").held())
    assert "storage.url" in caught.value.hint


async def test_a_bot_with_another_database_is_seen_on_the_same_machine(make: Any, stack: AsyncExitStack, tmp_path: Path) -> None:
    await stack.enter_async_context(make().held())
    other = await stack.enter_async_context(Database.open(f"sqlite+aiosqlite:///{tmp_path / 'other.sqlite3'}"))
    with pytest.raises(AlreadyRunningError, match="with another database"):
        await stack.enter_async_context(Lease(other, "a", tmp_path / "data", **FAST).held())
    assert await rows(other) == {}
    await stack.enter_async_context(Lease(other, "b", tmp_path / "data", **FAST).held())


async def test_one_with_another_database_is_told_of_the_takeover(make: Any, stack: AsyncExitStack, tmp_path: Path) -> None:
    first = AsyncExitStack()
    held = await first.enter_async_context(make().held())
    held.add_done_callback(lambda _: closing.append(asyncio.ensure_future(first.aclose())))
    closing: list[Any] = []
    other = await stack.enter_async_context(Database.open(f"sqlite+aiosqlite:///{tmp_path / 'other.sqlite3'}"))
    second = await stack.enter_async_context(Lease(other, "a", tmp_path / "data", **FAST).held(force=True))
    assert held.done()
    assert not second.done()
    await asyncio.gather(*closing)


async def test_a_folder_that_cannot_be_written_keeps_nobody_away(make: Any, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("no folder")
    async with make().held() as held:
        await asyncio.sleep(0.2)
        assert not held.done()


async def test_a_process_elsewhere_that_beats_is_believed(make: Any, stack: AsyncExitStack) -> None:
    await stack.enter_async_context(make(folder="theirs", process=AWAY).held())
    async with asyncio.timeout(1):
        with pytest.raises(AlreadyRunningError, match="by process 1 on another"):
            await stack.enter_async_context(make().held())


async def test_a_process_elsewhere_that_stopped_is_followed_after_the_watch(make: Any, stack: AsyncExitStack) -> None:
    await stopped(make(folder="theirs", process=AWAY), stack)
    began = asyncio.get_running_loop().time()
    await stack.enter_async_context(make().held())
    assert 0.3 <= asyncio.get_running_loop().time() - began < 2


async def test_a_dead_process_of_this_machine_is_followed_at_once(make: Any, stack: AsyncExitStack) -> None:
    """A killed process, and one whose id was given to another."""
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", "input()", stdin=subprocess.PIPE)
    killed = replace(this_process(), pid=child.pid, mark=mark_of(child.pid))
    assert is_gone(killed) is False
    child.kill()
    await child.wait()
    reused = replace(this_process(), mark=f"{this_process().mark.partition(':')[0]}:1")
    for number, dead in enumerate((reused, killed)):
        await stopped(make(folder=f"theirs{number}", process=dead), stack)
        async with asyncio.timeout(0.25):
            async with make(folder=f"ours{number}").held():
                pass


def test_what_is_known_of_processes() -> None:
    assert is_gone(this_process()) is False
    assert is_gone(AWAY) is None
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # ended, and its parent has not looked yet
    assert is_gone(replace(this_process(), pid=child.pid)) is True
    child.wait()
    assert is_gone(replace(this_process(), pid=child.pid)) is True


async def test_force_takes_over_and_the_first_ends(make: Any, stack: AsyncExitStack, database: Database) -> None:
    first = await stack.enter_async_context(make(folder="theirs", process=AWAY).held())
    began = asyncio.get_running_loop().time()
    second = await stack.enter_async_context(make().held(force=True))
    assert asyncio.get_running_loop().time() - began >= 3 * FAST["heartbeat"]  # the first one hears of it before
    await asyncio.wait_for(first, 2)
    assert first.exception() is None
    await asyncio.sleep(0.2)
    assert not second.done()
    assert {row.pid for row in (await rows(database)).values()} == {os.getpid()}


async def test_what_was_taken_over_is_not_given_back_by_the_first(make: Any, stack: AsyncExitStack, database: Database) -> None:
    async with make(folder="theirs", process=AWAY).held():
        await stack.enter_async_context(make().held(force=True))
    assert set(await rows(database)) == {"bot:a", "database"}


async def test_of_many_newcomers_one_comes_in(make: Any, stack: AsyncExitStack) -> None:
    await stopped(make(folder="theirs", process=AWAY), stack)
    came = await asyncio.gather(
        *(stack.enter_async_context(make(folder=f"ours{n}").held()) for n in range(8)), return_exceptions=True
    )
    assert sorted(type(one).__name__ for one in came) == ["AlreadyRunningError"] * 7 + ["Task"]


async def test_a_wrong_clock_changes_nothing(make: Any, stack: AsyncExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
    await stack.enter_async_context(make(folder="theirs", process=AWAY).held())
    monkeypatch.setattr("time.time", lambda: 0.0)
    with pytest.raises(AlreadyRunningError):
        await stack.enter_async_context(make().held())


async def test_a_database_that_is_locked_for_a_while_loses_no_lease(
    make: Any, path: Path, lock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.storage.database.BUSY_MILLISECONDS", 200)
    async with make().held() as held:
        async with lock(path):
            await asyncio.sleep(0.6)
        await asyncio.sleep(0.3)
        assert not held.done()


@pytest.mark.parametrize("replaced", [False, True])
async def test_a_file_deleted_while_it_runs_is_noticed(make: Any, path: Path, *, replaced: bool) -> None:
    async with make().held() as held:
        await asyncio.to_thread(path.unlink)
        if replaced:
            await asyncio.to_thread(path.write_bytes, b"")
        with pytest.raises(StorageError, match="was deleted, moved away or replaced") as caught:
            await asyncio.wait_for(held, 2)
    assert "Put back" in caught.value.hint


def test_a_bot_is_named_by_its_id_and_never_by_its_token() -> None:
    again = TOKEN.replace("secret", "newer-secret")
    assert digest_of(TOKEN) == digest_of(again) != digest_of("another.token.of-another-bot")
    for token in (TOKEN, "odd", "", "é.ü", "\x00"):
        name = digest_of(token)
        assert len(name) == 32
        assert not token or token not in name


def test_its_statements_are_understood_by_postgresql() -> None:
    """No SQLite word in them; the types are those of the migration."""
    more = module.update(LeaseRow).where(LeaseRow.holder == "x").values(beat=LeaseRow.beat + 1)
    assert "beat=(leases.beat + " in str(more.compile(dialect=postgresql.dialect()))
