"""Many people at once: places in line, refusals, loading, stopping."""

from __future__ import annotations

import contextvars
import threading
from pathlib import Path

import pytest

from bot.app import open_app
from bot.client import create_bot
from models.fakes.engine import FakeEngine
from tests.cogs.conftest import ANSWER, World, config, populate, running, simulated


@pytest.mark.world(discord={"stream_after_seconds": 0.1, "edit_interval_seconds": 0.1}, engine={"delay": 0.15})
async def test_a_slow_answer_is_streamed_and_always_flushed(world: World) -> None:
    world.detach()
    await world.ask()
    await world.until(lambda: world.answers() and world.answers()[0].content.endswith("▌"))
    await world.until(lambda: world.answers()[0].content.startswith(f"{ANSWER}\n-# "))
    await world.until(lambda: world.channel.threads)
    assert len(world.answers()) == 1


@pytest.mark.world(discord={"stream_after_seconds": 30})
async def test_who_waits_sees_the_place_in_the_queue(world: World) -> None:
    gate = world.engine.gate = threading.Event()
    world.detach()
    await world.ask()
    await world.bob.send(world.channel, f"{world.mention} And mine?")
    await world.until(lambda: any("You are next" in m.content for m in world.answers()))
    gate.set()
    await world.until(lambda: sum(m.content.startswith(ANSWER) for m in world.answers()) == 2)
    assert not any("You are next" in m.content for m in world.answers())


async def test_one_question_a_person_at_a_time(world: World) -> None:
    gate = world.engine.gate = threading.Event()
    world.detach()
    await world.ask()
    await world.ask("And my hand?")
    await world.until(lambda: any("still busy with your last question" in m.content for m in world.answers()))
    gate.set()
    await world.until(lambda: any(m.content.startswith(ANSWER) for m in world.answers()))


@pytest.mark.world(queue={"max_waiting": 0})
async def test_a_full_line_refuses_at_once(world: World) -> None:
    gate = world.engine.gate = threading.Event()
    world.detach()
    await world.ask()
    await world.bob.send(world.channel, f"{world.mention} And mine?")
    await world.until(lambda: any("I cannot take more" in m.content for m in world.answers()))
    gate.set()
    await world.until(lambda: any(m.content.startswith(ANSWER) for m in world.answers()))


@pytest.mark.world(discord={"stream_after_seconds": 0.0, "edit_interval_seconds": 0.05}, engine={"delay": 0.3})
async def test_deleting_the_question_stops_the_answer_and_forgets_the_text(world: World) -> None:
    world.detach()
    question = await world.ask("a secret question")
    await world.until(world.answers)
    await world.alice.delete(question)
    await world.until(lambda: not world.answers())
    assert world.channel.threads == []
    await world.ask("And now?")  # the place in the line was given back
    await world.until(lambda: any(m.content.startswith(ANSWER) for m in world.answers()))
    stored = (await world.app.asks._runs.by_question(question.id)) if hasattr(world.app.asks, "_runs") else None
    assert stored is None or stored.question == ""


async def test_while_the_model_loads_the_question_waits_and_is_told_so(tmp_path: Path) -> None:
    gate = threading.Event()

    class Slow(FakeEngine):
        def __init__(self) -> None:
            gate.wait(20)
            super().__init__()

    async with open_app(config(tmp_path), engine_factory=Slow) as app:
        app.tasks.context = contextvars.copy_context()
        app.model.start()
        async with simulated(create_bot(app, shard_count=1)) as env:
            world = populate(env, app, FakeEngine())
            world.detach()
            await world.ask()
            await world.until(lambda: any("waking up" in m.content for m in world.answers()))
            gate.set()
            await world.until(lambda: any(m.content.startswith(ANSWER) for m in world.answers()))
            await world.until(lambda: world.channel.threads)
            assert len(world.answers()) == 1


async def test_two_people_at_once_both_get_their_own_answer(tmp_path: Path) -> None:
    engine = FakeEngine({"one": "You asked one.", "two": "You asked two."})
    async with running(config(tmp_path), engine) as (app, env):
        world = populate(env, app, engine)
        world.detach()
        await world.ask("one")
        await world.bob.send(world.channel, f"{world.mention} two")
        await world.until(lambda: len(world.channel.threads) == 2)
        found = {m.reference.message_id: m.content for m in world.answers()}
        assert sorted(text.split("\n")[0] for text in found.values()) == ["You asked one.", "You asked two."]
