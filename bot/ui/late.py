"""What came after an interaction's token was dead: the bot says it as itself, in the channel, or by DM what is private.

Knows messages; knows no look.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import discord

if TYPE_CHECKING:
    from bot.client import ForwardPassBot


async def speak(interaction: discord.Interaction[ForwardPassBot], *, private: bool, **message: Any) -> discord.Message:
    """Post ``message`` without the interaction; by DM what is private, and where the bot may not speak.

    Raises:
        TROUBLE: nobody took it.
    """
    if private:
        return await interaction.user.send(**message)
    channel = interaction.client.get_partial_messageable(interaction.channel_id or 0, guild_id=interaction.guild_id)
    try:
        return await channel.send(**message)
    except discord.Forbidden:
        return await interaction.user.send(**message)
