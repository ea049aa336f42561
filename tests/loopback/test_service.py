"""``forwardpass run`` against a Discord that refuses it, and how it goes offline."""

from __future__ import annotations

import asyncio
import functools
import logging
import os
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.app import open_app
from bot.cli import service
from bot.config import Config
from bot.errors import BadTokenError, DiscordSetupError, ForwardPassError, MissingIntentError
from models.fakes.engine import FakeEngine
from tests.loopback.conftest import ANSWER, FOOT, config, connected
from tests.loopback.faults import Fault, banned, broken, dropped
from tests.loopback.server import TOKEN, Server, point_at


@pytest.fixture(autouse=True)
def production(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """The command as it is, but with a scripted engine; the log is put back afterwards."""
    monkeypatch.setenv("FORWARDPASS_TOKEN", TOKEN)
    monkeypatch.setattr(service, "open_app", functools.partial(open_app, engine_factory=FakeEngine))
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    levels = {name: logging.getLogger(name).level for name in service.logs.LOWEST}
    caplog.set_level(logging.DEBUG)
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, lowest in levels.items():
        logging.getLogger(name).setLevel(lowest)


def settings(folder: Path) -> Config:
    return config(folder, model={"id": "nobody/nothing"}, log={"level": "DEBUG"})


async def refused(server: Server, folder: Path) -> ForwardPassError:
    """What ``forwardpass run`` ends with, in the thread and event loop of its own that it expects."""
    running = asyncio.create_task(asyncio.to_thread(service.run_bot, settings(folder)))
    await asyncio.wait({running}, timeout=10)
    if not running.done():  # it was let in: a thread ends by itself only
        await server.gateway.current.socket.close(code=4011)
    with pytest.raises(ForwardPassError) as caught:
        await running
    return caught.value


def assert_no_token(error: BaseException, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]) -> None:
    printed = capsys.readouterr()
    told = "".join(traceback.format_exception(error)) + caplog.text + printed.out + printed.err
    assert TOKEN not in told


async def test_a_wrong_token(
    server: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    server.faults.add("GET", "/users/@me", Fault(401, {"message": "401: Unauthorized", "code": 0}))
    error = await refused(server, tmp_path)
    assert isinstance(error, BadTokenError)
    assert "Reset Token" in error.for_user()
    assert_no_token(error, caplog, capsys)


@pytest.mark.parametrize(
    ("code", "kind", "says"),
    [(4004, BadTokenError, "token"), (4014, MissingIntentError, "Message Content"), (4011, DiscordSetupError, "4011")],
)
async def test_the_gateway_refuses(
    server: Server,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
    code: int,
    kind: type[ForwardPassError],
    says: str,
) -> None:
    server.gateway.refuse_with = code
    error = await refused(server, tmp_path)
    assert type(error) is kind
    assert says in error.for_user()
    assert_no_token(error, caplog, capsys)


@pytest.mark.parametrize("path", ["/users/@me", "/oauth2/applications/@me", "/gateway/bot"])
@pytest.mark.parametrize("faults", [[broken(503)], [banned()], [dropped()] * 2], ids=["503", "429", "cut"])
async def test_discord_is_not_well(
    server: Server,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
    path: str,
    faults: list[Fault],
) -> None:
    """aiohttp itself asks once more when a GET is cut off."""
    server.faults.add("GET", path, *faults)
    error = await refused(server, tmp_path)
    assert type(error) is DiscordSetupError
    assert error.hint
    assert_no_token(error, caplog, capsys)


async def test_nobody_is_there(
    server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    point_at(monkeypatch, f"http://127.0.0.1:{port}", f"ws://127.0.0.1:{port}/")
    error = await refused(server, tmp_path)
    assert type(error) is DiscordSetupError
    assert "network" in error.for_user()
    assert_no_token(error, caplog, capsys)
    assert server.rest.calls == []


USED_UP = Fault(400, {"message": "Max number of daily application command creates has been reached", "code": 30034})


@pytest.mark.parametrize("faults", [[USED_UP], [dropped()] * 2], ids=["quota", "cut"])
async def test_commands_that_cannot_be_sent_keep_nobody_from_asking(server: Server, tmp_path: Path, faults: list[Fault]) -> None:
    """They are sent with the next start."""
    server.faults.add("PUT", r"/applications/\d+/commands", *faults)
    async with connected(server, config(tmp_path)):
        await server.mention(FOOT)
        await server.until(lambda: server.rest.named("PATCH channel"))
    assert server.rest.commands == []
    async with connected(server, config(tmp_path)):
        assert server.rest.commands


async def test_cancelling_closes_the_gateway_and_loses_no_question(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The question under way stays journaled; the next start answers it, once, on a shaky line too."""
    engine = FakeEngine(gate=threading.Event())
    monkeypatch.setattr(service, "open_app", functools.partial(open_app, engine_factory=lambda: engine))
    running = asyncio.create_task(service._serve(settings(tmp_path), TOKEN, False))
    await server.gateway.ready.wait()
    await server.mention(FOOT)
    await server.until(lambda: engine.jobs)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await server.until(lambda: server.gateway.current.close_code)
    assert server.gateway.current.close_code == 1000
    assert "unexpected" not in caplog.text
    assert server.rest.answers() == []

    server.faults.add("GET", r"/users/\d+", *[dropped()] * 3)
    async with connected(server, settings(tmp_path)):
        await server.until(lambda: server.rest.named("PATCH channel"))
    (answer,) = server.rest.answers()
    assert answer["content"].startswith(ANSWER)


RUN = """
import sys
from pathlib import Path
from bot.cli import service
from models.fakes.engine import FakeEngine
from tests.loopback.child import aim
from tests.loopback.conftest import config
aim(sys.argv[1], sys.argv[2], FakeEngine)
service.run_bot(config(Path(sys.argv[3]), model={"id": "nobody/nothing"}))
"""


@pytest.mark.skipif(os.name != "posix", reason="SIGTERM")
async def test_sigterm_is_a_clean_end(server: Server, tmp_path: Path) -> None:
    """As from systemd or ``docker stop``."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", RUN, server.origin, server.gateway.url, str(tmp_path)), stderr=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(30):
        await server.gateway.ready.wait()
        process.send_signal(signal.SIGTERM)
        _, stderr = await process.communicate()
    assert process.returncode == 0
    assert b"Traceback" not in stderr
    assert TOKEN.encode() not in stderr
    await server.until(lambda: server.gateway.current.close_code)
    assert server.gateway.current.close_code == 1000
