"""A command, menu or button about an earlier answer: find it, defer at once, work in the background, show what came.

Every path ends in something that the presser sees. Knows no model.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Protocol, cast

import discord
from discord import app_commands

from bot.errors import NoInnerVoiceError, StorageError
from bot.services.beyond import no_such_answer
from bot.services.limiter import Urgency, urgency
from bot.ui.acknowledging import defer, defer_update, is_dead
from bot.ui.failures import failure
from bot.ui.followups import Part, follow_up, put
from bot.ui.late import speak
from bot.ui.trouble import TROUBLE, described, persist

if TYPE_CHECKING:
    from bot.client import ForwardPassBot  # noqa: F401  named in `Press`
    from bot.storage.records import Run

log = logging.getLogger(__name__)

Press = discord.Interaction["ForwardPassBot"]
ANSWER_HELP = "Link of one of my answers in this channel. If empty: my last answer."
everywhere = app_commands.allowed_contexts(guilds=True, dms=True, private_channels=True)
ARCHIVED = 50083
"""Discord's code for: this thread is archived."""
BAD_REQUEST = 400
LOOK_SECONDS = 1.0
_LINK = re.compile(r"(?:.*/)?(\d{15,})/?", re.ASCII)


class Shown(Protocol):
    """What is posted: a layout with its files."""

    def files(self) -> list[discord.File]:
        """Fresh file objects: discord.py consumes them when it sends."""
        ...


Cards = Sequence["Shown"]
Work = Callable[[], Awaitable[Cards]]


def locale_of(interaction: Press) -> str:
    """The language to answer in."""
    return interaction.client.app.config.discord.locale_for(interaction.locale)


def in_thread(interaction: Press) -> bool:
    """Whether it was pressed in a thread, where everybody may read what comes."""
    return isinstance(interaction.channel, discord.Thread)


async def find(interaction: Press, link: str | None, *, own: bool = False) -> Run:
    """The answer that a link names, or the last one here; ``own`` finds the presser's private ones, too.

    Only answers of this channel, or of the channel of this thread: a link opens no door to another one.

    Raises:
        NoInnerVoiceError: there is none.
    """
    linked = _LINK.fullmatch(link.strip()) if link else None
    if link and linked is None:
        raise NoInnerVoiceError("That is not a link to a message. Copy the link of one of my answers.")
    return await find_message(interaction, _id(linked[1]) if linked else None, own=own)


async def known(interaction: Press, link: str | None) -> None:
    """Look for an answer before a command shows anything: what is none is refused for the presser alone.

    For a second at most, since a command has to be acknowledged within three; the command itself looks again.

    Raises:
        NoInnerVoiceError: there is no such answer here.
    """
    with contextlib.suppress(TimeoutError, StorageError):
        async with asyncio.timeout(LOOK_SECONDS):
            await find(interaction, link)


def _id(digits: str) -> int:
    """An id of Discord's, which has 63 bits and is never 0.

    Raises:
        NoInnerVoiceError: no message can have this number.
    """
    if len(digits) > 19 or not 0 < int(digits) < 1 << 63:
        raise no_such_answer()
    return int(digits)


async def find_message(interaction: Press, message_id: int | None, *, own: bool = False) -> Run:
    """The same for the id of a message; any message of an inner voice's thread leads to its answer. Raises what `find` raises."""
    beyond, user_id = interaction.client.app.beyond, interaction.user.id if own else None
    here = tuple(i for i in (interaction.channel_id, getattr(interaction.channel, "parent_id", None)) if i)
    try:
        return await beyond.find(here, message_id, user_id=user_id)
    except NoInnerVoiceError:
        if message_id is None or not in_thread(interaction):
            raise
        latest = await beyond.find(here[:1], user_id=user_id)
        if latest.thread_id != interaction.channel_id:
            raise
        return latest


