"""`/why`, `/fork`, `/reconsider`, `/compare` and the buttons under an inner voice: parse, call the service, show."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from discord import app_commands
from discord.ext import commands

from bot.errors import ForwardPassError, NoInnerVoiceError
from bot.services import controls as bank
from bot.services.asked import AskRequest
from bot.ui import beyond as show
from bot.ui.card_reply import CardReply, wait_for
from bot.ui.compare import ComparisonCard
from bot.ui.markup import plain
from bot.ui.pressing import ANSWER_HELP, Cards, Press, everywhere, find, in_thread, known, lead, locale_of
from bot.ui.text import title, units
from bot.ui.views import run_row

if TYPE_CHECKING:
    from bot.client import ForwardPassBot

Answers = Sequence[show.Card]


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
        if action == "again":
            return await wait_for(interaction, lambda reply: self._reconsider(interaction, reply, run_id), private=private)
        works = {"why": self._why, "road": self._crossing, "all": self._everything}
        if (work := works.get(action)) is None:
            return  # another cog's button
        await lead(interaction, lambda: work(interaction, run_id), private=private)

    @commands.Cog.listener()
    async def on_road_choice(self, interaction: Press, run_id: str, t: int, token: int) -> None:
        """A road was chosen from the select."""
        private = not in_thread(interaction) or await self._app.beyond.hidden(run_id)
        await wait_for(interaction, lambda reply: self._fork(interaction, reply, run_id, token, t), private=private)

    @app_commands.command(name="why", description="Measure which of my layers (blocks) a word of my answer depends on.")
    @app_commands.describe(
        answer=ANSWER_HELP, word="Number of a token (piece of a word) in my answer. If empty: the deciding word (pivotal token)."
    )
    @everywhere
    async def why(
        self, interaction: Press, answer: str | None = None, word: app_commands.Range[int, 1, 4096] | None = None
    ) -> None:
        """The causal check."""
        await known(interaction, answer)
        t = None if word is None else word - 1

        async def work() -> Cards:
            return await self._why(interaction, (await find(interaction, answer)).id, t)

        await lead(interaction, work, private=False)

    @app_commands.command(
        name="fork", description="The road not taken: I answer again from a word that I considered and dropped."
    )
    @app_commands.describe(
        word="A word that I considered where the answer was decided (at the pivotal token).", answer=ANSWER_HELP
    )
    @everywhere
    async def fork(self, interaction: Press, word: str, answer: str | None = None) -> None:
        """``word`` is an id from the autocomplete, or the word itself."""
        await known(interaction, answer)

        async def work(reply: CardReply) -> Answers:
            run_id = (await find(interaction, answer)).id
            with self._app.looks.place(interaction.user.id):
                choices = (await self._app.beyond.crossing(run_id)).choices
            wanted = word.strip().casefold()
            found = next((c for c in choices if f"id:{c.id}" == wanted or c.text.strip().casefold() == wanted), None)
            if found is None:
                raise NoInnerVoiceError("I did not consider that word at that point. Choose one from the list.")
            return await self._fork(interaction, reply, run_id, found.id)

        await wait_for(interaction, work, private=False)

    @fork.autocomplete("word")
    async def roads(self, interaction: Press, current: str) -> list[app_commands.Choice[str]]:
        """The considered tokens with their final probabilities."""
        try:
            run_id = (await find(interaction, getattr(interaction.namespace, "answer", None))).id
            crossing = await self._app.beyond.kept_crossing(run_id)
        except ForwardPassError:
            return []
        fitting = [c for c in (crossing.choices if crossing else ()) if current.casefold() in c.text.casefold()]
        return [
            app_commands.Choice(name=title(show.road_label(c, locale_of(interaction))), value=f"id:{c.id}")
            for c in fitting[: show.MOST_ROADS]
        ]

    @app_commands.command(
        name="reconsider", description="Second thoughts: I get the question again, and my inner voice to read with it."
    )
    @app_commands.describe(answer=ANSWER_HELP)
    @everywhere
    async def reconsider(self, interaction: Press, answer: str | None = None) -> None:
        """Second thoughts."""
        await known(interaction, answer)

        async def work(reply: CardReply) -> Answers:
            return await self._reconsider(interaction, reply, (await find(interaction, answer)).id)

        await wait_for(interaction, work, private=False)

    @app_commands.command(
        name="compare", description="Compare two questions, and check the difference against similar plain questions (controls)."
    )
    @app_commands.describe(
        a="For example: How many eyes does my foot have?",
        b="For example: How many eyes does a giraffe have?",
        controls="Three to six plain questions of the same form, separated by ; If empty, I use my own.",
    )
    @everywhere
    async def compare(
        self,
        interaction: Press,
        a: app_commands.Range[str, 1, 1500],
        b: app_commands.Range[str, 1, 1500],
        controls: app_commands.Range[str, 1, 4000] | None = None,
    ) -> None:
        """Both are asked now, and their controls."""
        first, second = (plain(text, guild=interaction.guild, reader=interaction.user) for text in (a, b))

        async def work(reply: CardReply) -> Answers:
            request = _request(interaction, first)
            found = await self._app.comparer.compare(request, second, reply, controls=controls, progress=reply.progress)
            return [ComparisonCard(found, locale_of(interaction))]

        await wait_for(interaction, work, private=False)

    @compare.autocomplete("a")
    async def tricks(self, interaction: Press, current: str) -> list[app_commands.Choice[str]]:
        """Tricks of the bank that have controls."""
        return _offered(await asyncio.to_thread(bank.tricks, locale_of(interaction), current))

    @compare.autocomplete("b")
    async def twins(self, interaction: Press, current: str) -> list[app_commands.Choice[str]]:
        """The plain questions beside the first one, when the bank has it."""
        trick = str(getattr(interaction.namespace, "a", None) or "")
        found = await asyncio.to_thread(bank.twins, trick)
        return _offered([plain for plain in found if current.casefold() in plain.casefold()])

    async def _why(self, interaction: Press, run_id: str, t: int | None = None) -> Cards:
        locale = locale_of(interaction)
        return [show.WhyCard(await self._app.beyond.why(run_id, locale=locale, t=t), locale)]

    async def _crossing(self, interaction: Press, run_id: str) -> Cards:
        crossing = await self._app.beyond.crossing(run_id)
        if not crossing.choices:
            raise NoInnerVoiceError("I considered no other word at that point.")
        return [show.CrossingCard(crossing, locale_of(interaction))]

    async def _fork(self, interaction: Press, reply: CardReply, run_id: str, token: int, t: int | None = None) -> Answers:
        with self._app.looks.place(interaction.user.id):
            question = (await self._app.beyond.crossing(run_id, t=t)).run.question
        fork = await self._app.beyond.fork(run_id, token, _request(interaction, question), reply, t=t)
        return [_answer_card(show.fork_text(fork, locale_of(interaction)), fork.answered.run.id, locale_of(interaction))]

    async def _reconsider(self, interaction: Press, reply: CardReply, run_id: str) -> Answers:
        with self._app.looks.place(interaction.user.id):
            run, _ = await self._app.voices.read(run_id)
        thoughts = await self._app.beyond.reconsider(run_id, _request(interaction, run.question), reply)
        locale = locale_of(interaction)
        return [_answer_card(show.thoughts_text(thoughts, locale), thoughts.answered.run.id, locale)]

    async def _everything(self, interaction: Press, run_id: str) -> Cards:
        locale = locale_of(interaction)
        lines = await self._app.voices.everything(run_id, locale=locale)
        return [show.Card(text) for text in show.everything_texts(lines, locale)]


def _answer_card(text: str, run_id: str, locale: str) -> show.Card:
    """A card that holds an answer, with the button of its inner voice."""
    return show.Card(text, run_row(run_id, "voice", locale=locale), run_id=run_id)


def _offered(questions: Sequence[str]) -> list[app_commands.Choice[str]]:
    """As many as Discord shows, and none that is too long for it."""
    return [app_commands.Choice(name=text, value=text) for text in questions if units(text) <= 100][:25]


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
