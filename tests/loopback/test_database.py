"""The bot beside a database that is locked or full, over real sockets: acknowledged in time, answered, stored when it can be."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from bot.storage import database, late
from models.fakes.engine import FakeEngine
from tests.bot.storage.conftest import write_lock
from tests.bot.storage.test_trouble import fill
from tests.loopback import payloads
from tests.loopback.conftest import ANSWER, FOOT, config, connected
from tests.loopback.server import Server

WORDS = "I cannot get at my notes right now. Ask again in a few minutes."


def press(message: payloads.Json, custom_id: str) -> payloads.Json:
    """Somebody presses a button under a message."""
    slash = payloads.slash("-", payloads.ALICE)
    return {**slash, "type": 3, "message": message, "data": {"custom_id": custom_id, "component_type": 2}}


def controls(message: payloads.Json) -> dict[str, Any]:
    found = [control for row in message["components"] for control in row.get("components", [])]
    return {control["custom_id"]: control for control in found}


def thumb(message: payloads.Json) -> str:
    return next(name for name in controls(message) if name.startswith("fp:v1:up:"))


async def test_a_vote_is_acknowledged_at_once_and_counted_when_the_lock_is_gone(server: Server, tmp_path: Path) -> None:
    async with connected(server, config(tmp_path)):
        await server.mention(FOOT)
        await server.until(lambda: server.rest.named("PATCH channel"))
        (answer,) = server.rest.answers()
        async with write_lock(tmp_path / "runs.sqlite3"):
            began = time.monotonic()
            await server.interact(press(answer, thumb(answer)))
            await server.until(lambda: server.rest.named("POST */callback"))
            (call,) = (call for call in server.rest.calls if call.line.endswith("/callback"))
            assert call.at - began < 1
            assert call.body["type"] == 6
            await asyncio.sleep(5)
            assert server.rest.named("PATCH */messages/@original") == []
        await server.until(lambda: server.rest.named("PATCH */messages/@original"))
        (shown,) = server.rest.named("PATCH */messages/@original")
        assert controls(shown.body)[thumb(answer)]["label"] == "1"


@pytest.mark.parametrize("busy", [300, None], ids=["many tries", "one try"])
async def test_an_answer_is_shown_beside_a_lock_and_stored_after_it(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, busy: int | None
) -> None:
    """It came in the middle of the answer, and is longer than one try waits."""
    monkeypatch.setattr(late, "PATIENCE_SECONDS", 0.5)
    if busy is not None:
        monkeypatch.setattr(database, "BUSY_MILLISECONDS", busy)
    engine = FakeEngine(gate=threading.Event())
    async with connected(server, config(tmp_path), engine) as (app, _):
        await server.mention(FOOT)
        await server.until(lambda: engine.jobs)
        async with write_lock(tmp_path / "runs.sqlite3"):
            engine.gate.set()  # type: ignore[union-attr]
            await server.until(lambda: server.rest.answers() and server.rest.answers()[0]["components"])
            await asyncio.sleep(3)
            (answer,) = server.rest.answers()
            assert answer["content"].startswith(ANSWER)
            run = thumb(answer).removeprefix("fp:v1:up:")
            assert (await app.asks._runs.get(run)).state == "answering"
        await server.until(lambda: server.rest.named("PATCH channel"))  # its inner voice has been told, and the thread archived
        stored = await app.asks._runs.by_message(int(answer["id"]))
        assert stored is not None
        assert stored.id == run
        assert stored.state in {"answered", "told"}
        assert (await app.asks._runs.load_answer(run)).text == ANSWER
        assert len(server.rest.answers()) == 1
    assert f"the answer of run {run}: goes on and is stored later" in caplog.text
    assert WORDS not in str(server.rest.messages)


async def test_a_full_disk_refuses_with_words_and_a_line_in_the_log(
    server: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What cannot be journaled is not answered: after a crash nobody would know of it."""
    async with connected(server, config(tmp_path)) as (app, _):
        fill(app.database)
        for number in range(12):
            await server.mention(f"{FOOT} {'why ' * 400}")
            await server.until(lambda n=number: len(server.rest.answers()) == n + 1)  # type: ignore[misc]
    refused = [answer["content"] for answer in server.rest.answers() if not answer["content"].startswith(ANSWER)]
    assert refused
    assert set(refused) == {f"⚠️ {WORDS}"}
    told = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(told) == 1
    assert told[0].startswith("the database cannot be written: the disk is full. Free some space")
