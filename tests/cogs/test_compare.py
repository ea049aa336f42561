"""`/compare`, `/fork` and `/reconsider` in Discord: the cards, the line, what a reply goes on from, and long waits."""

from __future__ import annotations

import asyncio
import datetime
import threading
from pathlib import Path
from typing import Any

import discord
import pytest

from models.fakes.engine import FakeEngine
from models.types import Turn
from tests.cogs.conftest import ANSWER, FOOT, World, buttons, config, populate, running, texts, told
from tests.cogs.test_beyond import read
from tests.cogs.test_openapi import check

GIRAFFE = "How many eyes does a giraffe have?"


def compare(world: World, a: str = FOOT, b: str = GIRAFFE, **options: str) -> Any:
    return world.bob.slash(world.channel, "compare", a=a, b=b, **options)


def picture_of(message: discord.Message) -> tuple[discord.Attachment, discord.MediaGalleryComponent]:
    (container,) = [c for c in message.components if isinstance(c, discord.Container)]
    (gallery,) = [c for c in container.children if isinstance(c, discord.MediaGalleryComponent)]
    (attachment,) = message.attachments
    return attachment, gallery


async def test_both_answers_their_controls_and_a_picture(world: World) -> None:
    result = await compare(world)
    text = read(result)
    assert f"A · {FOOT}" in text
    assert f"B · {GIRAFFE}" in text
    assert "The 5 controls: “How many eyes does a horse have?”" in text
    assert "differ from each other" in text
    message = told(result).message
    assert len(texts(message)) < 1800
    assert buttons(message) == ["Inner voice · A", "Inner voice · B"]
    attachment, gallery = picture_of(message)
    assert attachment.filename == "compare.png"
    assert (await attachment.read()).startswith(b"\x89PNG")
    assert gallery.items[0].description.startswith("Two line charts over 12 depths.")
    assert "5 controls" in attachment.description
    voice = await world.alice.click(message, label="Inner voice · A")
    assert "Inner voice" in read(voice)
    check(world)


async def test_without_controls_nothing_is_claimed(world: World) -> None:
    text = read(await compare(world, "Why is it so?", "And why not?"))
    assert "no control questions to compare these with, so I claim nothing" in text
    assert "differ from each other" not in text
    check(world)


async def test_the_askers_own_controls_and_too_few_of_them(world: World) -> None:
    text = read(await compare(world, "Why?", "Why not?", controls="*One?*; Two?; Three?"))
    assert "The 3 controls: “\\*One?\\*”, “Two?”, “Three?”" in text
    refused = read(await compare(world, controls="One?; Two?"))
    assert "That makes 2 control questions." in refused
    assert "semicolon" in refused
    check(world)


@pytest.mark.world(discord={"locale": "zh-CN"})
async def test_in_chinese(world: World) -> None:
    text = read(await compare(world, "我的脚有几只眼睛？", "长颈鹿有几只眼睛？"))
    assert "5 个对照：“马有几只眼睛？”" in text
    assert "彼此之间的差别" in text
    assert "什么也不断言" in read(await compare(world, "为什么？", "为什么不？"))


async def test_tricks_and_their_twins_are_offered(world: World) -> None:
    offered = await world.bob.autocomplete(world.channel, "compare", "a", "foot")
    assert FOOT in [choice["value"] for choice in offered]
    assert len(await world.bob.autocomplete(world.channel, "compare", "a", "")) == 25
    twins = await world.bob.autocomplete(world.channel, "compare", "b", "giraffe", a=FOOT)
    assert [choice["value"] for choice in twins] == [GIRAFFE]
    assert len(await world.bob.autocomplete(world.channel, "compare", "b", "", a=FOOT)) == 6
    assert await world.bob.autocomplete(world.channel, "compare", "b", "", a="Why?") == []


async def test_considered_words_are_offered_with_their_shares(world: World) -> None:
    assert await world.bob.autocomplete(world.channel, "fork", "word", "") == []  # nothing was asked yet
    await world.ask()
    run = await world.app.beyond.find((world.channel.id,))
    choices = (await world.app.beyond.crossing(run.id)).choices
    offered = await world.bob.autocomplete(world.channel, "fork", "word", "")
    assert [choice["value"] for choice in offered] == [f"id:{c.id}" for c in choices][:25]
    wanted = choices[0].text.strip()
    narrowed = await world.bob.autocomplete(world.channel, "fork", "word", wanted)
    assert f"id:{choices[0].id}" in [choice["value"] for choice in narrowed]
    assert all(len(choice["name"]) <= 100 for choice in offered)
    assert await world.bob.autocomplete(world.channel, "fork", "word", "", answer="no link") == []


