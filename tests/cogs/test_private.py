"""The options of `/ask`, and above all ``private``: nobody else sees the answer, or finds it later."""

from __future__ import annotations

import contextlib
import datetime
from pathlib import Path
from typing import Any

import pytest

from bot.app import open_app
from bot.client import create_bot
from bot.storage.database import Database
from bot.storage.records import NewRun
from bot.storage.runs import RunStore
from bot.ui import acknowledging
from models.fakes.engine import FakeEngine
from tests.cogs.conftest import ANSWER, FOOT, World, buttons, config, control, populate, running, texts, thumbs, told
from tests.cogs.test_openapi import check


def read(result: Any) -> str:
    found = told(result)
    assert found is not None
    return f"{found.content}\n{texts(found.message)}"


def whispers(world: World) -> list[str]:
    with contextlib.suppress(Exception):
        return [m.content for m in world.alice.user.dm_channel.history() if m.author.id == world.bot.user.id]
    return []


@pytest.mark.world(sampling={"top_k": 7})
async def test_temperature_and_seed_reach_the_model_and_the_rest_stays(world: World) -> None:
    await world.alice.slash(world.channel, "ask", question=FOOT, temperature=0.5, seed=3, style="story")
    job = world.engine.jobs[-1]
    assert (job.style, job.sampling.temperature, job.sampling.seed, job.sampling.top_k) == ("story", 0.5, 3, 7)
    await world.alice.slash(world.channel, "ask", question=FOOT)
    assert (world.engine.jobs[-1].sampling.temperature, world.engine.jobs[-1].sampling.seed) == (0.0, None)
    check(world)


async def test_without_an_inner_voice_there_is_no_thread_and_no_button_but_the_menu(world: World) -> None:
    await world.alice.slash(world.channel, "ask", question=FOOT, inner_voice=False)
    (answer,) = world.answers()
    assert (world.channel.threads, buttons(answer)) == ([], [])
    assert "Inner voice" in read(await world.bob.context_menu(world.channel, "Inner voice", answer))
    check(world)


async def test_a_private_answer_and_its_inner_voice_are_the_askers_alone(world: World) -> None:
    result = await world.alice.slash(world.channel, "ask", question=FOOT, private=True)
    assert result.ephemeral
    assert ANSWER in result.response.content
    assert world.channel.threads == []
    assert buttons(result.response.message) == ["Inner voice"]
    voice = await world.alice.click(result.response.message, label="Inner voice")
    assert told(voice).ephemeral
    why = await world.alice.click(told(voice).message, label="Why?")
    assert told(why).ephemeral
    await world.alice.click(result.response.message, custom_id=control(result.response.message, "up"))
    assert thumbs(result.response.message) == ["1", ""]
    check(world)


async def test_nobody_else_finds_a_private_answer(world: World) -> None:
    hidden = await world.alice.slash(world.channel, "ask", question=FOOT, private=True)
    there = f"https://discord.com/channels/{world.guild.id}/{world.channel.id}/{hidden.response.id}"
    for link in ({}, {"answer": there}):
        for name, values in (("layers", {}), ("dump", {}), ("track", {"words": "no"}), ("why", {}), ("reconsider", {})):
            assert "cannot find that answer" in read(await world.bob.slash(world.channel, name, **values, **link))
        assert await world.bob.autocomplete(world.channel, "layers", "token", "", **link) == []
    assert "Token" in read(await world.alice.slash(world.channel, "layers"))
    for name in ("layers", "dump"):  # not even their asker shows them to all
        assert "cannot find that answer" in read(await world.alice.slash(world.channel, name, share=True))
    assert "cannot find that answer" in read(await world.alice.slash(world.channel, "why"))
    check(world)


async def test_what_goes_on_from_a_private_answer_stays_private(world: World) -> None:
    hidden = await world.alice.slash(world.channel, "ask", question=FOOT, private=True)
    voice = told(await world.alice.click(hidden.response.message, label="Inner voice"))
    again = await world.alice.click(voice.message, label="Second thoughts")
    assert told(again).ephemeral
    assert "cannot find that answer" in read(await world.bob.slash(world.channel, "layers"))


async def test_a_road_from_a_private_answer_in_a_thread_is_not_shown_there(world: World) -> None:
    await world.ask()
    (thread,) = world.channel.threads
    hidden = await world.alice.slash(thread, "ask", question=FOOT, private=True)
    voice = told(await world.alice.click(hidden.response.message, label="Inner voice"))
    offered = told(await world.alice.click(voice.message, label="Road not taken"))
    select = next(c for row in offered.message.components for c in getattr(row, "children", []) if hasattr(c, "options"))
    road = await world.alice.select(offered.message, [select.options[0].value], custom_id=select.custom_id)
    assert "Not taken" in read(road)
    assert told(road).ephemeral


async def test_past_the_tokens_life_it_goes_on_by_dm_and_never_in_the_channel(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(acknowledging, "TOKEN_LIFETIME", datetime.timedelta(seconds=-1))
    await world.alice.slash(world.channel, "ask", question=FOOT, private=True)
    assert world.answers() == []
    assert len(whispers(world)) == 1
    assert ANSWER in whispers(world)[0]


async def test_after_a_crash_a_private_question_is_apologised_for_by_dm(tmp_path: Path) -> None:
    settings, engine = config(tmp_path), FakeEngine()
    async with running(settings, engine) as (app, env):
        world = populate(env, app, engine)
        async with Database.open(settings.storage.resolved_url()) as database:
            runs = RunStore(database)
            new = NewRun(FOOT, "slash", world.channel.id, world.alice.id, world.guild.id, private=True)
            await runs.mark((await runs.create(new)).id, "answering")
        async with open_app(settings, engine_factory=lambda: engine) as reborn:
            await reborn.model.start()
            await env.restart_bot(create_bot(reborn, shard_count=1))
            assert world.answers() == []
            assert "restarted before I could answer" in whispers(world)[0]
