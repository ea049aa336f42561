"""The *💭 Inner voice* button under an answer, and the menu of that name: a reply that only the presser sees."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import discord
from discord import app_commands
from discord.ext import commands

from bot.errors import ForwardPassError, permission_names
from bot.services.voice import InnerVoice
from bot.ui.acknowledging import defer
from bot.ui.failures import failure
from bot.ui.followups import Part, put
from bot.ui.pressing import everywhere, find_message, locale_of, say, taken
from bot.ui.threads import placement_for
from bot.ui.trouble import TROUBLE, described
from bot.ui.voice_message import TextPart, WholePart, picture_file, screens, voice_title
from bot.ui.wording import told, words

if TYPE_CHECKING:
    from bot.client import ForwardPassBot

log = logging.getLogger(__name__)


class Voice(commands.Cog):
    """Answers presses."""

    def __init__(self, bot: ForwardPassBot) -> None:
        self._bot = bot
        self._app = bot.app
        self._menu = app_commands.ContextMenu(name="Inner voice", callback=self.voice_menu)
        everywhere(self._menu)

    async def cog_load(self) -> None:
        """Menus cannot be declared in a cog."""
        self._bot.tree.add_command(self._menu)

    async def cog_unload(self) -> None:
        """Take it back."""
        self._bot.tree.remove_command(self._menu.name, type=self._menu.type)

    async def voice_menu(self, interaction: discord.Interaction[ForwardPassBot], message: discord.Message) -> None:
        """*Inner voice* on any answer, also where there is no button."""
        if not await taken(interaction, lambda: defer(interaction, private=True)):
            return
        self._app.tasks.spawn(self._tell_of(interaction, message.id), f"inner voice of {message.id}")

    async def _tell_of(self, interaction: discord.Interaction[ForwardPassBot], message_id: int) -> None:
        try:
            run_id = (await find_message(interaction, message_id, own=True)).id
        except ForwardPassError as error:
            await say(interaction, failure(error, locale_of(interaction)))
        else:
            await self._tell(interaction, run_id)

    @commands.Cog.listener()
    async def on_voice_press(self, interaction: discord.Interaction[ForwardPassBot], run_id: str) -> None:
        """Anybody who sees the answer may read its inner voice."""
        if not await taken(interaction, lambda: defer(interaction, private=True)):
            return
        self._app.tasks.spawn(self._tell(interaction, run_id), f"inner voice {run_id}")

    async def _tell(self, interaction: discord.Interaction[ForwardPassBot], run_id: str) -> None:
        locale = locale_of(interaction)
        try:
            with self._app.looks.place(interaction.user.id):
                voice = await self._app.voices.of(run_id, locale=locale)
            await self._show(interaction, voice)
        except TROUBLE as error:
            log.info("run %s: its inner voice was not taken: %s", run_id, described(error))
            await say(interaction, words(locale)("failed_voice_not_taken", trouble=described(error)))
        except Exception as error:  # noqa: BLE001  a defect, too, ends in something that the presser sees
            await say(interaction, failure(error, locale))

    async def _show(self, interaction: discord.Interaction[ForwardPassBot], voice: InnerVoice) -> None:
        *earlier, last = screens(voice)
        for index, text in enumerate(earlier):
            await put(interaction, Part(view=TextPart(text, title=voice_title(voice) if index == 0 else "")), private=True)
        view = WholePart(voice, last, titled=not earlier, note=self._note(interaction))
        await put(interaction, Part(view=view, files=lambda: [picture_file(voice)]), private=True)

    def _note(self, interaction: discord.Interaction[ForwardPassBot]) -> str:
        """Why there is a button and no thread, when an admin could change it."""
        missing = placement_for(self._app.config, interaction).missing
        locale = locale_of(interaction)
        return words(locale)("note_no_thread", names=told(permission_names(missing), locale)) if missing else ""


async def setup(bot: ForwardPassBot) -> None:
    """Called by discord.py when the extension is loaded."""
    await bot.add_cog(Voice(bot))
