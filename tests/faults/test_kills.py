"""Sixteen askers, and a bot that is killed or stopped at random moments: nothing is lost, doubled, left open or left over.

The figures are printed, for docs/RELIABILITY.md. ``FAULT_ROUNDS`` sets how many deaths, ``FAULT_SECONDS`` how long they may go on
at most; the seed is fixed, the moments are not, since the machine has its own pace.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.faults.judge import Asked, Verdict, answer_of, judged, question_of, settled
from tests.faults.process import Bot, Life
from tests.loopback import payloads
from tests.loopback.server import TOKEN, Server, serving

ASKERS = [100000000000001000 + number for number in range(16)]
ROUNDS = int(os.environ.get("FAULT_ROUNDS", "20"))
MOST_SECONDS = float(os.environ.get("FAULT_SECONDS", "200"))
"""A run that took this long ends with the deaths it had, and says how many."""
KEYS = [f"{letter}{number}" for letter in "abcdefgh" for number in range(250)]
LONG = frozenset(KEYS[::7])


class Crowd:
    """Sixteen people, each with at most one question open: half mention the bot, half use the command."""

    def __init__(self, server: Server, seed: int) -> None:
        self.server = server
        self.asked: list[Asked] = []
        self._keys = iter(KEYS)
        self._random = random.Random(seed)
        self._open: dict[int, Asked] = {}

    async def ask(self, most: int = 16) -> None:
        """Whoever is free asks, up to ``most`` of them."""
        free = [user for user in ASKERS if user not in self._open or settled(self.server.rest, self._open[user])]
        self._random.shuffle(free)
        for user in free[:most]:
            key = next(self._keys)
            question, long = question_of(key), key in LONG
            if self._random.random() < 0.5:
                message = await self.server.mention(question, user)
                one = Asked(key, question, message_id=message["id"], long=long)
            else:
                interaction = await self.server.slash("ask", user, question=question)
                one = Asked(key, question, token=interaction["token"], long=long)
            self._open[user] = one
            self.asked.append(one)

    async def quiet(self, seconds: float) -> None:
        """Wait until nothing is open, or the time is over."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not all(settled(self.server.rest, one) for one in self.asked):  # noqa: ASYNC110  requests set no event
                    await asyncio.sleep(0.1)

    def verdict(self) -> Verdict:
        """What Discord took: a command whose acknowledgement never came is told by Discord itself, and was not taken."""
        taken = [one for one in self.asked if one.token is None or one.token in self.server.rest.original]
        return judged(self.server.rest, taken)


@asynccontextmanager
async def serving_bot(monkeypatch: pytest.MonkeyPatch, folder: Path) -> AsyncIterator[tuple[Server, Bot]]:
    script = {question_of(key): answer_of(key, long=key in LONG) for key in KEYS}
    async with serving(monkeypatch) as server:
        config = {
            "model": {"id": "nobody/nothing", "max_batch": 4},
            "queue": {"max_waiting": 64},
            "sampling": {"max_new_tokens": 2000},
            "discord": {"stream_after_seconds": 0.1, "edit_interval_seconds": 0.2},
        }
        bot = Bot(Life(server.origin, server.gateway.url, folder, TOKEN, script, 0.002, config))
        await up(server, bot)
        try:
            yield server, bot
        finally:
            if bot.alive:
                await bot.terminate()


async def up(server: Server, bot: Bot) -> None:
    server.gateway.ready.clear()
    bot.start()
    async with asyncio.timeout(60):
        await server.gateway.ready.wait()


@pytest.mark.faults
@pytest.mark.timeout(900)
@pytest.mark.parametrize("way", ["kill", "terminate"])
async def test_deaths_at_random_moments(way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rounds = ROUNDS if way == "kill" else ROUNDS // 2
    moments, begun, deaths = random.Random(way), time.monotonic(), 0
    async with serving_bot(monkeypatch, tmp_path) as (server, bot):
        crowd = Crowd(server, seed=7)
        for _ in range(rounds):
            await crowd.ask()
            await asyncio.sleep(moments.uniform(0.0, 5.0))
            await (bot.kill() if way == "kill" else bot.terminate())
            deaths += 1
            await up(server, bot)
            if time.monotonic() - begun > MOST_SECONDS:
                break
        await crowd.quiet(240)  # open questions of a death are taken up one after another
        verdict = crowd.verdict()
    log = (tmp_path / "log").read_text(encoding="utf-8")
    print(f"\n{way}: {deaths} deaths, {dict(verdict.row())}")  # noqa: T201  the figures
    for kind, keys in verdict.faults.items():
        print(f"  {kind}: {', '.join(itertools.islice(keys, 20))}")  # noqa: T201
    assert not verdict.faults
    assert "Traceback" not in log
    assert "Who is" not in log
    assert payloads.MENTION not in log
