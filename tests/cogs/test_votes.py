"""👍 and 👎 under an answer: one a person, turned round or taken back, counted on the buttons, after a restart too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bot.app import open_app
from bot.client import create_bot
from models.fakes.engine import FakeEngine
from tests.cogs.conftest import FOOT, World, buttons, config, control, populate, running, texts, thumbs, told
from tests.cogs.test_openapi import check


async def press(world: World, who: Any, way: str, message: Any = None) -> Any:
    answer = message or world.answers()[0]
    return await who.click(answer, custom_id=control(answer, way))


async def test_each_answer_has_both_thumbs(world: World) -> None:
    await world.ask()
    await world.alice.slash(world.channel, "ask", question=FOOT)
    assert [thumbs(answer) for answer in world.answers()] == [["", ""], ["", ""]]
    check(world)


async def test_a_vote_is_counted_turned_and_taken_back(world: World) -> None:
    await world.ask()
    for who, way, counts in (
        (world.bob, "up", ["1", ""]),
        (world.alice, "down", ["1", "1"]),
        (world.bob, "down", ["", "2"]),
        (world.bob, "down", ["", "1"]),
        (world.alice, "down", ["", ""]),
    ):
        await press(world, who, way)
        assert thumbs(world.answers()[0]) == counts
    assert "update_message" not in check(world)  # the press itself is answered with the new counts


@pytest.mark.world(discord={"inner_voice": "button"})
async def test_the_inner_voice_button_stays_beside_them(world: World) -> None:
    await world.ask()
    await press(world, world.bob, "up")
    answer = world.answers()[0]
    assert (buttons(answer), thumbs(answer)) == (["Inner voice"], ["1", ""])
    assert "Inner voice" in texts(told(await world.bob.click(answer, label="Inner voice")).message)
    check(world)


@pytest.mark.world(engine={"script": {"long": "word " * 900}}, sampling={"max_new_tokens": 4000})
async def test_a_long_answer_has_them_under_its_last_part(world: World) -> None:
    await world.ask("long")
    *parts, last = world.answers()
    assert [thumbs(part) for part in parts] == [[]] * len(parts)
    await press(world, world.bob, "up", last)
    assert thumbs(world.answers()[-1]) == ["1", ""]


async def test_in_a_dm(world: World) -> None:
    await world.alice.send_dm(FOOT)
    answer = world.alice.user.dm_channel.history()[-1]
    await world.alice.user.click(answer, custom_id=control(answer, "up"))
    assert thumbs(world.alice.user.dm_channel.history()[-1]) == ["1", ""]
    check(world)


async def test_a_forgotten_answer_takes_none_and_says_so(world: World) -> None:
    question = await world.ask()
    await world.app.deleting.messages([question.id])
    result = await press(world, world.bob, "up")
    assert "do not remember" in told(result).content
    assert told(result).ephemeral
    assert thumbs(world.answers()[0]) == ["", ""]
    check(world)


async def test_an_error_has_no_thumbs(world: World) -> None:
    await world.ask("   ")
    assert thumbs(world.answers()[0]) == []


@pytest.mark.world(discord={"votes": False})
async def test_they_can_be_turned_off(world: World) -> None:
    await world.ask()
    assert thumbs(world.answers()[0]) == []


async def test_they_count_on_after_a_restart(tmp_path: Path) -> None:
    settings, engine = config(tmp_path), FakeEngine()
    async with running(settings, engine) as (app, env):
        world = populate(env, app, engine)
        await world.ask()
        await press(world, world.bob, "up")
        async with open_app(settings, engine_factory=lambda: engine) as reborn:
            await reborn.model.start()
            await env.restart_bot(create_bot(reborn, shard_count=1))
            await press(world, world.alice, "up")
            assert thumbs(world.answers()[0]) == ["2", ""]
            await press(world, world.bob, "down")
            assert thumbs(world.answers()[0]) == ["1", "1"]
