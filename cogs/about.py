"""`/help`, `/about` and `/model info`: how to ask, what this is, and which model is thinking. Only the asker sees them."""

from __future__ import annotations

from importlib import metadata
from typing import TYPE_CHECKING

from discord import app_commands
from discord.ext import commands

from bot.ui.about import about_text, command_lines, help_text, model_text, state_text, thinking_text
from bot.ui.acknowledging import tell
from bot.ui.beyond import Card
from bot.ui.pressing import Press, everywhere, locale_of

if TYPE_CHECKING:
    from bot.client import ForwardPassBot


class About(commands.Cog):
    """Explains the bot."""

    model = app_commands.Group(name="model", description="The language model that answers here.")
    everywhere(model)

    def __init__(self, bot: ForwardPassBot) -> None:
        self._bot = bot
        self._model = bot.app.model

    @app_commands.command(name="help", description="How to ask me, what my inner voice is, and all my commands.")
    @everywhere
    async def help(self, interaction: Press) -> None:
        """The commands are read off the tree, so that the list is whole."""
        locale = locale_of(interaction)
        text = help_text(command_lines(self._bot.tree, locale), locale)
        await tell(interaction, Card(text))

    @app_commands.command(name="about", description="What I am, what I store, and which model is thinking.")
    @everywhere
    async def about(self, interaction: Press) -> None:
        """What this bot is."""
        locale = locale_of(interaction)
        what = about_text(metadata.version("forward-pass"), self._bot.app.config.storage.keep_days, locale)
        text = f"{what}\n\n{state_text(self._model, locale) or thinking_text(self._model, locale)}"
        await tell(interaction, Card(text))

    @model.command(name="info", description="Which model is thinking: its size, where it runs, and how I read it.")
    async def model_info(self, interaction: Press) -> None:
        """The loaded model in words."""
        locale, lens = locale_of(interaction), self._bot.app.config.lens.kind
        text = state_text(self._model, locale) or model_text(self._model, lens, locale)
        await tell(interaction, Card(text))


async def setup(bot: ForwardPassBot) -> None:
    """Called by discord.py when the extension is loaded."""
    await bot.add_cog(About(bot))
