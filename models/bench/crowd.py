"""Many askers at once through the scheduler, and how late the event loop wakes while the model works.

Knows asyncio and the scheduler; the model runs in the scheduler's thread, as in the bot.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from models.bench.passes import check_length
from models.bench.results import Askers, Figure, Lag, LoopLag, percentile
from models.bench.subject import Say, Subject, endless
from models.running.scheduler import Scheduler
from models.types import Job

SLEEP = 0.005
"""Seconds that the coroutine on the loop sleeps before it looks at the clock."""


@dataclass(frozen=True, slots=True)
class _Served:
    """What one asker saw, in seconds after asking."""

    first: float
    done: float


@dataclass(frozen=True, slots=True)
class _Round:
    """So many askers, all at the same moment."""

    served: tuple[_Served, ...]
    seconds: float

    def speed(self, new_tokens: int) -> float:
        return len(self.served) * new_tokens / self.seconds


def askers(subject: Subject, counts: Sequence[int], *, new_tokens: int, repeats: int, say: Say) -> tuple[Askers, ...]:
    """Each number of askers in turns; one asker is measured in any case, as the others are told in its multiples.

    Raises:
        ModelError: an answer does not have the length that was asked for.
    """
    counts = sorted({1, *counts})
    rounds: dict[int, list[_Round]] = {count: [] for count in counts}

    async def measure() -> None:
        async with _scheduler(subject, max(counts)) as scheduler:
            for turn in range(1 + repeats):
                for count in counts:
                    say(f"{count} askers, {turn} of {repeats}" if turn else f"{count} askers, warming up")
                    # A short round warms up as well, whatever is built for a batch of this size.
                    tokens = new_tokens if turn else min(4, new_tokens)
                    found = await _ask(scheduler, subject.jobs(count, tokens), tokens)
                    if turn:
                        rounds[count].append(found)

    with endless(subject.engine):
        asyncio.run(measure())
    alone = [found.speed(new_tokens) for found in rounds[1]]
    return tuple(_askers(count, rounds[count], alone, new_tokens) for count in counts)


def _askers(count: int, rounds: Sequence[_Round], alone: Sequence[float], new_tokens: int) -> Askers:
    speeds = [found.speed(new_tokens) for found in rounds]
    done = [[served.done for served in found.served] for found in rounds]
    first = [[served.first for served in found.served] for found in rounds]
    return Askers(
        askers=count,
        new_tokens=new_tokens,
        speed=Figure.of(speeds, "tokens/s"),
        to_one=Figure.ratio(speeds, alone),
        latency_p50=Figure.of([percentile(values, 50) for values in done], "s"),
        latency_p95=Figure.of([percentile(values, 95) for values in done], "s"),
        first_p50=Figure.of([percentile(values, 50) for values in first], "s"),
        first_p95=Figure.of([percentile(values, 95) for values in first], "s"),
    )


def loop_lag(subject: Subject, *, askers: int, new_tokens: int, rounds: int, idle_seconds: float, say: Say) -> LoopLag:
    """The loop with nothing to do, then while so many ask and have their answers read, one round after the other."""

    async def measure() -> tuple[Lag, Lag]:
        async with _scheduler(subject, askers) as scheduler:
            jobs = subject.jobs(askers, new_tokens)
            say("event loop: warming up")
            await _ask_and_read(scheduler, jobs)
            say("event loop: idle")
            idle = await _lag_during(asyncio.sleep(idle_seconds))
            say("event loop: while the model answers and reads")
            return idle, await _lag_during(_several(scheduler, jobs, rounds))

    with endless(subject.engine):
        idle, busy = asyncio.run(measure())
    return LoopLag(sleep=SLEEP, askers=askers, idle=idle, busy=busy)


async def _several(scheduler: Scheduler, jobs: Sequence[Job], rounds: int) -> None:
    for _ in range(rounds):
        await _ask_and_read(scheduler, jobs)


async def _ask_and_read(scheduler: Scheduler, jobs: Sequence[Job]) -> None:
    async def one(job: Job) -> None:
        answer = await scheduler.answer(job, on_text=lambda _text: None)
        if scheduler.engine.info.inner_voice is None:
            await scheduler.trace(answer)

    await asyncio.gather(*(one(job) for job in jobs))


async def _lag_during(work: Coroutine[Any, Any, None]) -> Lag:
    """How late a coroutine wakes from its sleeps until ``work`` is done."""
    task = asyncio.ensure_future(work)
    late: list[float] = []
    while not task.done():
        due = time.perf_counter() + SLEEP
        await asyncio.sleep(SLEEP)
        late.append(max(0.0, time.perf_counter() - due))
    await task
    return Lag(p50=percentile(late, 50), p99=percentile(late, 99), most=max(late), n=len(late))


@asynccontextmanager
async def _scheduler(subject: Subject, askers: int) -> AsyncIterator[Scheduler]:
    scheduler = Scheduler(subject.engine, limit=max(64, askers))
    try:
        yield scheduler
    finally:
        await scheduler.aclose()


async def _ask(scheduler: Scheduler, jobs: Sequence[Job], new_tokens: int) -> _Round:
    started = time.perf_counter()

    async def one(job: Job) -> _Served:
        first: list[float] = []

        def on_text(_text: str) -> None:
            if not first:
                first.append(time.perf_counter() - started)

        answer = await scheduler.answer(job, on_text=on_text)
        done = time.perf_counter() - started
        check_length(answer, new_tokens)
        return _Served(first[0] if first else done, done)

    served = await asyncio.gather(*(one(job) for job in jobs))
    return _Round(tuple(served), time.perf_counter() - started)
