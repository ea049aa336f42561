"""Where the inner voice may go: the config's wish, bounded by the channel and what the bot may do in it."""

from __future__ import annotations

from typing import Any
from unittest.mock import Mock

import discord
import pytest

from bot.config import Config
from bot.ui.threads import permissions_in, placement

EVERYTHING = discord.Permissions.all()
KINDS = [
    discord.Thread,
    discord.DMChannel,
    discord.VoiceChannel,
    discord.ForumChannel,
    discord.StageChannel,
    discord.PartialMessageable,
]


def settings(**discord_section: Any) -> Config:
    return Config.model_validate({"discord": discord_section})


def channel(kind: type = discord.TextChannel, **attributes: Any) -> Any:
    return Mock(spec=kind, **{"id": 5, **({"parent_id": None} if kind is discord.Thread else {}), **attributes})


def test_a_text_channel_gets_a_thread() -> None:
    assert placement(settings(), channel(), EVERYTHING).mode == "thread"


@pytest.mark.parametrize("kind", KINDS)
def test_elsewhere_there_is_a_button(kind: type) -> None:
    assert placement(settings(), channel(kind), EVERYTHING).mode == "button"


@pytest.mark.parametrize("missing", ["create_public_threads", "send_messages_in_threads", "attach_files"])
def test_a_missing_permission_is_named(missing: str) -> None:
    permissions = discord.Permissions.all()
    permissions.update(**{missing: False})
    found = placement(settings(), channel(), permissions)
    assert (found.mode, found.missing) == ("button", (missing,))


@pytest.mark.parametrize("mode", ["thread", "button", "off"])
def test_a_channel_may_have_a_mode_of_its_own_and_its_threads_too(mode: str) -> None:
    wish = settings(inner_voice="button", channels={"5": mode})
    assert placement(wish, channel(), EVERYTHING).mode == mode
    assert placement(wish, channel(id=6), EVERYTHING).mode == "button"
    inside = placement(wish, channel(discord.Thread, id=6, parent_id=5), EVERYTHING).mode
    assert inside == ("off" if mode == "off" else "button")


def test_what_the_bot_may_do_is_asked_of_the_channel() -> None:
    here = channel()
    assert permissions_in(here) is here.permissions_for.return_value
    here.permissions_for.assert_called_once_with(here.guild.me)


def test_where_nobody_can_tell_discord_will() -> None:
    orphan = channel(discord.Thread)
    orphan.permissions_for.side_effect = discord.ClientException("Parent channel not found")
    left = channel(guild=Mock(me=None))
    for unknown in (orphan, left, channel(discord.DMChannel), channel(discord.PartialMessageable), None):
        assert permissions_in(unknown) == discord.Permissions.all()
