"""Looks in Discord: a few for each person, none by typing alone, and none that is lost when its interaction's token is dead."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import discord
import pytest

from tests.cogs.conftest import World, texts, told


def read(result: Any) -> str:
    found = told(result)
    assert found is not None
    return f"{found.content}\n{texts(found.message)}"


async def dead(*_: Any, **__: Any) -> None:
    raise discord.NotFound(SimpleNamespace(status=404, reason="Not Found"), {"code": 10015, "message": "Unknown Webhook"})  # type: ignore[arg-type]


def token_dies(monkeypatch: pytest.MonkeyPatch) -> None:
    """It fills no response any more and posts no follow-up."""
    monkeypatch.setattr(discord.Webhook, "send", dead)
    monkeypatch.setattr(discord.Interaction, "edit_original_response", dead)


def last(channel: Any) -> str:
    message = channel.history()[-1]
    return f"{message.content}\n{texts(message)}"


async def test_what_outlives_its_token_comes_in_the_channel_and_what_is_private_by_dm(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.ask()
    token_dies(monkeypatch)
    await world.bob.slash(world.channel, "why")
    assert "left out" in last(world.channel) or "block" in last(world.channel)
    before = len(world.channel.history())
    await world.bob.slash(world.channel, "dump", what="hidden", format="npz")
    assert len(world.channel.history()) == before
    message = world.bob.user.dm_channel.history()[-1]
    assert [attachment.filename for attachment in message.attachments] == ["forward-pass-hidden.npz"]


async def test_a_refusal_that_comes_late_is_said_too(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.ask()
    token_dies(monkeypatch)
    await world.bob.slash(world.channel, "why", word=4000)
    assert "no token 4000" in last(world.channel)
    await world.bob.slash(world.channel, "dump", positions="1-2,p1")
    assert "“p1” is of the prompt" in last(world.bob.user.dm_channel)


async def test_one_look_too_many_is_refused_and_others_are_not(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.ask()
    gate, begun, plain = threading.Event(), [], world.engine.why

    def held(*args: Any, **options: Any) -> Any:
        begun.append(1)
        gate.wait(10)
        return plain(*args, **options)

    monkeypatch.setattr(world.engine, "why", held)
    world.detach()
    first = [await world.bob.slash(world.channel, "why", word=word) for word in (1, 2)]
    await world.until(lambda: begun)
    refused = await world.bob.slash(world.channel, "why", word=3)
    await world.until(lambda: told(refused))
    assert "still looking into 2 things for you" in read(refused)
    others = await world.alice.slash(world.channel, "why", word=3)
    gate.set()
    await world.until(lambda: all(told(result) for result in (*first, others)))
    assert all("still looking" not in read(result) for result in (*first, others))


@pytest.mark.world(discord={"inner_voice": "off"})
async def test_typing_alone_starts_no_second_pass(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.ask()
    begun, plain = [], world.engine.trace

    def counted(*args: Any, **options: Any) -> Any:
        begun.append(1)
        return plain(*args, **options)

    monkeypatch.setattr(world.engine, "trace", counted)
    assert await world.bob.autocomplete(world.channel, "fork", "word", "") == []
    assert begun == []
    await world.bob.slash(world.channel, "layers")
    assert await world.bob.autocomplete(world.channel, "fork", "word", "") != []
    assert begun == [1]
