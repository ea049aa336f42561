"""After the deed: whatever became of a request and of its reply, each thing stands once, none is lost and nothing stays open.

``make test-faults`` plays every scene with every fault at every request that it takes, and prints what became of them.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from models.fakes.engine import FakeEngine
from tests.loopback import scenes
from tests.loopback.conftest import LEDGER, config, connected
from tests.loopback.faults import broken, dropped, late
from tests.loopback.scenes import SCENES, SCRIPT, Scene
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
QUICK = ("after the deed, cut", "after the deed, 503")
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


@dataclass
class Case:
    scene: str
    point: str
    fault: str
    times: int = 1

    @property
    def name(self) -> str:
        return f"{self.scene}: {self.point}: {self.fault}" + (f" x{self.times}" if self.times > 1 else "")


def cases() -> list[Any]:
    found = [Case(scene, point, fault) for scene, each in SCENES.items() for point in each.points for fault in FAULTS]
    return [pytest.param(case, id=case.name, marks=[] if case.fault in QUICK else [pytest.mark.faults]) for case in found]


@pytest.mark.parametrize("case", cases())
async def test_each_thing_stands_once(server: Server, tmp_path: Path, case: Case) -> None:
    scene = SCENES[case.scene]
    sections: dict[str, Any] = {"sampling": {"max_new_tokens": 1000}, "discord": STREAMED if "streamed" in case.scene else {}}
    engine = FakeEngine(SCRIPT, delay=0.04 if "streamed" in case.scene else 0.0)
    async with connected(server, config(tmp_path, **sections), engine) as (app, _):
        await _play(server, app, scene)
        wanted = scenes.stand(server)
        assert wanted
        assert not scenes.left_open(server)
        server.rest.messages.clear()
        server.rest.threads.clear()
        await _play(server, app, scene, case)
        found, opened = scenes.stand(server), scenes.left_open(server)
    lost, doubled = wanted - found, found - wanted
    LEDGER.note(case.fault, server.faults.injected, lost=lost.total(), doubled=doubled.total(), opened=len(opened))
    assert server.faults.injected == case.times
    assert not lost
    assert not doubled
    assert not opened


async def _play(server: Server, app: Any, scene: Scene, case: Case | None = None) -> None:
    """Until nothing is under way any more."""
    before = await scene.before(server) if scene.before is not None else None
    await _at_rest(server, app)
    if case is not None:
        server.faults.add(*scene.points[case.point], *[FAULTS[case.fault]] * case.times)
    calls = len(server.rest.calls)
    await scene.play(server, before)
    await server.until(lambda: len(server.rest.calls) > calls)
    await _at_rest(server, app)


async def _at_rest(server: Server, app: Any) -> None:
    """No task of the bot's and no late deed is left, and no request came for a while."""
    async with asyncio.timeout(15):
        while _working(app) or server.busy or await _asked_meanwhile(server):
            await asyncio.sleep(0.02)
            await server.settled()


def _working(app: Any) -> bool:
    """Whether somebody's errand is under way; the housekeeping never ends."""
    errands = [task for task in app.tasks._running if not task.get_name().startswith(("purge", "presence", "lease"))]
    listeners = ("discord.py: on_", "CommandTree-invoker", "discord-ui")
    return bool(errands) or any(task.get_name().startswith(listeners) for task in asyncio.all_tasks())


async def _asked_meanwhile(server: Server) -> bool:
    calls = len(server.rest.calls)
    await asyncio.sleep(0.1)
    return len(server.rest.calls) > calls
