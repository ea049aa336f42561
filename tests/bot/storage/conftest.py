"""A database in a temporary folder, a clock that stands still until it is moved, and small answers and traces."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from bot.storage import Database, RunStore
from models.trace import Trace
from models.types import Answer, FinalTop, Sampling


class Clock:
    def __init__(self) -> None:
        self.time = datetime(2026, 1, 31, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.time

    def pass_days(self, days: float) -> None:
        self.time += timedelta(days=days)


@asynccontextmanager
async def write_lock(path: Path) -> AsyncIterator[None]:
    """Another program's connection, which holds the one lock that a writer needs; it may have to wait for it, too."""
    with closing(sqlite3.connect(path, isolation_level=None, timeout=10, check_same_thread=False)) as other:
        await asyncio.to_thread(other.execute, "BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


@pytest.fixture
def lock() -> Callable[[Path], AbstractAsyncContextManager[None]]:
    return write_lock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "new folder" / "runs.sqlite3"


@pytest.fixture
def url(path: Path) -> str:
    return f"sqlite+aiosqlite:///{path}"


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    async with Database.open(url) as opened:
        yield opened


@pytest.fixture
def runs(database: Database, clock: Clock) -> RunStore:
    return RunStore(database, keep_days=30, now=clock)


@pytest.fixture
def answer() -> Answer:
    return Answer(
        prompt_ids=(1, 49151, 0, 2**31 - 1),
        answer_ids=(7, 8, 9),
        text="Your foot has 2 eyes. 💭",
        style="chat",
        sampling=Sampling(temperature=0.7, top_p=0.9, seed=2**63 - 1),
        seed=2**63 - 1,
        finish="stop",
        sampled_prob=(0.1, 1 / 3, 1.0),
        final_top=FinalTop(ids=((7, 1), (8, 2), (9, 3)), logprobs=((-0.1, -2.5), (-1e-9, -20.7), (0.0, float("-inf")))),
        dropped_turns=1,
        seconds_to_first=0.12,
        seconds=1.5,
    )


@pytest.fixture
def trace() -> Trace:
    draw = np.random.default_rng(0)
    t, depths, k = 3, 5, 2

    def numbers(*shape: int) -> np.ndarray:
        return draw.random(shape, dtype=np.float32)

    return Trace(
        prompt_ids=np.array([1, 2]),
        answer_ids=np.array([7, 8, 9]),
        tokens=(" two", "", " 💭"),
        special=np.array([False, False, True]),
        top_ids=draw.integers(0, 50, (t, depths, k)),
        top_probs=numbers(t, depths, k),
        emitted_prob=numbers(t, depths),
        emitted_rank=draw.integers(0, 50, (t, depths)),
        entropy=numbers(t, depths),
        kl_to_final=numbers(t, depths),
        sampled_prob=numbers(t),
        pieces={7: " two", 9: " 💭"},
        meta={"model": "tiny", "seed": 2**63 - 1},
    )
