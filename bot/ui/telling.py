"""The inner voice of a shown answer: told in its thread, or its button stands under the answer. Knows no model.

It is open work until then: while Discord is away it waits, and what was half written is gone on with.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

import discord

from bot.config import Config
from bot.errors import FatalVoiceError, ForwardPassError, RunExpiredError
from bot.log import log_unexpected
from bot.services.limiter import Urgency, urgency
from bot.services.owed import Owed
from bot.services.voice import InnerVoice, VoiceService
from bot.storage.records import Run, VoiceState
from bot.ui.back import Back
from bot.ui.clearing import clear
from bot.ui.controls import answer_view
from bot.ui.delivery import waits
from bot.ui.failures import unexpected
from bot.ui.places import Place
from bot.ui.text import CONTENT_LIMIT, units
from bot.ui.threads import open_thread, write_sureness, write_voice
from bot.ui.trouble import TROUBLE, UNKNOWN_MESSAGE, described, passing, persist
from bot.ui.wording import told, words

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Shown:
    """An answer that stands in Discord.

    Attributes:
        run: whose it is.
        message: its last one.
        place: where that stands.
        settled: waits until nothing can change the message any more: before that nothing is added to it.
    """

    run: Run
    message: discord.Message
    place: Place
    settled: Callable[[], Awaitable[None]] | None = None


class Telling:
    """Tells inner voices."""

    def __init__(self, config: Config, voices: VoiceService, owed: Owed, back: Back) -> None:
        self._config = config
        self._voices = voices
        self._owed = owed
        self._back = back

    async def in_thread(self, shown: Shown, *, begun: bool = False) -> None:
        """Tell it in the thread of the answer's last message. ``begun``: some of it may stand there already."""
        for seconds in waits():
            if self._back.away:
                await self._back.wait(seconds)
            with urgency(Urgency.VOICE):
                if await self._attempt(shown, begun):
                    return
            begun = True
            await self._back.wait(seconds)
        log.warning("run %s: its inner voice could not be told; the next start tries again", shown.run.id)

    async def button(self, shown: Shown) -> None:
        """Put its button under an answer that stands without."""
        for seconds in waits():
            with urgency(Urgency.VOICE):
                if await self._instead(shown, "", "button"):
                    return
            await self._back.wait(seconds)

    async def prepare(self, run_id: str) -> None:
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

    def under(self, run: Run, *, voice: bool) -> discord.ui.View | None:
        """What stands under an answer."""
        return answer_view(run.id, run.locale, voice=voice, votes=self._config.discord.votes)

    async def _attempt(self, shown: Shown, begun: bool) -> bool:
        """Whether it is told, or its place is taken by a note or a button."""
        run, threads, since = shown.run, self._config.threads, self._back.turns
        try:
            voice = await self._voices.of(run.id)
            thread = await open_thread(shown.message, run.question, archive_minutes=threads.archive_minutes)
            last = await write_voice(thread, voice, archive=threads.auto_archive, begun=begun)
        except ForwardPassError as error:
            log.info("run %s: no inner voice (%s)", run.id, type(error).__name__)
            line = words(run.locale)("note_no_voice", why=told(error, run.locale))
            # One that was given up may be asked for again by whoever wants to know why.
            return await self._instead(shown, line, "button" if isinstance(error, FatalVoiceError) else "none")
        except TROUBLE as error:
            log.info("run %s: no thread (%s)", run.id, described(error))
            if passing(error) and self._back.was_away(since):
                return False
            return await self._instead(shown, "", "button")
        except Exception as error:  # noqa: BLE001  a defect, too, ends in something that the asker sees
            return await self._instead(shown, f"-# 💭 {unexpected(error, run.locale)}", "button")
        if await self._told(run, thread):
            await self._ask_again(run.id, thread, last, voice)
        return True

    async def _told(self, run: Run, thread: discord.Thread) -> bool:
        """Say so in the journal. False: the question was deleted meanwhile, and nothing of it stays here either."""
        try:
            await self._voices.told(run.id, thread.id)
        except RunExpiredError:
            with contextlib.suppress(*TROUBLE):
                await clear(thread, run.locale, archive=self._config.threads.auto_archive)
            return False
        except ForwardPassError as error:  # the next start finds the thread whole
            log.warning("run %s: its inner voice stays open in the journal: %s", run.id, error.for_host())
        return True

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

    async def _instead(self, shown: Shown, line: str, state: VoiceState) -> bool:
        """A note or a button in place of the thread; whether it stands."""
        if shown.settled is not None:
            await shown.settled()
        if not await self._note(shown, line, voice=state == "button"):
            return False
        await self._owed.settle(shown.run.id, voice=state)
        return True

    async def _note(self, shown: Shown, line: str, *, voice: bool) -> bool:
        """Add a small line or the button to the answer; when even that fails, say it in a message of its own."""
        run, message, surface, since = shown.run, shown.message, shown.place.surface, self._back.turns
        said = getattr(message, "content", "")  # what cannot be read cannot be added to
        content = f"{said}\n{line}" if line and units(said) + units(line) < CONTENT_LIMIT else said
        view = self.under(run, voice=True) if voice else None
        try:
            if said:
                await persist(lambda: surface.edit(message, content, view=view), "adding to an answer")
            else:
                await surface.send(line or "💭", view=view)
        except TROUBLE as error:
            log.info("the answer could not be edited: %s", described(error))
            if passing(error) and self._back.was_away(since):
                return False
            if getattr(error, "code", None) != UNKNOWN_MESSAGE:  # else there is nothing to add to
                with contextlib.suppress(*TROUBLE):
                    await surface.send(line or "💭", view=view)
        return True
