"""👍 and 👎 under an answer: one a person, changeable, counted on the buttons. Anybody who sees the answer may press."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import discord
from discord.ext import commands

from bot.errors import ForwardPassError
from bot.ui.acknowledging import tell, update
from bot.ui.controls import answer_view
from bot.ui.failures import failure
from bot.ui.pressing import Press, locale_of
from bot.ui.trouble import TROUBLE, described

if TYPE_CHECKING:
    from bot.client import ForwardPassBot
    from bot.storage.votes import Value

log = logging.getLogger(__name__)


class Votes(commands.Cog):
    """Counts thumbs."""

    def __init__(self, bot: ForwardPassBot) -> None:
        self._votes = bot.app.votes

    @commands.Cog.listener()
    async def on_vote_press(self, interaction: Press, run_id: str, value: Value) -> None:
        """Cast, turn round or take back, and show the counts where they were pressed."""
        try:
            tally = await self._votes.press(run_id, interaction.user.id, value)
        except ForwardPassError as error:
            await self._respond(interaction, content=failure(error, locale_of(interaction)))
            return
        voice = _label(interaction.message, f"fp:v1:voice:{run_id}")
        view = answer_view(run_id, voice=bool(voice), voice_label=voice, up=tally.up, down=tally.down)
        await self._respond(interaction, view=view)

    async def _respond(self, interaction: Press, *, content: str = "", view: discord.ui.View | None = None) -> None:
        try:
            if view is not None:
                await update(interaction, view)
            else:
                await tell(interaction, content)
        except TROUBLE as error:  # the vote stands; Discord tells the presser that there was no response
            log.info("a vote was not shown: %s", described(error))


def _label(message: discord.Message | None, custom_id: str) -> str | None:
    """The label of a button in a message, which stays as it is; None when there is no such button."""
    rows: list[Any] = [] if message is None else list(message.components)
    children = (child for row in rows for child in getattr(row, "children", []))
    return next((child.label for child in children if getattr(child, "custom_id", None) == custom_id), None)


async def setup(bot: ForwardPassBot) -> None:
    """Called by discord.py when the extension is loaded."""
    await bot.add_cog(Votes(bot))