async def taken(interaction: Press, defer: Callable[[], Awaitable[object]], *, opens: bool = False) -> bool:
    """Defer, in an archived thread after opening it if it ``opens``; whether Discord took it."""
    try:
        if opens and isinstance(interaction.channel, discord.Thread) and interaction.channel.archived:
            with urgency(Urgency.ACKNOWLEDGE):
                await interaction.channel.edit(archived=False)
        await defer()
    except TROUBLE as error:  # too late, or the same press a second time: Discord has told the presser
        log.info("a press was not answered: %s", described(error))
        return False
    return True


async def collapse(interaction: Press) -> None:
    """Archive the thread again that something was written into, where the config wants that."""
    if isinstance(interaction.channel, discord.Thread) and interaction.client.app.config.threads.auto_archive:
        with contextlib.suppress(*TROUBLE):
            await interaction.channel.edit(archived=True)


async def lead(interaction: Press, work: Work, *, private: bool) -> None:
    """Defer at once, then work in the background."""
    if not await taken(interaction, lambda: defer(interaction, private=private), opens=not private):
        return
    interaction.client.app.tasks.spawn(_show(interaction, work, private), f"press {interaction.id}")


async def turn(interaction: Press, work: Work) -> None:
    """The same in place: the message that was pressed, which only its presser sees, becomes what comes."""
    if not await taken(interaction, lambda: defer_update(interaction)):
        return
    interaction.extras["filled"] = True  # the response is the message that was pressed
    interaction.client.app.tasks.spawn(_replace(interaction, work), f"turn {interaction.id}")


async def _show(interaction: Press, work: Work, private: bool) -> None:
    opened = not private

    async def attempt() -> None:
        nonlocal opened
        for card in await _looked(interaction, work):
            try:
                await _send(interaction, card, private=private)
            except discord.HTTPException as error:
                if is_dead(error):
                    await speak(interaction, private=private, view=card, files=card.files())
                    continue
                if error.code != ARCHIVED or not isinstance(interaction.channel, discord.Thread):
                    raise
                opened = True
                await interaction.channel.edit(archived=False)
                await _send(interaction, card, private=private)

    await _guarded(interaction, attempt, private=private)
    if opened:
        await collapse(interaction)


async def _send(interaction: Press, card: Shown, *, private: bool) -> None:
    await put(interaction, Part(view=cast(discord.ui.LayoutView, card), files=card.files), private=private)


async def _replace(interaction: Press, work: Work) -> None:
    async def attempt() -> None:
        (card,) = await _looked(interaction, work)
        edit = interaction.edit_original_response
        view = cast(discord.ui.LayoutView, card)
        await persist(lambda: edit(view=view, attachments=card.files()), "turning a page")

    await _guarded(interaction, attempt)


async def _looked(interaction: Press, work: Work) -> Cards:
    """What comes of one of the few looks that a person may have in flight. Raises TooManyLooksError, and what ``work`` raises."""
    with interaction.client.app.looks.place(interaction.user.id):
        return await work()


async def _guarded(interaction: Press, attempt: Callable[[], Awaitable[None]], *, private: bool = True) -> None:
    try:
        await attempt()
    except Exception as error:  # noqa: BLE001  a defect, too, ends in something that the presser sees
        await say(interaction, failure(error, locale_of(interaction)), private=private)


async def say(interaction: Press, text: str, *, private: bool = True) -> None:
    """A sentence in place of what was asked for, for the presser alone where that can be; by DM when nothing else is left.

    Args:
        interaction: deferred.
        text: to say.
        private: whether what was asked for was to be seen by the presser alone.
    """
    try:
        try:
            await put(interaction, Part(text), private=True)
        except discord.HTTPException as error:
            if is_dead(error):
                await speak(interaction, private=private, content=text)
            elif error.status != BAD_REQUEST:
                raise
            else:  # a card got there, though nobody confirmed it, and cannot become plain text
                await follow_up(interaction, Part(text), private=True)
    except TROUBLE as error:
        log.info("a presser could not be told: %s", described(error))
