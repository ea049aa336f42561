"""Messages under an interaction: each stands once, although a lost reply does not say whether it was posted. Knows no answer.

The first takes the place of "thinking" by an edit, which may be repeated. A further one has no nonce, so before it is sent again
it is looked for: among what the gateway told of, then in the channel's history. What Discord carries out after all that is taken
back. Where nothing can be seen, as where only its user installed the bot, the repeat says that it may be one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import aiohttp
import discord

from bot.ui import trouble
from bot.ui.own import Gist, gist, gist_of, interaction_of
from bot.ui.text import CONTENT_LIMIT, units
from bot.ui.trouble import TROUBLE, described, passing, persist
from bot.ui.wording import words

log = logging.getLogger(__name__)

LOOKS = (0.5, 1.5)
"""Seconds of waiting before each look for a message whose reply was lost."""
TWIN_LOOKS = (3.0, 12.0)
"""The same for one that Discord carries out late, beside its repeat."""
MOST_TEXT = 4000
"""Characters of all texts of a layout."""
Press = discord.Interaction[Any]


@dataclass(frozen=True, slots=True)
class Part:
    """What is to be posted."""

    content: str | None = None
    view: discord.ui.View | discord.ui.LayoutView | None = None
    files: Callable[[], list[discord.File]] = list
    """Fresh file objects: each try uses them up."""

    @property
    def gist(self) -> Gist:
        """What it is known by when it stands there."""
        return gist(self.content, self.view)


async def put(interaction: Press, part: Part, *, private: bool) -> discord.Message:
    """Fill the deferred response, and go on below it when that is filled.

    Raises:
        TROUBLE: Discord did not take it.
    """
    if interaction.extras.get("filled"):
        return await follow_up(interaction, part, private=private)

    async def fill() -> discord.Message:
        given: dict[str, Any] = {"content": part.content} if part.view is None else {"view": part.view}
        return await interaction.edit_original_response(**given, attachments=part.files())

    message = await persist(fill, "filling a response")
    interaction.extras["filled"] = True
    return message


async def follow_up(interaction: Press, part: Part, *, private: bool = False) -> discord.Message:
    """Post it once.

    Raises:
        TROUBLE: Discord did not take it, and it is not there either.
    """
    return await _FollowUp(interaction, part, private).sent()


class _FollowUp:
    """One of them, with what is known of its tries."""

    def __init__(self, interaction: Press, part: Part, private: bool) -> None:
        self._interaction = interaction
        self._part = part
        self._gist = part.gist
        self._private = private
        self._placed: set[int] = interaction.extras.setdefault("placed", set())
        self._doubts: set[Gist] = interaction.extras.setdefault("doubts", set())

    async def sent(self) -> discord.Message:
        message = await self._look() if self._gist in self._doubts else None
        message = message or await self._tried()
        self._placed.add(message.id)
        if self._gist in self._doubts:
            self._doubts.discard(self._gist)
            self._interaction.client.app.tasks.spawn(self._take_back(message), f"twins of {message.id}")
        return message

    async def _tried(self) -> discord.Message:
        for delay in (*trouble.RETRY_DELAYS, None):
            try:
                return await self._post()
            except TROUBLE as error:
                if not passing(error):
                    raise
                log.info("a follow-up: %s", described(error))
                found = await self._after(error)
                if found is not None:
                    return found
                if delay is None:
                    raise
                await asyncio.sleep(delay)
        raise AssertionError("the last try returns or raises")

    async def _after(self, error: BaseException) -> discord.Message | None:
        """What a failed try may have left."""
        if isinstance(error, aiohttp.ClientConnectorError):
            return None  # there was no connection to send it through
        first = self._gist not in self._doubts
        self._doubts.add(self._gist)
        for delay in LOOKS:
            await asyncio.sleep(delay)
            if (found := await self._look()) is not None:
                return found
        if first and not await self._there():
            self._part = _marked(self._part, self._interaction)
        return None

    async def _post(self) -> discord.Message:
        part = self._part
        named = {"content": part.content, "view": part.view, "files": part.files() or None}
        given: dict[str, Any] = {name: value for name, value in named.items() if value is not None}
        message = await self._interaction.followup.send(**given, ephemeral=self._private, wait=True)
        if part.view is not None:
            part.view.stop()  # our controls need no view that waits for them; discord.py keeps a private one for 15 minutes
        return self._of_server(message)

    async def _look(self) -> discord.Message | None:
        found = next((m for m in await self._there() if self._is_it(m)), None)
        if found is None:
            return None
        try:  # once more through the token, through which alone one can edit what is private
            return self._of_server(await self._interaction.followup.fetch_message(found.id))
        except TROUBLE:
            return found

    def _is_it(self, message: discord.Message) -> bool:
        return message.id not in self._placed and gist_of(message) == self._gist

    async def _there(self) -> list[discord.Message]:
        """All that can be seen of this interaction: by the gateway, else in the history, which has nothing private."""
        told: list[discord.Message] = self._interaction.client.own.of(self._interaction.id)
        if self._private or any(map(self._is_it, told)):
            return told
        return told + await self._listed()

    async def _listed(self) -> list[discord.Message]:
        channel = self._interaction.channel
        if not isinstance(channel, discord.abc.Messageable):
            return []
        try:
            listed = [m async for m in channel.history(limit=50)]
        except (*TROUBLE, discord.ClientException):
            return []
        return [m for m in reversed(listed) if interaction_of(m) == self._interaction.id]

    async def _take_back(self, kept: discord.Message) -> None:
        """Delete what a request that was given up posted after all."""
        for delay in TWIN_LOOKS:
            await asyncio.sleep(delay)
            twins = {m.id for m in await self._there() if self._is_it(m) and m.id != kept.id}
            for twin in twins:
                self._placed.add(twin)  # not to be found again
                try:
                    await persist(partial(self._interaction.followup.delete_message, twin), "deleting a twin")
                except TROUBLE as error:
                    log.info("a message that stands twice stays: %s", described(error))

    def _of_server(self, message: discord.Message) -> discord.Message:
        message.guild = self._interaction.guild  # Discord does not say it of a follow-up, and a thread needs it
        return message


def _marked(part: Part, interaction: Press) -> Part:
    """With a small line that says that it may be a repeat, where there is room."""
    locale = interaction.client.app.config.discord.locale_for(interaction.locale)
    note = words(locale)("perhaps_again")
    if part.content is not None and units(part.content) + len(note) < CONTENT_LIMIT:
        return replace(part, content=f"{part.content}\n{note}")
    if isinstance(part.view, discord.ui.LayoutView) and _length(part.view) + len(note) < MOST_TEXT:
        part.view.add_item(discord.ui.TextDisplay(note))
    return part


def _length(view: discord.ui.LayoutView) -> int:
    return sum(units(item.content) for item in view.walk_children() if isinstance(item, discord.ui.TextDisplay))
