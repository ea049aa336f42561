"""`/help` and `/about`: how to ask, and what is running."""

from __future__ import annotations

from typing import TYPE_CHECKING

import discord
from discord import app_commands
from discord.ext import commands

from bot.ui.text import escape
from models.types import ModelInfo

if TYPE_CHECKING:
    from bot.client import ForwardPassBot

HELP = """\
### Ask me something tricky
Mention me, reply to me, write me a DM, or use `/ask`. For example: *How many eyes does my foot have?*

After my answer I read my own forward pass a second time, layer by layer, and tell you in a thread (or behind the \
💭 button) what each depth held to be the next word, what I considered and dropped, and where the answer settled. \
Every number there is measured.

- Reply to an answer of mine to go on with that conversation.
- Delete your question to stop me; its text is forgotten, too.
- `/ask style: story` puts your question at the end of a list of questions and answers, as in the story I come from.
- `/why` measures which blocks a word hangs on, `/fork` goes on from a word that I dropped, `/reconsider` asks me again \
with my inner voice before me, `/compare` puts two questions side by side.
- `/about` says which model is thinking."""


class About(commands.Cog):
    """Explains the bot."""

    def __init__(self, bot: ForwardPassBot) -> None:
        self._model = bot.app.model

    @app_commands.command(name="help", description="How to ask me, and what my inner voice is.")
    async def help(self, interaction: discord.Interaction[ForwardPassBot]) -> None:
        """Only the asker sees it."""
        await interaction.response.send_message(HELP, ephemeral=True)

    @app_commands.command(name="about", description="Which model is thinking, and how I read it.")
    async def about(self, interaction: discord.Interaction[ForwardPassBot]) -> None:
        """Only the asker sees it."""
        info, failure = self._model.info, self._model.failure
        if info is not None:
            text = describe(info)
        elif failure is not None:
            text = f"⚠️ {failure.for_user()}"
        else:
            text = "⏳ My weights are still being loaded. Ask again in a moment."
        await interaction.response.send_message(text, ephemeral=True)


def describe(info: ModelInfo) -> str:
    """The loaded model in words."""
    revision = f" at `{info.revision[:12]}`" if info.revision else ""
    voice = "logit lens over every block" if info.inner_voice is None else f"none: {escape(info.inner_voice)}"
    return "\n".join(
        [
            f"### {escape(info.name)}",
            f"`{info.id}`{revision}, {info.architecture}",
            f"{info.parameters / 1e6:,.0f} million parameters, {info.layers} blocks, vocabulary {info.vocabulary:,}, "
            f"context {info.context:,} tokens",
            f"on {info.device} in {info.dtype}, loaded in {info.load_seconds:.1f} s",
            f"Inner voice: {voice}.",
            "-# " + ", ".join(f"{name} {version}" for name, version in info.versions.items()),
        ]
    )


async def setup(bot: ForwardPassBot) -> None:
    """Called by discord.py when the extension is loaded."""
    await bot.add_cog(About(bot))
