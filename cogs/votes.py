"""👍 and 👎 under an answer: one a person, changeable, counted on the buttons. Anybody who sees the answer may press."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import discord
from discord.ext import commands

from bot.ui.acknowledging import defer_update
from bot.ui.controls import answer_view
from bot.ui.failures import failure
from bot.ui.followups import Part, follow_up
from bot.ui.pressing import Press, locale_of, taken
from bot.ui.trouble import TROUBLE, described, persist

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
        """Acknowledge at once, since Discord waits three seconds and a locked database longer; then count."""
        if await taken(interaction, lambda: defer_update(interaction)):
            interaction.client.app.tasks.spawn(self._count(interaction, run_id, value), f"vote {interaction.id}")

    async def _count(self, interaction: Press, run_id: str, value: Value) -> None:
        """Cast, turn round or take back, and show the counts where they were pressed."""
        try:
            tally = await self._votes.press(run_id, interaction.user.id, value)
        except Exception as error:  # noqa: BLE001  a defect, too, ends in something that the presser sees
            text = failure(error, locale_of(interaction))
            await self._show(lambda: follow_up(interaction, Part(text), private=True))
            return
        voice = _label(interaction.message, f"fp:v1:voice:{run_id}")
        view = answer_view(run_id, voice=bool(voice), voice_label=voice, up=tally.up, down=tally.down)
        await self._show(lambda: persist(lambda: interaction.edit_original_response(view=view), "showing a vote"))

    async def _show(self, attempt: Callable[[], Awaitable[object]]) -> None:
        try:
            await attempt()
        except TROUBLE as error:  # the vote stands
            log.info("a vote was not shown: %s", described(error))


def _label(message: discord.Message | None, custom_id: str) -> str | None:
    """The label of a button in a message, which stays as it is; None when there is no such button."""
    rows: list[Any] = [] if message is None else list(message.components)
    children = (child for row in rows for child in getattr(row, "children", []))
    return next((child.label for child in children if getattr(child, "custom_id", None) == custom_id), None)


async def setup(bot: ForwardPassBot) -> None:
    """Called by discord.py when the extension is loaded."""
    await bot.add_cog(Votes(bot))
