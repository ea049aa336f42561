"""``forwardpass run``, ``check-config`` and ``invite``: the bot in production, with Discord's errors put into words."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import signal
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import discord
import platformdirs
import yaml
from rich.text import Text

from bot import log as logs
from bot.app import open_app
from bot.cli import weights
from bot.cli.screen import Screen
from bot.client import create_bot, invite_url
from bot.config import FILE_VARIABLE, Config, read_token, settings_file
from bot.config_reading import environment_settings
from bot.errors import BadTokenError, DiscordSetupError, ForwardPassError, MissingIntentError
from bot.render.text import safe
from bot.storage.lease import Lease, digest_of
from bot.ui.trouble import TROUBLE, described
from models.types import DEFAULT_MODEL

log = logging.getLogger(__name__)

LATER = "Discord may be having trouble, see https://discordstatus.com; try again in a few minutes."
CODES = "What the code means: https://docs.discord.com/developers/topics/opcodes-and-status-codes"
BAD_TOKEN = 4004  # https://docs.discord.com/developers/topics/opcodes-and-status-codes


def run_bot(config: Config, *, sync: bool = False, force: bool = False) -> None:
    """Connect and serve until interrupted or terminated; ``force`` takes the place of a process that serves already.

    Raises:
        ForwardPassError: no token, a wrong one, a default model that was not pulled, a missing intent, no network, no database,
            another process that serves.
    """
    logs.setup(config.log)
    token = read_token(config)
    if config.model.id == DEFAULT_MODEL:
        weights.folder(config)  # a host who forgot to pull should hear it before anybody asks
    with contextlib.suppress(asyncio.CancelledError):  # SIGTERM; Ctrl-C is a KeyboardInterrupt
        asyncio.run(_serve_until_terminated(config, token, sync, force))


async def _serve_until_terminated(config: Config, token: str, sync: bool, force: bool) -> None:
    """A service manager ends the bot with SIGTERM: then it says goodbye to Discord as after Ctrl-C."""
    serving = asyncio.ensure_future(_serve(config, token, sync, force))
    with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):  # Windows, or not the main thread
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, serving.cancel)
    await serving


async def _serve(config: Config, token: str, sync: bool, force: bool = False) -> None:
    async with open_app(config) as app:
        lease = Lease(app.database, digest_of(token), Path(platformdirs.user_data_dir("forward-pass")))
        async with lease.held(force=force) as held, create_bot(app, sync=sync) as bot:
            # Connect first, load in the background: whoever asks meanwhile hears that the model is waking up.
            app.model.start().add_done_callback(_seen)
            with _in_words():
                await _while_held(held, bot.start(token))


async def _while_held(held: asyncio.Task[None], serving: Coroutine[Any, Any, None]) -> None:
    """Serve until the end, or until the lease is lost; an error of either is raised."""
    task = asyncio.ensure_future(serving)
    try:
        await asyncio.wait({task, held}, return_when=asyncio.FIRST_COMPLETED)
        await (task if task.done() else held)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@contextlib.contextmanager
def _in_words() -> Iterator[None]:
    """Why Discord does not let the bot in, as an error with a sentence."""
    try:
        yield
    except discord.LoginFailure as error:
        raise BadTokenError("Discord refuses the bot token.") from error
    except discord.PrivilegedIntentsRequired as error:
        raise MissingIntentError("Discord does not grant the Message Content intent.") from error
    except discord.ConnectionClosed as error:
        if error.code == BAD_TOKEN:
            raise BadTokenError("Discord does not accept the bot token any more.") from error
        raise DiscordSetupError(f"Discord has closed the connection for good (code {error.code}).", hint=CODES) from error
    except discord.GatewayNotFound as error:
        raise DiscordSetupError("Discord names no gateway to connect to.", hint=LATER) from error
    except TROUBLE as error:
        hint = LATER if isinstance(error, discord.HTTPException) else "Check the network and any proxy."
        raise DiscordSetupError(f"Discord cannot be reached ({described(error)}).", hint=hint) from error


def _seen(task: asyncio.Task[object]) -> None:
    """The host has logged a failed load, and whoever asks is told; nobody else awaits it."""
    if not task.cancelled():
        task.exception()


def show_config(config: Config, named: Path | None = None) -> None:
    """Print the settings as they come to, defaults included, and where they come from; ``named`` is what ``--config`` says.

    Secrets are no settings, and a database URL is not shown.
    """
    data = config.model_dump(mode="json")
    if data["storage"]["url"]:
        data["storage"]["url"] = "(set)"
    console = Screen()
    console.print(
        yaml.safe_dump(data, sort_keys=False, allow_unicode=True), highlight=False, markup=False, end="", soft_wrap=True
    )
    console.print("[green]✓[/] The config is good.")
    for line in _origins(named):
        console.print(Text(f"  {line}"), soft_wrap=True)


def _origins(named: Path | None) -> Iterator[str]:
    """Which file was read, and which environment variables override it: their names alone, since values may be secret."""
    file = settings_file(named)
    if file is None:
        yield "I found no config file, so the defaults apply."
    else:
        by = f", which {FILE_VARIABLE} names" if named is None and os.environ.get(FILE_VARIABLE) else ""
        yield f"I read it from {safe(str(file.absolute()))}{by}."
    _, variables = environment_settings(os.environ, Config)
    if variables:
        yield f"These environment variables override it: {', '.join(sorted(variables.values()))}."


def show_invite(application_id: str) -> None:
    """Print the link that adds the bot to a server.

    Raises:
        ForwardPassError: it is no application id.
    """
    if not re.fullmatch("[0-9]{17,20}", application_id.strip()):
        raise ForwardPassError(
            f"`{safe(application_id)}` is no application id, which is a number of 17 to 20 digits.",
            hint="You find it at https://discord.com/developers/applications: choose your application, then General Information,"
            " then Application ID.",
        )
    print(invite_url(int(application_id)))  # noqa: T201
