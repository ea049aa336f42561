"""`lens.agreement`: the thread says later how often the model said the same."""

from __future__ import annotations

import pytest

from tests.cogs.conftest import World, buttons, texts, told
from tests.cogs.test_beyond import read
from tests.cogs.test_openapi import check


@pytest.mark.world(lens={"agreement": 3})
async def test_the_thread_says_it_and_is_collapsed_again(world: World) -> None:
    await world.ask()
    (thread,) = world.channel.threads
    last = thread.history()[-1]
    assert "3 of 3 further answers meant the same" in texts(last)
    assert "asked whether its answer is right" in texts(last)
    (picture,) = last.attachments
    assert (await picture.read()).startswith(b"\x89PNG")
    assert "Why?" in buttons(last)
    edits = [r.json for r in world.env.http_requests if (r.method, r.path) == ("PATCH", f"/channels/{thread.id}")]
    assert edits == [{"archived": True}, {"archived": False}, {"archived": True}]
    assert [job.sampling.seed for job in world.engine.jobs] == [None, 1, 2, 3]
    check(world)


async def test_by_default_nothing_is_asked_again(world: World) -> None:
    await world.ask()
    (thread,) = world.channel.threads
    assert "again" not in texts(thread.history()[-1]).split("How sure")[-1]
    assert len(world.engine.jobs) == 1


@pytest.mark.world(lens={"agreement": 2})
async def test_behind_a_button_it_is_there_when_it_is_known(world: World) -> None:
    await world.alice.send_dm("How many eyes does my foot have?")
    answer = world.alice.user.dm_channel.history()[-1]
    assert "2 of 2 further answers meant the same" in read(await world.alice.user.click(answer, label="Inner voice"))


@pytest.mark.world(lens={"agreement": 2})
async def test_a_thread_that_was_deleted_meanwhile_is_no_trouble(world: World) -> None:
    world.env.inject_error("PATCH", "/channels/*/messages/*", status=404, code=10008)
    await world.ask()
    assert len(world.answers()) == 1
    assert told(await world.bob.slash(world.channel, "why")) is not None
