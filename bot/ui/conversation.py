"""One question in Discord from beginning to end: ask, write the answer, open the inner voice.

Every path ends in something that the asker can see. Knows no model; the services do the work.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from functools import partial

import discord

from bot.config import Config
from bot.errors import (
    AlreadyAskingError,
    AnswerCancelledError,
    ForwardPassError,
    MissingPermissionsError,
    QueueFullError,
    RunExpiredError,
    StorageError,
)
from bot.log import log_unexpected
from bot.services.ask import Answered, AskRequest, AskService, figures
from bot.services.line import Place as Seat
from bot.services.voice import InnerVoice, VoiceService
from bot.storage.records import Run
from bot.ui.controls import answer_view
from bot.ui.failures import failure, unexpected
from bot.ui.replies import AnswerWriter, Surface, footer
from bot.ui.surfaces import MessageSurface
from bot.ui.text import closed, escape, split
from bot.ui.threads import Placement, open_thread, write_sureness, write_voice
from bot.ui.trouble import TROUBLE, described, persist
from bot.ui.wording import told, words
from models.sentences import Sentence

log = logging.getLogger(__name__)
UNKNOWN_MESSAGE = 10008
TYPING_AFTER = 0.5  # whoever is refused, or answered at once, needs no sign
TYPING_SECONDS = 8.0  # Discord shows the sign for ten


@dataclass(frozen=True, slots=True)
class Place:
    """Where a question was asked, and where its inner voice goes."""

    surface: Surface
    voice: Placement
    typing_in: discord.abc.Messageable | None
    asker: discord.User | discord.Member
    heading: str = ""
    """Goes above the answer: a slash command does not show what was asked."""
    refuse: Callable[[ForwardPassError], None] | None = None
    """Says that the line is full, or that this person asks already; None says it as any other error."""


class _Listener:
    """Turns what the ask service reports into something to read."""

    def __init__(self, writer: AnswerWriter, heading: str, locale: str) -> None:
        self._writer = writer
        self._heading = heading
        self._say = words(locale)

    def loading(self) -> None:
        self._writer.notice(self._heading + self._say("asked_loading"))

    def queued(self, position: int) -> None:
        ahead = self._say("wait_next") if position == 1 else self._say("wait_place", position=position)
        self._writer.notice(self._heading + ahead)

    def text(self, so_far: str) -> None:
        self._writer.text(self._heading + so_far if so_far.strip() else "")


class Conversation:
    """Leads questions through the services and shows what comes."""

    def __init__(self, config: Config, asks: AskService, voices: VoiceService) -> None:
        self._config = config
        self._asks = asks
        self._voices = voices

    async def lead(self, request: AskRequest, place: Place, *, resume: Run | None = None, seat: Seat | None = None) -> None:
        """Ask, show the answer, open the inner voice; or show what went wrong."""
        settings = self._config.discord
        writer = AnswerWriter(place.surface, stream_after=settings.stream_after_seconds, interval=settings.edit_interval_seconds)
        try:
            async with _typing(place.typing_in):
                listener = _Listener(writer, place.heading, request.locale)
                answered = await self._asks.ask(request, listener, resume=resume, seat=seat)
        except AnswerCancelledError:
            await writer.discard()
        except Exception as error:  # noqa: BLE001  a defect, too, ends in something that the asker sees
            if place.refuse is not None and isinstance(error, AlreadyAskingError | QueueFullError):
                place.refuse(error)
                return
            await self._finish(writer, place.heading + failure(error, request.locale), None, place, request.locale)
        else:
            await self._show(answered, writer, place)
        await writer.settle()

    async def _show(self, answered: Answered, writer: AnswerWriter, place: Place) -> None:
        run_id = answered.run.id
        readable = answered.info.inner_voice is None and bool(answered.answer.answer_ids)
        mode = place.voice.mode if readable else "off"
        button = mode == "button" or (mode == "thread" and self._config.discord.button_beside_thread)
        text = place.heading + answer_text(answered)
        messages = await self._finish(writer, text, self._under(answered.run, voice=button), place, answered.run.locale)
        if not messages:
            return
        try:
            await self._asks.shown(run_id, [message.id for message in messages])
        except RunExpiredError:
            # The question was deleted while its answer was being posted: nothing of it shall stay.
            await self._take_back(messages, place)
            return
        except StorageError as error:
            log.warning("run %s: nobody will find it by its messages: %s", run_id, error.for_host())
        if mode == "thread":
            await self._tell_in_thread(answered, messages[-1], place)
        elif mode == "button":
            await self._prepare(run_id)

    def _under(self, run: Run, *, voice: bool) -> discord.ui.View | None:
        """What stands under an answer."""
        return answer_view(run.id, run.locale, voice=voice, votes=self._config.discord.votes)

    async def _take_back(self, messages: list[discord.Message], place: Place) -> None:
        for message in messages:
            with contextlib.suppress(*TROUBLE):
                await place.surface.delete(message)

    async def _tell_in_thread(self, answered: Answered, message: discord.Message, place: Place) -> None:
        run, threads = answered.run, self._config.threads
        try:
            voice = await self._voices.of(run.id)
            thread = await open_thread(message, run.question, archive_minutes=threads.archive_minutes)
            last = await write_voice(thread, voice, archive=threads.auto_archive)
            await self._voices.told(run.id, thread.id)
        except ForwardPassError as error:
            log.info("run %s: no inner voice (%s)", run.id, type(error).__name__)
            await self._note(message, place, words(run.locale)("note_no_voice", why=told(error, run.locale)), None)
        except TROUBLE as error:
            log.info("run %s: no thread (%s), a button instead", run.id, described(error))
            await self._note(message, place, "", self._under(run, voice=True))
        except Exception as error:  # noqa: BLE001  a defect, too, ends in something that the asker sees
            await self._note(message, place, f"-# 💭 {unexpected(error, run.locale)}", self._under(run, voice=True))
        else:
            await self._ask_again(run.id, thread, last, voice)

    async def _ask_again(
        self,
        run_id: str,
        thread: discord.Thread | None = None,
        last: discord.Message | None = None,
        voice: InnerVoice | None = None,
    ) -> None:
        """Let the model be asked again when it has time, and say in the thread how often it said the same. An extra: may fail."""
        try:
            line = await self._voices.ask_again(run_id)
            if line and thread and last and voice:
                archive = self._config.threads.auto_archive
                await write_sureness(thread, last, replace(voice, sureness=line), archive=archive)
        except ForwardPassError as error:
            log.info("run %s: no agreement (%s)", run_id, type(error).__name__)
        except TROUBLE as error:
            log.info("run %s: its agreement was not taken: %s", run_id, described(error))
        except Exception as error:  # noqa: BLE001  a defect of an extra is logged
            log_unexpected(log, error, run_id=run_id)

    async def _prepare(self, run_id: str) -> None:
        """Run the second pass now, so that the button answers at once. Its errors are told to whoever presses it."""
        try:
            await self._voices.prepare(run_id)
            await self._voices.told(run_id, None)
        except ForwardPassError as error:
            log.info("run %s: no inner voice yet (%s)", run_id, type(error).__name__)
        except Exception as error:  # noqa: BLE001  a defect, too, ends in something that the asker sees
            log_unexpected(log, error, run_id=run_id)
        else:
            await self._ask_again(run_id)

    async def _note(self, message: discord.Message, place: Place, line: str, view: discord.ui.View | None) -> None:
        """Add a small line or a button to the answer; when even that fails, say it in a message of its own."""
        content = f"{message.content}\n{line}" if line and len(message.content) + len(line) < 2000 else message.content
        try:
            await persist(lambda: place.surface.edit(message, content, view=view), "adding to an answer")
        except TROUBLE as error:
            log.info("the answer could not be edited: %s", described(error))
            if getattr(error, "code", None) == UNKNOWN_MESSAGE:
                return  # somebody deleted the answer: nothing is to be added to it
            with contextlib.suppress(*TROUBLE):
                await place.surface.send(line or "💭", view=view)

    async def _finish(
        self, writer: AnswerWriter, text: str, view: discord.ui.View | None, place: Place, locale: str
    ) -> list[discord.Message]:
        """The final flush, tried again when Discord stumbles; when it may not be written here, the asker hears it by DM."""
        try:
            return await writer.deliver(text, view=view)
        except discord.Forbidden:
            missing = MissingPermissionsError(["send_messages"], Sentence("in that channel"))
            await whisper(place.asker, f"{told(missing, locale)}\n\n{text}")
        except TROUBLE as error:
            log.warning("an answer was not taken: %s", described(error))
            await whisper(place.asker, text)
        return []


def answer_text(answered: Answered) -> str:
    """The answer and the small line under it: model, tokens, speed, how sure."""
    answer, locale = answered.answer, answered.run.locale
    say = words(locale)
    unsaid = say("still_thinking", count=answer.thinking) if answer.thinking else say("said_nothing")
    text = answer.text.strip() or unsaid
    parts = [escape(told(part, locale)) for part in figures(answer, answered.info)]
    if answered.info.inner_voice is not None:
        parts.append(say("print_no_voice", why=escape(told(answered.info.inner_voice, locale))))
    return f"{closed(text)}\n{footer(parts)}"


async def whisper(user: discord.User | discord.Member, text: str) -> None:
    """Tell somebody by DM what could not be said where they asked."""
    there = MessageSurface(user, None)  # under a nonce: each part comes once
    try:
        for part in split(text):
            await persist(partial(there.send, part), "a direct message")
    except TROUBLE as error:
        log.warning("an asker could not be reached by DM either: %s", described(error))


@contextlib.asynccontextmanager
async def _typing(channel: discord.abc.Messageable | None) -> AsyncIterator[None]:
    """Show that the bot is thinking, beside the work: a sign that fails, or has to wait, holds back no answer."""
    sign = asyncio.create_task(_keep_typing(channel), name="typing") if channel is not None else None
    try:
        yield
    finally:
        if sign is not None:
            sign.cancel()


async def _keep_typing(channel: discord.abc.Messageable) -> None:
    await asyncio.sleep(TYPING_AFTER)
    while True:
        with contextlib.suppress(*TROUBLE):
            await channel.typing()
        await asyncio.sleep(TYPING_SECONDS)
