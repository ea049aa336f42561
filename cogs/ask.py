"""Asking: a mention, a reply to the bot, a DM or `/ask`. Parses, and hands over to `bot.ui.conversation`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

import discord
from discord import app_commands
from discord.ext import commands

from bot.catalogue import CHINESE, written_in
from bot.errors import ForwardPassError, MissingPermissionsError, QueueError, WithheldError
from bot.services.asked import AskRequest
from bot.ui.acknowledging import defer, tell
from bot.ui.conversation import Conversation
from bot.ui.delivery import whisper
from bot.ui.failures import failure
from bot.ui.markup import plain
from bot.ui.places import Place
from bot.ui.questions import asked_in, is_withheld, replied_to, reply_reference
from bot.ui.refusals import Refusals
from bot.ui.surfaces import InteractionSurface, MessageSurface, PrivateSurface
from bot.ui.text import quoted
from bot.ui.threads import Placement, permissions_in, placement, placement_for
from bot.ui.wording import told
from models.sentences import Sentence
from models.types import Sampling

if TYPE_CHECKING:
    from bot.client import ForwardPassBot

Source = Literal["mention", "reply", "dm"]


class Ask(commands.Cog):
    """Takes questions."""

    def __init__(self, bot: ForwardPassBot) -> None:
        self._bot = bot
        self._app = bot.app
        self._conversation = Conversation(bot.app.config, bot.app.asks, bot.app.voices, bot.back, bot.own)
        self._refusals = Refusals(bot.app.tasks.spawn)
        self._withheld = Refusals(bot.app.tasks.spawn)

    @commands.Cog.listener()
    async def on_message(self, message: discord.Message) -> None:
        """A message that is for the bot becomes a question."""
        self.take(message)

    def take(self, message: discord.Message) -> asyncio.Task[None] | None:
        """Begin to answer it, once, whether it came just now or is found later; None when there is nothing to begin."""
        source = self.for_us(message)
        if source is None or not self._bot.questions.first(message.id):
            return None
        return self._app.tasks.spawn(self._from_message(message, source), f"question {message.id}")

    @app_commands.command(name="ask", description="Ask me a question; my answer comes with my inner voice.")
    @app_commands.describe(
        question="For example: How many eyes does my foot have?",
        style="chat: I answer as an assistant. story: I continue a list of questions and answers.",
        temperature="0: I always take the likeliest next word. The higher, the more I leave to chance.",
        seed="The same seed gives the same answer. If empty, I draw a new one.",
        inner_voice="Whether I tell what went on inside me. I do, unless you choose False.",
        private="Only you see my answer and its inner voice.",
    )
    @app_commands.allowed_installs(guilds=True, users=True)
    @app_commands.allowed_contexts(guilds=True, dms=True, private_channels=True)
    async def ask(
        self,
        interaction: discord.Interaction[ForwardPassBot],
        question: app_commands.Range[str, 1, 1500],
        style: Literal["chat", "story"] | None = None,
        temperature: app_commands.Range[float, 0.0, 2.0] | None = None,
        seed: app_commands.Range[int, 0, 2**53 - 1] | None = None,
        inner_voice: bool = True,
        private: bool = False,
    ) -> None:
        """Take a place or refuse within the acknowledgement itself; then answer in the background."""
        locale = self._app.config.discord.locale_for(interaction.locale)
        question = plain(question, guild=interaction.guild, reader=interaction.user)
        try:
            seat = self._app.asks.reserve(interaction.user.id)
        except QueueError as error:
            await tell(interaction, failure(error, locale))
            return
        try:
            thinking = await defer(interaction, private=private)
        except BaseException:
            self._app.asks.give_back(seat)
            raise
        request = AskRequest(
            question=question,
            user_id=interaction.user.id,
            channel_id=interaction.channel_id or 0,
            guild_id=interaction.guild_id,
            source="slash",
            locale=locale,
            style=style,
            sampling=self._sampling(temperature, seed),
            private=private,
            wants_voice=inner_voice,
            interaction_token=interaction.token,
            response_message_id=None if thinking is None else thinking.message_id,
        )
        surface = PrivateSurface(interaction) if private else InteractionSurface(interaction)
        voice = self._voice(interaction, inner_voice=inner_voice, private=private)
        place = Place(surface, voice, None, interaction.user, quoted(question), request.locale)
        self._app.tasks.spawn(self._conversation.lead(request, place, seat=seat), f"question {interaction.id}")

    def _sampling(self, temperature: float | None, seed: int | None) -> Sampling | None:
        """What the config says, but for what was asked; None when nothing was."""
        asked = {name: value for name, value in (("temperature", temperature), ("seed", seed)) if value is not None}
        return self._app.asks.sampling.model_copy(update=asked) if asked else None

    def _voice(self, interaction: discord.Interaction[ForwardPassBot], *, inner_voice: bool, private: bool) -> Placement:
        """A private answer has no thread, which others could read."""
        if not inner_voice:
            return Placement("off")
        found = placement_for(self._app.config, interaction)
        return Placement("button") if private and found.mode == "thread" else found

    def for_us(self, message: discord.Message) -> Source | None:
        """In which way it is for the bot; None when it is not."""
        me = self._bot.user
        if me is None or message.author.bot or message.type not in (discord.MessageType.default, discord.MessageType.reply):
            return None
        if message.guild is None:
            return "dm"
        answer = replied_to(message)
        if answer is not None and answer.author.id == me.id:
            return "reply"
        role = message.guild.self_role
        if me in message.mentions or (role is not None and role in message.role_mentions):
            return "mention"
        listens = {getattr(message.channel, "name", ""), str(message.channel.id)} & set(self._app.config.discord.listen)
        return "mention" if listens and not is_withheld(message) else None

    async def _from_message(self, message: discord.Message, source: Source) -> None:
        permissions = permissions_in(message.channel)
        if await self._may_not_speak(message, permissions):
            return
        locale, reference = self._locale(message), reply_reference(message)
        if is_withheld(message):
            unread = WithheldError("I cannot read this reply: mention me in it, or use /ask.")
            return self._withheld.refuse(message, unread, locale)
        surface = MessageSurface(message.channel, message.to_reference(fail_if_not_exists=False), own=self._bot.own)
        voice = placement(self._app.config, message.channel, permissions)
        place = Place(surface, voice, message.channel, message.author, locale=locale, refuse=self._refusing(message))
        try:
            asked = await asked_in(message, self._bot.user)
        except ForwardPassError as error:
            return await self._conversation.refuse(error, place)
        request = AskRequest(
            question=asked.text,
            user_id=message.author.id,
            channel_id=message.channel.id,
            guild_id=message.guild.id if message.guild else None,
            question_message_id=message.id,
            reply_to_message_id=reference.message_id if reference else None,
            replied_to_answers=self._answers(message),
            quoted_message_id=asked.quoted,
            source=source,
            locale=locale,
        )
        await self._conversation.lead(request, place)

    def _refusing(self, message: discord.Message) -> Callable[[ForwardPassError], None]:
        return lambda error: self._refusals.refuse(message, error, self._locale(message))

    def _answers(self, message: discord.Message) -> int | None:
        """The question that the message of ours that is replied to answers."""
        answer = replied_to(message)
        if answer is None or self._bot.user is None or answer.author.id != self._bot.user.id:
            return None
        return answer.reference.message_id if answer.reference else None

    def _locale(self, message: discord.Message) -> str:
        """A message does not say its author's language. A Chinese one says it by its writing; else it is the server's."""
        written = written_in(message.content + "".join(snapshot.content for snapshot in message.message_snapshots))
        servers = message.guild.preferred_locale if message.guild and written != CHINESE else written
        return self._app.config.discord.locale_for(servers)

    async def _may_not_speak(self, message: discord.Message, permissions: discord.Permissions) -> bool:
        in_thread = isinstance(message.channel, discord.Thread)
        needed = "send_messages_in_threads" if in_thread else "send_messages"
        if getattr(permissions, needed):
            return False
        where = getattr(message.channel, "mention", None)
        error = MissingPermissionsError(
            [needed], Sentence("in {channel}", channel=where) if where else Sentence("in that channel")
        )
        if self._refusals.first(message.author.id) and self._refusals.dm_left():
            await whisper(message.author, told(error, self._locale(message)))
        return True


async def setup(bot: ForwardPassBot) -> None:
    """Called by discord.py when the extension is loaded."""
    await bot.add_cog(Ask(bot))
