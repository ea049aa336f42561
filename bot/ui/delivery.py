"""Bringing what was said to its asker, however long Discord is away, and telling the journal where it stands. Knows no model."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from functools import partial

import discord

from bot.errors import ForwardPassError, MissingPermissionsError
from bot.services.owed import Owed
from bot.storage.records import Run, VoiceState
from bot.ui.back import Back
from bot.ui.own import OwnMessages
from bot.ui.places import Place
from bot.ui.replies import AnswerWriter
from bot.ui.surfaces import MessageSurface
from bot.ui.text import split
from bot.ui.trouble import TROUBLE, described, passing, persist
from bot.ui.wording import told
from models.sentences import Sentence

log = logging.getLogger(__name__)

WAITS = (5.0, 10.0, 20.0, 40.0)
"""Seconds between the rounds of a delivery that nothing gets through; each also begins when the session is back."""
LONGEST_WAIT = 60.0
ROUNDS = 30
"""After so many, about half an hour, it is left to the next start."""


def waits() -> Iterator[float]:
    """How long to wait after each round."""
    yield from WAITS
    yield from [LONGEST_WAIT] * (ROUNDS - len(WAITS))


class Ledger:
    """Tells the journal which messages stand for a run, as soon as there is a run and a message."""

    def __init__(self, owed: Owed, run: Run | None = None) -> None:
        self._owed = owed
        self._run = run
        self._early: list[tuple[int, int, bool]] = []

    async def opened(self, run: Run) -> None:
        """The question is journaled; a notice may have been posted in the same moment."""
        self._run = run
        early, self._early = self._early, []
        for part, message_id, whole in early:
            await self._place(run, part, message_id, whole)

    async def placed(self, part: int, message: discord.Message, whole: bool) -> None:
        """A message stands."""
        if self._run is None:
            self._early.append((part, message.id, whole))
        else:
            await self._place(self._run, part, message.id, whole)

    async def settle(self, voice: VoiceState = "none") -> None:
        """Nothing more is owed; without a run nothing was."""
        if self._run is not None:
            await self._owed.settle(self._run.id, voice=voice)

    @property
    def open(self) -> bool:
        """Whether there is a run, which the next start finds."""
        return self._run is not None

    async def _place(self, run: Run, part: int, message_id: int, whole: bool) -> None:
        try:
            await self._owed.place(run.id, part, message_id, final=whole)
        except ForwardPassError as error:  # an extra: what stands is looked up, too
            log.info("run %s: a message of it is not in the journal (%s)", run.id, type(error).__name__)


class Delivery:
    """Brings texts to askers."""

    def __init__(self, back: Back, own: OwnMessages | None = None) -> None:
        """``own``: what the gateway tells of the bot's own messages."""
        self._back = back
        self._own = own

    async def deliver(
        self, writer: AnswerWriter, text: str, view: discord.ui.View | None, place: Place, ledger: Ledger
    ) -> list[discord.Message] | None:
        """The final flush, tried until it is taken. What may not be written there is said by DM: then there are no messages.

        What is not journaled gets one round. Returns None when it did not get through: it stays open work.
        """
        rounds = waits() if ledger.open else iter((0.0,))
        surface = MessageSurface(place.asker, None, own=self._own)
        by_dm = AnswerWriter(surface, stream_after=0.0, interval=0.0)  # a second round goes on there, too
        for seconds in rounds:
            if self._back.away and ledger.open:
                await self._back.wait(seconds)
            since = self._back.turns
            try:
                return await writer.deliver(text, view=view, away=self._is_away)
            except TROUBLE as error:
                log.info("an answer was not taken: %s", described(error))
                cut_off = passing(error) and self._back.was_away(since)  # that says nothing of the place
                if not cut_off and await self._by_dm(error, by_dm, text, view, place):
                    return await self._taken_back(writer)
            if ledger.open:
                await self._back.wait(seconds)
        log.warning("an answer could not be delivered; the next start tries again")
        return None

    def _is_away(self) -> bool:
        return self._back.away

    async def _by_dm(self, error: Exception, writer: AnswerWriter, text: str, view: discord.ui.View | None, place: Place) -> bool:
        """Say it by DM. Whether that was the last thing to be done."""
        if isinstance(error, discord.Forbidden):
            missing = MissingPermissionsError(["send_messages"], Sentence("in that channel"))
            text = f"{told(missing, place.locale)}\n\n{text}"
        try:
            await writer.deliver(text, view=view, away=self._is_away)
        except TROUBLE as refusal:
            log.warning("an asker could not be reached by DM either: %s", described(refusal))
            return not passing(refusal)
        return True

    async def _taken_back(self, writer: AnswerWriter) -> list[discord.Message]:
        if not writer.placed:  # else the beginning of the answer stands there, and that is no left-over
            await writer.discard()
        return []


async def whisper(user: discord.User | discord.Member, text: str) -> None:
    """Tell somebody by DM what could not be said where they asked."""
    there = MessageSurface(user, None)  # under a nonce: each part comes once
    try:
        for part in split(text):
            await persist(partial(there.send, part), "a direct message")
    except TROUBLE as error:
        log.warning("an asker could not be reached by DM either: %s", described(error))
