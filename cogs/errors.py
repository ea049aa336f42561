"""The last net for slash commands; `bot.ui.failures` has the sentences.

Questions do not come through here: `bot.ui.conversation` shows their errors where the answer would have stood.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import discord
from discord import app_commands
from discord.ext import commands

from bot.ui.acknowledging import tell
from bot.ui.failures import refusal
from bot.ui.followups import Part, put
from bot.ui.pressing import locale_of
from bot.ui.trouble import TROUBLE, described

if TYPE_CHECKING:
    from bot.client import ForwardPassBot

log = logging.getLogger(__name__)


class Errors(commands.Cog):
    """Answers failed commands."""

    def __init__(self, bot: ForwardPassBot) -> None:
        self._bot = bot

    async def cog_load(self) -> None:
        """Take over the tree's error handler."""
        self._bot.tree.error(self.on_app_command_error)

    async def on_app_command_error(
        self, interaction: discord.Interaction[ForwardPassBot], error: app_commands.AppCommandError
    ) -> None:
        """Every failed command ends in something that its user sees."""
        text = refusal(error, locale_of(interaction))
        try:
            if interaction.response.is_done():
                await put(interaction, Part(text), private=True)
            else:
                await tell(interaction, text)
        except TROUBLE as trouble:  # Discord tells the user itself that there was no response
            log.info("a failed command could not be told: %s", described(trouble))


async def setup(bot: ForwardPassBot) -> None:
    """Called by discord.py when the extension is loaded."""
    await bot.add_cog(Errors(bot))
