"""``forwardpass runs``: what the host sees of the stored answers."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest

import models.running.engine
from bot.app import open_app
from bot.config import Config
from models.fakes.engine import FakeEngine
from tests.bot.conftest import Run
from tests.bot.services.rig import Heard, request
from tests.bot.test_cli import refused

FOOT, LONG = "How many eyes does my foot have?", "Why\x1b[31m " + "is the moon so very far away from here " * 20 + "?"


@pytest.fixture
def asked(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ids of two answers, an older public one and a private one, as Discord left them."""
    config = Config.model_validate({"storage": {"url": f"sqlite+aiosqlite:///{tmp_path / 'runs.sqlite3'}"}})
    monkeypatch.setattr(models.running.engine, "load", lambda *_, **__: FakeEngine())

    async def ask() -> list[str]:
        async with open_app(config, engine_factory=FakeEngine) as app:
            await app.model.start()
            public = await app.asks.ask(request(FOOT), Heard())
            private = await app.asks.ask(replace(request(LONG, user=2), private=True), Heard())
            return [str(public.run.id), str(private.run.id)]

    return asyncio.run(ask())


def test_the_latest_come_first_and_private_ones_are_marked(run: Run, asked: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    code, out, err = run("runs")
    assert code == 0, err
    lines = out.splitlines()
    assert len(lines) == 4
    assert max(map(len, lines)) <= 60
    assert lines[0].startswith(f"{asked[1]}  private 20")
    assert lines[1].startswith("    Why")
    assert "\x1b" not in out
    assert lines[2].startswith(f"{asked[0]}  20")
    assert "private" not in lines[2]
    assert lines[2].endswith(" · chat · fake")
    assert lines[3] == f"    {FOOT}"


def test_a_limit_and_json(run: Run, asked: list[str]) -> None:
    assert FOOT not in run("runs", "--limit", "1")[1]
    found = json.loads(run("runs", "--json")[1])["runs"]
    assert [row["id"] for row in found] == asked[::-1]
    assert [row["private"] for row in found] == [True, False]
    assert (found[1]["question"], found[1]["style"], found[1]["source"]) == (FOOT, "chat", found[1]["source"])
    assert found[0]["created_at"] >= found[1]["created_at"]


def test_an_id_is_one_that_dump_takes(run: Run, asked: list[str]) -> None:
    named = run("runs", "--limit", "1")[1].split()[0]
    code, _, err = run("dump", "--run", named, "-o", "run.json")
    assert code == 0, err
    assert json.loads(Path("run.json").read_text(encoding="utf-8"))["answer_ids"]


def test_an_empty_database_an_absent_one_and_a_bad_one(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refused(run("runs"), "There is no database", "runs.sqlite3", "storage.url")
    assert list(tmp_path.iterdir()) == []  # looking makes none

    async def opened() -> None:
        async with open_app(Config.model_validate({"storage": {"url": f"sqlite:///{tmp_path / 'runs.sqlite3'}"}})):
            pass

    asyncio.run(opened())
    assert run("runs") == (0, "No answers are stored yet.\n", "")
    assert json.loads(run("runs", "--json")[1]) == {"runs": []}
    (tmp_path / "bad.sqlite3").write_text("no database at all, but a good many words " * 50)
    monkeypatch.setenv("FORWARDPASS_STORAGE__URL", f"sqlite:///{tmp_path / 'bad.sqlite3'}")
    refused(run("runs"), "The database cannot be opened")
