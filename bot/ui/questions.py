"""What a person's message asks: its own words, a forward's, a pasted file's, and those of the message that it replies to.

Knows no model, and no line.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

import discord

from bot.errors import ForwardPassError, PasteError
from bot.ui.markup import plain
from bot.ui.trouble import TROUBLE, described, persist
from models.sentences import Sentence

log = logging.getLogger(__name__)

MOST_BYTES = 100_000
"""Of pasted text: about what the context of a model at home holds. Whether it does, the engine says in tokens."""
KILOBYTE = 1000


@dataclass(frozen=True, slots=True)
class Asked:
    """What a message asks."""

    text: str = field(repr=False)
    quoted: int | None = None
    """The message whose words it takes along."""


def reply_reference(message: discord.Message) -> discord.MessageReference | None:
    """What a reply points at. A forward refers to a message, too, and replies to none."""
    reference = message.reference
    return None if reference is None or reference.type is discord.MessageReferenceType.forward else reference


def replied_to(message: discord.Message) -> discord.Message | None:
    """The message that this one replies to, as far as Discord brought it along."""
    reference = reply_reference(message)
    resolved = reference.resolved if reference else None
    return resolved if isinstance(resolved, discord.Message) else None


def is_withheld(message: discord.Message) -> bool:
    """Whether it came without its words: nothing of it can be read, and it would be no message if there were nothing.

    Discord does not give a bot without the Message Content intent the words of messages that do not mention it, such as a reply
    with the ping turned off; a reply to an answer of /ask has no ping to begin with.
    https://docs.discord.com/developers/events/gateway#message-content-intent
    """
    there = (message.content, message.attachments, message.stickers, message.message_snapshots, message.poll, message.embeds)
    return message.guild is not None and not any(there)


async def asked_in(message: discord.Message, me: discord.abc.User | None) -> Asked:
    """What a message asks.

    A reply to somebody else's message takes that along: "is this true?" asks about it. Where it cannot be read, it stays out.

    Raises:
        PasteError: a pasted file is too long, or Discord does not hand it over.
    """
    own = await _said(message, me)
    quoted = replied_to(message)
    if quoted is None or (me is not None and quoted.author.id == me.id):
        return Asked(own)
    try:
        theirs = await _said(quoted, me)
    except ForwardPassError:
        theirs = ""
    if not theirs:
        return Asked(own)
    return Asked(f"{own}\n\n“{theirs}”" if own else theirs, quoted.id)


async def _said(message: discord.Message, me: discord.abc.User | None) -> str:
    role = message.guild.self_role if message.guild else None
    unsaid = {one.id for one in (me, role) if one is not None}
    names = {user.id: user.display_name for user in message.mentions}

    def words(text: str) -> str:
        return plain(text, guild=message.guild, reader=message.author, names=names, unsaid=unsaid).strip()

    parts = [message.content, *(snapshot.content for snapshot in message.message_snapshots)]
    files = [*message.attachments, *(file for snapshot in message.message_snapshots for file in snapshot.attachments)]
    return "\n\n".join(part for part in (*map(words, parts), *await _pasted(files)) if part)


async def _pasted(files: Sequence[discord.Attachment]) -> list[str]:
    """What stands in text files: Discord's app makes a `message.txt` of what is too long for a message."""
    texts = [file for file in files if _is_text(file)]
    size = sum(file.size for file in texts)
    if size > MOST_BYTES:
        raise PasteError(
            Sentence(
                "The text that you attached has {size} kB, and I read at most {most} kB.",
                size=-(-size // KILOBYTE),
                most=MOST_BYTES // KILOBYTE,
            )
        )
    return [await _read(file) for file in texts]


def _is_text(file: discord.Attachment) -> bool:
    return (file.content_type or "").startswith("text/plain") or file.filename.casefold().endswith(".txt")


async def _read(file: discord.Attachment) -> str:
    try:
        data = await persist(file.read, "reading an attached text")
    except TROUBLE as error:
        log.info("an attached text could not be read: %s", described(error))
        raise PasteError("I could not read the text that you attached.") from error
    return data.decode("utf-8-sig", errors="replace").replace("\r\n", "\n").strip()
