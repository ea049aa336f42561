"""Whether the inner voice may have a thread, and writing it there. Knows no model."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import Literal

import discord

from bot.config import Config
from bot.services.voice import InnerVoice
from bot.ui.replies import clip
from bot.ui.voice_message import PicturePart, TextPart, paragraphs, picture_file

log = logging.getLogger(__name__)

Mode = Literal["thread", "button", "off"]
ArchiveMinutes = Literal[60, 1440, 4320, 10080]
_THREAD_PERMISSIONS = ("create_public_threads", "send_messages_in_threads", "attach_files")
_RETRY_DELAYS = (0.5, 2.0)


@dataclass(frozen=True, slots=True)
class Placement:
    """Where the inner voice goes."""

    mode: Mode
    missing: tuple[str, ...] = ()
    """The permissions whose lack turned a thread into a button."""


def placement(config: Config, channel: object, permissions: discord.Permissions) -> Placement:
    """Thread, button or nothing, for one channel: the config's wish, bounded by what the channel and its permissions allow.

    A thread needs a text or announcement channel; DMs, threads, voice and forum channels get the button.
    """
    ids = [str(getattr(channel, "id", "")), str(getattr(channel, "parent_id", None) or "")]
    wish: Mode = next((config.discord.channels[i] for i in ids if i in config.discord.channels), config.discord.inner_voice)
    if wish != "thread" or not isinstance(channel, discord.TextChannel):
        return Placement("button" if wish == "thread" else wish)
    missing = tuple(name for name in _THREAD_PERMISSIONS if not getattr(permissions, name))
    return Placement("button", missing) if missing else Placement("thread")


def thread_name(question: str) -> str:
    """``💭 <question…>`` on one line, within Discord's 1 to 100 characters."""
    return clip("💭 " + (" ".join(question.split()) or "…"), 100)


async def open_thread(
    message: discord.Message, question: str, *, archive_minutes: Literal[60, 1440, 4320, 10080]
) -> discord.Thread:
    """The one thread of a message. A thread's id is its message's id, so a retry first looks whether it is there by now.

    Raises:
        discord.HTTPException: it could not be opened.
    """
    for delay in (*_RETRY_DELAYS, None):
        try:
            return await message.create_thread(name=thread_name(question), auto_archive_duration=archive_minutes)
        except discord.HTTPException as error:
            found = await _existing(message)
            if found is not None:
                return found
            if delay is None or error.status < 500:
                raise
            log.info("opening a thread failed with HTTP %s, trying again", error.status)
            await asyncio.sleep(delay)
    raise AssertionError("unreachable")


async def _existing(message: discord.Message) -> discord.Thread | None:
    if message.guild is None:
        return None
    try:
        channel = await message.guild.fetch_channel(message.id)
    except (discord.HTTPException, discord.InvalidData):
        return None
    return channel if isinstance(channel, discord.Thread) else None


async def write_voice(thread: discord.Thread, voice: InnerVoice, *, archive: bool) -> None:
    """The monologue in a few messages, the heat map last, then the thread is collapsed again.

    Raises:
        discord.HTTPException: a message was not taken.
    """
    for index, text in enumerate(paragraphs(voice)):
        await thread.send(view=TextPart(text, title=index == 0))
    await thread.send(view=PicturePart(voice), file=picture_file(voice))
    if archive:
        try:
            await thread.edit(archived=True)
        except discord.HTTPException as error:
            log.info("the thread stays open: HTTP %s", error.status)