async def test_a_reply_to_a_road_goes_on_from_it(world: World) -> None:
    await world.ask()
    run = await world.app.beyond.find((world.channel.id,))
    choice = (await world.app.beyond.crossing(run.id)).choices[0]
    message = told(await world.bob.slash(world.channel, "fork", word=f"id:{choice.id}")).message
    stored = await world.app.beyond.find((world.channel.id,), message.id)
    await world.bob.send(world.channel, f"{world.mention} And then?", reply_to=message)
    assert world.engine.jobs[-1].question == "And then?"
    assert world.engine.jobs[-1].history == (Turn("user", FOOT), Turn("assistant", stored.answer_text or ""))
    assert stored.answer_text != ANSWER
    check(world)


async def test_a_reply_to_second_thoughts_goes_on_from_both_answers(world: World) -> None:
    await world.ask()
    message = told(await world.bob.slash(world.channel, "reconsider")).message
    assert "\n\n**Now**" in texts(message)
    await world.bob.send(world.channel, f"{world.mention} And then?", reply_to=message)
    assert world.engine.jobs[-1].history == (Turn("user", FOOT), Turn("assistant", ANSWER)) * 2


@pytest.mark.world(discord={"locale": "zh-CN"})
async def test_second_thoughts_are_asked_for_in_the_language_of_the_thoughts(world: World) -> None:
    await world.ask()
    await world.bob.slash(world.channel, "reconsider")
    assert world.engine.jobs[-1].question.startswith("你回答的时候")
    assert world.engine.jobs[-1].question.endswith(f"现在请重新回答：{FOOT}")


@pytest.mark.world(discord={"edit_interval_seconds": 0.05}, engine={"delay": 0.05})
async def test_who_waits_sees_the_place_and_the_progress(world: World) -> None:
    gate = world.engine.gate = threading.Event()
    world.detach()
    await world.ask()
    result = await compare(world)
    await world.until(lambda: told(result) and "You are next" in texts(told(result).message))
    gate.set()
    await world.until(lambda: "of 7 questions are answered" in texts(told(result).message))
    await world.until(lambda: "Side by side" in texts(told(result).message))
    assert len(world.answers()) == 2  # the answer, and one card in the place of every notice
    check(world)


@pytest.mark.world(discord={"edit_interval_seconds": 0.05})
async def test_what_fails_after_a_notice_takes_its_place(world: World) -> None:
    await world.ask()
    gate = world.engine.gate = threading.Event()
    world.detach()
    await world.ask("Another?")
    result = await world.bob.slash(world.channel, "reconsider")
    await world.until(lambda: told(result) and "You are next" in texts(told(result).message))
    world.app.asks.close()
    await world.until(lambda: "offline" in texts(told(result).message))
    gate.set()


async def test_a_shutdown_leaves_no_notice_under_way(tmp_path: Path) -> None:
    engine = FakeEngine(gate=threading.Event())
    async with running(config(tmp_path), engine) as (app, env):
        world = populate(env, app, engine)
        world.detach()
        await world.ask()
        result = await compare(world)
        await world.until(lambda: told(result) and "You are next" in texts(told(result).message))
        assert "show a place in the line" in {task.get_name() for task in asyncio.all_tasks()}
    assert "show a place in the line" not in {task.get_name() for task in asyncio.all_tasks()}


@pytest.mark.parametrize("deleted", [False, True])
async def test_after_the_tokens_life_the_bot_speaks_as_itself(
    world: World, monkeypatch: pytest.MonkeyPatch, deleted: bool
) -> None:
    gate = world.engine.gate = threading.Event()
    world.detach()
    result = await compare(world)
    await world.until(lambda: world.engine.jobs)
    monkeypatch.setattr("bot.ui.acknowledging.TOKEN_LIFETIME", datetime.timedelta(seconds=-60))
    if deleted:
        world.env.backend.delete_message(world.channel.id, result.response.message.id)
    before = len(world.env.http_requests)
    gate.set()
    await world.until(lambda: any("Side by side" in texts(m) for m in world.channel.history()))
    late = [request.path for request in world.env.http_requests[before:]]
    assert not [path for path in late if path.startswith("/webhooks")]
    check(world)


async def test_what_one_person_alone_may_see_comes_by_dm_when_the_token_is_dead(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.alice.send_dm(FOOT)
    answer = world.alice.user.dm_channel.history()[-1]
    voice = told(await world.alice.user.click(answer, label="Inner voice"))
    gate = world.engine.gate = threading.Event()
    world.detach()
    await world.alice.user.click(voice.message, label="Second thoughts")
    await world.until(lambda: len(world.engine.jobs) == 2)
    monkeypatch.setattr("bot.ui.acknowledging.TOKEN_LIFETIME", datetime.timedelta(seconds=-60))
    gate.set()
    await world.until(lambda: "I was asked again" in texts(world.alice.user.dm_channel.history()[-1]))
