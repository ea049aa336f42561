"""Everybody asks at once, and Discord's limits hold: the bot keeps them itself, and every asker gets an answer or one refusal."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from models.fakes.engine import FakeEngine
from tests.loopback import process
from tests.loopback.conftest import config, connected
from tests.loopback.crowd import Crowd, Report, printed, report
from tests.loopback.limits import Limits
from tests.loopback.server import Server

ENGINE = {"delay": 0.02}


def assert_kept(found: Report) -> None:
    """What holds of every burst, on a machine of any speed."""
    assert found.nothing == 0
    assert found.global_429 == 0
    assert found.route_429 == 0
    assert found.invalid == 0
    assert found.by_dm == 0


@pytest.mark.parametrize("kind", ["mention", "slash"])
async def test_a_hundred_at_once(server: Server, tmp_path: Path, kind: str) -> None:
    server.limits = Limits()
    async with connected(server, config(tmp_path), FakeEngine(**ENGINE)):
        crowd = Crowd(server, channels=20, people=100)
        await crowd.arrive()
        await crowd.burst(kind)
        await crowd.quiet(3.0, at_most=120)
        found = report(crowd, server)
    assert_kept(found)
    assert found.answered >= 17, printed(kind, found)  # one at work, and the line
    assert found.by_route["PATCH channel"] == found.answered, printed(kind, found)  # each voice is told
    if kind == "mention":  # those of one channel are refused together
        assert found.by_route["POST messages"] < found.answered * 5 + found.refused, printed(kind, found)


async def _burst(server: Server, folder: Path, kind: str, **sections: dict[str, Any]) -> Report:
    """The bot as a process of its own, and a thousand people in a hundred channels."""
    server.limits = Limits()
    async with process.running(server, folder, engine=ENGINE, **sections):
        crowd = Crowd(server, channels=100, people=1000)
        await crowd.arrive()
        await asyncio.sleep(2.0)
        await crowd.burst(kind)
        await crowd.quiet(12.0, at_most=1200)
        return report(crowd, server)


@pytest.mark.faults
@pytest.mark.timeout(1500)
@pytest.mark.parametrize(("kind", "waiting"), [("mention", 16), ("slash", 16), ("mention", 2000)])
async def test_a_thousand_at_once(
    server: Server, tmp_path: Path, kind: str, waiting: int, capsys: pytest.CaptureFixture[str]
) -> None:
    found = await _burst(server, tmp_path, kind, queue={"max_waiting": waiting})
    with capsys.disabled():
        print("\n" + printed(f"1,000 {kind}s, queue {waiting}", found))  # noqa: T201  the figures are the point
    assert_kept(found)
