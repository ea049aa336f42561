"""``forwardpass demo``: the real bot in a simulated Discord, shown in the browser. No token, no network.

simcord stands in for Discord behind discord.py's own machinery; `bot.cli.local_page` serves its rooms on loopback.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import importlib.util
import logging
import tempfile
import time
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
STARTERS = 3
PLAIN: dict[str, Any] = {"soft_wrap": True, "highlight": False}
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
    started = time.perf_counter()
    opens = "opens in your browser" if browser else "is served on this machine"
    console.print(f"\n  A small Discord {opens}, with the real bot in it. It needs no token and no network.", **PLAIN)
    console.print("  First the model is loaded, which takes 10 to 60 seconds. Later an answer takes a few.\n", **PLAIN)
    with console.status("loading the model…") as status:

        def say(text: str) -> None:
            if console.is_terminal:
                status.update(f"{text}…")
            else:
                console.print(f"  {text}…", highlight=False)

        async with local_discord(config, port=port, say=say) as preview:
            status.stop()
            took = time.perf_counter() - started
            console.print(f"\n  [bold green]The local Discord is open[/] after {took:.0f} seconds:  {preview.url}\n", **PLAIN)
            console.print("  Click a question on the page, or write your own. Then open the thread under the answer:", **PLAIN)
            console.print("  there the model tells what went on inside it. Ctrl-C ends it all.\n", **PLAIN)
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

    from bot.cli.local_page import LocalPage  # is made of the demo extra

    with tempfile.TemporaryDirectory(prefix="forward-pass-demo-") as folder:
        async with open_app(_for_demo(config, Path(folder)), engine_factory=engine_factory) as app:
            await _wake(app, say)
            say("opening the local Discord")
            bot = create_bot(app, shard_count=1)
            async with _simulated(bot) as env:
                # From here on answers run outside of the simulation's bookkeeping, and the page shows them while they grow.
                app.tasks.context = contextvars.copy_context()
                channel, visitor = _world(env)
                locale = app.config.discord.locale or "en-US"
                try:
                    page = LocalPage(env, channel, visitor, title=GUILD, port=port, locale=locale)
                    async with page as preview, _live(env, preview):
                        yield preview
                except simcord.SetupError as error:
                    raise ForwardPassError(f"The page cannot be served: {error}.", hint="Try another --port.") from error


def _for_demo(config: Config, folder: Path) -> Config:
    """The user's config with a throw-away database, a channel in which no mention is needed, and a visitor who may click all
    three questions at once.
    """
    storage = config.storage.model_copy(update={"url": f"sqlite+aiosqlite:///{folder / 'demo.sqlite3'}"})
    wishes = {"message_content": True, "listen": (CHANNEL,), "stream_after_seconds": 0.5}
    discord = config.discord.model_copy(update=wishes)
    queue = config.queue.model_copy(update={"per_user": max(STARTERS, config.queue.per_user)})
    return config.model_copy(update={"storage": storage, "discord": discord, "queue": queue})


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

    from bot.cli.local_world import as_discord

    env = simcord.Env(bot, settle_timeout=SETTLE_SECONDS, check_errors=False)
    env.backend.bot_user.name = GUILD
    as_discord(env.backend)
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
    """Show the page anew when the bot has done something there, so that answers are seen to stream in."""
    import simcord

    async def refresh() -> None:
        shown = 0
        while True:
            await asyncio.sleep(REFRESH_SECONDS)
            if (seen := _visible_requests(env)) != shown:
                with contextlib.suppress(simcord.SetupError):  # the page may have been closed
                    await preview.refresh()
                    shown = seen

    task = asyncio.create_task(refresh(), name="refresh the page")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _visible_requests(env: simcord.Env) -> int:
    """How many requests so far have changed what a page can show."""
    return sum(request.method != "GET" and not request.path.endswith("/typing") for request in env.http_requests)
