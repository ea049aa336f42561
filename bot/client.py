"""The Discord client: intents, extensions, command sync, presence. Knows neither models nor storage but through `App`."""

from __future__ import annotations

import hashlib
import json
import logging
from typing import Any

import discord
from discord.ext import commands

from bot.app import App
from bot.discord_http import LimitedHTTP
from bot.errors import ForwardPassError
from bot.services.limiter import Limiter
from bot.services.once import Once
from bot.ui.back import Back
from bot.ui.controls import CONTROLS
from bot.ui.discord_clock import DiscordClock
from bot.ui.own import OwnMessages
from bot.ui.text import title
from bot.ui.translator import CommandTranslator
from bot.ui.trouble import TROUBLE, described, watch
from bot.ui.views import InnerVoiceButton, RoadSelect, RunButton
from bot.ui.webhooks import careful_webhooks
from bot.ui.wording import ENGLISH, words

log = logging.getLogger(__name__)

# The bot has no voice channels; without this discord.py warns at each start that its voice libraries are missing.
discord.VoiceClient.warn_nacl = False
discord.VoiceClient.warn_dave = False

ENTRY_POINT = 50240
"""Discord's code for: a command that opens an Activity (its Entry Point) cannot be removed by an update of all commands."""
HAS_ENTRY_POINT = (
    "Discord refused the slash commands (HTTP 400, code 50240): this application has an Entry Point command, which Discord makes "
    "for an Activity, and which no update of all commands may remove. Until then the commands of before stay, and mentions work. "
    "Turn Activities off for this application at https://discord.com/developers/applications, or give the bot an application of "
    "its own; then start again"
)

EXTENSIONS = (
    "cogs.errors",
    "cogs.ask",
    "cogs.deleting",
    "cogs.voice",
    "cogs.beyond",
    "cogs.layers",
    "cogs.votes",
    "cogs.about",
    "cogs.recovery",
    "cogs.lookback",
)


class ForwardPassBot(commands.AutoShardedBot):
    """discord.py's bot with the app at hand."""

    def __init__(self, app: App, *, sync: bool = False, shard_count: int | None = None) -> None:
        super().__init__(
            command_prefix=commands.when_mentioned,
            help_command=None,
            intents=intents(message_content=app.config.discord.message_content),
            # Left out, Discord would ping everyone that an answer happens to name.
            allowed_mentions=discord.AllowedMentions(everyone=False, roles=False, users=False, replied_user=True),
            chunk_guilds_at_startup=False,
            max_messages=None,
            shard_count=shard_count,
        )
        self.app = app
        self.questions = Once()
        self.own = OwnMessages()
        self.back = Back()
        self.clock = DiscordClock()
        if self.http.http_trace is not None:
            self.clock.listen(self.http.http_trace)
        self._sync = sync

    def _get_state(self, **options: Any) -> Any:
        """The first place where discord.py's REST client exists, and nothing holds it yet: it offers no way to bring another."""
        self.http = LimitedHTTP(self.loop, Limiter(), watch())
        return super()._get_state(**options)

    async def setup_hook(self) -> None:
        """Before the gateway opens: cogs, persistent buttons, command sync."""
        careful_webhooks()
        for extension in EXTENSIONS:
            await self.load_extension(extension)
        await self.tree.set_translator(CommandTranslator())
        self.add_dynamic_items(InnerVoiceButton, RunButton, RoadSelect, *CONTROLS)
        await self._sync_commands()
        self.app.tasks.spawn(self._announce(), "presence")

    async def close(self) -> None:
        """The work under way goes first, while there is a connection; what is journaled is answered at the next start."""
        await self.app.tasks.aclose()
        await super().close()

    async def on_message(self, message: discord.Message, /) -> None:
        """Overridden: mentions are questions here, never prefix commands. `cogs.ask` listens by itself."""
        if self.user is not None and message.author.id == self.user.id:
            self.own.add(message)

    async def _sync_commands(self) -> None:
        """Send the commands to Discord when they changed: the daily quota is small, so never blindly.

        A failure is no reason to stay away, since mentions need no commands; the next start tries again.
        """
        translator = self.tree.translator or CommandTranslator()
        payload = [await command.get_translated_payload(self.tree, translator) for command in self.tree.get_commands()]
        digest = hashlib.sha256(json.dumps(payload, sort_keys=True, default=str).encode()).hexdigest()
        scope = f"global:{self.application_id}"
        if not self._sync and await self.app.synced_commands.get(scope) == digest:
            return
        try:
            await self.tree.sync()
        except TROUBLE as error:
            if getattr(error, "code", None) == ENTRY_POINT:
                log.warning(HAS_ENTRY_POINT)
            else:
                log.warning("the slash commands could not be sent to Discord (%s): the next start tries again", described(error))
            return
        await self.app.synced_commands.put(scope, digest)
        log.info("sent %d commands to Discord", len(payload))

    async def _announce(self) -> None:
        """Say in the presence whether the model is awake."""
        await self.wait_until_ready()
        say = words(self.app.config.discord.locale_for(ENGLISH))  # everybody sees the same one
        if self.app.model.info is None:
            await self._presence(discord.Status.idle, say("presence_loading"))
        try:
            info = await self.app.model.ready()
        except ForwardPassError:
            await self._presence(discord.Status.dnd, say("presence_failed"))
        else:
            await self._presence(discord.Status.online, say("presence_ready", name=info.name))

    async def _presence(self, status: discord.Status, text: str) -> None:
        try:
            await self.change_presence(status=status, activity=discord.CustomActivity(title(text, 128)))
        except (discord.DiscordException, *TROUBLE) as error:
            # The gateway is just reconnecting; a presence is not worth more.
            log.info("the presence was not shown: %s", described(error))


def intents(*, message_content: bool) -> discord.Intents:
    """What the bot listens to. Without the privileged intent it still gets DMs, mentions and its own messages."""
    wanted = discord.Intents.none()
    wanted.guilds = True
    wanted.guild_messages = True
    wanted.dm_messages = True
    wanted.message_content = message_content
    return wanted


# What a server has to grant; `forwardpass invite` prints the link. Each is used: see docs/SELF_HOSTING.md.
PERMISSIONS = discord.Permissions(
    view_channel=True,
    send_messages=True,
    send_messages_in_threads=True,
    create_public_threads=True,
    attach_files=True,
    read_message_history=True,
)


def invite_url(application_id: int) -> str:
    """The link with which a server's admin adds the bot."""
    return discord.utils.oauth_url(application_id, permissions=PERMISSIONS, scopes=("bot", "applications.commands"))


def create_bot(app: App, *, sync: bool = False, shard_count: int | None = None) -> ForwardPassBot:
    """The client for an open app.

    Args:
        app: from `bot.app.open_app`.
        sync: send the commands even when they did not change.
        shard_count: None lets Discord say how many; a simulation, which cannot, passes 1.
    """
    return ForwardPassBot(app, sync=sync, shard_count=shard_count)
