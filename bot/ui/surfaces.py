"""The two places an answer can go to: under a message, or under a slash command."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Awaitable, Callable
from typing import Any

import discord

from bot.ui.acknowledging import died, expired
from bot.ui.followups import Part, follow_up
from bot.ui.own import OwnMessages
from bot.ui.trouble import TROUBLE

NO_HISTORY = 160002
"""Discord's code for: no reply without the permission Read Message History. A plain message is allowed."""
LISTED = 50
"""How many of a channel's latest messages are looked through for one that nobody confirmed."""


_HasMessages = discord.TextChannel | discord.Thread | discord.DMChannel | discord.VoiceChannel | discord.StageChannel


def same(content: str, wanted: str) -> bool:
    """Whether a message says it; Discord takes blanks away at both ends."""
    return content.strip() == wanted.strip()


def _view(view: discord.ui.View | None) -> dict[str, Any]:
    return {} if view is None else {"view": view}


class MessageSurface:
    """Replies to a message; when the message is gone, speaks in its channel."""

    def __init__(
        self,
        channel: discord.abc.Messageable,
        reference: discord.MessageReference | None,
        *,
        own: OwnMessages | None = None,
    ) -> None:
        """``own``: what the gateway tells of the bot's own messages, where somebody listens."""
        self._channel = channel
        self._reference = reference
        self._own = own or OwnMessages()
        self._nonce = secrets.randbits(64)
        self._in_doubt = False
        self._after: int | None = None if reference is None else reference.message_id
        """What is looked for is younger than this message."""

    async def send(self, content: str, *, view: discord.ui.View | None = None) -> discord.Message:
        """Post the next part. Tried again after a failure it stands there once: the nonce stays until Discord has answered."""
        repeated, self._in_doubt = self._in_doubt, True
        message = await self._post(content, view)
        if repeated and not same(message.content, content):
            # The earlier try did get through, and Discord gives back what that one said.
            message = await self.edit(message, content, view=view)
        self._taken(message)
        return message

    def _taken(self, message: discord.Message) -> None:
        self._reference, self._after = None, message.id  # only the first part is a reply
        self._nonce, self._in_doubt = secrets.randbits(64), False

    async def _post(self, content: str, view: discord.ui.View | None) -> discord.Message:
        if self._reference is not None:
            try:
                return await self._channel.send(content, nonce=self._nonce, reference=self._reference, **_view(view))
            except discord.HTTPException as error:
                if error.code != NO_HISTORY:
                    raise
        return await self._channel.send(content, nonce=self._nonce, **_view(view))

    async def edit(self, message: discord.Message, content: str, *, view: discord.ui.View | None = None) -> discord.Message:
        return await self._as_bot(message).edit(content=content, **_view(view))

    async def delete(self, message: discord.Message) -> None:
        await self._as_bot(message).delete()

    def _as_bot(self, message: discord.Message) -> discord.Message | discord.PartialMessage:
        """Without the token by which a message came: that one is dead where the bot goes on here."""
        if isinstance(message, discord.WebhookMessage) and isinstance(self._channel, _HasMessages):
            return self._channel.get_partial_message(message.id)
        return message

    async def read(self, message: discord.Message) -> discord.Message:
        return await self._channel.fetch_message(message.id)

    async def find(self, content: str) -> discord.Message | None:
        if not self._in_doubt:
            return None
        found = self._own.by_nonce(self._nonce) or await self._listed(content)
        if found is not None:
            self._taken(found)
        return found

    async def _listed(self, content: str) -> discord.Message | None:
        """From the channel's history, which says no nonce: a bot's message of these words, and of the same question if any."""
        reference = None if self._reference is None else self._reference.message_id
        for message in await self.latest():
            to = None if message.reference is None else message.reference.message_id
            older = self._after is not None and message.id <= self._after
            if not older and message.author.bot and to == reference and same(message.content, content):
                return message
        return None

    async def latest(self) -> list[discord.Message]:
        """The channel's latest messages, newest first; none where nobody may look."""
        with contextlib.suppress(*TROUBLE, discord.ClientException):
            return [message async for message in self._channel.history(limit=LISTED)]
        return []


