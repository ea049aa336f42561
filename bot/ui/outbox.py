"""What an earlier process owes: questions, answers not shown, inner voices not told, leftovers. Each is brought to its end, once.

An answer that exists is delivered as it was stored, never computed again. Knows no model.
"""

from __future__ import annotations

import asyncio
import datetime
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import discord

from bot.config import Config
from bot.errors import ForwardPassError
from bot.services.ask import AskService
from bot.services.asked import AskRequest
from bot.storage.records import ANSWERED, UNFINISHED, Placed, Run, utc_now
from bot.ui.conversation import Conversation
from bot.ui.delivery import Ledger, waits
from bot.ui.places import Place
from bot.ui.resumed import ResumedSurface
from bot.ui.standing import Known, Standing, content_of, found, heading_of, is_loading
from bot.ui.surfaces import MessageSurface
from bot.ui.telling import Shown
from bot.ui.text import quoted, split
from bot.ui.threads import Placement, permissions_in, placement
from bot.ui.trouble import TROUBLE, described, passing, persist
from bot.ui.wording import ENGLISH, words
from models.types import Answer, ModelInfo

if TYPE_CHECKING:
    from bot.client import ForwardPassBot

log = logging.getLogger(__name__)
T = TypeVar("T")

# Older than this, an answer would come out of nowhere: an apology is kinder.
STILL_WANTED = datetime.timedelta(minutes=30)
TOKEN_LIFETIME = datetime.timedelta(minutes=14)


@dataclass(frozen=True, slots=True)
class _Spot:
    """Where a run's answer belongs, as far as it can still be reached."""

    run: Run
    asker: discord.User
    channel: discord.abc.Messageable | None
    """Where the bot speaks as itself: the channel, or the asker's DMs for what nobody else may see."""
    hook: discord.Webhook | None
    guild: discord.Guild | None
    voice: Placement


