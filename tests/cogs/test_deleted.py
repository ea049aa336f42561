"""Deleted means deleted: after a message is gone, nothing in any table, log or file spells out its words."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import discord
import pytest

from bot.errors import StorageError
from bot.storage.packing import unpack_ids
from models.fakes.engine import FakeEngine
from models.trace import Trace
from models.types import Job, Sampling
from tests.cogs.conftest import World, config, populate, running, texts

WORD = "zyxwvut"
SECRET = f"How many {WORD} does my foot have?"
REPLIES = ("Are you sure?", "And my hand?")


def stored(folder: Path, tokens: dict[int, str]) -> str:
    """Everything that the files of a folder and the tables in them hold, packed or not, as one text."""
    found = [path.read_bytes().decode("utf-8", errors="replace") for path in folder.rglob("*") if path.is_file()]
    with closing(sqlite3.connect(folder / "runs.sqlite3")) as connection:
        names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for name in names:
            found += [str(row) for row in connection.execute(f"SELECT * FROM {name}")]  # noqa: S608
        for packed, trace in connection.execute("SELECT prompt_ids, trace FROM runs"):
            ids = unpack_ids(packed) if packed else ()
            if trace:
                read = Trace.from_bytes(trace)
                ids = (*ids, *read.prompt_ids.tolist())
                found += [*read.pieces.values(), str(read.findings), str(read.meta)]
            found.append("".join(tokens.get(i, "") for i in ids))
    return "\n".join(found)


def spelled(engine: Any) -> dict[int, str]:
    """What the ids of the scripted engine's prompts stand for."""
    return {engine._prompt_id(word): word for word in (WORD, f" {WORD}")}


def shown(world: World) -> str:
    """What the bot shows in channel and threads, titles included."""
    messages = [*world.answers(), *(m for thread in world.channel.threads for m in thread.history())]
    names = [thread.name for thread in world.channel.threads]
    return "\n".join([*names, *(f"{message.content}\n{texts(message)}" for message in messages)])


async def chain(world: World) -> discord.Message:
    """A question, and two replies below its answer."""
    question = await world.ask(SECRET)
    for reply in REPLIES:
        answer = world.answers()[-1]
        await world.bob.send(world.channel, f"{world.mention} {reply}", reply_to=answer)
    return question


class Slow(FakeEngine):
    """The scripted engine, whose roads wait for a gate, and whose prompts hold the history as a real one's do."""

    def answer(self, job: Job, **kwargs: Any) -> Any:
        if job.road is None:
            whole = " ".join([*(turn.text for turn in job.history), job.question])
            return super().answer(Job(whole, (), job.style, job.sampling, job.request_id), **kwargs)
        while self.gate is not None and not self.gate.wait(0.01):
            if kwargs.get("cancelled", bool)():
                break
        return super().answer(job, **kwargs)


async def test_a_question_with_replies_below_it_and_a_road_under_way(tmp_path: Path) -> None:
    engine = Slow(gate=threading.Event())
    engine.gate.set()
    async with running(config(tmp_path), engine) as (app, env):
        world = populate(env, app, engine)
        question = await chain(world)
        assert WORD in stored(tmp_path, spelled(engine))
        assert any(WORD in thread.name for thread in world.channel.threads)

        engine.gate.clear()
        world.detach()
        first = world.answers()[0].jump_url
        await world.bob.slash(world.channel, "fork", word="one")
        await world.alice.slash(world.channel, "reconsider", answer=first)
        await world.until(lambda: len(app.asks.under_way._passes) >= 2)
        await world.alice.delete(question)
        await env.settle()
        engine.gate.set()
        await world.until(lambda: not app.asks.under_way._passes)
        assert WORD not in stored(tmp_path, spelled(engine))
        assert WORD not in shown(world)
        # Both pressers are told, whatever stood there before.
        await world.until(lambda: sum("was deleted, so I stopped" in str(r.json) for r in env.http_requests) == 2)
        assert sum(thread.name == "💭 (deleted)" for thread in world.channel.threads) == 1


@pytest.mark.parametrize("command", ["ask", "compare"])
async def test_the_answer_of_a_command_is_deleted(tmp_path: Path, command: str) -> None:
    engine = Slow()
    async with running(config(tmp_path), engine) as (app, env):
        world = populate(env, app, engine)
        options = {"question": SECRET} if command == "ask" else {"a": "How many eyes has a hare?", "b": SECRET}
        await world.alice.slash(world.channel, command, **options)
        answer = world.answers()[-1]
        await world.bob.send(world.channel, f"{world.mention} Are you sure?", reply_to=answer)
        await world.bob.slash(world.channel, "fork", word=" no", answer=answer.jump_url)
        assert WORD in stored(tmp_path, spelled(engine))
        await _moderator_deletes(world, answer)
        assert WORD not in stored(tmp_path, spelled(engine))
        assert not [name for name in (thread.name for thread in world.channel.threads) if WORD in name]


async def _moderator_deletes(world: World, message: discord.Message) -> None:
    role = world.guild.create_role("moderators", permissions=discord.Permissions(manage_messages=True))
    moderator = world.guild.add_member(world.env.create_user("moderator"), roles=[role])
    await moderator.delete(message)


