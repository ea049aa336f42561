"""Controls that survive a restart: their custom ids carry the run (``fp:v1:<action>:<run id>``). Knows no model.

A press becomes an event of the client (``on_voice_press``), which a cog listens to: nothing here holds state.
"""

from __future__ import annotations

import re
from typing import Any, Self

import discord

RUN_ID = r"[A-Za-z0-9_-]{16}"


class InnerVoiceButton(discord.ui.DynamicItem[discord.ui.Button[Any]], template=rf"fp:v1:voice:(?P<run>{RUN_ID})"):
    """*💭 Inner voice* under an answer."""

    def __init__(self, run_id: str) -> None:
        style = discord.ButtonStyle.secondary
        button: discord.ui.Button[Any] = discord.ui.Button(
            label="Inner voice", emoji="💭", style=style, custom_id=f"fp:v1:voice:{run_id}"
        )
        super().__init__(button)
        self.run_id = run_id

    @classmethod
    async def from_custom_id(
        cls, interaction: discord.Interaction[Any], item: discord.ui.Item[Any], match: re.Match[str], /
    ) -> Self:
        return cls(match["run"])

    async def callback(self, interaction: discord.Interaction[Any]) -> None:
        interaction.client.dispatch("voice_press", interaction, self.run_id)


def voice_view(run_id: str) -> discord.ui.View:
    """A view with the inner-voice button, alive for ever."""
    view = discord.ui.View(timeout=None)
    view.add_item(InnerVoiceButton(run_id))
    return view
