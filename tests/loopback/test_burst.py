"""A thousand people ask at once, and Discord's limits hold: the bot keeps them itself. Prints what it came to."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.loopback import process
from tests.loopback.conftest import config, connected
from tests.loopback.crowd import Crowd, Report, printed, report
from tests.loopback.limits import Limits
from tests.loopback.server import Server

ENGINE = {"delay": 0.02}


async def _burst(server: Server, folder: Path, kind: str, channels: int, people: int, **sections: dict[str, Any]) -> Report:
    """The bot as a process of its own, and the whole crowd at once."""
    server.limits = Limits()
    async with process.running(server, folder, engine=ENGINE, **sections):
        crowd = Crowd(server, channels=channels, people=people)
        await crowd.arrive()
        await asyncio.sleep(2.0)
        await crowd.burst(kind)
        await crowd.quiet(12.0, at_most=1200)
        return report(crowd, server)


@pytest.mark.timeout(1500)
@pytest.mark.parametrize("waiting", [16, 2000])
@pytest.mark.parametrize("kind", ["mention", "slash"])
async def test_a_thousand_at_once(server: Server, tmp_path: Path, kind: str, waiting: int, capsys: pytest.CaptureFixture[str]) -> None:
    found = await _burst(server, tmp_path, kind, 100, 1000, queue={"max_waiting": waiting})
    with capsys.disabled():
        print("\n" + printed(f"1,000 {kind}s, queue {waiting}", found))
    assert found.nothing == 0
    assert found.global_429 == 0
