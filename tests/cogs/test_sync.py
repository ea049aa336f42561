"""Discord refuses the commands: the bot stays, and its host reads why and what to do."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import simcord

from bot.app import open_app
from bot.client import create_bot
from models.fakes.engine import FakeEngine
from tests.cogs.conftest import ANSWER, config, populate


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (50240, ("Entry Point command", "Turn Activities off", "start again")),
        (50035, ("(HTTP 400)", "the next start tries again")),
    ],
)
async def test_refused_commands(tmp_path: Path, caplog: pytest.LogCaptureFixture, code: int, words: tuple[str, ...]) -> None:
    engine = FakeEngine()
    caplog.set_level(logging.INFO, "bot.client")
    async with open_app(config(tmp_path), engine_factory=lambda: engine) as app:
        app.model.start()
        await app.model.ready()
        env = simcord.Env(create_bot(app, shard_count=1), settle_timeout=20.0)
        env.inject_error("PUT", "/applications/*/commands", status=400, code=code, message="Refused")
        await env.start()
        (warning,) = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
        assert all(word in warning for word in words)
        assert await app.synced_commands.get(f"global:{env.bot.application_id}") is None  # so that the next start tries again
        world = populate(env, app, engine)
        await world.ask()
        assert world.answers()[0].content.startswith(ANSWER)
        await env.shutdown()
    env.raise_errors()
