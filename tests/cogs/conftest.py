"""A simulated Discord with the real bot in it, and a scripted engine behind."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import discord
import pytest
import pytest_asyncio
import simcord

from bot.app import App, open_app
from bot.client import ForwardPassBot, create_bot
from bot.config import Config
from models.fakes.engine import FakeEngine
from tests.cogs.discord_schema import problems

FOOT = "How many eyes does my foot have?"
ANSWER = "The answer is 2."


@dataclass
class World:
    """One server, one channel, two people."""

    env: simcord.Env
    app: App
    bot: ForwardPassBot
    engine: FakeEngine
    guild: Any
    channel: Any
    alice: Any
    bob: Any
    mention: str = field(default="")

    async def ask(self, text: str = FOOT, **kwargs: Any) -> discord.Message:
        return await self.alice.send(self.channel, f"{self.mention} {text}", **kwargs)

    def answers(self, channel: Any | None = None) -> list[discord.Message]:
        """What the bot wrote in the channel itself, oldest first. (simcord adds a system line for each thread; Discord does not
        for one that is opened at once.)"""
        ours = (m for m in (channel or self.channel).history() if m.author.id == self.bot.user.id)
        return [m for m in ours if m.type is not discord.MessageType.thread_created]

    def detach(self) -> None:
        """Let the bot's work run beside the simulation's steps, so that a test can act while an answer grows."""
        with self.env.time_context():
            self.app.tasks.context = contextvars.copy_context()

    async def until(self, true: Callable[[], Any], seconds: float = 10.0) -> None:
        async with asyncio.timeout(seconds):
            while not true():  # noqa: ASYNC110  a simulated Discord sets no event
                await asyncio.sleep(0.02)
        await self.env.settle()


def config(folder: Path, **sections: dict[str, Any]) -> Config:
    base: dict[str, dict[str, Any]] = {"storage": {"url": f"sqlite+aiosqlite:///{folder / 'runs.sqlite3'}"}}
    for name, values in sections.items():
        base[name] = {**base.get(name, {}), **values}
    base["model"] = {"max_batch": 1, **base.get("model", {})}  # as many as the scripted engine answers at a time
    return Config.model_validate(base)


@asynccontextmanager
async def running(settings: Config, engine: FakeEngine, *, awake: bool = True, **options: Any) -> AsyncIterator[tuple[App, Any]]:
    """The app and a connected client, without a world."""
    async with open_app(settings, engine_factory=lambda: engine) as app:
        app.model.start()
        if awake:
            await app.model.ready()
        async with simulated(create_bot(app, shard_count=1), **options) as env:
            yield app, env


@asynccontextmanager
async def simulated(bot: discord.Client, **options: Any) -> AsyncIterator[simcord.Env]:
    """`simcord.run`, but for fixtures, whose two halves run in different contexts. No request may be one that Discord refuses."""
    env = simcord.Env(bot, settle_timeout=20.0, **options)
    await env.start()
    try:
        yield env
    finally:
        await env.shutdown()
    env.raise_errors()
    wrong = [text for request in env.http_requests for text in problems(request.method, request.path, request.json)]
    assert wrong == []


def populate(env: simcord.Env, app: App, engine: FakeEngine) -> World:
    guild = env.create_guild("Zoo")
    channel = guild.create_text_channel("general")
    alice, bob = (guild.add_member(env.create_user(name)) for name in ("alice", "bob"))
    bot = env.bot
    return World(env, app, bot, engine, guild, channel, alice, bob, bot.user.mention)


@pytest_asyncio.fixture
async def world(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[World]:
    """``@pytest.mark.world(engine={...}, discord={...}, …)`` changes the engine and the config's sections."""
    marker = request.node.get_closest_marker("world")
    sections = dict(marker.kwargs) if marker else {}
    engine = FakeEngine(**sections.pop("engine", {}))
    options = sections.pop("simcord", {})
    async with running(config(tmp_path, **sections), engine, **options) as (app, env):
        yield populate(env, app, engine)


def texts(message: discord.Message) -> str:
    """All that can be read in a Components V2 message."""
    found: list[str] = []

    def walk(component: Any) -> None:
        if isinstance(component, discord.TextDisplay):
            found.append(component.content)
        for child in getattr(component, "children", []):
            walk(child)

    for component in message.components:
        walk(component)
    return "\n".join(found)


def buttons(message: discord.Message) -> list[str]:
    """The labels of the buttons, thumbs apart."""
    return [child.label or "" for child in _buttons(message) if not _is_thumb(child)]


def thumbs(message: discord.Message) -> list[str]:
    """The counts on 👍 and 👎, "" for none."""
    return [child.label or "" for child in _buttons(message) if _is_thumb(child)]


def control(message: discord.Message, action: str) -> str:
    """The custom id of the first control of that action."""
    every = (child for row in message.components for child in getattr(row, "children", []))
    return next(child.custom_id for child in every if (getattr(child, "custom_id", None) or "").startswith(f"fp:v1:{action}:"))


def _buttons(message: discord.Message) -> list[discord.Button]:
    return [c for row in message.components for c in getattr(row, "children", []) if isinstance(c, discord.Button)]


def _is_thumb(button: discord.Button) -> bool:
    return (button.custom_id or "").startswith(("fp:v1:up:", "fp:v1:down:"))


def told(result: simcord.InteractionResult) -> simcord.ResponseMessage | None:
    """What the presser reads: the deferred response once it is filled, or the first follow-up."""
    found = [*result.followups, result.response]
    return next((m for m in found if m is not None and (m.content or m.components)), None)
