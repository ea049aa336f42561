"""Channels in which every message is a question."""

from __future__ import annotations

import pytest

from tests.cogs.conftest import ANSWER, FOOT, World


@pytest.mark.world(discord={"listen": ["general"], "message_content": True})
async def test_no_mention_is_needed_there_and_only_there(world: World) -> None:
    await world.alice.send(world.channel, FOOT)
    (answer,) = world.answers()
    assert answer.content.startswith(ANSWER)
    assert len(world.channel.threads) == 1

    elsewhere = world.guild.create_text_channel("elsewhere")
    await world.alice.send(elsewhere, FOOT)
    assert world.answers(elsewhere) == []


@pytest.mark.world(discord={"listen": ["general"], "message_content": True})
async def test_the_inner_voice_thread_of_such_a_channel_is_not_listened_to(world: World) -> None:
    await world.alice.send(world.channel, FOOT)
    (thread,) = world.channel.threads
    before = len(thread.history())
    await world.alice.send(thread, "How strange.")
    assert len(thread.history()) == before + 1
