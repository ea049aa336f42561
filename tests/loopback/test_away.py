"""The network is away: what was under way when it went arrives once when it is back, and whoever waits does not wait for long."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.loopback import payloads
from tests.loopback.conftest import ANSWER, FOOT, config, connected
from tests.loopback.faults import Faults, dropped
from tests.loopback.server import Server
from tests.loopback.stops import SETTINGS, Fatal, Stops, ask, check, hold
from tests.loopback.test_outbox import opens_thread, tells, writes_answer

AWAY = 1.5
"""Seconds; the retries of one request are over long before."""


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.ui.delivery.WAITS", (0.2, 0.4, 0.8))
    monkeypatch.setattr("bot.ui.replies.LOOKS", (0.05, 0.1, 0.2))
    monkeypatch.setattr("bot.ui.back.SPREAD", 0.1)
    monkeypatch.setattr("bot.ui.trouble.RETRY_DELAYS", (0.05, 0.1))
    monkeypatch.setattr("discord.client.Client.before_identify_hook", at_once)  # else five seconds


async def at_once(*_: object, **__: object) -> None:
    """No pause before an IDENTIFY."""


async def away(server: Server, seconds: float = AWAY) -> None:
    """Every connection is cut, and none comes through."""
    before = len(server.gateway.connections)
    server.leave()
    await asyncio.sleep(seconds)
    server.come_back()
    await server.until(lambda: any(connection.session for connection in server.gateway.connections[before:]), 20.0)


@pytest.mark.parametrize("way", ["mention", "dm", "slash", "private"])
async def test_before_the_answer_is_shown(server: Server, tmp_path: Path, way: str) -> None:
    stops = Stops(server, tmp_path, "stop")
    async with stops.bot(delay=0.1):
        await ask(server, way)
        await server.until(lambda: stops.open_runs() == 1)
        await away(server)
        await stops.settled()
    check(server, thread=way in ("mention", "slash"))


@pytest.mark.parametrize("way", ["mention", "dm", "slash", "private"])
async def test_while_the_answer_streams(server: Server, tmp_path: Path, way: str) -> None:
    stops = Stops(server, tmp_path, "stop")
    streamed = {"discord": {"stream_after_seconds": 0.0, "edit_interval_seconds": 0.05}}
    async with stops.bot(streamed, delay=0.1):
        await ask(server, way)
        await server.until(lambda: any("▌" in m["content"] for m in server.rest.messages.values()))
        await away(server)
        await stops.settled()
    check(server, thread=way in ("mention", "slash"))


@pytest.mark.parametrize("request_", [writes_answer, opens_thread, tells], ids=["answer", "thread", "voice"])
@pytest.mark.parametrize("after", [False, True], ids=["before the deed", "after the deed"])
async def test_in_the_middle_of_a_request(server: Server, tmp_path: Path, request_: object, after: bool) -> None:
    """The request is cut; whether it was carried out, nobody said."""
    stops = Stops(server, tmp_path, "stop")
    held = hold(server, request_, after=after)  # type: ignore[arg-type]
    async with stops.bot():
        await ask(server, "mention")
        await held.wait()
        await away(server)
        await stops.settled()
    check(server)


async def test_six_at_once(server: Server, tmp_path: Path) -> None:
    stops = Stops(server, tmp_path, "stop")
    async with stops.bot({"model": {"max_batch": 1}, "queue": {"per_user": 5}}, delay=0.1):
        for author in (payloads.ALICE, payloads.BOB) * 3:
            await ask(server, "mention", author=author)
        await server.until(lambda: stops.open_runs() == 6)
        await away(server)
        await stops.settled()
    check(server, questions=6)


async def test_stopped_while_nothing_can_be_posted(server: Server, tmp_path: Path) -> None:
    """SIGTERM while an answer waits: the next start delivers it."""
    stops = Stops(server, tmp_path, "stop")
    server.faults.add("POST", r"/channels/\d+/messages", *[dropped()] * 200)
    async with stops.bot():
        await ask(server, "mention")
        await server.until(lambda: len([call for call in server.rest.calls if call.line == "POST messages"]) > 8)
    assert stops.open_runs() == 1
    server.faults = Faults()
    async with stops.bot():
        await stops.settled()
    check(server)


async def test_a_reply_to_an_answer_that_is_still_being_written(server: Server, tmp_path: Path) -> None:
    """It waits for the answer that it replies to, and is asked with it."""
    streamed = {**SETTINGS, "discord": {"stream_after_seconds": 0.0, "edit_interval_seconds": 0.05}, "model": {"max_batch": 2}}
    engine = Fatal(delay=0.1)
    async with connected(server, config(tmp_path, **streamed), engine):
        await server.mention(FOOT)
        await server.until(lambda: any("▌" in m["content"] for m in server.rest.messages.values()))
        unfinished = next(iter(server.rest.messages.values()))
        reply = payloads.message(payloads.BOB, f"{payloads.MENTION} Are you sure?", str(payloads.CHANNEL), type=19)
        reply["message_reference"] = {"message_id": unfinished["id"], "channel_id": str(payloads.CHANNEL)}
        reply["referenced_message"] = unfinished
        await server.gateway.dispatch("MESSAGE_CREATE", reply)
        await server.until(lambda: len(server.rest.named("PATCH channel")) == 2)
    assert [turn.text for turn in engine.jobs[-1].history] == [FOOT, ANSWER]
