"""`/why`, `/fork`, `/reconsider`, `/compare` and the buttons under an inner voice: parse, call the service, show."""

from __future__ import annotations

from typing import TYPE_CHECKING

from discord import app_commands
from discord.ext import commands

from bot.errors import ForwardPassError, NoInnerVoiceError
from bot.services.ask import AskRequest
from bot.ui import beyond as show
from bot.ui.pressing import ANSWER_HELP, Cards, Press, everywhere, find, in_thread, lead, locale_of
from bot.ui.views import run_row

if TYPE_CHECKING:
    from bot.client import ForwardPassBot


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
        works = {"why": self._why, "road": self._crossing, "again": self._reconsider, "all": self._everything}
        if (work := works.get(action)) is None:
            return  # another cog's button
        await lead(interaction, lambda: work(interaction, run_id), private=private)

    @commands.Cog.listener()
    async def on_road_choice(self, interaction: Press, run_id: str, t: int, token: int) -> None:
        """A road was chosen from the select."""
        private = not in_thread(interaction) or await self._app.beyond.hidden(run_id)
        await lead(interaction, lambda: self._fork(interaction, run_id, token, t), private=private)

    @app_commands.command(name="why", description="Measure which of my blocks a word of my answer hangs on.")
    @app_commands.describe(answer=ANSWER_HELP, word="Which token of my answer, counted from 1; the pivotal one when empty.")
    @everywhere
    async def why(
        self, interaction: Press, answer: str | None = None, word: app_commands.Range[int, 1, 4096] | None = None
    ) -> None:
        """The causal check."""
        t = None if word is None else word - 1

        async def work() -> Cards:
            return await self._why(interaction, (await find(interaction, answer)).id, t)

        await lead(interaction, work, private=False)

    @app_commands.command(name="fork", description="The road not taken: go on from a word that I considered and dropped.")
    @app_commands.describe(word="A word that I considered at the pivotal token.", answer=ANSWER_HELP)
    @everywhere
    async def fork(self, interaction: Press, word: str, answer: str | None = None) -> None:
        """``word`` is an id from the autocomplete, or the word itself."""

        async def work() -> Cards:
            run_id = (await find(interaction, answer)).id
            choices = (await self._app.beyond.crossing(run_id)).choices
            wanted = word.strip().casefold()
            found = next((c for c in choices if f"id:{c.id}" == wanted or c.text.strip().casefold() == wanted), None)
            if found is None:
                raise NoInnerVoiceError("I did not consider that word there. Choose one of those that are offered.")
            return await self._fork(interaction, run_id, found.id)

        await lead(interaction, work, private=False)

    @fork.autocomplete("word")
    async def roads(self, interaction: Press, current: str) -> list[app_commands.Choice[str]]:
        """The considered tokens with their final probabilities."""
        try:
            run_id = (await find(interaction, getattr(interaction.namespace, "answer", None))).id
            choices = (await self._app.beyond.crossing(run_id)).choices
        except ForwardPassError:
            return []
        fitting = [c for c in choices if current.casefold() in c.text.casefold()]
        return [
            app_commands.Choice(name=show.road_label(c, locale_of(interaction))[:100], value=f"id:{c.id}")
            for c in fitting[: show.MOST_ROADS]
        ]

    @app_commands.command(name="reconsider", description="Second thoughts: ask me again with my inner voice before me.")
    @app_commands.describe(answer=ANSWER_HELP)
    @everywhere
    async def reconsider(self, interaction: Press, answer: str | None = None) -> None:
        """Second thoughts."""

        async def work() -> Cards:
            return await self._reconsider(interaction, (await find(interaction, answer)).id)

        await lead(interaction, work, private=False)

    @app_commands.command(name="compare", description="Two questions side by side, depth by depth.")
    @app_commands.describe(a="For example: How many eyes does my foot have?", b="For example: How many eyes does a giraffe have?")
    @everywhere
    async def compare(self, interaction: Press, a: app_commands.Range[str, 1, 1500], b: app_commands.Range[str, 1, 1500]) -> None:
        """Both are asked now."""

        async def work() -> Cards:
            found = await self._app.beyond.compare(_request(interaction, a), b, _Silent())
            return [show.Card(show.comparison_text(found, locale_of(interaction)))]

        await lead(interaction, work, private=False)

    async def _why(self, interaction: Press, run_id: str, t: int | None = None) -> Cards:
        locale = locale_of(interaction)
        return [show.WhyCard(await self._app.beyond.why(run_id, locale=locale, t=t), locale)]

    async def _crossing(self, interaction: Press, run_id: str) -> Cards:
        crossing = await self._app.beyond.crossing(run_id)
        if not crossing.choices:
            raise NoInnerVoiceError("I considered nothing else there.")
        return [show.CrossingCard(crossing, locale_of(interaction))]

    async def _fork(self, interaction: Press, run_id: str, token: int, t: int | None = None) -> Cards:
        question = (await self._app.beyond.crossing(run_id, t=t)).run.question
        fork = await self._app.beyond.fork(run_id, token, _request(interaction, question), _Silent(), t=t)
        locale = locale_of(interaction)
        return [show.Card(show.fork_text(fork, locale), run_row(fork.answered.run.id, "voice", locale=locale))]

    async def _reconsider(self, interaction: Press, run_id: str) -> Cards:
        run, _ = await self._app.voices.read(run_id)
        thoughts = await self._app.beyond.reconsider(run_id, _request(interaction, run.question), _Silent())
        locale = locale_of(interaction)
        return [show.Card(show.thoughts_text(thoughts, locale), run_row(thoughts.answered.run.id, "voice", locale=locale))]

    async def _everything(self, interaction: Press, run_id: str) -> Cards:
        locale = locale_of(interaction)
        lines = await self._app.voices.everything(run_id, locale=locale)
        return [show.Card(text) for text in show.everything_texts(lines, locale)]


def _request(interaction: Press, question: str) -> AskRequest:
    return AskRequest(
        question=question,
        user_id=interaction.user.id,
        channel_id=interaction.channel_id or 0,
        guild_id=interaction.guild_id,
        source="slash",
        locale=locale_of(interaction),
    )


async def setup(bot: ForwardPassBot) -> None:
    """Called by discord.py when the extension is loaded."""
    await bot.add_cog(Beyond(bot))
