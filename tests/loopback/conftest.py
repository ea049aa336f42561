"""The bot as in production, with a scripted engine, connected to the loopback Discord. No test leaves a task or a thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from bot.app import App, open_app
from bot.client import ForwardPassBot, create_bot
from bot.config import Config
from models.fakes.engine import FakeEngine
from models.types import Engine
from tests.loopback.ledger import Ledger
from tests.loopback.server import TOKEN, Server, serving

LEDGER = Ledger()
FOOT = "How many eyes does my foot have?"
ANSWER = "The answer is 2."


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What became of the injected faults, by kind."""
    for line in LEDGER.table():
        terminalreporter.write_line(line)


def config(folder: Path, **sections: dict[str, Any]) -> Config:
    """The scripted engine answers one question at a time, and so the line is made for one."""
    storage = {"url": f"sqlite+aiosqlite:///{folder / 'runs.sqlite3'}"}
    return Config.model_validate({"storage": storage, "model": {"max_batch": 1}, **sections})


@pytest.fixture(autouse=True)
def own_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lock against a second bot with one token lies there; a test beside this one has the same token."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


@pytest_asyncio.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Server]:
    """The loopback Discord; afterwards nothing of the bot may be left, and nothing may have been asked that it does not know."""
    monkeypatch.setattr("bot.ui.trouble.RETRY_DELAYS", (0.1, 0.3))
    threads, tasks = set(threading.enumerate()), asyncio.all_tasks()
    async with serving(monkeypatch) as server:
        yield server
    assert server.rest.unknown == []
    assert [call.line for call in server.rest.calls if may_ping(call.body) or too_long(call.body)] == []
    await _gone(threads, tasks)


def may_ping(body: Any) -> bool:
    """Whether a message says something and does not say whom it may ping, or may ping more than the author it replies to."""
    message = (body.get("data") or body) if isinstance(body, dict) else {}
    if not any(message.get(key) for key in ("content", "embeds", "components")):
        return False
    allowed = message.get("allowed_mentions")
    return not isinstance(allowed, dict) or allowed.get("parse") != [] or bool(allowed.keys() - {"parse", "replied_user"})


def too_long(body: Any) -> bool:
    """Whether a message or a thread's name is longer than Discord allows, in UTF-16 units."""
    message = (body.get("data") or body) if isinstance(body, dict) else {}
    limits = {"content": 2000, "name": 100}
    return any(len(str(message.get(key) or "").encode("utf-16-le")) > 2 * most for key, most in limits.items())


async def _gone(threads: set[threading.Thread], tasks: set[asyncio.Task[Any]]) -> None:
    """Keep-alive threads end by themselves shortly after their socket."""
    own = {asyncio.current_task()}
    left: set[Any] = set()
    for _ in range(200):
        left = {t for t in threading.enumerate() if t not in threads and not t.name.startswith("asyncio_")}
        left |= asyncio.all_tasks() - tasks - own
        if not left:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"left behind: {left}")


@asynccontextmanager
async def connected(
    server: Server, settings: Config, engine: Engine | None = None, *, ready_after: float = 0.1
) -> AsyncIterator[tuple[App, ForwardPassBot]]:
    """The bot, logged in and READY. ``ready_after``: how long discord.py waits for one more GUILD_CREATE before `on_ready`."""
    engine = engine or FakeEngine()
    async with open_app(settings, engine_factory=lambda: engine) as app, create_bot(app) as bot:
        bot._connection.guild_ready_timeout = ready_after
        await app.model.start()
        server.gateway.ready.clear()
        running = asyncio.create_task(bot.start(TOKEN))
        try:
            async with asyncio.timeout(5):
                await server.gateway.ready.wait()
            yield app, bot
        finally:
            await bot.close()
            await running
