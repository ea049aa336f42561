"""Acknowledging an interaction within Discord's three seconds although replies get lost, and how long its token lives.

Both times are measured on the monotonic clock from the moment when the bot got it: Discord's time stamps and the host's clock
may be minutes apart. Knows nothing of what is answered.
https://docs.discord.com/developers/interactions/receiving-and-responding
"""

from __future__ import annotations

import asyncio
import datetime
import logging
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import discord

from bot.ui.trouble import TROUBLE, described, passing, persist

log = logging.getLogger(__name__)

# Discord's interaction tokens live for 15 minutes; after 14 the bot goes on as itself.
TOKEN_LIFETIME = datetime.timedelta(minutes=14)
WINDOW = 3.0
"""Seconds in which an interaction can be acknowledged."""
PATIENCE = 1.2
"""Seconds that one try may take: the reply of the next one says whether it was carried out."""
PAUSE = 0.2
ALREADY = 40060
"""Discord's code for: this interaction is acknowledged already."""
DEAD = (50027, 10015)
"""Its codes for a token past its life."""
Kind = discord.InteractionResponseType
_clock = time.perf_counter
"""Monotonic, too. The local Discord sets `time.monotonic` back for some of the bot's tasks and not for others."""
Respond = Callable[[], Awaitable["discord.InteractionCallbackResponse[Any] | None"]]


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """Discord took it.

    Attributes:
        message_id: of the response, where it is known.
        unseen: whether the reply that said so was lost, and with it what else it said.
    """

    message_id: int | None
    unseen: bool = False


def received(interaction: discord.Interaction[Any]) -> float:
    """When the bot got it, on the monotonic clock; said for the first time, it is now."""
    at: float = interaction.extras.setdefault("received", _clock())
    return at


def expired(interaction: discord.Interaction[Any]) -> bool:
    """Whether the bot has to go on as itself."""
    return _clock() - received(interaction) > TOKEN_LIFETIME.total_seconds()


def is_dead(error: discord.HTTPException) -> bool:
    """Whether that was refused because the interaction's token has ended."""
    return error.code in DEAD


def died(interaction: discord.Interaction[Any], error: discord.HTTPException) -> bool:
    """The same before the token's time is over (the host slept); from now on it counts as such."""
    dead = is_dead(error)
    if dead:
        interaction.extras["received"] = -math.inf
    return dead


async def acknowledge(interaction: discord.Interaction[Any], respond: Respond, kind: Kind) -> Acknowledged:
    """Respond, and go on until Discord has said what became of it: an interaction takes one response, so a try can be repeated.

    Args:
        interaction: what is acknowledged.
        respond: sends the response, by a method of ``interaction.response``.
        kind: of that response, which discord.py remembers only when it has seen the reply.

    Raises:
        TROUBLE: it was not taken: too late, refused, or acknowledged by somebody else.
    """
    at = received(interaction)
    ours = interaction.client.questions.first(interaction.id)  # else a resumed session brought it once more
    again = False
    while True:
        try:
            async with asyncio.timeout(PATIENCE):
                response = await respond()
            return Acknowledged(None if response is None else response.message_id)
        except TROUBLE as error:
            if ours and again and getattr(error, "code", None) == ALREADY:
                return await _unseen(interaction, kind)
            if not passing(error):
                raise
            if _clock() - at + PAUSE > WINDOW:
                return await _doubtful(interaction, kind, error)
            log.info("an acknowledgement: %s, trying again", described(error))
            await asyncio.sleep(PAUSE)
            if interaction.client.is_closed():
                raise
        again = True


async def _unseen(interaction: discord.Interaction[Any], kind: Kind) -> Acknowledged:
    """An earlier try got through."""
    interaction.response._response_type = kind  # discord.py would call it open, and respond once more
    try:
        return Acknowledged((await interaction.original_response()).id, unseen=True)
    except (*TROUBLE, discord.ClientException):
        return Acknowledged(None, unseen=True)


async def _doubtful(interaction: discord.Interaction[Any], kind: Kind, error: BaseException) -> Acknowledged:
    """No try said anything. The response itself can be asked for, and is there only when one of them got through."""
    try:
        message = await persist(interaction.original_response, "looking for an acknowledgement")
    except (*TROUBLE, discord.ClientException):
        raise error from None
    interaction.response._response_type = kind
    return Acknowledged(message.id, unseen=True)


async def defer(interaction: discord.Interaction[Any], *, private: bool = False) -> Acknowledged:
    """Show that the bot is thinking, to everybody or to one person alone.

    Raises:
        TROUBLE: it was not taken.
    """
    response = interaction.response
    return await acknowledge(interaction, lambda: response.defer(ephemeral=private, thinking=True), Kind.deferred_channel_message)


async def defer_update(interaction: discord.Interaction[Any]) -> Acknowledged:
    """The same before the message that was pressed is edited: nothing is shown.

    Raises:
        TROUBLE: it was not taken.
    """
    return await acknowledge(interaction, interaction.response.defer, Kind.deferred_message_update)


async def update(interaction: discord.Interaction[Any], view: discord.ui.View) -> None:
    """Answer a press with new controls on the message that was pressed.

    Raises:
        TROUBLE: it was not taken.
    """
    taken = await acknowledge(interaction, lambda: interaction.response.edit_message(view=view), Kind.message_update)
    if taken.unseen:  # acknowledged it is; that the controls stand there, nobody has said
        await persist(lambda: interaction.edit_original_response(view=view), "showing new controls")


async def tell(interaction: discord.Interaction[Any], content: str | discord.ui.LayoutView) -> None:
    """Answer with a message for one person alone.

    Raises:
        TROUBLE: it was not taken.
    """

    async def respond() -> discord.InteractionCallbackResponse[Any]:
        if isinstance(content, str):
            return await interaction.response.send_message(content, ephemeral=True)
        return await interaction.response.send_message(view=content, ephemeral=True)

    await acknowledge(interaction, respond, Kind.channel_message)
    if not isinstance(content, str):
        content.stop()  # nothing in it waits for a press; discord.py would keep it for 15 minutes
