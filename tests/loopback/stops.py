"""A bot that is stopped at a chosen request and started again on the same database, and what must then stand in Discord.

Two ways to stop: "stop" closes it in this process as SIGTERM does, "kill" is SIGKILL to a process of its own.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from models.fakes.engine import FakeEngine
from tests.loopback import payloads
from tests.loopback.conftest import ANSWER, FOOT, config, connected
from tests.loopback.payloads import Json
from tests.loopback.rest import Call
from tests.loopback.server import TOKEN, Server

How = Literal["stop", "kill"]
LONG = " ".join(f"word{i}" for i in range(480))
LONG_QUESTION = "Tell me a long story"
SCRIPT = {FOOT: ANSWER, LONG_QUESTION: LONG}
LOADING = 1 << 7
SETTINGS: dict[str, dict[str, Any]] = {
    "discord": {"stream_after_seconds": 30.0, "edit_interval_seconds": 0.05},
    "sampling": {"max_new_tokens": 1000},
    "queue": {"per_user": 3},
}

RUN = """
import json, sys
from pathlib import Path
from bot.cli import service
from bot.ui import back, delivery, trouble
from tests.loopback.child import aim
from tests.loopback.conftest import config
from tests.loopback.stops import Fatal
api, gateway, folder, options, sections = sys.argv[1:]
trouble.RETRY_DELAYS, delivery.WAITS, back.SPREAD = (0.1, 0.3), (0.2, 0.4, 0.8), 0.1
aim(api, gateway, lambda: Fatal(**json.loads(options)))
sections = json.loads(sections)
sections["model"] = {"id": "nobody/nothing", "max_batch": 1, **sections.get("model", {})}
service.run_bot(config(Path(folder), **sections))
"""


class Fatal(FakeEngine):
    """Ends the process in the middle of an answer, or of a second pass, as an out-of-memory killer does."""

    def __init__(self, *, fatal: str = "", fatal_voice: str = "", **options: Any) -> None:
        super().__init__(**options)
        self._fatal, self._fatal_voice = fatal, fatal_voice

    def answer(self, job: Any, **listeners: Any) -> Any:
        if self._fatal and self._fatal in job.question:
            _die()
        return super().answer(job, **listeners)

    def trace(self, answer: Any, **how: Any) -> Any:
        if self._fatal_voice and self._fatal_voice in answer.text:
            _die()
        return super().trace(answer, **how)


def _die() -> None:
    import os

    os._exit(9)


@dataclass
class Stops:
    """One server and one database, and the bots that come and go on them."""

    server: Server
    folder: Path
    how: How

    @asynccontextmanager
    async def bot(self, sections: dict[str, dict[str, Any]] | None = None, **engine: Any) -> AsyncIterator[None]:
        """Running, until the block is left: then it is stopped or killed."""
        sections, engine = {**SETTINGS, **(sections or {})}, {"script": SCRIPT, **engine}
        if self.how == "stop":
            async with connected(self.server, config(self.folder, **sections), Fatal(**engine)):
                yield
            return
        process = await self.process(sections, **engine)
        try:
            yield
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()

    async def process(self, sections: dict[str, dict[str, Any]] | None = None, **engine: Any) -> asyncio.subprocess.Process:
        """A process of its own, connected."""
        server = self.server
        server.gateway.ready.clear()
        words = (server.origin, server.gateway.url, str(self.folder), json.dumps(engine), json.dumps(sections or SETTINGS))
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", RUN, *words),
            env={"FORWARDPASS_TOKEN": TOKEN, "PYTHONPATH": ".", "XDG_DATA_HOME": str(self.folder / "data")},
            stderr=asyncio.subprocess.DEVNULL,
        )
        async with asyncio.timeout(30):
            await server.gateway.ready.wait()
        return process

    def open_runs(self) -> int:
        """How many runs are still owed something, as the database has them."""
        with closing(sqlite3.connect(self.folder / "runs.sqlite3")) as connection:
            found = connection.execute("SELECT count(*) FROM runs WHERE shown_at IS NULL OR voice_state = 'open'")
            return int(found.fetchone()[0])

    def tokens(self) -> int:
        """How many interaction tokens the database holds."""
        with closing(sqlite3.connect(self.folder / "runs.sqlite3")) as connection:
            return int(connection.execute("SELECT count(*) FROM runs WHERE interaction_token IS NOT NULL").fetchone()[0])

    async def settled(self, seconds: float = 20.0) -> None:
        """Nothing is owed any more, and nothing more is written."""
        await self.server.until(lambda: not self.open_runs(), seconds)
        await asyncio.sleep(0.2)


def hold(server: Server, matches: Callable[[Call], bool], *, nth: int = 1, after: bool = False) -> asyncio.Event:
    """Let the ``nth`` request that matches hang, before its deed or ``after`` it; the event says that it does."""
    real, seen, held = server.rest.serve, 0, asyncio.Event()

    async def serve(call: Call) -> Any:
        nonlocal seen
        seen += matches(call)
        if not matches(call) or seen != nth or held.is_set():
            return await real(call)
        if after:
            await real(call)
        held.set()
        await asyncio.Event().wait()  # until the connection is gone

    server.rest.serve = serve  # type: ignore[method-assign]
    return held


async def ask(server: Server, way: str, question: str = FOOT, author: int = payloads.ALICE) -> Json:
    """Put the question in one of the ways."""
    if way == "slash":
        return await server.slash("ask", author, question=question)
    if way == "private":
        return await server.slash("ask", author, question=question, private=True)
    if way == "dm":
        message = payloads.message(author, question, str(payloads.DM))
        del message["guild_id"], message["member"]
        await server.gateway.dispatch("MESSAGE_CREATE", message)
        return message
    return await server.mention(question, author)


def said(server: Server) -> list[Json]:
    """What the bot has said outside of threads, as it stands now."""
    return [m for m in server.rest.messages.values() if m["channel_id"] not in server.rest.threads]


def texts(message: Json) -> list[str]:
    """The ids of all controls under a message."""
    return [child.get("custom_id", "") for row in message["components"] for child in row.get("components", [])]


def check(server: Server, *, questions: int = 1, parts: int = 1, thread: bool = True) -> None:
    """Each answer once and whole, one voice or one button each, and no left-over."""
    there = said(server)
    assert len(there) == questions * parts, [m["content"][:60] for m in there]
    for message in there:
        assert "▌" not in message["content"]
        assert not message["flags"] & LOADING
        assert "⏳" not in message["content"]
    lasts = there[parts - 1 :: parts]
    for last in lasts:
        assert last["content"].rstrip().split("\n")[-1].startswith("-# Scripted")
        buttons = [name for name in texts(last) if name.startswith("fp:v1:voice:")]
        told = [m for m in server.rest.messages.values() if m["channel_id"] == last["id"]]
        assert bool(buttons) != (last["id"] in server.rest.threads)
        assert thread == (last["id"] in server.rest.threads)
        if thread:
            assert [bool(m["attachments"]) for m in told] == [*[False] * (len(told) - 1), True]
            whole = json.dumps([m["components"] for m in told])
            assert whole.count("Inner voice") == 1
    assert len(server.rest.threads) == (questions if thread else 0)
