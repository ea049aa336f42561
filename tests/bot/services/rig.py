"""The services as the app builds them, on a real database, with a scripted engine whose second pass can be held up."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bot.app import App, open_app
from bot.config import Config
from bot.services.asked import AskRequest
from bot.storage.runs import RunStore
from models.fakes.engine import FakeEngine
from models.trace import Trace
from models.types import Answer, LensName

FOOT = "How many eyes does my foot have?"
ANSWER = "The answer is 2."


class Engine(FakeEngine):
    """Counts its second passes; ``trace_gate`` holds them up."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.traces = 0
        self.trace_gate: threading.Event | None = None

    def trace(self, answer: Answer, *, k: int = 10, lens: LensName | None = None) -> Trace:
        self.traces += 1
        if self.trace_gate is not None:
            self.trace_gate.wait(20)
        return super().trace(answer, k=k, lens=lens)


@dataclass
class Heard:
    """A listener that keeps what it hears."""

    loaded: int = 0
    positions: list[int] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    def loading(self) -> None:
        self.loaded += 1

    def queued(self, position: int) -> None:
        self.positions.append(position)

    def text(self, so_far: str) -> None:
        self.texts.append(so_far)


@dataclass
class Rig:
    app: App
    engine: Engine
    runs: RunStore

    async def ask(self, text: str = FOOT, *, heard: Heard | None = None, user: int = 1, **more: Any) -> Any:
        return await self.app.asks.ask(request(text, user=user, **more), heard or Heard())


def settings(folder: Path, **sections: dict[str, Any]) -> Config:
    """The scripted engine answers one question at a time, and so the line is made for one."""
    storage = {"url": f"sqlite+aiosqlite:///{folder / 'runs.sqlite3'}"}
    return Config.model_validate({"storage": storage, "model": {"max_batch": 1}, **sections})


def request(text: str = FOOT, *, user: int = 1, **more: Any) -> AskRequest:
    return AskRequest(text, user, channel_id=7, **{"source": "mention", **more})


@asynccontextmanager
async def rigged(
    folder: Path, engine: Engine | None = None, *, load: bool = True, **sections: dict[str, Any]
) -> AsyncIterator[Rig]:
    engine = engine or Engine()
    async with open_app(settings(folder, **sections), engine_factory=lambda: engine) as app:
        if load:
            await app.model.start()
        yield Rig(app, engine, app.asks._runs)


async def until(true: Any, seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while not true():  # noqa: ASYNC110  a thread sets no asyncio event
            await asyncio.sleep(0.01)
