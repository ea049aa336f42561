"""Looks that wait in the line: a deferred interaction that shows its place and its progress, then the cards that came of it.

Where the work outlasts the interaction's token, the bot goes on as itself: in the channel, or by DM what one person alone shall
see. Knows no model.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import discord

from bot.errors import ForwardPassError, RunExpiredError
from bot.ui.acknowledging import defer, expired
from bot.ui.beyond import Card
from bot.ui.failures import failure
from bot.ui.followups import Part, put
from bot.ui.own import gist, gist_of
from bot.ui.pressing import Press, collapse, locale_of, say, taken
from bot.ui.replies import GRACE, LAST_WORD
from bot.ui.trouble import TROUBLE, described, passing, persist, stumbles
from bot.ui.wording import words

log = logging.getLogger(__name__)

Work = Callable[["CardReply"], Awaitable[Sequence[Card]]]


class CardReply:
    """The reply to one interaction; a `Listener` of the line until its first card is there."""

    def __init__(self, interaction: Press, *, private: bool) -> None:
        app = interaction.client.app
        self._interaction = interaction
        self._private = private
        self._locale = locale_of(interaction)
        self._say = words(self._locale)
        self._interval = app.config.discord.edit_interval_seconds
        self._message_id: int | None = None
        self._latest = self._shown = ""
        self._changed = asyncio.Event()
        self._pump: asyncio.Task[None] | None = None
        self._writing = asyncio.Lock()
        self._filled = False
        self._doubtful = False
        self._answering = False

    async def defer(self) -> None:
        """Show that the bot is thinking.

        Raises:
            TROUBLE: too late, or the same press a second time.
        """
        self._message_id = (await defer(self._interaction, private=self._private)).message_id

    def loading(self) -> None:
        """The model is still being loaded."""
        self._notice(self._say("wait_loading"))

    def queued(self, position: int) -> None:
        """``position`` 1 is next."""
        self._answering = False
        self._notice(self._say("wait_next") if position == 1 else self._say("wait_place", position=position))

    def text(self, so_far: str) -> None:
        """The answer grows; it is shown when it is whole."""
        if self._latest and so_far.strip() and not self._answering:
            self._answering = True
            self._notice(self._say("wait_answering"))

    def progress(self, done: int, total: int) -> None:
        """So many of so many questions are answered."""
        self._answering = True
        self._notice(self._say("wait_progress", done=done, total=total))

    async def show(self, card: Card) -> discord.Message | None:
        """The first card takes the place of the notice, further ones follow.

        Raises:
            TROUBLE: Discord did not take it.
        """
        await self._stop()
        first, self._filled = not self._filled, True
        if expired(self._interaction):
            return await self._speak(card, first)
        message = await put(self._interaction, Part(view=card, files=card.files), private=self._private)
        if first and self._doubtful:
            self._interaction.client.app.tasks.spawn(self._repeat(message, card), f"the last word of {message.id}")
        return message

    async def _repeat(self, message: discord.Message, card: Card) -> None:
        """Show the card again where a notice came after it that was given up."""
        for delay in LAST_WORD:
            await asyncio.sleep(delay)
            try:
                now = await self._interaction.followup.fetch_message(message.id)
                if gist_of(now) != gist("", card):
                    await persist(lambda: message.edit(**_shown(card)), "the last word")
            except TROUBLE as error:
                log.info("a card was not looked after: %s", described(error))

    async def fail(self, error: Exception) -> None:
        """Say what went wrong, for the presser alone where that can be."""
        await self._stop()
        text = failure(error, self._locale)
        try:
            if expired(self._interaction):
                await self._interaction.user.send(text, nonce=secrets.randbits(64))
            elif self._latest and not self._filled:  # a notice may stand there, and a card cannot become plain text
                await put(self._interaction, Part(view=Card(text)), private=True)
            else:
                await say(self._interaction, text)
        except TROUBLE as error:
            log.info("a presser could not be told: %s", described(error))

    def close(self) -> None:
        """Write no more notices."""
        if self._pump is not None:
            self._pump.cancel()

    async def _speak(self, card: Card, first: bool) -> discord.Message | None:
        """As the bot itself: where the notice stands, else below; by DM what is private, and where it may not speak."""
        if self._private:
            return await self._post(self._interaction.user, card)
        channel, partial = self._channel(), None
        if first and self._message_id is not None:
            partial = channel.get_partial_message(self._message_id)
        try:
            if partial is not None:
                with contextlib.suppress(discord.NotFound):  # somebody deleted it
                    return await persist(lambda: partial.edit(**_shown(card)), "showing a card")
            return await self._post(channel, card)
        except discord.Forbidden:
            return await self._post(self._interaction.user, card)

    async def _post(self, there: discord.abc.Messageable, card: Card) -> discord.Message:
        nonce = secrets.randbits(64)  # the same for each try: Discord posts it once
        return await persist(lambda: there.send(view=card, files=card.files(), nonce=nonce), "showing a card")

    def _channel(self) -> discord.PartialMessageable:
        client, guild_id = self._interaction.client, self._interaction.guild_id
        return client.get_partial_messageable(self._interaction.channel_id or 0, guild_id=guild_id)

    def _notice(self, text: str) -> None:
        self._latest = text
        self._changed.set()
        if self._pump is None and not self._filled:
            self._pump = asyncio.create_task(self._run(), name="show a place in the line")

    async def _run(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            async with self._writing:
                await self._write()
            await asyncio.sleep(self._interval)

    async def _write(self) -> None:
        text = self._latest
        if text == self._shown or expired(self._interaction):
            return
        with stumbles() as found:
            try:
                await self._interaction.edit_original_response(view=Card(text))
                self._shown = text
            except asyncio.CancelledError:
                self._doubtful = True
                raise
            except TROUBLE as error:  # the card comes in any case
                self._doubtful = self._doubtful or passing(error)
                log.info("a notice was not taken: %s", described(error))
            self._doubtful = self._doubtful or bool(found)

    async def _stop(self) -> None:
        if self._pump is None:
            return
        pump, self._pump = self._pump, None
        with contextlib.suppress(TimeoutError):  # a request under way is let through: it might be carried out after the card
            async with asyncio.timeout(GRACE), self._writing:
                pump.cancel()
        pump.cancel()
        await asyncio.gather(pump, return_exceptions=True)


def _shown(card: Card) -> dict[str, Any]:
    """For an edit; discord.py says by itself whom a message may ping only where content is edited."""
    return {"view": card, "attachments": card.files(), "allowed_mentions": discord.AllowedMentions.none()}


async def wait_for(interaction: Press, work: Work, *, private: bool) -> None:
    """Defer at once, then work in the background; every path ends in something that the presser sees."""
    reply = CardReply(interaction, private=private)
    if not await taken(interaction, reply.defer, opens=True):  # an archived thread takes nothing, not even what one person sees
        return
    interaction.client.app.tasks.spawn(_lead(interaction, reply, work), f"wait {interaction.id}")


async def _lead(interaction: Press, reply: CardReply, work: Work) -> None:
    app = interaction.client.app
    try:
        for card in await work(reply):
            message = await reply.show(card)
            if message is not None and not await _attach(app, card, message.id):
                await message.delete()
    except Exception as error:  # noqa: BLE001  a defect, too, ends in something that the presser sees
        await reply.fail(error)
    finally:
        reply.close()
    await collapse(interaction)


async def _attach(app: Any, card: Card, message_id: int) -> bool:
    """A reply to the message goes on from its answer. False: that was deleted before it was shown."""
    try:
        if card.holds:
            await app.deleting.held(card.holds, message_id)
        if card.run_id is not None:
            await app.asks.shown(card.run_id, [message_id])
    except RunExpiredError:
        return False
    except ForwardPassError as error:
        log.info("run %s: nobody will find it by its message (%s)", card.run_id, type(error).__name__)
    return True