class Outbox:
    """Takes up open work."""

    def __init__(self, client: ForwardPassBot, config: Config, asks: AskService, conversation: Conversation) -> None:
        self._client = client
        self._config = config
        self._asks = asks
        self._owed = asks.owed
        self._conversation = conversation
        self._back = client.back

    async def take_up(self, run: Run) -> None:
        """Bring one run to its end. What Discord keeps from that stays open for the next start."""
        try:
            spot = await self._spot(run)
            if spot is None:
                await self._nobody(run)
            elif run.shown_at is not None:
                await self._tell(spot)
            else:
                await self._show(spot)
        except TROUBLE as error:
            log.info("run %s: it stays open: %s", run.id, described(error))
        except ForwardPassError as error:
            log.warning("run %s: it stays open: %s", run.id, error.for_host())

    async def _show(self, spot: _Spot) -> None:
        run = spot.run
        forgotten = run.state == "cancelled" or run.expires_at <= utc_now()
        stored = await self._owed.stored(run) if run.state in ANSWERED and not forgotten else None
        known = await self._known(spot, await self._owed.places(run.id))
        if known.token_is_dead:
            spot = replace(spot, hook=None)
        heading = self._heading(spot, known)
        text = heading + self._conversation.text_of(run, *stored) if stored else ""
        stands = await self._stands(spot, known, split(text))
        place = self._place(spot, stands, heading)
        if forgotten:
            await self._take_back(run, stands, place)
        elif stored:
            await self._deliver(run, stored, stands, place)
        elif run.state in UNFINISHED and self._can_answer(spot):
            await self._ask(run, stands, place)
        else:
            await self._apologise(run, stands, place)

    async def _known(self, spot: _Spot, places: Sequence[Placed]) -> Known:
        known = Known(places)
        await self._patiently(lambda: known.look(spot.channel, spot.hook))
        for message in known.messages.values():
            message.guild = message.guild or spot.guild  # what comes by a token says nothing of it, and a thread needs it
        return known

    async def _stands(self, spot: _Spot, known: Known, parts: list[str]) -> Standing:
        me = self._client.user.id if self._client.user else 0
        stands = await self._patiently(lambda: found(spot.run, known, spot.channel, me, parts, self._owed))
        # A response that only shows "thinking" is filled through its token; without one it is taken away.
        waiting = stands.unfinished
        if waiting is None or not is_loading(waiting):
            return stands
        return replace(stands, unfinished=None, strays=stands.strays if spot.hook else (waiting, *stands.strays))

    async def _deliver(self, run: Run, stored: tuple[Answer, ModelInfo | None], stands: Standing, place: Place) -> None:
        await self._delete(stands.strays, place)
        ledger = Ledger(self._owed, run)
        writer = self._conversation.writer(place, ledger)
        writer.go_on(stands.unfinished, stands.whole)
        await self._conversation.show(run, *stored, writer, place, ledger)

    async def _ask(self, run: Run, stands: Standing, place: Place) -> None:
        await self._delete(stands.strays, place)
        while self._asks.busy(run.user_id or 0):  # noqa: ASYNC110  who asked something new meanwhile gets both, one by one
            await asyncio.sleep(1.0)
        await self._conversation.lead(_request(run), place, resume=run, stands=stands.unfinished)

    async def _apologise(self, run: Run, stands: Standing, place: Place) -> None:
        """For what failed before it could be told, and for what nobody waits for any more."""
        if run.state in UNFINISHED:
            await self._asks.give_up(run)
        await self._delete(stands.strays, place)
        ledger = Ledger(self._owed, run)
        writer = self._conversation.writer(place, ledger)
        writer.go_on(stands.unfinished, stands.whole)
        await self._conversation.say(writer, _sentence(run), place, ledger)

    async def _take_back(self, run: Run, stands: Standing, place: Place) -> None:
        await self._delete(stands.all, place)
        await self._owed.settle(run.id)

    async def _tell(self, spot: _Spot) -> None:
        """The inner voice of a shown answer."""
        run, telling = spot.run, self._conversation.telling
        known = await self._known(spot, (await self._owed.places(run.id))[-1:])
        message = next(iter(known.messages.values()), None)
        if message is None or spot.voice.mode == "off":
            return await self._owed.settle(run.id)
        shown = Shown(run, message, self._place(spot, Standing((message,)), ""))
        if spot.voice.mode == "thread" and utc_now() - run.created_at < STILL_WANTED:
            await telling.in_thread(shown, begun=True)
        else:
            await telling.button(shown)

    async def _nobody(self, run: Run) -> None:
        """There is no asker any more, or never was."""
        if run.state in UNFINISHED:
            await self._asks.give_up(run)
        await self._owed.settle(run.id)

    async def _delete(self, messages: tuple[discord.Message, ...], place: Place) -> None:
        for message in messages:
            try:
                await persist(lambda message=message: place.surface.delete(message), "taking back a left-over")  # type: ignore[misc]
            except TROUBLE as error:
                if passing(error):
                    raise

    def _can_answer(self, spot: _Spot) -> bool:
        """A private question whose response is gone has no place to be answered in; an old one comes out of nowhere."""
        reachable = spot.hook is not None or (spot.channel is not None and not spot.run.private)
        return reachable and utc_now() - spot.run.created_at <= STILL_WANTED

    def _heading(self, spot: _Spot, known: Known) -> str:
        """As the question is shown where the answer stands; an answer out of its response names its asker, too."""
        run = spot.run
        if run.question_message_id is not None:
            return ""
        named = heading_of(run)
        stands = [content_of(message) for message in known.messages.values() if not is_loading(message)]
        if spot.hook is not None or (stands and not stands[0].startswith(named)):
            return quoted(run.question)
        return named

    def _place(self, spot: _Spot, stands: Standing, heading: str) -> Place:
        run, channel = spot.run, spot.channel
        reference = None if stands.whole else self._reference(run)
        beyond = MessageSurface(channel if channel is not None else spot.asker, reference, own=self._client.own)
        if run.source != "slash":
            return Place(beyond, spot.voice, channel, spot.asker, heading, run.locale)
        says = [*stands.whole, *([stands.unfinished] if stands.unfinished else [])]
        surface = ResumedSurface(
            spot.hook,
            run.response_message_id,
            beyond,
            last=says[-1].id if says else None,
            private=run.private,
            guild=spot.guild,
            own=self._client.own,
        )
        return Place(surface, spot.voice, None, spot.asker, heading, run.locale)

    def _reference(self, run: Run) -> discord.MessageReference | None:
        if run.question_message_id is None:
            return None
        return discord.MessageReference(
            message_id=run.question_message_id, channel_id=run.channel_id or 0, guild_id=run.guild_id, fail_if_not_exists=False
        )

    async def _spot(self, run: Run) -> _Spot | None:
        """Who asked, and where. None when the asker is not known (any more)."""
        client, user_id, channel_id = self._client, run.user_id, run.channel_id
        if user_id is None or channel_id is None:
            return None
        asker = client.get_user(user_id) or await self._reached(lambda: client.fetch_user(user_id))
        if asker is None:
            return None
        asked_in = client.get_channel(channel_id) or await self._reached(lambda: client.fetch_channel(channel_id))
        channel: discord.abc.Messageable | None = asked_in if isinstance(asked_in, discord.abc.Messageable) else None
        hook = self._hook(run)
        guild = getattr(channel, "guild", None)
        voice = self._voice(run, channel)
        if channel is None or (run.private and hook is None):
            direct = await self._reached(asker.create_dm)
            channel = direct
        return _Spot(run, asker, None if run.private and hook else channel, hook, guild, voice)

    def _voice(self, run: Run, channel: discord.abc.Messageable | None) -> Placement:
        if not run.wants_voice:
            return Placement("off")
        if channel is None:
            return Placement("button")
        found = placement(self._config, channel, permissions_in(channel))
        return Placement("button") if run.private and found.mode == "thread" else found

    def _hook(self, run: Run) -> discord.Webhook | None:
        application = self._client.application_id
        if not run.interaction_token or application is None or utc_now() - run.created_at > TOKEN_LIFETIME:
            return None
        # As discord.py makes it for an interaction: an application's own (3), which alone may post what one person sees.
        address: Any = {"id": application, "type": 3, "token": run.interaction_token}
        return discord.Webhook.from_state(address, self._client._connection)

    async def _reached(self, attempt: Callable[[], Awaitable[T]]) -> T | None:
        """What Discord gives; None when it refuses for good."""
        try:
            return await self._patiently(attempt)
        except (discord.NotFound, discord.Forbidden, discord.InvalidData):
            return None

    async def _patiently(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Tried again for as long as Discord is away. Raises TROUBLE."""
        for seconds in waits():
            try:
                return await persist(attempt, "taking up what was left open")
            except TROUBLE as error:
                if not passing(error):
                    raise
            await self._back.wait(seconds)
        return await attempt()


def _request(run: Run) -> AskRequest:
    return AskRequest(
        question=run.question,
        user_id=run.user_id or 0,
        channel_id=run.channel_id or 0,
        guild_id=run.guild_id,
        question_message_id=run.question_message_id,
        source=run.source,
        locale=run.locale,
        style=run.style,
        sampling=run.sampling,
        private=run.private,
        wants_voice=run.wants_voice,
    )


def _sentence(run: Run) -> str:
    """Why there is no answer. The journal keeps reasons in English."""
    told = run.error.sentence if run.error is not None and run.locale == ENGLISH else ""
    return f"⚠️ {told}" if told else words(run.locale)("restarted")
