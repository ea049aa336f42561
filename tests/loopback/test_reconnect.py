"""The gateway's bad days: heartbeats under load, RECONNECT, a pulled cable, replays, an invalid session."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from models.fakes.engine import FakeEngine
from models.types import Answer, Job
from tests.loopback import gateway
from tests.loopback.conftest import ANSWER, FOOT, config, connected
from tests.loopback.server import Server

BUSY_SECONDS = 2.0


class GrindingEngine(FakeEngine):
    """Holds the interpreter while it thinks, as tokenizing and sampling in Python do."""

    def answer(self, job: Job, **listeners: Any) -> Answer:
        until, turns = time.monotonic() + BUSY_SECONDS, 0
        while time.monotonic() < until:
            turns += 1
        return super().answer(job, **listeners)


async def test_heartbeats_go_on_while_the_model_thinks(server: Server, tmp_path: Path) -> None:
    server.gateway.heartbeat_seconds = 0.2
    engine = GrindingEngine()
    async with connected(server, config(tmp_path), engine) as (_, bot):
        await server.mention(FOOT)
        await server.until(lambda: server.rest.named("PATCH channel"))
        beats = server.gateway.current.heartbeats
        assert len(beats) >= BUSY_SECONDS / 0.2 * 0.7
        assert max(later - earlier for earlier, later in itertools.pairwise(beats)) < 1.0
        assert bot.latency < 1.0
    assert len(server.gateway.connections) == 1


async def _op_7(server: Server) -> None:
    await server.gateway.reconnect()


async def _pulled_cable(server: Server) -> None:
    server.gateway.current.cut()


async def _closed_for_no_reason(server: Server) -> None:
    await server.gateway.current.socket.close(code=1000)


async def _resumable_op_9(server: Server) -> None:
    await server.gateway.invalidate(resumable=True)


@pytest.mark.parametrize("breaks", [_op_7, _pulled_cable, _closed_for_no_reason, _resumable_op_9])
async def test_a_break_in_the_middle_of_an_answer(
    server: Server, tmp_path: Path, breaks: Callable[[Server], Awaitable[None]]
) -> None:
    """The session is resumed; the question under way, and the one asked while nobody listened, are answered once each."""
    engine = FakeEngine({"And my knee?": "It has none."}, gate=threading.Event())
    async with connected(server, config(tmp_path, queue={"per_user": 2}), engine):
        await server.mention(FOOT)
        await server.until(lambda: engine.jobs)
        seen = len(server.gateway.current.session.events)
        await breaks(server)
        await server.mention("And my knee?")
        await server.until(lambda: server.gateway.resumed)
        engine.gate.set()
        await server.until(lambda: len(server.rest.named("PATCH channel")) == 2)
    assert len(server.gateway.received(gateway.IDENTIFY)) == 1
    (resume,) = server.gateway.received(gateway.RESUME)
    assert resume["session_id"] == "session-1"
    assert resume["seq"] >= seen
    (knee, foot) = sorted(m["content"] for m in server.rest.answers())
    assert foot.startswith(ANSWER)
    assert knee.startswith("It has none.")


@pytest.mark.parametrize("answered", [False, True], ids=["while it is answered", "after its answer"])
async def test_a_question_that_is_replayed_is_no_second_question(server: Server, tmp_path: Path, answered: bool) -> None:
    """More than the missed events may come with a RESUME."""
    engine = FakeEngine(gate=threading.Event())
    server.gateway.replayed_again = 100
    async with connected(server, config(tmp_path), engine):
        await server.mention(FOOT)
        await server.until(lambda: engine.jobs)
        if answered:
            engine.gate.set()
            await server.until(lambda: server.rest.named("PATCH channel"))
        await server.gateway.reconnect()
        await server.until(lambda: server.gateway.resumed)
        engine.gate.set()
        await server.until(lambda: server.rest.named("PATCH channel"))
        await asyncio.sleep(0.2)
    assert len(engine.jobs) == 1
    assert len(server.rest.answers()) == 1


async def test_an_invalid_session_is_begun_anew(server: Server, tmp_path: Path) -> None:
    """A second IDENTIFY brings a second `on_ready`: the question under way is not taken for a left-over of a crash."""
    engine = FakeEngine(gate=threading.Event())
    async with connected(server, config(tmp_path), engine) as (_, bot):
        bot.before_identify_hook = _at_once
        await bot.wait_until_ready()
        await server.mention(FOOT)
        await server.until(lambda: engine.jobs)
        await server.gateway.invalidate(resumable=False)
        await server.gateway.ready.wait()
        await asyncio.sleep(0.3)  # `on_ready`
        engine.gate.set()
        await server.until(lambda: server.rest.named("PATCH channel"))
        await asyncio.sleep(0.2)
    assert len(server.gateway.received(gateway.IDENTIFY)) == 2
    assert len(engine.jobs) == 1
    assert len(server.rest.answers()) == 1


async def _at_once(_shard_id: int | None, *, initial: bool = False) -> None:
    """discord.py waits five seconds before each IDENTIFY but the first."""
