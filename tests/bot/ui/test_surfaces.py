"""The two places of an answer, at the edges that a simulation does not reach: lost replies, tokens past their life."""

from __future__ import annotations

import datetime
import time
from typing import Any
from unittest.mock import AsyncMock, Mock

import discord
import pytest

from bot.ui.acknowledging import TOKEN_LIFETIME
from bot.ui.own import OwnMessages
from bot.ui.surfaces import NO_HISTORY, InteractionSurface, MessageSurface


def refused(status: int, code: int) -> discord.HTTPException:
    return discord.HTTPException(Mock(status=status, reason="made up"), {"code": code, "message": "made up"})


def channel(*results: Any) -> Any:
    there = Mock(spec=discord.TextChannel)
    there.send = AsyncMock(side_effect=results)
    return there


def message(content: str) -> Any:
    return Mock(spec=discord.Message, content=content, edit=AsyncMock())


async def test_only_the_first_part_is_a_reply_and_each_has_its_own_nonce() -> None:
    there, reference = channel(message("a"), message("b")), Mock(spec=discord.MessageReference)
    surface = MessageSurface(there, reference)
    await surface.send("a")
    await surface.send("b")
    first, second = (call.kwargs for call in there.send.await_args_list)
    assert first["reference"] is reference
    assert "reference" not in second
    assert first["nonce"] != second["nonce"]
    assert len(str(first["nonce"])) <= 25


async def test_tried_again_it_is_the_same_message_and_still_a_reply() -> None:
    there = channel(ConnectionResetError(), message("a"))
    surface = MessageSurface(there, Mock(spec=discord.MessageReference))
    with pytest.raises(ConnectionResetError):
        await surface.send("a")
    await surface.send("a")
    lost, again = (call.kwargs for call in there.send.await_args_list)
    assert lost == again


async def test_what_an_earlier_try_left_is_brought_up_to_date() -> None:
    earlier = message("half ▌")
    surface = MessageSurface(channel(TimeoutError(), earlier), None)
    with pytest.raises(TimeoutError):
        await surface.send("half ▌")
    await surface.send("whole")
    earlier.edit.assert_awaited_once_with(content="whole")


async def test_without_the_history_it_speaks_without_a_reply_and_other_refusals_are_passed_on() -> None:
    there = channel(refused(400, NO_HISTORY), message("a"))
    await MessageSurface(there, Mock(spec=discord.MessageReference)).send("a")
    assert "reference" not in there.send.await_args.kwargs
    with pytest.raises(discord.HTTPException):
        await MessageSurface(channel(refused(400, 50035)), Mock(spec=discord.MessageReference)).send("a")


def interaction(age: datetime.timedelta) -> Any:
    """``created_at`` is by Discord's clock, an hour off."""
    found = Mock(spec=discord.Interaction, id=1, channel_id=7, guild_id=3)
    found.created_at = discord.utils.utcnow() - datetime.timedelta(hours=1)
    found.extras = {"received": time.perf_counter() - age.total_seconds()}
    found.edit_original_response = AsyncMock(return_value=message("a"))
    found.followup = Mock(send=AsyncMock(return_value=message("b")))
    partial = Mock(edit=AsyncMock(), delete=AsyncMock())
    there = Mock(send=AsyncMock(return_value=message("c")), get_partial_message=Mock(return_value=partial))
    found.client = Mock(get_partial_messageable=Mock(return_value=there), own=OwnMessages())
    return found


YOUNG, OLD = datetime.timedelta(minutes=1), TOKEN_LIFETIME + datetime.timedelta(seconds=5)


async def test_the_deferred_response_is_filled_then_follow_ups_that_know_their_server() -> None:
    asked = interaction(YOUNG)
    surface = InteractionSurface(asked)
    await surface.send("a")
    second = await surface.send("b")
    asked.edit_original_response.assert_awaited_once()
    asked.followup.send.assert_awaited_once_with(content="b", ephemeral=False, wait=True)
    assert second.guild is asked.guild


async def test_a_response_that_failed_is_filled_again() -> None:
    asked = interaction(YOUNG)
    asked.edit_original_response.side_effect = [refused(500, 0), message("a")]
    surface = InteractionSurface(asked)
    with pytest.raises(discord.HTTPException):
        await surface.send("a")
    await surface.send("a")
    asked.followup.send.assert_not_awaited()


async def test_past_the_life_of_its_token_it_speaks_as_the_bot() -> None:
    asked = interaction(OLD)
    there = asked.client.get_partial_messageable.return_value
    surface, old = InteractionSurface(asked), message("a")
    await surface.send("a")
    await surface.edit(old, "b")
    await surface.delete(old)
    assert there.send.await_args.args == ("a",)
    there.get_partial_message.return_value.edit.assert_awaited_once_with(content="b")
    there.get_partial_message.return_value.delete.assert_awaited_once_with()
    asked.edit_original_response.assert_not_awaited()
    old.edit.assert_not_awaited()
