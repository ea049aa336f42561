"""Runs: what goes in comes out, across restarts, many tasks at once, and not a day longer than it should."""

import asyncio
import re
import sqlite3
from contextlib import closing
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text, update

from bot.errors import MissingPermissionsError, RunExpiredError, StorageError
from bot.storage import Database, NewRun, Run, RunFailure, RunStore, new_run_id
from bot.storage.packing import pack_final_top, pack_floats, pack_ids, unpack_final_top, unpack_floats, unpack_ids
from bot.storage.tables import RunRow
from models.findings import Findings
from models.trace import Trace
from models.types import Answer, FinalTop, Sampling, Turn

MODEL = {"model_id": "tiny", "revision": "main", "dtype": "float32"}


async def answered(runs: RunStore, answer: Answer, question: str = "q", **new: object) -> Run:
    run = await runs.create(NewRun(question, "reply", **new))
    await runs.save_answer(run.id, replace(answer, text=f"answer to {question}"), **MODEL)
    return await runs.get(run.id)


def test_run_ids_are_short_safe_and_differ():
    ids = {new_run_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{16}", name) for name in ids)


async def test_a_question_is_journaled_with_all_it_came_with(runs, clock):
    new = NewRun(
        "How many eyes?",
        "mention",
        channel_id=2**62,
        user_id=3,
        guild_id=4,
        question_message_id=5,
        locale="zh-CN",
        style="story",
        sampling=Sampling(temperature=0.5),
    )
    run = await runs.create(new)
    assert run == await runs.get(new.id)
    for name in (f.name for f in fields(NewRun)):
        assert getattr(run, name) == getattr(new, name)
    assert (run.state, run.created_at, (run.expires_at - run.created_at).days) == ("queued", clock(), 30)
    assert (run.answer_text, run.error, run.has_trace, run.model_id) == (None, None, False, None)


async def test_the_words_are_in_no_repr(runs, answer):
    run = await answered(runs, answer, "secret words")
    assert "secret" not in repr(run) + repr(NewRun("secret words", "dm"))


async def test_what_no_database_takes_is_replaced(runs, answer):
    """PostgreSQL takes no NUL; no database takes half a character, which JSON can bring."""
    run = await runs.create(NewRun("\ud83dhow\0 many \ud83d\udc40", "dm"))
    await runs.save_answer(run.id, replace(answer, text="two\0\udc00"), **MODEL)
    run = await runs.get(run.id)
    assert (run.question, run.answer_text) == ("\ufffdhow\ufffd many 👀", "two\ufffd\ufffd")


async def test_an_answer_comes_back_equal(runs, answer):
    run = await answered(runs, answer, "q")
    assert await runs.load_answer(run.id) == replace(answer, text="answer to q")
    assert (run.state, run.style, run.sampling, run.seed, run.finish) == (
        "answered",
        "chat",
        answer.sampling,
        answer.seed,
        "stop",
    )
    assert (run.answer_text, run.model_id, run.revision, run.dtype) == ("answer to q", "tiny", "main", "float32")


async def test_an_empty_answer_comes_back_equal(runs, answer):
    empty = replace(answer, answer_ids=(), text="", sampled_prob=(), final_top=FinalTop((), ()), finish="length")
    run = await runs.create(NewRun("q", "dm"))
    await runs.save_answer(run.id, empty, model_id="tiny", revision=None, dtype="float32")
    assert await runs.load_answer(run.id) == empty


@given(
    ids=st.lists(st.integers(0, 2**31 - 1)),
    values=st.lists(st.floats(allow_nan=False)),
    rows=st.lists(
        st.lists(st.tuples(st.integers(0, 2**31 - 1), st.floats(max_value=0, allow_nan=False)), max_size=4), max_size=4
    ),
)
def test_packing_is_exact(ids, values, rows):
    top = FinalTop(tuple(tuple(i for i, _ in row) for row in rows), tuple(tuple(p for _, p in row) for row in rows))
    assert unpack_ids(pack_ids(ids)) == tuple(ids)
    assert unpack_floats(pack_floats(values)) == tuple(values)
    assert unpack_final_top(pack_final_top(top)) == top


async def test_a_trace_comes_back_equal(runs, answer, trace):
    run = await answered(runs, answer)
    assert await runs.load_trace(run.id) is None
    await runs.save_trace(run.id, trace)
    loaded = await runs.load_trace(run.id)
    assert (await runs.get(run.id)).has_trace
    for item in fields(Trace):
        before, after = getattr(trace, item.name), getattr(loaded, item.name)
        if isinstance(before, np.ndarray):
            assert before.dtype == after.dtype
            np.testing.assert_array_equal(before, after)
        else:
            assert _plain(before) == _plain(after)


def _plain(value):
    return value.to_json() if isinstance(value, Findings) else value


@pytest.mark.parametrize("damage", [b"", b"junk", b"PK\x03\x04 cut off", "cut"])
async def test_a_trace_that_cannot_be_read_counts_as_not_kept(runs, database, answer, trace, damage, caplog):
    run = await answered(runs, answer)
    data = trace.to_bytes()[:200] if damage == "cut" else damage
    async with database.write() as session:
        await session.execute(update(RunRow).where(RunRow.id == run.id).values(trace=data))
    assert await runs.load_trace(run.id) is None
    assert "cannot be read" in caplog.text


async def test_a_damaged_answer_is_told(runs, database, answer):
    run = await answered(runs, answer)
    async with database.write() as session:
        await session.execute(update(RunRow).where(RunRow.id == run.id).values(final_top=b"junk"))
    with pytest.raises(StorageError, match="cannot be read"):
        await runs.load_answer(run.id)


async def test_states_and_errors(runs):
    run = await runs.create(NewRun("q", "dm"))
    await runs.mark(run.id, "answering")
    assert (await runs.get(run.id)).state == "answering"
    await runs.mark(run.id, "failed", error=MissingPermissionsError(["send_messages"]))
    failure = (await runs.get(run.id)).error
    assert failure is not None
    assert failure.kind == "MissingPermissionsError"
    assert "Send Messages" in failure.sentence
    await runs.mark(run.id, "failed", error=ValueError("may quote the question"))
    assert (await runs.get(run.id)).error == RunFailure("ValueError", "")
    await runs.mark(run.id, "queued")
    assert (await runs.get(run.id)).error is None
    await runs.mark("nobody", "failed")


async def test_any_part_of_a_long_answer_finds_its_run(runs, answer):
    run, other = await answered(runs, answer, question_message_id=1), await answered(runs, answer, question_message_id=2)
    await runs.attach_messages(run.id, [2**62, 11, 12])
    await runs.attach_messages(other.id, [20])
    for message in (2**62, 11, 12):
        assert (await runs.by_message(message)).id == run.id
    assert (await runs.by_message(20)).id == other.id
    assert (await runs.get(run.id)).answer_message_id == 2**62
    assert (await runs.by_question(1)).id == run.id
    assert await runs.by_message(1) is None
    assert await runs.by_question(11) is None


async def test_messages_are_replaced(runs, answer):
    run, other = await answered(runs, answer), await answered(runs, answer)
    await runs.attach_messages(run.id, [10, 11])
    await runs.attach_messages(run.id, [10])
    assert await runs.by_message(11) is None
    await runs.attach_messages(other.id, [10])
    assert (await runs.by_message(10)).id == other.id
    await runs.attach_messages(other.id, [])
    assert await runs.by_message(10) is None
    assert (await runs.get(other.id)).answer_message_id is None


async def test_the_latest_answer_of_a_channel_and_of_its_thread(runs, answer, clock):
    assert await runs.latest_in_channel(1) is None
    first = await answered(runs, answer, channel_id=1)
    clock.pass_days(0.1)
    second = await answered(runs, answer, channel_id=1)
    await runs.mark(second.id, "told")
    clock.pass_days(0.1)
    await runs.create(NewRun("not answered yet", "mention", channel_id=1))
    await runs.set_thread(first.id, 77)
    assert (await runs.latest_in_channel(1)).id == second.id
    assert (await runs.latest_in_channel(77)).id == first.id
    assert await runs.latest_in_channel(2) is None


async def test_the_latest_run_of_a_question(runs, clock):
    await runs.create(NewRun("q", "dm", question_message_id=5))
    clock.pass_days(0.1)
    again = await runs.create(NewRun("q", "dm", question_message_id=5))
    assert (await runs.by_question(5)).id == again.id


async def chain(runs: RunStore, answer: Answer) -> list[Run]:
    made: list[Run] = []
    for name in ("one", "two", "three"):
        made.append(await answered(runs, answer, name, parent_run_id=made[-1].id if made else None))
    made.append(await runs.create(NewRun("four", "reply", parent_run_id=made[-1].id)))
    return made


def turns(*names: str) -> tuple[Turn, ...]:
    return tuple(turn for name in names for turn in (Turn("user", name), Turn("assistant", f"answer to {name}")))


async def test_a_conversation_is_walked_back_and_told_forward(runs, answer):
    made = await chain(runs, answer)
    assert await runs.conversation(made[3].id, 50) == turns("one", "two", "three")
    assert await runs.conversation(made[2].id, 50) == turns("one", "two", "three")
    assert await runs.conversation(made[0].id, 50) == turns("one")
    assert await runs.conversation("nobody", 50) == ()


@pytest.mark.parametrize(
    ("limit", "names"), [(0, ()), (1, ()), (2, ("three",)), (5, ("two", "three")), (6, ("one", "two", "three"))]
)
async def test_a_conversation_keeps_the_latest_whole_turns(runs, answer, limit, names):
    made = await chain(runs, answer)
    assert await runs.conversation(made[3].id, limit) == turns(*names)


async def test_a_conversation_leaves_out_what_failed(runs, answer):
    made = await chain(runs, answer)
    await runs.mark(made[1].id, "failed")
    assert await runs.conversation(made[3].id, 50) == turns("one", "three")


async def test_a_conversation_in_a_circle_ends(runs, answer, database):
    made = await chain(runs, answer)
    async with database.write() as session:
        await session.execute(update(RunRow).where(RunRow.id == made[0].id).values(parent_run_id=made[3].id))
    assert await runs.conversation(made[3].id, 50) == turns("one", "two", "three")


async def test_a_parent_that_is_gone_is_left_out(runs):
    assert (await runs.create(NewRun("q", "reply", parent_run_id="gone"))).parent_run_id is None


async def test_a_crash_loses_no_question(url, answer):
    async with Database.open(url) as database:
        runs = RunStore(database)
        names = [(await runs.create(NewRun(f"q{i}", "mention", channel_id=i))).id for i in range(5)]
        await runs.mark(names[1], "answering")
        await runs.save_answer(names[2], answer, **MODEL)
        await runs.mark(names[3], "failed")
        await runs.mark(names[4], "cancelled")
    async with Database.open(url) as database:
        left = await RunStore(database).unfinished()
        assert [(run.question, run.state) for run in left] == [("q0", "queued"), ("q1", "answering")]


async def every_way_to(runs: RunStore, run: Run, answer: Answer, trace: Trace) -> None:
    """Asserts that the run is gone, whichever way it is asked for."""
    for attempt in (
        runs.get(run.id),
        runs.load_answer(run.id),
        runs.load_trace(run.id),
        runs.save_answer(run.id, answer, **MODEL),
        runs.save_trace(run.id, trace),
        runs.attach_messages(run.id, [1]),
        runs.set_thread(run.id, 1),
    ):
        with pytest.raises(RunExpiredError) as caught:
            await attempt
        assert caught.value.request_id == run.id
    assert await runs.by_message(10) is None
    assert await runs.by_question(11) is None
    assert await runs.latest_in_channel(12) is None
    assert await runs.unfinished() == ()
    assert await runs.conversation(run.id, 6) == ()


@pytest.mark.parametrize("how", ["expired", "purged", "forgotten"])
async def test_a_run_whose_time_is_over_is_gone(runs, answer, trace, clock, how):
    run = await answered(runs, answer, question_message_id=11, channel_id=12)
    await runs.attach_messages(run.id, [10])
    clock.pass_days(29.9)
    assert await runs.purge_expired() == 0
    assert (await runs.by_message(10)).id == run.id
    if how == "forgotten":
        await runs.forget(run.id)
    else:
        clock.pass_days(0.1)
    if how == "purged":
        assert await runs.purge_expired() == 1
    await every_way_to(runs, run, answer, trace)


async def test_a_run_without_an_answer_says_so(runs):
    run = await runs.create(NewRun("q", "dm"))
    with pytest.raises(RunExpiredError, match="never answered"):
        await runs.load_answer(run.id)


async def test_purging_takes_the_messages_along_and_frees_the_children(runs, answer, clock, database):
    parent = await answered(runs, answer)
    await runs.attach_messages(parent.id, [10, 11])
    clock.pass_days(20)
    child = await answered(runs, answer, "child", parent_run_id=parent.id)
    clock.pass_days(15)
    assert await runs.purge_expired() == 1
    assert (await runs.get(child.id)).parent_run_id is None
    assert await runs.purge_expired(child.expires_at) == 1
    async with database.read() as session:
        for table in ("runs", "run_messages"):
            assert await session.scalar(text(f"SELECT count(*) FROM {table}")) == 0  # noqa: S608


async def test_what_is_forgotten_is_not_in_the_file_any_more(url, path, answer, trace):
    async with Database.open(url) as database:
        runs = RunStore(database)
        run = await answered(runs, answer, "unforgettable words")
        await runs.save_trace(run.id, trace)
        waiting = await runs.create(NewRun("unforgettable words", "dm"))
        await runs.forget(run.id)
        await runs.forget(waiting.id)
        await runs.forget("nobody")
        async with database.read() as session:
            rows = (
                await session.execute(text("SELECT question, answer_text, trace, prompt_ids, answer_ids, state FROM runs"))
            ).all()
        assert set(rows) == {("", None, None, None, None, "answered"), ("", None, None, None, None, "cancelled")}
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert b"unforgettable" not in path.read_bytes()


async def test_an_answer_that_comes_after_its_question_was_deleted_is_not_kept(runs, answer, database):
    run = await runs.create(NewRun("q", "dm"))
    await runs.forget(run.id)
    with pytest.raises(RunExpiredError):
        await runs.save_answer(run.id, answer, **MODEL)
    async with database.read() as session:
        assert await session.scalar(text("SELECT answer_text FROM runs")) is None


async def test_fifty_tasks_at_once(runs, answer, trace):
    async def one(number: int) -> str:
        run = await runs.create(NewRun(f"q{number}", "mention", channel_id=number))
        await runs.mark(run.id, "answering")
        await runs.save_answer(run.id, replace(answer, text=str(number)), **MODEL)
        await runs.attach_messages(run.id, [1000 + 2 * number, 1001 + 2 * number])
        await runs.save_trace(run.id, trace)
        await runs.mark(run.id, "told")
        found = await runs.by_message(1001 + 2 * number)
        return found.answer_text

    assert await asyncio.gather(*(one(number) for number in range(50))) == [str(number) for number in range(50)]
    assert await runs.unfinished() == ()


async def test_a_cancelled_task_leaves_no_lock_behind(runs):
    tasks = [asyncio.create_task(runs.create(NewRun(f"q{i}", "dm"))) for i in range(20)]
    await asyncio.sleep(0.005)
    for task in tasks[::2]:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(r, Run | asyncio.CancelledError) for r in results)
    await asyncio.wait_for(runs.create(NewRun("after", "dm")), 10)
