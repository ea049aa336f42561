"""After the deed: whatever became of a request and of its reply, each thing stands once, none is lost and nothing stays open.

``make test-faults`` plays every scene with every fault at every request that it takes, and prints what became of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from bot.app import App
from models.fakes.engine import FakeEngine
from tests.loopback import scenes
from tests.loopback.conftest import LEDGER, config, connected
from tests.loopback.faults import Fault, broken, dropped, late
from tests.loopback.payloads import Json
from tests.loopback.scenes import SCENES, SCRIPT, Point, Scene
from tests.loopback.server import Server

LATE = 0.9
FAULTS = {
    "before the deed, cut": dropped(),
    "before the deed, 500": broken(500),
    "before the deed, 502": broken(502),
    "before the deed, 503": broken(503),
    "after the deed, cut": dropped(after=True),
    "after the deed, 500": broken(500, done=True),
    "after the deed, 502": broken(502, done=True),
    "after the deed, 503": broken(503, done=True),
    "late, its reply cut": late(LATE, dropped()),
    "late, its reply a 502": late(LATE, broken(502)),
    "late, its reply too": late(LATE),
}
QUICK = {
    "a mention": "the answer",
    "/ask": "the acknowledgement",
    "/ask, long": "the second part",
    "private /ask, long": "the second part",
    "/help": "the response",
    "a vote": "the counts",
}
STREAMED = {"stream_after_seconds": 0.05, "edit_interval_seconds": 0.1}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pauses of the bot in the scale of `LATE`, which stands for nine seconds."""
    monkeypatch.setattr("bot.ui.followups.LOOKS", (0.05, 0.15))
    monkeypatch.setattr("bot.ui.followups.TWIN_LOOKS", (0.3, 1.2))
    monkeypatch.setattr("bot.ui.replies.LOOKS", (0.05, 0.2, 0.4))
    monkeypatch.setattr("bot.ui.replies.LAST_WORD", (0.2, 0.4, 0.6, 0.8))
    monkeypatch.setattr("bot.ui.card_reply.LAST_WORD", (0.2, 0.4, 0.6, 0.8))
    monkeypatch.setattr("bot.ui.replies.GRACE", 0.3)


@pytest.mark.parametrize(("name", "point"), QUICK.items())
async def test_a_lost_reply_is_neither_repeated_blindly_nor_given_up(
    server: Server, tmp_path: Path, name: str, point: str
) -> None:
    async with _stage(server, tmp_path, name) as stage:
        assert await stage.missing(point, "after the deed, cut") == []


POINTS = [(name, point) for name, scene in SCENES.items() for point in scene.points]


@pytest.mark.faults
@pytest.mark.parametrize(("name", "point"), POINTS, ids=[": ".join(pair) for pair in POINTS])
async def test_each_thing_stands_once(server: Server, tmp_path: Path, name: str, point: str) -> None:
    async with _stage(server, tmp_path, name) as stage:
        assert [line for fault in FAULTS for line in await stage.missing(point, fault)] == []


class Stage:
    """A scene in one bot's life: what stands after it without a fault, and what after one."""

    def __init__(self, server: Server, app: App, scene: Scene) -> None:
        self._server = server
        self._app = app
        self._scene = scene
        self._before: Any = None
        self._messages: dict[str, Json] | None = None
        self._threads: dict[str, Json] = {}

    async def rehearse(self) -> None:
        await self._play()
        self._wanted = scenes.stand(self._server)
        assert self._wanted
        assert not scenes.left_open(self._server)

    async def missing(self, point: str, fault: str, times: int = 1) -> list[str]:
        """What became of it, in words, for each thing that is not as it should be."""
        before = self._server.faults.injected
        await self._play(scene_point := self._scene.points[point], [FAULTS[fault]] * times)
        injected = self._server.faults.injected - before
        self._server.faults.forget()
        found, opened = scenes.stand(self._server), scenes.left_open(self._server)
        lost, doubled = self._wanted - found, found - self._wanted
        LEDGER.note(fault, injected, lost=lost.total(), doubled=doubled.total(), opened=len(opened))
        wrong = [f"lost {lost}"] * bool(lost) + [f"doubled {doubled}"] * bool(doubled) + opened
        if injected < 1:
            wrong.append(f"{scene_point} was not asked for")
        return [f"{fault}: {each}" for each in wrong]

    async def _play(self, point: Point | None = None, faults: Sequence[Fault] = ()) -> None:
        await self._set()
        if point is not None:
            self._server.faults.add(*point, *faults)
        calls = len(self._server.rest.calls)
        await self._scene.play(self._server, self._before)
        await self._server.until(lambda: len(self._server.rest.calls) > calls)
        await self._rest()

    async def _set(self) -> None:
        """What has to stand there; what a play left is cleared away."""
        rest = self._server.rest
        if self._messages is None or self._scene.fresh:
            rest.messages.clear()
            rest.threads.clear()
            self._before = await self._scene.before(self._server) if self._scene.before is not None else None
            await self._rest()
            self._messages, self._threads = dict(rest.messages), dict(rest.threads)
        rest.messages, rest.threads = dict(self._messages), dict(self._threads)
        rest.interactions.forget()

    async def _rest(self) -> None:
        """No errand of the bot's and no late deed is left, and no request came for a while."""
        async with asyncio.timeout(30):
            while _working(self._app) or self._server.busy or await _asked_meanwhile(self._server):
                await asyncio.sleep(0.02)
                await self._server.settled()


@asynccontextmanager
async def _stage(server: Server, folder: Path, name: str) -> AsyncIterator[Stage]:
    streamed = "streamed" in name
    settings = config(folder, sampling={"max_new_tokens": 1000}, discord=STREAMED if streamed else {})
    async with connected(server, settings, FakeEngine(SCRIPT, delay=0.04 if streamed else 0.0)) as (app, _):
        stage = Stage(server, app, SCENES[name])
        await stage.rehearse()
        yield stage


def _working(app: App) -> bool:
    """Whether somebody's errand is under way; the housekeeping never ends."""
    errands = [task for task in app.tasks._running if not task.get_name().startswith(("purge", "presence", "lease", "keep"))]
    listeners = ("discord.py: on_", "CommandTree-invoker", "discord-ui")
    return bool(errands) or any(task.get_name().startswith(listeners) for task in asyncio.all_tasks())


async def _asked_meanwhile(server: Server) -> bool:
    calls = len(server.rest.calls)
    await asyncio.sleep(0.1)
    return len(server.rest.calls) > calls
