"""The two places an answer can go to: under a message, or under a slash command."""

from __future__ import annotations

import datetime
import secrets
from typing import Any

import discord

# Discord's interaction tokens live for 15 minutes; after 14 the bot goes on as itself.
# https://docs.discord.com/developers/interactions/receiving-and-responding
TOKEN_LIFETIME = datetime.timedelta(minutes=14)
NO_HISTORY = 160002
"""Discord's code for: no reply without the permission Read Message History. A plain message is allowed."""


def _view(view: discord.ui.View | None) -> dict[str, Any]:
    return {} if view is None else {"view": view}


class MessageSurface:
    """Replies to a message; when the message is gone, speaks in its channel."""

    def __init__(self, channel: discord.abc.Messageable, reference: discord.MessageReference | None) -> None:
        self._channel = channel
        self._reference = reference
        self._nonce = secrets.randbits(64)
        self._in_doubt = False

    async def send(self, content: str, *, view: discord.ui.View | None = None) -> discord.Message:
        """Post the next part. Tried again after a failure it stands there once: the nonce stays until Discord has answered."""
        repeated, self._in_doubt = self._in_doubt, True
        message = await self._post(content, view)
        if repeated and message.content.strip() != content.strip():
            # The earlier try did get through, and Discord gives back what that one said.
            message = await self.edit(message, content, view=view)
        self._reference = None  # only the first part is a reply
        self._nonce, self._in_doubt = secrets.randbits(64), False
        return message

    async def _post(self, content: str, view: discord.ui.View | None) -> discord.Message:
        if self._reference is not None:
            try:
                return await self._channel.send(content, nonce=self._nonce, reference=self._reference, **_view(view))
            except discord.HTTPException as error:
                if error.code != NO_HISTORY:
                    raise
        return await self._channel.send(content, nonce=self._nonce, **_view(view))

    async def edit(self, message: discord.Message, content: str, *, view: discord.ui.View | None = None) -> discord.Message:
        return await message.edit(content=content, **_view(view))

    async def delete(self, message: discord.Message) -> None:
        await message.delete()


class InteractionSurface:
    """Fills the deferred response of an interaction, then adds follow-ups; past the token's life it speaks as the bot."""

    def __init__(self, interaction: discord.Interaction) -> None:
        self._interaction = interaction
        self._first = True

    async def send(self, content: str, *, view: discord.ui.View | None = None) -> discord.Message:
        if self._expired():
            return await self._speak(content, view)
        if self._first:
            message = await self._interaction.edit_original_response(content=content, view=view)
            self._first = False
            return message
        followup = await self._interaction.followup.send(content, wait=True, **_view(view))
        followup.guild = self._interaction.guild  # Discord does not say it of a follow-up, and a thread needs it
        return followup

    async def edit(self, message: discord.Message, content: str, *, view: discord.ui.View | None = None) -> discord.Message:
        if self._expired():
            return await self._amend(message, content, view)
        return await message.edit(content=content, **_view(view))

    async def delete(self, message: discord.Message) -> None:
        await (self._partial(message) if self._expired() else message).delete()

    async def _amend(self, message: discord.Message, content: str, view: discord.ui.View | None) -> discord.Message:
        return await self._partial(message).edit(content=content, **_view(view))

    def _partial(self, message: discord.Message) -> discord.PartialMessage:
        return self._channel().get_partial_message(message.id)

    def _expired(self) -> bool:
        return discord.utils.utcnow() - self._interaction.created_at > TOKEN_LIFETIME

    async def _speak(self, content: str, view: discord.ui.View | None) -> discord.Message:
        return await self._channel().send(content, **_view(view))

    def _channel(self) -> discord.PartialMessageable:
        client, channel_id = self._interaction.client, self._interaction.channel_id
        if channel_id is None:
            raise discord.ClientException("an interaction without a channel")
        guild_id = self._interaction.guild_id
        return client.get_partial_messageable(channel_id, guild_id=guild_id)


class PrivateSurface(InteractionSurface):
    """The same where only the asker sees the response: past the token's life the bot goes on by DM, never in the channel."""

    _told: discord.Message | None = None
    """The DM that goes on where the response ended."""

    async def delete(self, message: discord.Message) -> None:
        if not self._expired():  # afterwards nobody can; Discord shows it until the asker's client forgets it
            await message.delete()

    async def _amend(self, message: discord.Message, content: str, view: discord.ui.View | None) -> discord.Message:
        if self._told is None:
            self._told = await self._speak(content, view)
            return self._told
        return await self._told.edit(content=content, **_view(view))

    async def _speak(self, content: str, view: discord.ui.View | None) -> discord.Message:
        return await self._interaction.user.send(content, **_view(view))
