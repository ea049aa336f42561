"""What survives a restart: buttons, conversations, open questions, the command sync."""

from __future__ import annotations

import contextvars
import datetime
import threading
from pathlib import Path

import simcord

from bot.app import open_app
from bot.client import create_bot
from bot.config import Config
from bot.storage.database import Database
from bot.storage.records import NewRun
from bot.storage.runs import RunStore
from models.fakes.engine import FakeEngine
from tests.cogs.conftest import ANSWER, FOOT, World, config, populate, running, texts, told


async def test_the_button_and_the_conversation_work_after_a_restart(tmp_path: Path) -> None:
    settings, engine = config(tmp_path, discord={"inner_voice": "button"}), FakeEngine()
    async with running(settings, engine) as (app, env):
        world = populate(env, app, engine)
        await world.ask()
        (answer,) = world.answers()

        async with open_app(settings, engine_factory=lambda: engine) as reborn:
            await reborn.model.start()
            await env.restart_bot(create_bot(reborn, shard_count=1))
            result = await world.alice.click(answer, label="Inner voice")
            assert "Inner voice" in texts(told(result).message)
            await world.alice.send(world.channel, "Are you sure?", reply_to=answer)
            assert [turn.text for turn in engine.jobs[-1].history] == [FOOT, ANSWER]


async def test_a_stored_inner_voice_needs_no_model(tmp_path: Path) -> None:
    """The trace is kept: the button works while the model is still loading, or is another by now."""
    settings, engine = config(tmp_path, discord={"inner_voice": "button"}), FakeEngine()
    async with running(settings, engine) as (app, env):
        world = populate(env, app, engine)
        await world.ask()
        (answer,) = world.answers()
        never = threading.Event()

        def loading() -> FakeEngine:
            never.wait(20)
            return FakeEngine(layers=3)

        async with open_app(settings, engine_factory=loading) as reborn:
            reborn.tasks.context = contextvars.copy_context()  # the simulation does not wait for what loads
            reborn.model.start()
            await env.restart_bot(create_bot(reborn, shard_count=1))
            world.app = reborn
            world.detach()
            result = await world.alice.click(answer, label="Inner voice")
            await world.until(lambda: told(result))
            assert "Inner voice" in texts(told(result).message)
            never.set()


async def test_an_open_question_is_answered_after_a_crash(tmp_path: Path) -> None:
    settings, engine = config(tmp_path), FakeEngine()
    async with running(settings, engine) as (app, env):
        world = populate(env, app, engine)
        question = await _journal(settings, world)

        async with open_app(settings, engine_factory=lambda: engine) as reborn:
            await reborn.model.start()
            await env.restart_bot(create_bot(reborn, shard_count=1))
            answers = world.answers()
            assert [m.content.split("\n")[0] for m in answers] == [ANSWER]
            assert answers[0].reference.message_id == question
            assert len(world.channel.threads) == 1


async def test_a_question_from_long_ago_gets_an_apology(tmp_path: Path) -> None:
    settings, engine = config(tmp_path), FakeEngine()
    async with running(settings, engine) as (app, env):
        world = populate(env, app, engine)
        await _journal(settings, world, age=datetime.timedelta(hours=3))

        async with open_app(settings, engine_factory=lambda: engine) as reborn:
            await reborn.model.start()
            await env.restart_bot(create_bot(reborn, shard_count=1))
            (apology,) = world.answers()
            assert "restarted before I could answer" in apology.content
        async with Database.open(settings.storage.resolved_url()) as database:
            assert await RunStore(database).unfinished() == ()


async def _journal(settings: Config, world: World, *, age: datetime.timedelta = datetime.timedelta(0)) -> int:
    """Leave a journaled, unanswered question behind, as a killed process does."""
    message = await world.alice.send(world.channel, "a message that the dead process had read")
    async with Database.open(settings.storage.resolved_url()) as database:
        runs = RunStore(database, now=lambda: datetime.datetime.now(datetime.UTC) - age)
        new = NewRun(FOOT, "mention", world.channel.id, world.alice.id, world.guild.id, message.id)
        await runs.mark((await runs.create(new)).id, "answering")
    return message.id


async def test_commands_are_sent_once_and_again_when_asked(tmp_path: Path) -> None:
    settings = config(tmp_path)

    def syncs(env: simcord.Env) -> int:
        return sum(r.method == "PUT" and r.path.endswith("/commands") for r in env.http_requests)

    async with running(settings, FakeEngine()) as (_, env):
        assert syncs(env) == 1
        async with open_app(settings, engine_factory=FakeEngine) as reborn:
            await reborn.model.start()
            await env.restart_bot(create_bot(reborn, shard_count=1))
            assert syncs(env) == 1
        async with open_app(settings, engine_factory=FakeEngine) as reborn:
            await reborn.model.start()
            await env.restart_bot(create_bot(reborn, shard_count=1, sync=True))
            assert syncs(env) == 2
