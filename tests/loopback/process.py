"""The bot as a process of its own, in front of the loopback Discord: as in production, but for the scripted engine."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from bot.config import TOKEN_VARIABLE
from tests.loopback.server import TOKEN, Server

_RUN = """
import json, sys
from pathlib import Path
from bot.cli import service
from models.fakes.engine import FakeEngine
from tests.loopback.child import aim
from tests.loopback.conftest import config
origin, gateway, folder, sections, engine = sys.argv[1:]
aim(origin, gateway, lambda: FakeEngine(**json.loads(engine)))
service.run_bot(config(Path(folder), **json.loads(sections)))
"""


@asynccontextmanager
async def running(
    server: Server, folder: Path, *, engine: dict[str, Any] | None = None, **sections: dict[str, Any]
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Started and READY; ended with SIGTERM. Its log is ``folder / "log"``."""
    sections = {"model": {"id": "nobody/nothing", "max_batch": 1}, **sections}
    command = [sys.executable, "-c", _RUN, server.origin, server.gateway.url, str(folder), json.dumps(sections)]
    environment = {**os.environ, TOKEN_VARIABLE: TOKEN}
    with (folder / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(*command, json.dumps(engine or {}), stderr=log, env=environment)
        try:
            async with asyncio.timeout(60):
                await server.gateway.ready.wait()
            yield process
        finally:
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
            await process.wait()
