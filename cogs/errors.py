"""The last net for slash commands. Order: an error of our own tree, a failed check, trouble with Discord,
anything else with an id.

Questions do not come through here: `bot.ui.conversation` shows their errors where the answer would have stood.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import discord
from discord import app_commands
from discord.ext import commands

from bot.errors import ForwardPassError
from bot.ui.conversation import unexpected
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
        cause = error.original if isinstance(error, app_commands.CommandInvokeError) else error
        text = sentence(cause)
        try:
            if interaction.response.is_done():
                await interaction.followup.send(text, ephemeral=True)
            else:
                await interaction.response.send_message(text, ephemeral=True)
        except TROUBLE as trouble:  # Discord tells the user itself that there was no response
            log.info("a failed command could not be told: %s", described(trouble))


def sentence(error: Exception) -> str:
    """What the user reads."""
    if isinstance(error, ForwardPassError):
        return f"⚠️ {error.for_user()}"
    if isinstance(error, app_commands.CommandOnCooldown):
        return f"⚠️ Not so fast. Try again in {error.retry_after:.0f} seconds."
    if isinstance(error, app_commands.CheckFailure):
        return "⚠️ You may not use this command here."
    if isinstance(error, app_commands.CommandNotFound | app_commands.CommandSignatureMismatch):
        return "⚠️ This command has changed. Restart Discord, or wait a minute, and try again."
    if isinstance(error, TROUBLE):
        log.info("a command was not answered: %s", described(error))
        return f"⚠️ Discord did not take my answer ({described(error)}). Please try again."
    return unexpected(error)


async def setup(bot: ForwardPassBot) -> None:
    """Called by discord.py when the extension is loaded."""
    await bot.add_cog(Errors(bot))
