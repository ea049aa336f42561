"""Stopped or killed at every step, and started again: each answer stands once, with its voice or its button, and no left-over.

Stops in this process are quick, and most run with the others; kills of a process of its own are behind the marker ``faults``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.loopback import payloads
from tests.loopback.conftest import FOOT
from tests.loopback.rest import Call
from tests.loopback.server import Server
from tests.loopback.stops import LONG_QUESTION, How, Stops, ask, check, hold

SELDOM = [pytest.param(way, marks=pytest.mark.faults) for way in ("reply", "dm")]
WAYS = ["mention", "slash", "private", *SELDOM]
HOWS = ["stop", pytest.param("kill", marks=pytest.mark.faults)]


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.ui.delivery.WAITS", (0.2, 0.4, 0.8))
    monkeypatch.setattr("bot.ui.back.SPREAD", 0.1)
    monkeypatch.setattr("bot.ui.replies.LOOKS", (0.05, 0.1, 0.2))


def writes_answer(call: Call) -> bool:
    """A part of an answer is posted, or fills a response."""
    there = call.path in (f"/channels/{payloads.CHANNEL}/messages", f"/channels/{payloads.DM}/messages")
    return call.method in ("POST", "PATCH") and (there or call.path.startswith("/webhooks/"))


def opens_thread(call: Call) -> bool:
    return call.line == "POST messages/*/threads"


def tells(call: Call) -> bool:
    """A message of an inner voice."""
    here = (f"/channels/{payloads.CHANNEL}/", f"/channels/{payloads.DM}/")
    return call.line == "POST messages" and not call.path.startswith(here)


def collapses(call: Call) -> bool:
    return call.line == "PATCH channel"


@dataclass(frozen=True)
class Step:
    """At which request it ends."""

    name: str
    request: Callable[[Call], bool]
    nth: int = 1
    after: bool = False
    long: bool = False
    threads_only: bool = False


STEPS = [
    Step("answered, not shown", writes_answer),
    Step("shown, not confirmed", writes_answer, after=True),
    Step("half shown", writes_answer, nth=2, long=True),
    Step("half shown, not confirmed", writes_answer, nth=2, after=True, long=True),
    Step("shown without voice", opens_thread, threads_only=True),
    Step("thread opened", opens_thread, after=True, threads_only=True),
    Step("thread empty", tells, threads_only=True),
    Step("half written", tells, nth=2, threads_only=True),
    Step("written, not confirmed", tells, nth=2, after=True, threads_only=True),
    Step("told, not collapsed", collapses, threads_only=True),
]


async def earlier(stops: Stops, way: str) -> int:
    """For a reply there is an answer before; how many there are."""
    if way != "reply":
        return 0
    async with stops.bot():
        await ask(stops.server, "mention")
        await stops.server.until(lambda: stops.server.rest.threads)  # before it is journaled, nothing is owed either
        await stops.settled()
    return 1


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)
async def test_each_step(server: Server, tmp_path: Path, how: How, way: str, step: Step) -> None:
    thread = way in ("mention", "reply", "slash")
    if step.threads_only and not thread:
        pytest.skip("no thread there")
    if way == "private" and step.name == "half shown, not confirmed":
        pytest.skip("nobody but its asker can see whether an ephemeral follow-up was posted")
    stops = Stops(server, tmp_path, how)
    before = await earlier(stops, way)
    held = hold(server, step.request, nth=step.nth, after=step.after)
    async with stops.bot():
        await ask(server, way, LONG_QUESTION if step.long else FOOT)
        async with asyncio.timeout(15):
            await held.wait()
    async with stops.bot():
        await stops.settled()
    assert stops.tokens() == 0
    if step.long and before:
        return check_long_after_short(server)
    check(server, questions=1 + before, parts=2 if step.long else 1, thread=thread)


def check_long_after_short(server: Server) -> None:
    first = next(iter(server.rest.messages.values()))
    told = [m for m in server.rest.messages.values() if m["channel_id"] == first["id"]]
    for message in (first, *told):
        del server.rest.messages[message["id"]]
    del server.rest.threads[first["id"]]
    check(server, parts=2)


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("long", [False, True], ids=["short", "long"])
async def test_while_it_is_answered(server: Server, tmp_path: Path, how: How, way: str, long: bool) -> None:
    """The streamed message is finished in place, not left with its cursor."""
    stops = Stops(server, tmp_path, how)
    before = await earlier(stops, way)
    streamed = {"discord": {"stream_after_seconds": 0.0, "edit_interval_seconds": 0.05}}
    async with stops.bot(streamed, delay=0.05):
        await ask(server, way, LONG_QUESTION if long else FOOT)
        await server.until(lambda: any("▌" in m["content"] for m in server.rest.messages.values()))
    first = next(m["id"] for m in server.rest.messages.values() if "▌" in m["content"])
    async with stops.bot():
        await stops.settled()
    assert not server.rest.messages[first]["content"].endswith("▌")
    if long and before:
        return check_long_after_short(server)
    check(server, questions=1 + before, parts=2 if long else 1, thread=way in ("mention", "reply", "slash"))


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("way", ["mention", "dm", "slash", "private"])
async def test_in_the_queue(server: Server, tmp_path: Path, how: How, way: str) -> None:
    """The notice becomes the answer."""
    stops = Stops(server, tmp_path, how)
    async with stops.bot(delay=2.0):
        await ask(server, way)
        await server.until(lambda: stops.open_runs() == 1)
        await ask(server, way, author=payloads.BOB if way != "dm" else payloads.ALICE)
        await server.until(lambda: any("next" in m["content"] for m in server.rest.messages.values()))
    async with stops.bot():
        await stops.settled()
    check(server, questions=2, thread=way in ("mention", "slash"))
