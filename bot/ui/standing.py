"""What of an answer stands in Discord already, after a process was cut off: nothing may be posted twice. Knows no model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import cast

import discord

from bot.services.owed import Owed
from bot.storage.records import Placed, Run
from bot.ui.text import quoted
from bot.ui.trouble import UNKNOWN_MESSAGE

LOOK_BACK = 200
"""Messages after the question among which its answer is looked for."""


@dataclass(frozen=True, slots=True)
class Standing:
    """The parts that stand whole, the message that is to be finished, and what is to be taken back."""

    whole: tuple[discord.Message, ...] = ()
    unfinished: discord.Message | None = None
    strays: tuple[discord.Message, ...] = ()

    @property
    def all(self) -> tuple[discord.Message, ...]:
        """Every message of the run."""
        return (*self.whole, *((self.unfinished,) if self.unfinished else ()), *self.strays)


class Known:
    """The messages that the journal knows, as Discord has them now."""

    def __init__(self, places: Sequence[Placed]) -> None:
        self._places = places
        self.messages: dict[int, discord.Message] = {}
        self.token_is_dead = False

    async def look(self, channel: discord.abc.Messageable | None, hook: discord.Webhook | None) -> None:
        """Fetch them, through the token while it lives. Raises TROUBLE when Discord cannot say."""
        for place in self._places:
            message = await self._by_token(hook, place.message_id) if hook and not self.token_is_dead else None
            if message is None and channel is not None:
                message = await _fetched(channel, place.message_id)
            if message is not None:
                self.messages[message.id] = message

    @property
    def whole(self) -> frozenset[int]:
        """The ids of those whose text is final."""
        return frozenset(place.message_id for place in self._places if place.final)

    async def _by_token(self, hook: discord.Webhook, message_id: int) -> discord.Message | None:
        try:
            return await hook.fetch_message(message_id)
        except (discord.NotFound, discord.Forbidden) as error:
            self.token_is_dead = error.code != UNKNOWN_MESSAGE
        except discord.HTTPException as error:
            if error.status != 401:
                raise
            self.token_is_dead = True
        return None


async def _fetched(channel: discord.abc.Messageable, message_id: int) -> discord.Message | None:
    try:
        return await channel.fetch_message(message_id)
    except discord.NotFound:
        return None
    except discord.Forbidden:  # without the history: it can be edited all the same, only not read
        partial = getattr(channel, "get_partial_message", lambda _: None)(message_id)
        return cast("discord.Message | None", partial)


def content_of(message: discord.Message) -> str:
    """Its text; "" where it cannot be read."""
    return getattr(message, "content", "")


def is_loading(message: discord.Message) -> bool:
    """Whether it is a response that only shows "thinking"."""
    flags = getattr(message, "flags", None)
    return flags is not None and flags.loading


async def found(
    run: Run, known: Known, channel: discord.abc.Messageable | None, me: int, parts: Sequence[str], owed: Owed
) -> Standing:
    """What stands: what the journal knows, and what was posted in the moment before the cut.

    Raises:
        TROUBLE: Discord cannot say.
    """
    messages = dict(known.messages)
    if channel is not None:
        for message in await _after(channel, _anchor(run)):
            if message.id in messages or message.author.id != me or not _is_of(message, run, parts):
                continue
            if await owed.whose(message.id) in (None, run.id):
                messages[message.id] = message
    return arranged(run, [messages[i] for i in sorted(messages)], parts, known.whole)


def arranged(run: Run, messages: Iterable[discord.Message], parts: Sequence[str], final: frozenset[int]) -> Standing:
    """Sort the messages of a run, oldest first, into what stands whole and what does not."""
    whole: list[discord.Message] = []
    rest: list[discord.Message] = []
    for message in messages:
        wanted = parts[len(whole)] if len(whole) < len(parts) else None
        stands = wanted is not None and (message.id in final or _said(run, content_of(message)) == _said(run, wanted))
        (whole if stands else rest).append(message)
    first = rest.pop(0) if rest and not whole else None
    return Standing(tuple(whole), first, tuple(rest))


def _said(run: Run, text: str) -> str:
    """A text without what may differ from one process to the next: the small line, and whom it names."""
    lines = text.replace(f"<@{run.user_id}> ", "").strip().split("\n")
    return "\n".join(lines[:-1] if lines[-1].startswith("-# ") else lines).strip()


def _is_of(message: discord.Message, run: Run, parts: Sequence[str]) -> bool:
    if controls := _custom_ids(message):
        return run.id in controls
    if message.reference is not None and run.question_message_id is not None:
        return message.reference.message_id == run.question_message_id
    if message.interaction_metadata is not None and message.interaction_metadata.user.id != run.user_id:
        return False
    begins = run.question_message_id is None and message.content.startswith(heading_of(run))
    return begins or _said(run, message.content) in {_said(run, part) for part in parts}


def heading_of(run: Run) -> str:
    """Above what the bot says of a slash command as itself: the question, and in a channel whose it was."""
    return quoted(run.question) if run.private else f"{quoted(run.question)}<@{run.user_id}> "


def _custom_ids(message: discord.Message) -> set[str]:
    """The runs that the controls under a message belong to."""
    children = (child for row in message.components for child in getattr(row, "children", []))
    return {part for child in children for part in (getattr(child, "custom_id", None) or "").split(":")}


def _anchor(run: Run) -> discord.abc.Snowflake:
    known = run.question_message_id or run.response_message_id
    # A response that is not known was posted when the question was journaled, or a little before.
    return discord.Object(known if known else discord.utils.time_snowflake(run.created_at) - (60_000 << 22))


async def _after(channel: discord.abc.Messageable, anchor: discord.abc.Snowflake) -> list[discord.Message]:
    try:
        return [message async for message in channel.history(after=anchor, limit=LOOK_BACK, oldest_first=True)]
    except (discord.Forbidden, discord.NotFound):
        return []  # the journal alone knows
