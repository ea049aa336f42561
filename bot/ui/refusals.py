"""Telling people that their question is not taken: once a person and minute, and one message for all of a channel's at once.

Every message costs a request of the 50 a second that Discord allows in all, and a refusal must not hold back an answer. Knows no
line and no model.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import discord

from bot.errors import ForwardPassError
from bot.log import log_unexpected
from bot.services.limiter import Urgency, urgency
from bot.ui.delivery import whisper
from bot.ui.surfaces import MessageSurface
from bot.ui.trouble import TROUBLE, described, persist
from bot.ui.wording import told, words

log = logging.getLogger(__name__)

EVERY = 60.0
"""Seconds in which a person is refused once; then the bot keeps silent."""
GATHER = 0.5
"""Seconds for which a channel's refusals are gathered."""
NAMES = 50
"""People in one message: their mentions fill half of what a message may hold."""
DMS = 10
"""Refusals by DM in `EVERY` seconds, all people together: Discord takes many new DMs for spam."""

Spawn = Callable[[Coroutine[Any, Any, None], str], object]


@dataclass(frozen=True, slots=True, eq=False)
class _Refused:
    message: discord.Message
    error: ForwardPassError
    locale: str


class Refusals:
    """Says of questions that came as messages why they are not taken."""

    def __init__(self, spawn: Spawn, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._spawn = spawn
        self._clock = clock
        self._last: dict[int, float] = {}
        self._gathered: dict[int, list[_Refused]] = {}
        self._whispers: list[float] = []
        self._silent, self._counted = 0, clock()

    def refuse(self, message: discord.Message, error: ForwardPassError, locale: str) -> None:
        """Say it soon, or keep silent when this person was told within the last minute. Returns at once."""
        if not self.first(message.author.id):
            return
        gathered = self._gathered.get(message.channel.id)
        if gathered is None:
            gathered = self._gathered[message.channel.id] = []
            self._spawn(self._say_all(message.channel.id), f"refuse in {message.channel.id}")
        gathered.append(_Refused(message, error, locale))

    def first(self, user_id: int) -> bool:
        """Whether this person hears a refusal now. The count of those who do not is logged now and then."""
        now = self._clock()
        if now - self._counted >= EVERY:
            self._forget(now)
        told_before = now - self._last.get(user_id, float("-inf")) < EVERY
        if told_before:
            self._silent += 1
        else:
            self._last[user_id] = now
        return not told_before

    def _forget(self, now: float) -> None:
        if self._silent:
            log.info("%d refusals were left unsaid: those people had been told within the minute", self._silent)
        self._silent, self._counted = 0, now
        self._last = {user_id: at for user_id, at in self._last.items() if now - at < EVERY}

    async def _say_all(self, channel_id: int) -> None:
        """Until the channel has none left. What comes while a message waits for its turn is gathered for the next one."""
        try:
            while True:
                await asyncio.sleep(GATHER)
                refused = self._gathered[channel_id]
                together = [one for one in refused if type(one.error) is type(refused[0].error)][:NAMES]
                self._gathered[channel_id] = [one for one in refused if one not in together]
                await self._say(together)
                if not self._gathered[channel_id]:
                    return
        finally:
            del self._gathered[channel_id]

    async def _say(self, refused: list[_Refused]) -> None:
        first = refused[0]
        surface = MessageSurface(first.message.channel, first.message.to_reference(fail_if_not_exists=False))
        text = refusal_text(refused[-1].error, first.locale, [one.message.author.id for one in refused[1:]])
        try:
            with urgency(Urgency.SIGN):
                await persist(lambda: surface.send(text), "refusing")
        except TROUBLE as error:
            log.info("%d refusals could not be said in their channel: %s", len(refused), described(error))
            await self._by_dm(refused)
        except Exception as error:  # noqa: BLE001  a defect here must not swallow the refusals that come after it
            log_unexpected(log, error)

    async def _by_dm(self, refused: list[_Refused]) -> None:
        for one in refused:
            if self.dm_left():
                await whisper(one.message.author, refusal_text(one.error, one.locale))

    def dm_left(self) -> bool:
        """Whether one more refusal may go by DM; takes it."""
        now = self._clock()
        self._whispers = [at for at in self._whispers if now - at < EVERY]
        if len(self._whispers) >= DMS:
            log.info("a refusal by DM was left out: %d were sent within the minute", DMS)
            return False
        self._whispers.append(now)
        return True


def refusal_text(error: ForwardPassError, locale: str, others: list[int] | None = None) -> str:
    """Why, whom else it is for, and that it is not said again at once."""
    lines = [f"⚠️ {told(error, locale)}", " ".join(f"<@{user_id}>" for user_id in others or []), words(locale)("refused_once")]
    return "\n".join(line for line in lines if line)
