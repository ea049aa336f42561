"""``forwardpass run`` and ``check-config``: the bot in production, with the errors that Discord gives put into words."""

from __future__ import annotations

import asyncio
import logging

import aiohttp
import discord
import yaml
from rich.console import Console

from bot import log as logs
from bot.app import open_app
from bot.cli import weights
from bot.client import create_bot
from bot.config import Config, read_token
from bot.errors import BadTokenError, DiscordSetupError, MissingIntentError
from models.types import DEFAULT_MODEL

log = logging.getLogger(__name__)


def run_bot(config: Config, *, sync: bool = False) -> None:
    """Connect and serve until interrupted.

    Raises:
        ForwardPassError: no token, a wrong one, a default model that was not pulled, a missing intent, no network, no database.
    """
    logs.setup(config.log)
    token = read_token(config)
    if config.model.id == DEFAULT_MODEL:
        weights.folder(config)  # a host who forgot to pull should hear it before anybody asks
    asyncio.run(_serve(config, token, sync))


async def _serve(config: Config, token: str, sync: bool) -> None:
    async with open_app(config) as app, create_bot(app, sync=sync) as bot:
        # Connect first, load in the background: whoever asks meanwhile hears that the model is waking up.
        app.model.start().add_done_callback(_seen)
        try:
            await bot.start(token)
        except discord.LoginFailure as error:
            raise BadTokenError("Discord refuses the bot token.") from error
        except discord.PrivilegedIntentsRequired as error:
            raise MissingIntentError("Discord does not grant the Message Content intent.") from error
        except aiohttp.ClientError as error:
            raise DiscordSetupError(
                f"Discord cannot be reached ({type(error).__name__}).", hint="Check the network and any proxy."
            ) from error


def _seen(task: asyncio.Task[object]) -> None:
    """The host has logged a failed load, and whoever asks is told; nobody else awaits it."""
    if not task.cancelled():
        task.exception()


def show_config(config: Config) -> None:
    """Print the settings as they come to, defaults included. Secrets are no settings, and a database URL is not shown."""
    data = config.model_dump(mode="json")
    if data["storage"]["url"]:
        data["storage"]["url"] = "(set)"
    console = Console()
    console.print(yaml.safe_dump(data, sort_keys=False, allow_unicode=True), highlight=False, markup=False, end="")
    console.print("[green]✓[/] The config is good.")
