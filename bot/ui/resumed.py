"""The response to a slash command of an earlier process: its token still fills it for a while, then the bot speaks as itself."""

from __future__ import annotations

from typing import Any

import discord

from bot.ui.surfaces import MessageSurface, _view, same

DEAD = (401, 404)
"""What Discord says of a token that opens nothing any more, and of a response that is gone."""


class ResumedSurface:
    """Fills the response through its token, then adds follow-ups; where that fails for good, it goes on ``beyond``.

    Args:
        hook: the interaction's token as a webhook; None when it is over.
        response: the message that is the response, where it is known.
        beyond: the channel, or the asker's DMs for what nobody else may see.
        filled: whether the response says something already, so that what comes next is a follow-up.
        private: only the asker sees it.
        guild: where the response stands; Discord does not say it of a follow-up, and a thread needs it.
    """

    def __init__(
        self,
        hook: discord.Webhook | None,
        response: int | None,
        beyond: MessageSurface,
        *,
        filled: bool,
        private: bool,
        guild: discord.Guild | None,
    ) -> None:
        self._hook = hook
        self._response = response
        self._beyond = beyond
        self._filled = filled
        self._private = private
        self._guild = guild

    async def send(self, content: str, *, view: discord.ui.View | None = None) -> discord.Message:
        if self._hook is not None:
            try:
                return await self._by_token(self._hook, content, view)
            except discord.HTTPException as error:
                if error.status not in DEAD:
                    raise
            self._hook = None
        return await self._beyond.send(content, view=view)

    async def edit(self, message: discord.Message, content: str, *, view: discord.ui.View | None = None) -> discord.Message:
        if self._hook is not None:
            try:
                return self._placed(await self._hook.edit_message(message.id, content=content, **_view(view)))
            except discord.HTTPException as error:
                if error.status not in DEAD:
                    raise
            self._hook = None
        return await self._beyond.edit(message, content, view=view)

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
        """The response, though nobody confirmed that it was filled. What came below it cannot be told from an earlier part."""
        if self._hook is None:
            return await self._beyond.find(content)
        if self._filled or self._response is None:
            return None
        found = self._placed(await self._hook.fetch_message(self._response))
        self._filled = same(found.content, content)
        return found if self._filled else None

    async def _by_token(self, hook: discord.Webhook, content: str, view: discord.ui.View | None) -> discord.Message:
        if self._filled:
            sent = await hook.send(content, wait=True, ephemeral=self._private, **_view(view))
            if view is not None:
                view.stop()  # discord.py would time a private one for 15 minutes; its controls are found by their ids
        else:
            # discord.py knows the word for a response only within its interaction; the address is the same.
            response: Any = self._response or "@original"
            sent = await hook.edit_message(response, content=content, **_view(view))
            self._filled = True
        return self._placed(sent)

    def _placed(self, message: discord.WebhookMessage) -> discord.WebhookMessage:
        message.guild = self._guild
        return message
