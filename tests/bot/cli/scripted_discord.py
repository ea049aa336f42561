"""The local Discord with a scripted model: ``python -m tests.bot.cli.scripted_discord`` prints its address and serves it."""

from __future__ import annotations

import asyncio
import sys

from bot.cli.local_discord import local_discord
from bot.config import Config
from models.fakes.engine import FakeEngine

SCRIPT = {"How many eyes does my foot have?": "The answer is 2. Your foot has 2 eyes.", "Slowly?": "I am " + "so " * 40 + "slow."}
SECONDS_A_TOKEN = 0.05


async def serve(locale: str | None) -> None:
    settings = Config()
    discord, queue = settings.discord.model_copy(update={"locale": locale}), settings.queue.model_copy(update={"per_user": 5})
    config = settings.model_copy(update={"discord": discord, "queue": queue})
    engine = FakeEngine(SCRIPT, delay=SECONDS_A_TOKEN)
    async with local_discord(config, engine_factory=lambda: engine) as page:
        sys.stdout.write(f"{page.url}\n")
        sys.stdout.flush()
        await page.wait_closed()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1] if len(sys.argv) > 1 else None))
