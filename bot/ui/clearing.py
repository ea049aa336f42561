"""Taking back what Discord shows of a deleted question: its thread's title, and the inner voice in it. Knows no journal."""

from __future__ import annotations

import logging

import discord

from bot.services.limiter import Urgency, urgency
from bot.ui.threads import collapse, standing_voice
from bot.ui.trouble import TROUBLE, described, persist
from bot.ui.wording import words

log = logging.getLogger(__name__)


async def clear_thread(client: discord.Client, thread_id: int, locale: str, *, archive: bool) -> None:
    """Give the thread a title that says nothing, and delete the inner voice there; what people wrote in it is theirs.

    It is not deleted itself: the bot does not ask for the permission that this takes, and others may have gone on there.
    """
    try:
        with urgency(Urgency.VOICE):
            thread = client.get_channel(thread_id) or await persist(
                lambda: client.fetch_channel(thread_id), "looking for a thread"
            )
            if not isinstance(thread, discord.Thread) or client.user is None or thread.owner_id != client.user.id:
                return
            await clear(thread, locale, archive=archive)
    except (*TROUBLE, discord.InvalidData) as error:
        log.warning("thread %d could not be cleared of a deleted question: %s", thread_id, described(error))


async def clear(thread: discord.Thread, locale: str, *, archive: bool) -> None:
    """The same for a thread that is at hand.

    Raises:
        TROUBLE: Discord did not take it.
    """
    title = words(locale)("thread_deleted")
    await persist(lambda: thread.edit(name=title, archived=False), "taking back a title")
    for message in await standing_voice(thread):
        try:
            await persist(message.delete, "taking back an inner voice")
        except discord.NotFound:
            continue
    if archive:
        await collapse(thread)
