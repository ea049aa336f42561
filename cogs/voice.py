"""The *💭 Inner voice* button under an answer: a reply that only the presser sees."""

from __future__ import annotations

from typing import TYPE_CHECKING

import discord
from discord.ext import commands

from bot.errors import ForwardPassError
from bot.ui.conversation import unexpected
from bot.ui.threads import placement
from bot.ui.voice_message import WholePart, paragraphs, picture_file

if TYPE_CHECKING:
    from bot.client import ForwardPassBot


class Voice(commands.Cog):
    """Answers presses."""

    def __init__(self, bot: ForwardPassBot) -> None:
        self._app = bot.app

    @commands.Cog.listener()
    async def on_voice_press(self, interaction: discord.Interaction[ForwardPassBot], run_id: str) -> None:
        """Anybody who sees the answer may read its inner voice."""
        await interaction.response.defer(ephemeral=True, thinking=True)
        self._app.tasks.spawn(self._tell(interaction, run_id), f"inner voice {run_id}")

    async def _tell(self, interaction: discord.Interaction[ForwardPassBot], run_id: str) -> None:
        try:
            voice = await self._app.voices.of(run_id, locale=str(interaction.locale))
            first, *rest = paragraphs(voice)
            view = WholePart(voice, "\n\n".join([first, *rest]), note=self._note(interaction))
            await interaction.followup.send(view=view, file=picture_file(voice), ephemeral=True)
        except ForwardPassError as error:
            await interaction.followup.send(f"⚠️ {error.for_user()}", ephemeral=True)
        except Exception as error:  # noqa: BLE001  a defect, too, ends in something that the presser sees
            await interaction.followup.send(unexpected(error), ephemeral=True)

    def _note(self, interaction: discord.Interaction[ForwardPassBot]) -> str:
        """Why there is a button and no thread, when an admin could change it."""
        if interaction.guild_id is None or interaction.client.get_guild(interaction.guild_id) is None:
            return ""
        missing = placement(self._app.config, interaction.channel, interaction.app_permissions).missing
        names = ", ".join(name.replace("_", " ").title() for name in missing)
        return f"I would have opened a thread, but I lack: {names}." if names else ""


async def setup(bot: ForwardPassBot) -> None:
    """Called by discord.py when the extension is loaded."""
    await bot.add_cog(Voice(bot))
