"""The response to a slash command of an earlier process: its token still fills it for a while, then the bot speaks as itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import discord

from bot.ui.own import OwnMessages, interaction_of
from bot.ui.surfaces import MessageSurface, _view, same

DEAD = (401, 404)
"""What Discord says of a token that opens nothing any more, and of a response that is gone."""

_Sent = TypeVar("_Sent", bound=discord.Message)


class ResumedSurface:
    """Fills the response through its token, then adds follow-ups; where that fails for good, it goes on ``beyond``.

    Args:
        hook: the interaction's token as a webhook; None when it is over.
        response: the message that is the response, where it is known.
        beyond: the channel, or the asker's DMs for what nobody else may see.
        last: the last message of it that says something, so that what comes next is a follow-up.
        private: only the asker sees it.
        guild: where the response stands; Discord does not say it of a follow-up, and a thread needs it.
        own: what the gateway tells of the bot's own messages.
    """

    def __init__(
        self,
        hook: discord.Webhook | None,
        response: int | None,
        beyond: MessageSurface,
        *,
        last: int | None,
        private: bool,
        guild: discord.Guild | None,
        own: OwnMessages,
    ) -> None:
        self._hook = hook
        self._response = response
        self._beyond = beyond
        self._last = last
        self._private = private
        self._guild = guild
        self._own = own
        self._in_doubt = False

    async def send(self, content: str, *, view: discord.ui.View | None = None) -> discord.Message:
        sent = await self._while_alive(lambda hook: self._by_token(hook, content, view))
        return await self._beyond.send(content, view=view) if sent is None else sent

    async def edit(self, message: discord.Message, content: str, *, view: discord.ui.View | None = None) -> discord.Message:
        edited = await self._while_alive(lambda hook: hook.edit_message(message.id, content=content, **_view(view)))
        return await self._beyond.edit(message, content, view=view) if edited is None else self._placed(edited)

    async def _while_alive(self, deed: Callable[[discord.Webhook], Awaitable[_Sent]]) -> _Sent | None:
        """What comes of a deed by the token; None when that is dead, as it is from then on."""
        if self._hook is None:
            return None
        try:
            return await deed(self._hook)
        except discord.HTTPException as error:
            if error.status not in DEAD:
                raise
        self._hook = None
        return None

    async def delete(self, message: discord.Message) -> None:
        if self._hook is not None:
            await self._hook.delete_message(message.id)
        elif not self._private:  # else nobody can; Discord shows it until the asker's client forgets it
            await self._beyond.delete(message)

    async def read(self, message: discord.Message) -> discord.Message:
        if self._hook is not None:
            return self._placed(await self._hook.fetch_message(message.id))
        return await self._beyond.read(message)

    async def find(self, content: str) -> discord.Message | None:
        """The response, though nobody confirmed that it was filled; or what stands below it."""
        if self._hook is None:
            return await self._beyond.find(content)
        response = self._placed(await self._hook.fetch_message(self._address))
        if self._last is not None:
            return await self._below(self._hook, response, content) if self._in_doubt else None
        if not same(response.content, content):
            return None
        self._last = response.id
        return response

    async def _by_token(self, hook: discord.Webhook, content: str, view: discord.ui.View | None) -> discord.Message:
        if self._last is not None:
            return await self._follow_up(hook, content, view)
        sent = await hook.edit_message(self._address, content=content, **_view(view))
        self._last = sent.id
        return self._placed(sent)

    @property
    def _address(self) -> Any:
        """discord.py knows the word for a response only within its interaction; the address is the same."""
        return self._response or "@original"

    async def _follow_up(self, hook: discord.Webhook, content: str, view: discord.ui.View | None) -> discord.Message:
        """Discord ignores a nonce there, so it is looked for before it is sent once more."""
        if self._in_doubt and (found := await self.find(content)) is not None:
            return found
        self._in_doubt = True
        sent = self._placed(await hook.send(content, wait=True, ephemeral=self._private, **_view(view)))
        if view is not None:
            view.stop()  # discord.py would time a private one for 15 minutes; its controls are found by their ids
        return self._taken(sent)

    async def _below(self, hook: discord.Webhook, response: discord.Message, content: str) -> discord.Message | None:
        """From what the gateway told, else from the history, which has nothing private."""
        interaction = interaction_of(response)
        told = self._own.of(interaction) if interaction is not None else []
        listed = [] if self._private else [m for m in await self._beyond.latest() if interaction_of(m) == interaction]
        found = next((m for m in (*told, *listed) if m.id > (self._last or 0) and same(m.content, content)), None)
        return None if found is None else self._taken(self._placed(await hook.fetch_message(found.id)))

    def _taken(self, message: discord.Message) -> discord.Message:
        self._last, self._in_doubt = message.id, False
        return message

    def _placed(self, message: discord.WebhookMessage) -> discord.WebhookMessage:
        message.guild = self._guild
        return message