class InteractionSurface:
    """Fills the deferred response of an interaction, then adds follow-ups; past the token's life it speaks as the bot."""

    def __init__(self, interaction: discord.Interaction[Any]) -> None:
        self._interaction = interaction
        self._first = True
        self._beyond: MessageSurface | None = None
        """Where it goes on without the token."""

    async def send(self, content: str, *, view: discord.ui.View | None = None) -> discord.Message:
        sent = await self._while_alive(lambda: self._respond(content, view))
        return await self._speak(content, view) if sent is None else sent

    async def _while_alive(self, deed: Callable[[], Awaitable[discord.Message]]) -> discord.Message | None:
        """What comes of a deed by the token; None when that is dead."""
        if expired(self._interaction):
            return None
        try:
            return await deed()
        except discord.HTTPException as error:
            if not died(self._interaction, error):
                raise
        return None

    async def _respond(self, content: str, view: discord.ui.View | None) -> discord.Message:
        if self._first:
            message = await self._interaction.edit_original_response(content=content, view=view)
            self._first = False
            return message
        return await follow_up(self._interaction, Part(content, view), private=self._private)

    async def edit(self, message: discord.Message, content: str, *, view: discord.ui.View | None = None) -> discord.Message:
        edited = await self._while_alive(lambda: message.edit(content=content, **_view(view)))
        return await self._amend(message, content, view) if edited is None else self._of_server(edited)

    async def delete(self, message: discord.Message) -> None:
        await (self._partial(message) if expired(self._interaction) else message).delete()

    async def read(self, message: discord.Message) -> discord.Message:
        if expired(self._interaction):
            return await self._partial(message).fetch()
        return await self._by_token(message.id)

    async def find(self, content: str) -> discord.Message | None:
        """The response as it stands, though nobody confirmed that it was filled; `follow_up` has looked for the others."""
        if self._beyond is not None:
            return await self._beyond.find(content)
        if not self._first or expired(self._interaction):
            return None
        try:
            # discord.py knows the word for the response only in a call that keeps what it saw; the address is the same.
            found = await self._by_token("@original")
        except (*TROUBLE, discord.ClientException):
            return None
        if not same(found.content, content):
            return None
        self._first = False
        return found

    @property
    def _private(self) -> bool:
        return False

    async def _by_token(self, which: Any) -> discord.Message:
        return self._of_server(await self._interaction.followup.fetch_message(which))

    def _of_server(self, message: discord.Message) -> discord.Message:
        message.guild = self._interaction.guild  # Discord does not say it of what comes by a token, and a thread needs it
        return message

    async def _amend(self, message: discord.Message, content: str, view: discord.ui.View | None) -> discord.Message:
        return await self._partial(message).edit(content=content, **_view(view))

    def _partial(self, message: discord.Message) -> discord.PartialMessage:
        return self._channel().get_partial_message(message.id)

    async def _speak(self, content: str, view: discord.ui.View | None) -> discord.Message:
        if self._beyond is None:
            self._beyond = MessageSurface(self._where(), None, own=self._interaction.client.own)
        return await self._beyond.send(content, view=view)

    def _where(self) -> discord.abc.Messageable:
        return self._channel()

    def _channel(self) -> discord.PartialMessageable:
        client, channel_id = self._interaction.client, self._interaction.channel_id
        if channel_id is None:
            raise discord.ClientException("an interaction without a channel")
        there: discord.PartialMessageable = client.get_partial_messageable(channel_id, guild_id=self._interaction.guild_id)
        return there


class PrivateSurface(InteractionSurface):
    """The same where only the asker sees the response: past the token's life the bot goes on by DM, never in the channel."""

    _told: discord.Message | None = None
    """The DM that goes on where the response ended."""

    async def delete(self, message: discord.Message) -> None:
        if not expired(self._interaction):  # afterwards nobody can; Discord shows it until the asker's client forgets it
            await message.delete()

    async def read(self, message: discord.Message) -> discord.Message:
        if not expired(self._interaction):
            return await super().read(message)
        return message if self._told is None else await self._told.fetch()

    @property
    def _private(self) -> bool:
        return True

    async def _amend(self, message: discord.Message, content: str, view: discord.ui.View | None) -> discord.Message:
        if self._told is None:
            self._told = await self._speak(content, view)
            return self._told
        return await self._told.edit(content=content, **_view(view))

    def _where(self) -> discord.abc.Messageable:
        return self._interaction.user
