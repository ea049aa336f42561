"""Opening a database: made from empty, migrated, private, and refused with a sentence when it cannot be used."""

import asyncio
import logging
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, inspect, text

from bot.errors import StorageError
from bot.storage import CommandSyncStore, Database, NewRun, RunStore
from bot.storage.migrating import alembic_config, upgrade
from bot.storage.tables import SOURCES, STATES, Base

REVISIONS = [script.revision for script in ScriptDirectory.from_config(alembic_config()).walk_revisions()][::-1]


async def test_sqlite_is_set_up_for_many_readers_and_one_waiting_writer(database):
    async with database.read() as session:
        values = {
            name: await session.scalar(text(f"PRAGMA {name}")) for name in ("journal_mode", "foreign_keys", "secure_delete")
        }
        assert values == {"journal_mode": "wal", "foreign_keys": 1, "secure_delete": 1}
        assert await session.scalar(text("PRAGMA busy_timeout")) >= 5_000


@pytest.mark.skipif(os.name != "posix", reason="file modes")
async def test_the_files_are_their_owners_alone(path, runs):
    await runs.create(NewRun("q", "dm"))
    files = list(path.parent.iterdir())
    assert {file.name for file in files} >= {"runs.sqlite3", "runs.sqlite3-wal"}
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
    assert path.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(os.name != "posix", reason="file modes")
async def test_a_file_that_others_could_read_is_closed_to_them(path, url):
    path.parent.mkdir()
    path.touch(0o644)
    async with Database.open(url):
        assert path.stat().st_mode & 0o777 == 0o600


async def test_the_migrations_lead_to_the_tables(database):
    def differences(connection: Connection) -> list[object]:
        return compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), Base.metadata)

    async with database.engine.connect() as connection:
        assert await connection.run_sync(differences) == []


async def test_the_migrated_checks_allow_all_words_and_no_other(runs, database):
    run = await runs.create(NewRun("q", "cli"))
    for state in STATES:
        await runs.mark(run.id, state)
    for source in SOURCES:
        await runs.create(NewRun("q", source))
    with pytest.raises(StorageError):
        await runs.mark(run.id, "elsewhere")


def test_migrations_are_numbered_and_explained():
    assert [f"{number:04}" for number in range(1, len(REVISIONS) + 1)] == REVISIONS
    for script in ScriptDirectory.from_config(alembic_config()).walk_revisions():
        assert Path(script.path).name.startswith(f"{script.revision}_")
        assert "Why:" in script.longdoc


@pytest.mark.parametrize("revision", REVISIONS)
async def test_each_older_schema_is_brought_up_to_date(path, url, revision):
    path.parent.mkdir()
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        upgrade(connection, revision)
    engine.dispose()
    async with Database.open(url) as database, database.engine.connect() as connection:
        found = await connection.run_sync(lambda sync: MigrationContext.configure(sync).get_current_revision())
        assert found == REVISIONS[-1]


async def test_each_migration_can_be_undone(database):
    def down(connection: Connection) -> list[str]:
        from alembic import command

        command.downgrade(alembic_config(connection), "base")
        return inspect(connection).get_table_names()

    async with database.engine.begin() as connection:
        assert await connection.run_sync(down) == ["alembic_version"]


async def test_opening_leaves_the_logging_alone(url):
    root = logging.getLogger()
    before = (root.level, root.handlers[:], logging.getLogger("bot").disabled, logging.getLogger("alembic").level)
    async with Database.open(url):
        assert (root.level, root.handlers[:], logging.getLogger("bot").disabled, logging.getLogger("alembic").level) == before


@pytest.mark.parametrize("attempt", range(5))
async def test_several_may_open_a_new_file_at_once(url, attempt):
    async def start() -> None:
        async with Database.open(url) as database:
            await RunStore(database).create(NewRun("q", "dm"))

    await asyncio.gather(*(start() for _ in range(6)))


async def test_a_database_of_a_newer_version_is_refused(path, url):
    async with Database.open(url):
        pass
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
    with pytest.raises(StorageError, match="9999") as caught:
        async with Database.open(url):
            pass
    assert "newer version" in caught.value.hint


async def test_a_file_that_is_no_database_is_refused(path, url):
    path.parent.mkdir()
    path.write_bytes(b"these are surely not the bytes of a database " * 50)
    with pytest.raises(StorageError, match="cannot be opened") as caught:
        async with Database.open(url):
            pass
    assert "storage.url" in caught.value.hint


@pytest.mark.parametrize("place", ["folder", "under a file"])
async def test_a_path_that_cannot_be_written_is_refused(tmp_path, place):
    (tmp_path / "file").touch()
    file = tmp_path if place == "folder" else tmp_path / "file" / "runs.sqlite3"
    with pytest.raises(StorageError, match="cannot be made or written") as caught:
        async with Database.open(f"sqlite+aiosqlite:///{file}"):
            pass
    assert "permissions" in caught.value.hint


@pytest.mark.parametrize("url", ["nonsense", "mysql+nodriver://h/d", "postgresql+nodriver://u:hunter2@h/d", "sqlite+pysqlite://"])
async def test_a_url_that_is_none_is_refused_without_its_password(url):
    with pytest.raises(StorageError, match="URL") as caught:
        async with Database.open(url):
            pass
    assert "hunter2" not in caught.value.for_user()


@pytest.mark.parametrize("url", ["sqlite+aiosqlite://", "sqlite://", "sqlite+aiosqlite:///:memory:"])
async def test_a_database_in_memory_serves_many_tasks(url):
    async with Database.open(url) as database:
        runs = RunStore(database)
        made = await asyncio.gather(*(runs.create(NewRun(f"q{i}", "cli")) for i in range(20)))
        assert len(await runs.unfinished()) == len(made)


async def test_a_failed_session_is_rolled_back_and_told_without_values(database, runs):
    await runs.create(NewRun("secret words", "dm", id="same"))
    with pytest.raises(StorageError, match=r"cannot be written \(IntegrityError\)") as caught:
        await runs.create(NewRun("secret words", "dm", id="same"))
    assert "secret words" not in f"{caught.value} {caught.value.__cause__}"
    assert len(await runs.unfinished()) == 1


async def test_commands_are_remembered_by_scope(url):
    async with Database.open(url) as database:
        store = CommandSyncStore(database)
        assert await store.get("global") is None
        await store.put("global", "a" * 64)
        await store.put("123", "b" * 64)
        await store.put("global", "c" * 64)
    async with Database.open(url) as database:
        store = CommandSyncStore(database)
        assert (await store.get("global"), await store.get("123")) == ("c" * 64, "b" * 64)
