"""Two processes of ``forwardpass run`` with one bot: the second says so before it speaks to Discord, or takes over."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from tests.loopback.conftest import ANSWER, FOOT
from tests.loopback.server import TOKEN, Server

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals")

RUN = """
import sys
from pathlib import Path
import bot.__main__ as front
import bot.cli
from bot.storage import lease
from models.fakes.engine import FakeEngine
from tests.loopback.child import aim
from tests.loopback.conftest import config
origin, gateway, folder, *options = sys.argv[1:]
aim(origin, gateway, FakeEngine)
bot.cli.read_config = lambda _: config(Path(folder), model={"id": "nobody/nothing"})
lease.Lease.__init__.__kwdefaults__.update(heartbeat=0.3)
sys.argv = ["forwardpass", "run", *options]
front.main()
"""

Start = Callable[..., Awaitable[Process]]


@pytest_asyncio.fixture
async def start(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Start]:
    monkeypatch.setenv("FORWARDPASS_TOKEN", TOKEN)
    started: list[Process] = []

    async def start(*options: str, folder: str = "one") -> Process:
        (tmp_path / folder).mkdir(exist_ok=True)
        arguments = (server.origin, server.gateway.url, str(tmp_path / folder), *options)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", RUN, *arguments), stderr=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def said(process: Process, seconds: float = 30) -> str:
    """What it wrote to the end."""
    async with asyncio.timeout(seconds):
        _, stderr = await process.communicate()
    text = stderr.decode()
    assert TOKEN not in text
    assert "Traceback" not in text
    return " ".join(text.split())


async def serving(server: Server, start: Start, *options: str, folder: str = "one") -> Process:
    server.gateway.ready.clear()
    process = await start(*options, folder=folder)
    async with asyncio.timeout(30):
        await server.gateway.ready.wait()
    return process


@pytest.mark.parametrize("folder", ["one", "two"], ids=["same database", "another database"])
async def test_the_second_one_says_so_and_ends_before_it_connects(server: Server, start: Start, folder: str) -> None:
    first = await serving(server, start)
    calls = len(server.rest.calls)
    second = await start(folder=folder)
    text = await said(second)
    assert second.returncode == 1
    assert "✗ This bot is being run already" in text
    assert folder == "two" or f"by process {first.pid} on " in text
    assert "forwardpass run --force" in text
    assert len(server.rest.calls) == calls
    await server.mention(FOOT)
    await server.until(lambda: server.rest.named("PATCH channel"))
    assert [answer["content"].startswith(ANSWER) for answer in server.rest.answers()] == [True]


@pytest.mark.parametrize("folder", ["one", "two"], ids=["same database", "another database"])
async def test_force_ends_the_first_one_cleanly_before_the_second_connects(server: Server, start: Start, folder: str) -> None:
    first = await serving(server, start)
    await serving(server, start, "--force", folder=folder)
    text = await said(first, 10)
    assert first.returncode == 0
    assert "another process has taken over with --force: this one ends" in text
    await server.mention(FOOT)
    await server.until(lambda: server.rest.named("PATCH channel"))
    assert len(server.rest.answers()) == 1


async def test_a_killed_one_is_followed_at_once(server: Server, start: Start) -> None:
    for _ in range(3):
        process = await serving(server, start)
        process.kill()
        await process.wait()


async def test_a_terminated_one_leaves_no_lease(server: Server, start: Start) -> None:
    first = await serving(server, start)
    first.send_signal(signal.SIGTERM)
    await said(first)
    assert first.returncode == 0
    await serving(server, start)


async def test_a_deleted_database_ends_it_with_words(server: Server, start: Start, tmp_path: Path) -> None:
    first = await serving(server, start)
    await asyncio.to_thread((tmp_path / "one" / "runs.sqlite3").unlink)
    text = await said(first)
    assert first.returncode == 1
    unwrapped = "".join(text.split())  # the terminal's lines break where the path is long
    assert "runs.sqlite3 was deleted, moved away or replaced while the bot was running".replace(" ", "") in unwrapped
    assert "Put back" in text
    await serving(server, start)  # with what lies there now: an empty one


async def test_a_damaged_database_is_named(server: Server, start: Start, tmp_path: Path) -> None:
    first = await serving(server, start)
    first.send_signal(signal.SIGTERM)
    await said(first)
    file = tmp_path / "one" / "runs.sqlite3"
    data = await asyncio.to_thread(file.read_bytes)
    await asyncio.to_thread(file.write_bytes, data[:8192] + b"\xff" * 4096 + data[12288:])
    second = await start()
    text = await said(second)
    assert second.returncode == 1
    assert "is damaged" in text
    assert ".recover" in text