@pytest.mark.world(discord={"message_content": True})
async def test_a_message_that_was_quoted_is_deleted(world: World, tmp_path: Path) -> None:
    claim = await world.bob.send(world.channel, f"A foot has two {WORD}.")
    await world.alice.send(world.channel, f"{world.mention} Is this true?", reply_to=claim)
    assert WORD in stored(tmp_path, spelled(world.engine))
    assert WORD in shown(world)
    await world.bob.delete(claim)
    assert WORD not in stored(tmp_path, spelled(world.engine))
    assert WORD not in shown(world)


@asynccontextmanager
async def before_the_gate(folder: Path) -> AsyncIterator[tuple[World, discord.Message]]:
    """A question that was answered; the next one waits before its first token until the engine's gate is opened."""
    engine = FakeEngine(gate=threading.Event())
    engine.gate.set()
    async with running(config(folder), engine) as (app, env):
        world = populate(env, app, engine)
        question = await world.ask(SECRET)
        engine.gate.clear()
        world.detach()
        yield world, question


async def test_a_reply_that_waits_is_asked_without_what_was_deleted(tmp_path: Path) -> None:
    async with before_the_gate(tmp_path) as (world, question):
        engine, passes = world.engine, world.app.asks.under_way._passes
        carol = world.guild.add_member(world.env.create_user("carol"))
        await carol.send(world.channel, f"{world.mention} Something else?")
        await world.bob.send(world.channel, f"{world.mention} Are you sure?", reply_to=world.answers()[0])
        await world.until(lambda: len(passes) == 2)
        await world.alice.delete(question)
        engine.gate.set()
        await world.until(lambda: not passes)
        assert (engine.jobs[-1].question, engine.jobs[-1].history) == ("Are you sure?", ())
        await world.until(lambda: len(world.answers()) == 3)
        assert WORD not in stored(tmp_path, spelled(engine))


async def test_a_reply_that_is_being_answered_is_told(tmp_path: Path) -> None:
    async with before_the_gate(tmp_path) as (world, question):
        await world.bob.send(world.channel, f"{world.mention} Are you sure?", reply_to=world.answers()[0])
        await world.until(lambda: len(world.engine.jobs) == 2)
        await world.alice.delete(question)
        await world.until(lambda: "was deleted, so I stopped" in world.answers()[-1].content)
        assert WORD not in stored(tmp_path, spelled(world.engine))


async def test_what_goes_on_from_a_run_that_was_purged_is_found_as_well(tmp_path: Path) -> None:
    engine = Slow()
    async with running(config(tmp_path), engine) as (app, env):
        world = populate(env, app, engine)
        question = await chain(world)
        await asyncio.to_thread(_expire, tmp_path, 2)
        assert await app.asks._runs.purge_expired() == 2
        assert WORD in stored(tmp_path, spelled(engine))
        await world.alice.delete(question)
        assert WORD not in stored(tmp_path, spelled(engine))


def _expire(folder: Path, count: int) -> None:
    """The oldest runs are past their time."""
    with closing(sqlite3.connect(folder / "runs.sqlite3")) as connection:
        oldest = "SELECT id FROM runs ORDER BY created_at LIMIT ?"
        connection.execute(f"UPDATE runs SET expires_at = '2000-01-01 00:00:00.000000' WHERE id IN ({oldest})", (count,))  # noqa: S608
        connection.commit()


async def test_a_database_that_is_locked_forgets_later(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    question = await world.ask(SECRET)
    tries: list[Any] = []
    forgetting = world.app.asks._runs.forgetting
    messages = forgetting.messages

    async def locked(*args: Any, **kwargs: Any) -> Any:
        tries.append(args)
        if len(tries) < 3:
            raise StorageError("It is locked.", passing=True)
        return await messages(*args, **kwargs)

    monkeypatch.setattr(forgetting, "messages", locked)
    monkeypatch.setattr("bot.storage.late.RETRY_SECONDS", 0.0)
    await world.alice.delete(question)
    await world.until(lambda: len(tries) >= 3)
    assert WORD not in stored(tmp_path, spelled(world.engine))


async def test_the_bots_own_tidying_forgets_nothing(world: World) -> None:
    """A notice that the bot takes back is no answer that somebody deleted."""
    await world.ask()
    run = await world.app.asks._runs.by_message(world.answers()[0].id)
    assert run is not None
    await world.app.asks.owed.place(run.id, 1, 77, final=False)
    assert await world.app.deleting.messages([77]) == ()
    assert (await world.app.asks._runs.get(run.id)).question


async def test_the_real_model(tmp_path: Path, smollm: Any) -> None:
    """Prompt ids, pieces and traces of a real chain spell the words out before, and nothing does after."""
    vocabulary = {i: smollm.tokenizer.decode([i]) for i in range(len(smollm.tokenizer))}
    settings = config(tmp_path, sampling=Sampling(max_new_tokens=6).model_dump())
    async with running(settings, smollm) as (app, env):
        world = populate(env, app, smollm)
        question = await chain(world)
        before = stored(tmp_path, vocabulary)
        assert before.count(SECRET) >= 3  # its own prompt, and those of both replies
        await world.alice.delete(question)
        assert WORD not in stored(tmp_path, vocabulary)
