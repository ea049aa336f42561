"""A dump from Discord is the one from the terminal, byte for byte; the clock stands still here, and nothing else may differ."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import bot.app
import models.running.engine
from bot.cli.dump import Target, dump_question
from bot.render.export import FORMATS
from bot.services.dumps import DumpService, Wish
from models.fakes.engine import FakeEngine
from tests.cogs.conftest import FOOT, config, populate, running, told

CHOICES = [(what, form) for what in ("lens", "hidden", "attention") for form in FORMATS if what == "lens" or form != "html"]


FEW = [("lens", "json"), ("lens", "html"), ("hidden", "safetensors"), ("attention", "npz")]


async def compared(engine: Any, choices: list[Any], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of ``choices``, after somebody else was answered."""
    noon = datetime(2026, 11, 25, 12, tzinfo=UTC)
    monkeypatch.setattr(bot.app, "DumpService", partial(DumpService, now=lambda: noon))
    monkeypatch.setattr(models.running.engine, "load", lambda *_, **__: engine)
    monkeypatch.setattr("bot.cli.dump.logs.setup", lambda *_, **__: None)
    settings, found = config(folder), {}
    async with running(settings, engine) as (app, env):
        world = populate(env, app, engine)
        await world.bob.send(world.channel, f"{world.mention} And a giraffe?")
        await world.ask()
        for what, form in choices:
            result = await world.alice.slash(world.channel, "dump", what=what, format=form)
            found[what, form] = await told(result).message.attachments[0].read()  # type: ignore[union-attr]
    for (what, form), data in found.items():
        file = folder / f"terminal.{form}"
        await asyncio.to_thread(dump_question, settings, FOOT, Wish(what, form), Target(file, force=True), style=None)  # type: ignore[arg-type]
        assert file.read_bytes() == data, (what, form)


async def test_of_a_scripted_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await compared(FakeEngine(), CHOICES, tmp_path, monkeypatch)


@pytest.mark.real_model
async def test_of_the_default_model(
    smollm: models.running.engine.TorchEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await compared(smollm, FEW, tmp_path, monkeypatch)
