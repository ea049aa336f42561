"""A long life: thousands of questions to one process, and its memory as it goes. Not a test: it takes minutes.

    python -m tests.faults.soak 10000 docs/images/memory.png

Nine of ten questions are private commands, with the voice behind its button, one is a mention whose voice is told in a thread: so
Discord's limit on requests leaves the machine the slowest part. Prints what was answered and the memory every hundredth.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest

from tests.faults.process import Bot, Life
from tests.loopback.server import TOKEN, Server, serving

ASKERS = [100000000000002000 + number for number in range(32)]
QUESTION, ANSWER = "How many eyes does my foot have?", "The answer is 2."
DONE = "-# Scripted"
"""The small line stands under a finished answer alone; a streamed one says the same words before."""
CONFIG = {
    "model": {"id": "nobody/nothing", "max_batch": 32},
    "queue": {"max_waiting": 64},
    "discord": {"inner_voice": "thread"},
}


class Soak:
    """Each person asks again as soon as they have their answer."""

    def __init__(self, server: Server, bot: Bot, wanted: int) -> None:
        self._server = server
        self._bot = bot
        self._wanted = wanted
        self.asked = self.answered = 0
        self.memory: list[tuple[int, float]] = []
        self.begun = time.monotonic()

    async def run(self) -> None:
        watching = asyncio.create_task(self._watch())
        await asyncio.gather(*(self._person(user) for user in ASKERS))
        watching.cancel()
        self._note()

    async def _person(self, user: int) -> None:
        while self.asked < self._wanted:
            self.asked += 1
            await (self._mention(user) if self.asked % 10 == 0 else self._command(user))
            self.answered += 1

    async def _command(self, user: int) -> None:
        interaction = await self._server.slash("ask", user, question=QUESTION, private=True)
        rest, token = self._server.rest, interaction["token"]

        def said() -> str:
            return str(rest.messages.get(rest.original.get(token, ""), {"content": ""})["content"])

        try:
            await self._server.until(lambda: DONE in said(), 60)
        except TimeoutError:
            print(f"no answer: {said()!r}", flush=True)  # noqa: T201
        rest.messages.pop(rest.original.get(token, ""), None)  # Discord keeps it; this server is in the same machine

    async def _mention(self, user: int) -> None:
        rest, message = self._server.rest, await self._server.mention(QUESTION, user)

        def mine() -> list[str]:
            references = [(i, (m.get("message_reference") or {}).get("message_id")) for i, m in list(rest.messages.items())]
            return [i for i, to in references if str(to) == message["id"] and DONE in rest.messages[i]["content"]]

        await self._server.until(mine, 120)
        for answer in mine():
            rest.history.said.pop(message["id"], None)
            asyncio.get_running_loop().call_later(30, rest.messages.pop, answer, None)  # its thread comes first

    async def _watch(self) -> None:
        while True:
            self._note()
            await asyncio.sleep(2)

    def _note(self) -> None:
        size = psutil.Process(self._bot.pid).memory_info().rss / 2**20
        if not self.memory or self.answered >= self.memory[-1][0] + 100:
            self.memory.append((self.answered, size))
            print(f"{self.answered:6} answered, {size:6.1f} MiB, {time.monotonic() - self.begun:5.0f} s", flush=True)  # noqa: T201


def draw(memory: list[tuple[int, float]], file: Path) -> None:
    """Memory against questions."""
    import matplotlib as mpl

    mpl.use("agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 3.2), layout="constrained")
    axes.plot(*zip(*memory, strict=True), color="#5865f2")
    axes.set(xlabel="questions answered", ylabel="resident memory, MiB", ylim=(0, max(size for _, size in memory) * 1.2))
    axes.set_title("Memory of the bot's process (scripted engine)", loc="left")
    axes.grid(alpha=0.3)
    figure.savefig(file, dpi=120, metadata={"Software": None})


async def main(wanted: int, file: Path) -> None:
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        async with serving(patch) as server:
            bot = Bot(Life(server.origin, server.gateway.url, Path(folder), TOKEN, {QUESTION: ANSWER}, 0.0, CONFIG))
            server.gateway.ready.clear()
            bot.start()
            await server.gateway.ready.wait()
            soak = Soak(server, bot, wanted)
            try:
                await soak.run()
            finally:
                draw(soak.memory, file)
                await bot.terminate()
    print(f"{soak.answered} answered in {time.monotonic() - soak.begun:.0f} s")  # noqa: T201


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), Path(sys.argv[2])))
