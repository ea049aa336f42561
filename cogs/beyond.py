"""`/why`, `/fork`, `/reconsider`, `/compare` and the buttons under an inner voice: parse, call the service, show."""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

import discord
from discord import app_commands
from discord.ext import commands

from bot.errors import ForwardPassError, NoInnerVoiceError
from bot.services.ask import AskRequest
from bot.ui import beyond as show
from bot.ui.conversation import unexpected
from bot.ui.trouble import TROUBLE, described
from bot.ui.views import run_row

if TYPE_CHECKING:
    from bot.client import ForwardPassBot

log = logging.getLogger(__name__)

Press = discord.Interaction["ForwardPassBot"]
Cards = Sequence[show.Card]
_LINK = re.compile(r"(?:.*/)?(\d{15,20})/?")
ANSWER_HELP = "Link of an answer of mine in this channel; the last one when empty."
everywhere = app_commands.allowed_contexts(guilds=True, dms=True, private_channels=True)


class _Silent:
    """A deferred interaction shows by itself that the bot is thinking."""

    def loading(self) -> None:
        pass

    def queued(self, position: int) -> None:
        pass

    def text(self, so_far: str) -> None:
        pass


class Beyond(commands.Cog):
    """Looks further into an answer."""

    def __init__(self, bot: ForwardPassBot) -> None:
        self._app = bot.app

    @commands.Cog.listener()
    async def on_run_press(self, interaction: Press, action: str, run_id: str) -> None:
        """A button under an inner voice: in its thread for all to read, elsewhere for the presser alone."""
        private = (
            action == "road" or not in_thread(interaction) or bool(interaction.message and interaction.message.flags.ephemeral)
        )
        work = {"why": self._why, "road": self._crossing, "again": self._reconsider, "all": self._everything}[action]
        await self._lead(interaction, lambda: work(interaction, run_id), private=private)

    @commands.Cog.listener()
    async def on_road_choice(self, interaction: Press, run_id: str, t: int, token: int) -> None:
        """A road was chosen from the select."""
        await self._lead(interaction, lambda: self._fork(interaction, run_id, token, t), private=not in_thread(interaction))

    @app_commands.command(name="why", description="Measure which of my blocks a word of my answer hangs on.")
    @app_commands.describe(answer=ANSWER_HELP, word="Which token of my answer, counted from 1; the pivotal one when empty.")
    @everywhere
    async def why(
        self, interaction: Press, answer: str | None = None, word: app_commands.Range[int, 1, 4096] | None = None
    ) -> None:
        """The causal check."""
        t = None if word is None else word - 1

        async def work() -> Cards:
            return await self._why(interaction, await self._find(interaction, answer), t)

        await self._lead(interaction, work, private=False)

    @app_commands.command(name="fork", description="The road not taken: go on from a word that I considered and dropped.")
    @app_commands.describe(word="A word that I considered at the pivotal token.", answer=ANSWER_HELP)
    @everywhere
    async def fork(self, interaction: Press, word: str, answer: str | None = None) -> None:
        """``word`` is an id from the autocomplete, or the word itself."""

        async def work() -> Cards:
            run_id = await self._find(interaction, answer)
            choices = (await self._app.beyond.crossing(run_id)).choices
            wanted = word.strip().casefold()
            found = next((c for c in choices if f"id:{c.id}" == wanted or c.text.strip().casefold() == wanted), None)
            if found is None:
                raise NoInnerVoiceError("I did not consider that word there. Choose one of those that are offered.")
            return await self._fork(interaction, run_id, found.id)

        await self._lead(interaction, work, private=False)

    @fork.autocomplete("word")
    async def roads(self, interaction: Press, current: str) -> list[app_commands.Choice[str]]:
        """The considered tokens with their final probabilities."""
        try:
            run_id = await self._find(interaction, getattr(interaction.namespace, "answer", None))
            choices = (await self._app.beyond.crossing(run_id)).choices
        except ForwardPassError:
            return []
        fitting = [c for c in choices if current.casefold() in c.text.casefold()]
        return [
            app_commands.Choice(name=show.road_label(c, _locale(interaction))[:100], value=f"id:{c.id}")
            for c in fitting[: show.MOST_ROADS]
        ]

    @app_commands.command(name="reconsider", description="Second thoughts: ask me again with my inner voice before me.")
    @app_commands.describe(answer=ANSWER_HELP)
    @everywhere
    async def reconsider(self, interaction: Press, answer: str | None = None) -> None:
        """Second thoughts."""

        async def work() -> Cards:
            return await self._reconsider(interaction, await self._find(interaction, answer))

        await self._lead(interaction, work, private=False)

    @app_commands.command(name="compare", description="Two questions side by side, depth by depth.")
    @app_commands.describe(a="For example: How many eyes does my foot have?", b="For example: How many eyes does a giraffe have?")
    @everywhere
    async def compare(self, interaction: Press, a: app_commands.Range[str, 1, 1500], b: app_commands.Range[str, 1, 1500]) -> None:
        """Both are asked now."""

        async def work() -> Cards:
            found = await self._app.beyond.compare(_request(interaction, a), b, _Silent())
            return [show.Card(show.comparison_text(found, _locale(interaction)))]

        await self._lead(interaction, work, private=False)

    async def _why(self, interaction: Press, run_id: str, t: int | None = None) -> Cards:
        locale = _locale(interaction)
        return [show.WhyCard(await self._app.beyond.why(run_id, locale=locale, t=t), locale)]

    async def _crossing(self, interaction: Press, run_id: str) -> Cards:
        crossing = await self._app.beyond.crossing(run_id)
        if not crossing.choices:
            raise NoInnerVoiceError("I considered nothing else there.")
        return [show.CrossingCard(crossing, _locale(interaction))]

    async def _fork(self, interaction: Press, run_id: str, token: int, t: int | None = None) -> Cards:
        question = (await self._app.beyond.crossing(run_id, t=t)).run.question
        fork = await self._app.beyond.fork(run_id, token, _request(interaction, question), _Silent(), t=t)
        locale = _locale(interaction)
        return [show.Card(show.fork_text(fork, locale), run_row(fork.answered.run.id, "voice", locale=locale))]

    async def _reconsider(self, interaction: Press, run_id: str) -> Cards:
        run, _ = await self._app.voices.read(run_id)
        thoughts = await self._app.beyond.reconsider(run_id, _request(interaction, run.question), _Silent())
        locale = _locale(interaction)
        return [show.Card(show.thoughts_text(thoughts, locale), run_row(thoughts.answered.run.id, "voice", locale=locale))]

    async def _everything(self, interaction: Press, run_id: str) -> Cards:
        locale = _locale(interaction)
        lines = await self._app.voices.everything(run_id, locale=locale)
        return [show.Card(text) for text in show.everything_texts(lines, locale)]

    async def _find(self, interaction: Press, link: str | None) -> str:
        here = tuple(i for i in (interaction.channel_id, getattr(interaction.channel, "parent_id", None)) if i)
        linked = _LINK.fullmatch(link.strip()) if link else None
        if link and linked is None:
            raise NoInnerVoiceError("That is no link of a message. Copy the link of an answer of mine.")
        return (await self._app.beyond.find(here, int(linked[1]) if linked else None)).id

    async def _lead(self, interaction: Press, work: Callable[[], Awaitable[Cards]], *, private: bool) -> None:
        """Defer at once, then work in the background."""
        try:
            if isinstance(interaction.channel, discord.Thread) and interaction.channel.archived and not private:
                await interaction.channel.edit(archived=False)
            await interaction.response.defer(ephemeral=private, thinking=True)
        except TROUBLE as error:  # too late, or the same press a second time: Discord has told the presser
            log.info("a press was not answered: %s", described(error))
            return
        self._app.tasks.spawn(self._show(interaction, work, private), f"beyond {interaction.id}")

    async def _show(self, interaction: Press, work: Callable[[], Awaitable[Cards]], private: bool) -> None:
        try:
            for card in await work():
                await interaction.followup.send(view=card, files=card.files(), ephemeral=private)
        except ForwardPassError as error:
            await self._say(interaction, f"⚠️ {error.for_user()}")
        except TROUBLE as error:
            log.info("a look beyond was not taken: %s", described(error))
            await self._say(interaction, f"⚠️ Discord did not take my answer ({described(error)}). Try again in a moment.")
        except Exception as error:  # noqa: BLE001  a defect, too, ends in something that the presser sees
            await self._say(interaction, unexpected(error))
        if not private and isinstance(interaction.channel, discord.Thread) and self._app.config.threads.auto_archive:
            with contextlib.suppress(*TROUBLE):
                await interaction.channel.edit(archived=True)

    async def _say(self, interaction: Press, text: str) -> None:
        try:
            await interaction.followup.send(text, ephemeral=True)
        except TROUBLE as error:
            log.info("a presser could not be told: %s", described(error))


def in_thread(interaction: Press) -> bool:
    """Whether it was pressed in a thread, where everybody may read what comes."""
    return isinstance(interaction.channel, discord.Thread)


def _locale(interaction: Press) -> str:
    return interaction.client.app.config.discord.locale_for(interaction.locale)


def _request(interaction: Press, question: str) -> AskRequest:
    return AskRequest(
        question=question,
        user_id=interaction.user.id,
        channel_id=interaction.channel_id or 0,
        guild_id=interaction.guild_id,
        source="slash",
        locale=_locale(interaction),
    )


async def setup(bot: ForwardPassBot) -> None:
    """Called by discord.py when the extension is loaded."""
    await bot.add_cog(Beyond(bot))
