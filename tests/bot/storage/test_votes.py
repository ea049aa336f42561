"""Votes: one a person, turned round or taken back, gone with the run; and runs that only their asker finds."""

import asyncio
import sqlite3
from contextlib import closing

import pytest
from sqlalchemy import create_engine, func, select, text

from bot.errors import RunExpiredError
from bot.storage import Database, NewRun, RunStore, Tally, VoteStore
from bot.storage.migrating import upgrade
from bot.storage.tables import VoteRow


@pytest.fixture
def votes(database, clock):
    return VoteStore(database, now=clock)


async def rows(database: Database) -> int:
    async with database.read() as session:
        return await session.scalar(select(func.count()).select_from(VoteRow))


async def test_one_vote_a_person_which_can_be_turned_and_taken_back(runs, votes, database):
    run = await runs.create(NewRun("q", "mention"))
    assert await votes.press(run.id, 1, 1) == Tally(1, 0)
    assert await votes.press(run.id, 2, -1) == Tally(1, 1)
    assert await votes.press(run.id, 1, -1) == Tally(0, 2)
    assert await votes.press(run.id, 1, -1) == Tally(0, 1)
    assert await votes.tally(run.id) == Tally(0, 1)
    assert await rows(database) == 1


async def test_a_crowd_that_presses_at_once_is_counted(runs, votes):
    run = await runs.create(NewRun("q", "mention"))
    await asyncio.gather(*(votes.press(run.id, user, 1 if user % 3 else -1) for user in range(30)))
    assert await votes.tally(run.id) == Tally(20, 10)


async def test_votes_go_with_their_run(runs, votes, database, clock):
    run, other = await runs.create(NewRun("q", "mention")), await runs.create(NewRun("q", "mention"))
    await votes.press(run.id, 1, 1)
    await votes.press(other.id, 1, 1)
    await runs.forget(other.id)
    assert await rows(database) == 1
    clock.pass_days(31)
    await runs.purge_expired()
    assert await rows(database) == 0
    assert await votes.tally(run.id) == Tally()


async def test_a_run_that_is_gone_takes_no_vote(runs, votes, clock):
    run = await runs.create(NewRun("q", "mention"))
    clock.pass_days(31)
    for run_id in (run.id, "nobody-knows-it0"):
        with pytest.raises(RunExpiredError):
            await votes.press(run_id, 1, 1)


async def test_no_word_is_kept_with_a_vote(path, runs, votes):
    run = await runs.create(NewRun("secret words", "mention"))
    await votes.press(run.id, 1, 1)
    with closing(sqlite3.connect(path)) as connection:
        columns = [name for _, name, *_ in connection.execute("PRAGMA table_info(votes)")]
    assert columns == ["run_id", "user_id", "value", "cast_at"]


async def test_runs_of_the_first_schema_are_kept_and_are_for_everybody(path, url):
    path.parent.mkdir()
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        upgrade(connection, "0001")
        connection.execute(
            text(
                "INSERT INTO runs (id, created_at, expires_at, state, source, channel_id, locale, question) VALUES "
                "('an-older-run-000', '2026-01-01', '2999-01-01', 'told', 'mention', 7, 'en-US', 'q')"
            )
        )
        connection.execute(text("INSERT INTO run_messages VALUES (9, 'an-older-run-000', 0)"))
    engine.dispose()
    async with Database.open(url) as database:
        run = await RunStore(database).latest_in_channel(7)
        assert (run.id, run.private) == ("an-older-run-000", False)
        assert await VoteStore(database).press(run.id, 1, 1) == Tally(1, 0)


async def test_going_back_a_schema_keeps_what_was_for_everybody_and_its_messages(path, database, runs):
    from alembic import command

    from bot.storage.migrating import alembic_config

    shown, hidden = await runs.create(NewRun("q", "slash")), await runs.create(NewRun("q", "slash", private=True))
    await runs.attach_messages(shown.id, [1, 2])
    async with database.engine.begin() as connection:
        await connection.run_sync(lambda sync: command.downgrade(alembic_config(sync), "0001"))
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT id FROM runs").fetchall() == [(shown.id,)]
        assert connection.execute("SELECT count(*) FROM run_messages").fetchone() == (2,)
    assert hidden.private


async def test_a_private_run_is_found_by_its_asker_alone(runs, answer, clock):
    async def answered(**new):
        run = await runs.create(NewRun("q", "slash", channel_id=7, **new))
        await runs.save_answer(run.id, answer, model_id="tiny", revision=None, dtype="float32")
        return run.id

    shown = await answered(user_id=1)
    assert (await runs.latest_in_channel(7)).id == shown
    clock.pass_days(1)
    hidden = await answered(user_id=1, private=True)
    assert (await runs.get(hidden)).private
    assert [(await runs.latest_in_channel(7, user_id=who)).id for who in (None, 2)] == [shown, shown]
    assert (await runs.latest_in_channel(7, user_id=1)).id == hidden


async def test_what_goes_on_from_a_private_run_is_private(runs):
    parent = await runs.create(NewRun("q", "slash", private=True))
    child = await runs.create(NewRun("q", "slash", parent_run_id=parent.id))
    other = await runs.create(NewRun("q", "slash", parent_run_id="nobody-knows-it0"))
    assert (child.private, child.parent_run_id) == (True, parent.id)
    assert (other.private, other.parent_run_id) == (False, None)
