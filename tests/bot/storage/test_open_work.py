"""What is owed: which runs are open, which messages stand, how passes that end the process are counted."""

from datetime import timedelta

import pytest
from sqlalchemy import create_engine, text

from bot.errors import RunExpiredError
from bot.storage import Database, NewRun, Placed, RunStore
from bot.storage.migrating import upgrade

MODEL = {"model_id": "tiny", "revision": "main", "dtype": "float32"}
SLASH = {"source": "slash", "interaction_token": "secret token", "response_message_id": 7}


async def test_a_run_is_open_until_it_is_shown_and_told(runs, answer):
    run = await runs.create(NewRun("q", "mention"))
    assert [r.id for r in await runs.open_work.everything()] == [run.id]
    await runs.save_answer(run.id, answer, **MODEL)
    assert [r.state for r in await runs.open_work.everything()] == ["answered"]
    await runs.attach_messages(run.id, [5], voice="open")
    assert [r.voice_state for r in await runs.open_work.everything()] == ["open"]
    await runs.open_work.settle(run.id, "thread")
    assert await runs.open_work.everything() == ()


async def test_what_somebody_else_shows_is_not_owed(runs, answer):
    run = await runs.create(NewRun("q", "slash"), owed=False)
    assert await runs.open_work.everything() == await runs.unfinished() == ()
    await runs.save_answer(run.id, answer, **MODEL)
    assert await runs.open_work.everything() == ()
    await runs.create(NewRun("q", "cli"))
    assert await runs.open_work.everything() == ()


async def test_the_first_message_is_known_at_once_and_replaced_by_the_whole_ones(runs):
    run = await runs.create(NewRun("q", "mention"))
    await runs.open_work.place(run.id, 0, 5, final=False)
    assert (await runs.by_message(5)).id == run.id
    await runs.open_work.place(run.id, 0, 6, final=True)
    await runs.open_work.place(run.id, 1, 8, final=True)
    assert await runs.open_work.places(run.id) == (Placed(6, 0, True), Placed(8, 1, True))
    assert await runs.by_message(5) is None
    await runs.attach_messages(run.id, [6, 9])
    assert await runs.open_work.places(run.id) == (Placed(6, 0, True), Placed(9, 1, True))
    with pytest.raises(RunExpiredError):
        await runs.open_work.place("nobody", 0, 10, final=True)


@pytest.mark.parametrize("how", ["settled", "shown", "forgotten", "over"])
async def test_a_token_is_kept_no_longer_than_it_is_needed(runs, database, clock, how):
    run = await runs.create(NewRun("q", **SLASH))
    assert run.interaction_token == "secret token"
    assert "secret" not in repr(run) + repr(NewRun("q", **SLASH))
    assert await runs.open_work.places(run.id) == (Placed(7, 0, False),)
    if how == "settled":
        await runs.open_work.settle(run.id)
    elif how == "shown":
        await runs.attach_messages(run.id, [7])
    elif how == "forgotten":
        await runs.forget(run.id)
    else:
        clock.time += timedelta(minutes=15)
        await runs.open_work.everything()
    async with database.read() as session:
        assert await session.scalar(text("SELECT count(*) FROM runs WHERE interaction_token IS NOT NULL")) == 0


async def test_a_pass_is_counted_until_its_end_is_known(runs, answer, trace):
    run = await runs.create(NewRun("q", "dm"))
    await runs.open_work.begin(run.id)
    assert ((await runs.get(run.id)).state, (await runs.get(run.id)).attempts) == ("answering", 1)
    await runs.open_work.spare(run.id)
    assert ((await runs.get(run.id)).state, (await runs.get(run.id)).attempts) == ("queued", 0)
    await runs.save_answer(run.id, answer, **MODEL)
    await runs.open_work.spare(run.id)
    assert (await runs.get(run.id)).state == "answered"
    async with runs.open_work.voice_attempt(run.id):
        assert (await runs.get(run.id)).voice_attempts == 1
        await runs.save_trace(run.id, trace)
    assert (await runs.get(run.id)).voice_attempts == 0
    with pytest.raises(ValueError, match="broken"):
        async with runs.open_work.voice_attempt(run.id):
            raise ValueError("broken")
    assert (await runs.get(run.id)).voice_attempts == 0


async def test_what_was_deleted_stays_until_its_messages_are_taken_back(runs, clock):
    run, plain = await runs.create(NewRun("q", "mention")), await runs.create(NewRun("q", "mention"))
    await runs.open_work.place(run.id, 0, 5, final=False)
    for each in (run, plain):
        await runs.forget(each.id)
    assert await runs.purge_expired() == 1
    assert [r.id for r in await runs.open_work.everything()] == [run.id]
    await runs.open_work.settle(run.id)
    assert await runs.purge_expired() == 1
    assert await runs.open_work.everything() == ()


@pytest.mark.parametrize("revision", ["0001", "0002", "0003"])
async def test_what_an_older_version_has_answered_is_not_answered_again(path, url, revision):
    path.parent.mkdir()
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        upgrade(connection, revision)
        for state in ("queued", "answering", "answered", "told", "failed", "cancelled"):
            connection.execute(
                text(
                    "INSERT INTO runs (id, created_at, expires_at, state, source, locale, question)"
                    " VALUES (:id, '2026-01-01 00:00:00', '2999-01-01 00:00:00', :state, 'mention', 'en-US', 'q')"
                ),
                {"id": state, "state": state},
            )
        connection.execute(text("INSERT INTO run_messages (message_id, run_id, part) VALUES (5, 'told', 0)"))
    engine.dispose()
    async with Database.open(url) as database:
        runs = RunStore(database)
        assert {run.id for run in await runs.open_work.everything()} == {"queued", "answering"}
        assert await runs.open_work.places("told") == (Placed(5, 0, True),)
