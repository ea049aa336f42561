"""What a process of its own does before it is the bot: discord.py speaks to the loopback Discord, and the model is scripted."""

from __future__ import annotations

import functools
from collections.abc import Callable

import discord
import yarl
from discord.gateway import DiscordWebSocket

from bot.app import open_app
from bot.cli import service
from models.types import Engine


def aim(origin: str, gateway: str, engine: Callable[[], Engine]) -> None:
    """For `bot.cli.service.run_bot`, from here on: the server, and what makes the engine."""
    discord.http.Route.BASE = origin + "/api/v10"
    DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(gateway)
    service.open_app = functools.partial(open_app, engine_factory=engine)  # type: ignore[attr-defined]
