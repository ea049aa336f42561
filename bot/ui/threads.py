"""Whether the inner voice may have a thread, and writing it there. Knows no model."""

from __future__ import annotations

import logging
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import discord

from bot.config import Config
from bot.sections import InnerVoice as Mode
from bot.services.limiter import Urgency, urgency
from bot.services.voice import InnerVoice
from bot.ui.text import title, units
from bot.ui.trouble import TROUBLE, described, persist
from bot.ui.voice_message import PicturePart, TextPart, paragraphs, picture_file, voice_title

log = logging.getLogger(__name__)

ArchiveMinutes = Literal[60, 1440, 4320, 10080]
LOOK_BACK = 50
"""Messages of a thread among which its inner voice must be: it comes first."""
NAME_LIMIT = 100
_MENTION = re.compile("@(?=everyone|here)|(?<=<)@")
_THREAD_PERMISSIONS = ("create_public_threads", "send_messages_in_threads", "attach_files")


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


def placement_for(config: Config, interaction: discord.Interaction[Any]) -> Placement:
    """The same for an interaction. Where only its user installed the bot, the bot is no member: it has its reply and no more."""
    if interaction.guild_id is None or interaction.client.get_guild(interaction.guild_id) is None:
        return Placement("button")
    return placement(config, interaction.channel, interaction.app_permissions)


def permissions_in(channel: object) -> discord.Permissions:
    """What the bot may do there; everything where nobody can tell (a DM, a channel that is not known yet): Discord will say."""
    if not isinstance(channel, discord.abc.GuildChannel | discord.Thread) or (me := channel.guild.me) is None:
        return discord.Permissions.all()
    try:
        return channel.permissions_for(me)
    except discord.ClientException:  # a thread whose channel is not known
        return discord.Permissions.all()


def thread_name(question: str) -> str:
    """``💭 <question…>`` on one line, within what Discord allows, and nothing hidden in it.

    A name has no ``allowed_mentions``, but Discord may repeat it in a message of its own: what would be a mention has another @.
    """
    return f"💭 {_MENTION.sub('＠', title(question, NAME_LIMIT - units('💭 ')))}"


async def open_thread(message: discord.Message, question: str, *, archive_minutes: ArchiveMinutes) -> discord.Thread:
    """The one thread of a message. A thread's id is its message's id, so after a failure it first looks whether it is there.

    Raises:
        TROUBLE: it could not be opened.
    """

    async def attempt() -> discord.Thread:
        try:
            return await _as_bot(message).create_thread(name=thread_name(question), auto_archive_duration=archive_minutes)
        except TROUBLE:
            found = await _existing(message)
            if found is None:
                raise
            return found

    return await persist(attempt, "opening a thread")


def _as_bot(message: discord.Message) -> discord.Message | discord.PartialMessage:
    """Without the token by which a message came: what is written into a thread that it opened would lack ``allowed_mentions``."""
    channel = None if message.guild is None else message.guild.get_channel(message.channel.id)
    if isinstance(message, discord.WebhookMessage) and isinstance(channel, discord.TextChannel):
        return channel.get_partial_message(message.id)
    return message


async def _existing(message: discord.Message) -> discord.Thread | None:
    if message.guild is None:
        return None
    try:
        channel = await message.guild.fetch_channel(message.id)
    except (*TROUBLE, discord.InvalidData):
        return None
    return channel if isinstance(channel, discord.Thread) else None


async def write_voice(thread: discord.Thread, voice: InnerVoice, *, archive: bool, begun: bool = False) -> discord.Message:
    """The monologue in a few messages, the heat map last, then the thread is collapsed again. Returns the last message.

    ``begun``: it first looks what stands there. What an earlier try has written is made to say what is told now, as the words may
    differ, and gone on with; where the picture stands, all does.

    Raises:
        TROUBLE: a message was not taken.
    """
    stands = await standing_voice(thread) if begun else []
    last = next((message for message in stands if message.attachments), None)
    if last is None:
        await _write_texts(thread, voice, stands)
        last = await _post(thread, PicturePart(voice), voice)
    if archive:
        await collapse(thread)
    return last


async def _write_texts(thread: discord.Thread, voice: InnerVoice, stands: Sequence[discord.Message]) -> None:
    if stands and thread.archived:  # messages of a collapsed thread cannot be edited
        await persist(lambda: thread.edit(archived=False), "opening a thread again")
    texts = paragraphs(voice)
    for index, text in enumerate(texts):
        view = TextPart(text, title=voice_title(voice) if index == 0 else "")
        if index < len(stands):
            await _amend(stands[index], view)
        else:
            await _post(thread, view)
    for left in stands[len(texts) :]:
        await persist(left.delete, "taking back a left-over")


async def standing_voice(thread: discord.Thread) -> list[discord.Message]:
    """The bot's own messages in a thread that belong to an inner voice, oldest first.

    Raises:
        TROUBLE: they could not be read.
    """
    me = thread.guild.me.id if thread.guild.me else thread.owner_id

    async def look() -> list[discord.Message]:
        return [message async for message in thread.history(limit=LOOK_BACK, oldest_first=True)]

    found = await persist(look, "looking into a thread")
    return [m for m in found if m.author.id == me and m.flags.components_v2 and m.interaction_metadata is None]


async def _amend(message: discord.Message, view: discord.ui.LayoutView) -> None:
    await persist(lambda: message.edit(view=view, allowed_mentions=discord.AllowedMentions.none()), "finishing an inner voice")


async def write_sureness(thread: discord.Thread, last: discord.Message, voice: InnerVoice, *, archive: bool) -> None:
    """Write the last message of `write_voice` again, with what is known by now of how sure the answer was.

    Raises:
        TROUBLE: it was not taken; somebody may have deleted it.
    """
    if archive:  # messages of a collapsed thread cannot be edited
        await persist(lambda: thread.edit(archived=False), "opening a thread again")
    view, nobody = PicturePart(voice), discord.AllowedMentions.none()  # discord.py says it by itself only where content is edited
    with urgency(Urgency.VOICE):
        await persist(
            lambda: last.edit(view=view, attachments=[picture_file(voice)], allowed_mentions=nobody),
            "writing how sure an answer was",
        )
    if archive:
        await collapse(thread)


async def collapse(thread: discord.Thread) -> None:
    """Archive it; one that cannot be stays open."""
    try:
        await persist(lambda: thread.edit(archived=True), "collapsing a thread")
    except TROUBLE as error:
        log.info("the thread stays open: %s", described(error))


async def _post(thread: discord.Thread, view: discord.ui.LayoutView, picture_of: InnerVoice | None = None) -> discord.Message:
    nonce = secrets.randbits(64)  # the same for each try: Discord posts it once

    async def attempt() -> discord.Message:
        files = [] if picture_of is None else [picture_file(picture_of)]  # a fresh one: a try uses it up
        return await thread.send(view=view, files=files, nonce=nonce)

    with urgency(Urgency.VOICE):
        return await persist(attempt, "writing into a thread")
