"""``forwardpass demo``: the real bot in a simulated Discord, shown in the browser. No token, no network.

simcord stands in for Discord behind discord.py's own machinery; its preview serves one channel on loopback.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import importlib.util
import logging
import tempfile
import webbrowser
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from bot import log as logs
from bot.app import App, open_app
from bot.cli.screen import Screen
from bot.client import create_bot
from bot.config import Config
from bot.errors import ForwardPassError
from bot.model_host import EngineFactory
from models.types import Job, Sampling

if TYPE_CHECKING:
    import simcord

log = logging.getLogger(__name__)

GUILD, CHANNEL, VISITOR = "Forward Pass", "ask-me", "you"
# The preview waits for the bot's own tasks before it shows anything. Answers run outside of that (see `Tasks.context`), so
# this bounds single callbacks only; it is far above the slowest.
SETTLE_SECONDS = 600.0
REFRESH_SECONDS = 0.25
LONGEST_BURST_SECONDS = 1.0
WARM_UP = Job("Are you awake?", sampling=Sampling(max_new_tokens=4))


def run_demo(config: Config, *, browser: bool, port: int) -> None:
    """Serve until the page is ended or Ctrl-C.

    Raises:
        ForwardPassError: the demo extra is missing, the model is not pulled, or the port is taken.
    """
    if importlib.util.find_spec("simcord") is None or importlib.util.find_spec("PIL") is None:
        raise ForwardPassError("The local Discord needs the `demo` extra.", hint='Run `pip install "forward-pass[demo]"`.')
    logs.setup(config.log.model_copy(update={"level": "ERROR"}))
    console = Screen()
    asyncio.run(_serve(config, console, browser, port))


async def _serve(config: Config, console: Console, browser: bool, port: int) -> None:
    with console.status("loading the model…") as status:

        def say(text: str) -> None:
            if console.is_terminal:
                status.update(f"{text}…")
            else:
                console.print(f"  {text}…", highlight=False)

        async with local_discord(config, port=port, say=say) as preview:
            status.stop()
            console.print(f"\n  [bold green]The local Discord is open:[/] {preview.url}\n", soft_wrap=True, highlight=False)
            console.print(f"  Write in #{CHANNEL}:  How many eyes does my foot have?", highlight=False)
            console.print("  or type /ask, and press 💭 Inner voice under the answer. Ctrl-C ends it.\n", highlight=False)
            if browser:
                await asyncio.to_thread(webbrowser.open, preview.url)
            await preview.wait_closed()


@contextlib.asynccontextmanager
async def local_discord(
    config: Config,
    *,
    port: int = 0,
    say: Callable[[str], None] = lambda _: None,
    engine_factory: EngineFactory | None = None,
) -> AsyncIterator[Any]:
    """The preview of a simulated server with the bot, one channel and one visitor, model warm.

    Raises:
        ForwardPassError: the model cannot be loaded, or the page cannot be served.
    """
    import simcord

    with tempfile.TemporaryDirectory(prefix="forward-pass-demo-") as folder:
        async with open_app(_for_demo(config, Path(folder)), engine_factory=engine_factory) as app:
            await _wake(app, say)
            say("opening the local Discord")
            bot = create_bot(app, shard_count=1)
            async with _simulated(bot) as env:
                # From here on answers run outside of the simulation's bookkeeping, and the page shows them while they grow.
                app.tasks.context = contextvars.copy_context()
                channel, visitor = _world(env)
                try:
                    page = env.preview(channel, viewers=[visitor], layout="channel", port=port)
                    async with page as preview, _live(env, preview):
                        yield preview
                except simcord.SetupError as error:
                    raise ForwardPassError(f"The page cannot be served: {error}.", hint="Try another --port.") from error


def _for_demo(config: Config, folder: Path) -> Config:
    """The user's config with a throw-away database, the button beside the thread (the page shows one channel and opens no
    threads), and a channel in which no mention is needed (the page's composer cannot write one).
    """
    storage = config.storage.model_copy(update={"url": f"sqlite+aiosqlite:///{folder / 'demo.sqlite3'}"})
    wishes = {"button_beside_thread": True, "message_content": True, "listen": (CHANNEL,), "stream_after_seconds": 0.5}
    discord = config.discord.model_copy(update=wishes)
    return config.model_copy(update={"storage": storage, "discord": discord})


async def _wake(app: App, say: Callable[[str], None]) -> None:
    """Load, then think once: the first pass of a process is the slowest, and a visitor should not wait for it."""
    say("loading the model")
    info = await app.model.start()
    say(f"warming up {info.name} on {info.device}")
    answer = await app.model.answer(WARM_UP)
    if info.inner_voice is None and answer.answer_ids:
        await app.model.trace(answer, k=app.config.lens.top_k)


@contextlib.asynccontextmanager
async def _simulated(bot: Any) -> AsyncIterator[simcord.Env]:
    import simcord

    env = simcord.Env(bot, settle_timeout=SETTLE_SECONDS, check_errors=False)
    env.backend.bot_user.name = GUILD
    await env.start()
    try:
        with env.time_context():
            yield env
    finally:
        await env.shutdown()


def _world(env: simcord.Env) -> tuple[Any, Any]:
    guild = env.create_guild(GUILD)
    channel = guild.create_text_channel(CHANNEL, topic="Ask a trick question, or use /ask.")
    return channel, guild.add_member(env.create_user(VISITOR))


@contextlib.asynccontextmanager
async def _live(env: simcord.Env, preview: Any) -> AsyncIterator[None]:
    """Show the page anew when the bot has done something there, so that answers are seen to stream in.

    As seldom as that allows: a click or a message that was meant for the page before last is refused, and the page looks for
    a new one twice a second. So a burst of requests is shown once it is over, or when it lasts.
    """
    import simcord

    async def refresh() -> None:
        shown = seen = 0
        waited = 0.0
        while True:
            await asyncio.sleep(REFRESH_SECONDS)
            before, seen = seen, _visible_requests(env)
            if seen == shown:
                continue
            waited += REFRESH_SECONDS
            if seen != before and waited < LONGEST_BURST_SECONDS:
                continue
            # An action of the visitor's may be under way: it shows the page itself, and this looks again in a moment.
            with contextlib.suppress(simcord.SetupError):
                await preview.refresh()
                shown, waited = seen, 0.0

    task = asyncio.create_task(refresh(), name="refresh the page")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _visible_requests(env: simcord.Env) -> int:
    """How many requests so far have changed what a page can show."""
    return sum(request.method != "GET" and not request.path.endswith("/typing") for request in env.http_requests)
