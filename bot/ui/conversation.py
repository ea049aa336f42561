"""One question in Discord from beginning to end: ask, write the answer, open the inner voice.

Every path ends in something that the asker can see. Knows no model; the services do the work.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import discord

from bot.config import Config
from bot.errors import (
    AlreadyAskingError,
    AnswerCancelledError,
    ForwardPassError,
    QueueFullError,
    RunExpiredError,
    StorageError,
)
from bot.services.ask import AskService
from bot.services.asked import Answered, AskRequest
from bot.services.line import Place as Seat
from bot.services.voice import VoiceService
from bot.storage.records import Run, VoiceState
from bot.ui.back import Back
from bot.ui.delivery import Delivery, Ledger
from bot.ui.failures import failure
from bot.ui.own import OwnMessages
from bot.ui.places import Place, answer_text
from bot.ui.replies import AnswerWriter
from bot.ui.telling import Shown, Telling
from bot.ui.trouble import TROUBLE
from bot.ui.wording import words
from models.types import Answer, ModelInfo

log = logging.getLogger(__name__)
TYPING_AFTER = 0.5  # whoever is refused, or answered at once, needs no sign
TYPING_SECONDS = 8.0  # Discord shows the sign for ten


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

    def __init__(self, config: Config, asks: AskService, voices: VoiceService, back: Back, own: OwnMessages) -> None:
        self._config = config
        self._asks = asks
        self._delivery = Delivery(back, own)
        self.telling = Telling(config, voices, asks.owed, back)

    def writer(self, place: Place, ledger: Ledger) -> AnswerWriter:
        """The one writer of an answer; what it posts goes into the journal."""
        settings = self._config.discord
        return AnswerWriter(
            place.surface,
            stream_after=settings.stream_after_seconds,
            interval=settings.edit_interval_seconds,
            placed=ledger.placed,
        )

    async def lead(
        self,
        request: AskRequest,
        place: Place,
        *,
        resume: Run | None = None,
        stands: discord.Message | None = None,
        seat: Seat | None = None,
    ) -> None:
        """Ask, show the answer, open the inner voice; or show what went wrong.

        Args:
            request: the question.
            place: where it was asked.
            resume: its run, when it was journaled before a restart.
            stands: the notice or the beginning of an answer that an earlier process left there.
            seat: the place in the line, when one was reserved.
        """
        ledger = Ledger(self._asks.owed, resume)
        writer = self.writer(place, ledger)
        writer.go_on(stands, ())

        async def ask() -> Answered:
            async with _typing(place.typing_in):
                listener = _Listener(writer, place.heading, request.locale)
                return await self._asks.ask(request, listener, resume=resume, journaled=ledger.opened, seat=seat)

        try:
            await self._end(ask, writer, place, ledger)
            await writer.settle()
        except asyncio.CancelledError:
            writer.close()
            raise

    async def refuse(self, error: ForwardPassError, place: Place) -> None:
        """Say why something is no question that could be asked; nothing of it is journaled."""
        ledger = Ledger(self._asks.owed)
        await self.say(self.writer(place, ledger), failure(error, place.locale), place, ledger)

    async def _end(self, ask: Callable[[], Awaitable[Answered]], writer: AnswerWriter, place: Place, ledger: Ledger) -> None:
        """Whatever becomes of a question is shown."""
        try:
            answered = await ask()
        except AnswerCancelledError:
            if await writer.discard():
                await ledger.settle()
        except Exception as error:  # noqa: BLE001  a defect, too, ends in something that the asker sees
            if place.refuse is not None and isinstance(error, AlreadyAskingError | QueueFullError):
                return place.refuse(error)
            await self.say(writer, failure(error, place.locale), place, ledger)
        else:
            await self.show(answered.run, answered.answer, answered.info, writer, place, ledger)

    async def say(self, writer: AnswerWriter, text: str, place: Place, ledger: Ledger) -> None:
        """A sentence in place of an answer."""
        if await self._delivery.deliver(writer, place.heading + text, None, place, ledger) is not None:
            await ledger.settle()

    async def show(
        self, run: Run, answer: Answer, info: ModelInfo | None, writer: AnswerWriter, place: Place, ledger: Ledger
    ) -> None:
        """Bring an answer to its asker, and then its inner voice."""
        mode = self._mode(answer, info, place)
        button = mode == "button" or (mode == "thread" and self._config.discord.button_beside_thread)
        text = place.heading + self.text_of(run, answer, info)
        view = self.telling.under(run, voice=button)
        messages = await self._delivery.deliver(writer, text, view, place, ledger)
        if messages is None:
            return
        if not messages:  # said by DM
            return await ledger.settle("button" if button else "none")
        states: dict[str, VoiceState] = {"thread": "open", "button": "button"}
        if not await self._shown(run, messages, states.get(mode, "none"), place):
            return
        if mode == "thread":
            await self.telling.in_thread(Shown(run, messages[-1], place, writer.settle))
        elif mode == "button":
            await self.telling.prepare(run.id)

    def text_of(self, run: Run, answer: Answer, info: ModelInfo | None) -> str:
        """What stands under the heading."""
        return answer_text(answer, info, run.locale, name=(run.model_id or "").rsplit("/", 1)[-1])

    def _mode(self, answer: Answer, info: ModelInfo | None, place: Place) -> str:
        readable = (info is None or info.inner_voice is None) and bool(answer.answer_ids)
        return place.voice.mode if readable else "off"

    async def _shown(self, run: Run, messages: Sequence[discord.Message], voice: VoiceState, place: Place) -> bool:
        """Say in the journal where the answer stands. False: it was taken back."""
        try:
            await self._asks.shown(run.id, [message.id for message in messages], voice)
        except RunExpiredError:
            # The question was deleted while its answer was being posted: nothing of it shall stay.
            await self.take_back(messages, place)
            return False
        except StorageError as error:
            log.warning("run %s: nobody will find it by its messages: %s", run.id, error.for_host())
        return True

    async def take_back(self, messages: Sequence[discord.Message], place: Place) -> None:
        """Delete what stands of a question that was deleted."""
        for message in messages:
            with contextlib.suppress(*TROUBLE):
                await place.surface.delete(message)


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
