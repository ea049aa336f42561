"""The buttons under an inner voice and the commands that look further into an answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import discord
import pytest

from bot.app import open_app
from bot.client import create_bot
from models.fakes.engine import FakeEngine
from tests.cogs.conftest import ANSWER, FOOT, World, buttons, config, populate, running, texts, told
from tests.cogs.test_openapi import check

ROW = ["Layers", "Why?", "Road not taken", "Second thoughts", "Layer dump", "Show everything"]


def read(result: Any) -> str:
    found = told(result)
    assert found is not None
    return f"{found.content}\n{texts(found.message)}"


async def test_the_thread_ends_in_a_row_of_buttons(world: World) -> None:
    await world.ask()
    (thread,) = world.channel.threads
    assert buttons(thread.history()[-1]) == ROW
    check(world)


@pytest.mark.parametrize(("label", "words"), [("Why?", "a random vector of"), ("Second thoughts", "I was asked again")])
async def test_a_press_in_the_thread_is_answered_for_all_and_the_thread_closes_again(
    world: World, label: str, words: str
) -> None:
    await world.ask()
    (thread,) = world.channel.threads
    result = await world.bob.click(thread.history()[-1], label=label)
    assert words in read(result)
    assert not told(result).ephemeral
    edits = [r.json for r in world.env.http_requests if (r.method, r.path) == ("PATCH", f"/channels/{thread.id}")]
    assert edits == [{"archived": True}, {"archived": False}, {"archived": True}]
    check(world)


async def test_why_comes_with_a_picture_and_its_words(world: World) -> None:
    await world.ask()
    (thread,) = world.channel.threads
    message = told(await world.bob.click(thread.history()[-1], label="Why?")).message
    (picture,) = message.attachments
    (container,) = message.components
    (gallery,) = [c for c in container.children if isinstance(c, discord.MediaGalleryComponent)]
    assert picture.filename == "why.png"
    assert (await picture.read()).startswith(b"\x89PNG")
    assert picture.description.startswith("Bar chart")
    assert gallery.items[0].description.startswith("Bar chart")
    check(world)


async def test_everything(world: World) -> None:
    await world.ask()
    (thread,) = world.channel.threads
    assert "Everything" in read(await world.bob.click(thread.history()[-1], label="Show everything"))
    check(world)


async def test_the_road_not_taken_offers_words_and_goes_on_from_one(world: World) -> None:
    await world.ask()
    (thread,) = world.channel.threads
    offered = told(await world.bob.click(thread.history()[-1], label="Road not taken"))
    assert offered.ephemeral
    (select,) = [c for row in offered.message.components for c in getattr(row, "children", []) if hasattr(c, "options")]
    result = await world.bob.select(offered.message, [select.options[0].value])
    assert "Not taken" in read(result)
    assert not told(result).ephemeral
    assert world.engine.jobs[-1].road is not None
    voice = await world.bob.click(told(result).message, label="Inner voice")
    assert "Inner voice" in read(voice)
    check(world)


async def test_slash_commands_look_at_the_last_answer(world: World) -> None:
    await world.ask()
    assert "a random vector of the same size" in read(await world.bob.slash(world.channel, "why"))
    run = await world.app.beyond.find((world.channel.id,))
    choice = (await world.app.beyond.crossing(run.id)).choices[0]
    assert "Not taken" in read(await world.bob.slash(world.channel, "fork", word=f"id:{choice.id}"))
    assert "I was asked again" in read(await world.bob.slash(world.channel, "reconsider"))
    compared = read(await world.bob.slash(world.channel, "compare", a=FOOT, b="And a giraffe?"))
    assert "control questions differ from each other" in compared
    assert compared.count(ANSWER.replace(".", "")) == 2
    check(world)


async def test_nothing_was_asked_and_a_bad_token_and_a_bad_link(world: World) -> None:
    assert "cannot find that answer" in read(await world.bob.slash(world.channel, "why"))
    await world.ask()
    assert "no token 4000" in read(await world.bob.slash(world.channel, "why", word=4000))
    assert "not a link" in read(await world.bob.slash(world.channel, "why", answer="hello"))
    assert "did not consider" in read(await world.bob.slash(world.channel, "fork", word="zebra"))
    check(world)


async def test_a_link_opens_no_other_channel(world: World) -> None:
    await world.ask()
    other = world.guild.create_text_channel("other")
    link = f"https://discord.com/channels/{world.guild.id}/{world.channel.id}/{world.answers()[0].id}"
    assert "cannot find that answer" in read(await world.bob.slash(other, "why", answer=link))
    assert "a random vector of the same size" in read(await world.bob.slash(world.channel, "why", answer=link))


async def test_in_a_dm_the_presser_alone_sees_it(world: World) -> None:
    await world.alice.send_dm(FOOT)
    answer = world.alice.user.dm_channel.history()[-1]
    voice = told(await world.alice.user.click(answer, label="Inner voice"))
    result = await world.alice.user.click(voice.message, label="Why?")
    assert "a random vector of the same size" in read(result)
    assert told(result).ephemeral
    check(world)


async def test_an_answer_that_is_forgotten_is_said_so(world: World) -> None:
    question = await world.ask()
    (thread,) = world.channel.threads
    picture = thread.history()[-1]
    await world.app.deleting.messages([question.id])
    for label in ROW:
        assert "do not remember" in read(await world.bob.click(picture, label=label))


async def test_the_buttons_survive_a_restart(tmp_path: Path) -> None:
    settings, engine = config(tmp_path), FakeEngine()
    async with running(settings, engine) as (app, env):
        world = populate(env, app, engine)
        await world.ask()
        (thread,) = world.channel.threads
        picture = thread.history()[-1]
        async with open_app(settings, engine_factory=lambda: engine) as reborn:
            await reborn.model.start()
            await env.restart_bot(create_bot(reborn, shard_count=1))
            assert "a random vector of the same size" in read(await world.bob.click(picture, label="Why?"))


async def test_the_thread_says_how_sure_it_was(world: World) -> None:
    await world.ask()
    (thread,) = world.channel.threads
    assert "asked whether its answer is right" in texts(thread.history()[-1])


@pytest.mark.world(discord={"locale": "zh-CN"})
async def test_the_server_may_fix_the_language(world: World) -> None:
    await world.ask()
    (thread,) = world.channel.threads
    last = thread.history()[-1]
    assert "自问对不对" in texts(last)
    assert buttons(last) == ["逐层", "为什么？", "未走之路", "再想一想", "导出各层", "全部说出"]
    assert "随机向量" in read(await world.bob.click(last, label="为什么？"))
    assert "又被问了一次" in read(await world.bob.click(last, label="再想一想"))
    assert "### 📜 全部" in read(await world.bob.click(last, label="全部说出"))
    offered = told(await world.bob.click(last, label="未走之路"))
    (select,) = [c for row in offered.message.components for c in getattr(row, "children", []) if hasattr(c, "options")]
    assert select.placeholder == "换成哪个词？"
    assert "没走的" in read(await world.bob.select(offered.message, [select.options[0].value]))
    assert "并排对照" in read(await world.bob.slash(world.channel, "compare", a=FOOT, b="And a giraffe?"))
    check(world)
