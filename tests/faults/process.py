"""The bot as a process of its own, forked from one that has imported everything, so that a hundred deaths take minutes.

Knows the product's front door (`bot.cli.service.run_bot`) and the scripted engine; knows nothing of what is judged.
"""

from __future__ import annotations

import asyncio
import functools
import multiprocessing
import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import Any

PRELOADED = ["bot.app", "bot.cli.service", "bot.client", "bot.render.heatmap", "models.fakes.engine", "tests.faults.process"]


@dataclass(frozen=True)
class Life:
    """What one process needs to know. ``script`` is question -> answer; ``delay`` are seconds a token."""

    origin: str
    gateway: str
    folder: Path
    token: str
    script: Mapping[str, str]
    delay: float
    config: Mapping[str, Any] = field(default_factory=dict)


def live(life: Life) -> None:
    """In the child: serve until killed or terminated."""
    from bot.cli import service
    from bot.config import Config
    from models.fakes.engine import FakeEngine
    from tests.loopback.child import aim

    class Forgetful(FakeEngine):
        """Keeps no list of what it was asked: ten thousand questions of it would look like a leak."""

        def answer(self, job: Any, **kwargs: Any) -> Any:
            try:
                return super().answer(job, **kwargs)
            finally:
                self.jobs.clear()

    os.environ["FORWARDPASS_TOKEN"] = life.token
    os.environ["XDG_DATA_HOME"] = str(life.folder)  # where the lease's lock file lies
    log = (life.folder / "log").open("a", buffering=1)
    os.dup2(log.fileno(), 2)
    aim(life.origin, life.gateway, functools.partial(Forgetful, life.script, delay=life.delay))
    storage = {"url": f"sqlite+aiosqlite:///{life.folder / 'runs.sqlite3'}"}
    service.run_bot(Config.model_validate({"storage": storage, "model": {"id": "nobody/nothing"}, **life.config}))


@functools.cache
def _context() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    return context


class Bot:
    """The process that serves now, and the ones before it."""

    def __init__(self, life: Life) -> None:
        self._life = life
        self._process: ForkServerProcess | None = None

    def start(self) -> None:
        self._process = _context().Process(target=live, args=(self._life,), daemon=True)  # type: ignore[assignment]
        self._process.start()

    @property
    def pid(self) -> int:
        """Of the process that serves now."""
        assert self._process is not None
        assert self._process.pid is not None
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.is_alive()

    async def kill(self) -> None:
        """As the kernel does when memory runs out."""
        await self._end(signal.SIGKILL)

    async def terminate(self) -> int:
        """As a service manager does; the exit code. One that does not end in 20 seconds is a finding."""
        return await self._end(signal.SIGTERM)

    async def _end(self, number: signal.Signals) -> int:
        process = self._process
        assert process is not None
        assert process.pid is not None
        os.kill(process.pid, number)
        async with asyncio.timeout(20):
            while process.is_alive():  # noqa: ASYNC110  a process sets no event
                await asyncio.sleep(0.01)
        return process.exitcode or 0
