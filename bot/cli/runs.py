"""``forwardpass runs``: the stored answers of everybody, for the host alone; ``dump --run`` takes their ids."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from rich.text import Text

from bot import log as logs
from bot.cli.screen import Screen
from bot.cli.streams import write_json
from bot.config import Config
from bot.errors import StorageError
from bot.render.text import safe
from bot.storage import Database, Run, RunStore, sqlite_file

NONE = "No answers are stored yet."
NO_FILE = "The bot makes it at its first start. If it keeps its answers elsewhere, name that place in `storage.url`."


def show_runs(config: Config, *, limit: int, as_json: bool) -> None:
    """Print the latest answers, newest first.

    Raises:
        StorageError: the database is not there, or cannot be read.
    """
    logs.setup(config.log.model_copy(update={"level": "WARNING"}))
    runs = asyncio.run(_recent(config, limit))
    if as_json:
        write_json({"runs": [_facts(run) for run in runs]})
        return
    console = Screen(highlight=False)
    if not runs:
        console.print(Text(NONE))
    for line in _lines(runs, console.width):
        console.print(line, soft_wrap=True)


async def _recent(config: Config, limit: int) -> Sequence[Run]:
    url = config.storage.resolved_url()
    file = sqlite_file(url)
    if file is not None and not file.is_file():  # looking must not make one
        raise StorageError(f"There is no database {safe(str(file))}.", hint=NO_FILE)
    async with Database.open(url) as database:
        return await RunStore(database, keep_days=config.storage.keep_days).recent(limit)


def _lines(runs: Sequence[Run], width: int) -> list[Text]:
    """Two lines a run, which hold in a narrow terminal: what names it, and the first words of its question."""
    found = []
    for run in runs:
        private = ("private ", "yellow") if run.private else ""
        facts = (f"{run.created_at.astimezone():%Y-%m-%d %H:%M}", run.style, _model(run))
        head = Text.assemble((run.id, "bold"), "  ", private, (" · ".join(fact for fact in facts if fact), "dim"))
        question = Text(f"    {safe(' '.join(run.question.split()))}")
        for line in (head, question):
            line.truncate(width, overflow="ellipsis")
        found += [head, question]
    return found


def _model(run: Run) -> str:
    """The last part of an id or a path, which is the model's name."""
    return safe((run.model_id or "").replace("\\", "/").rstrip("/").rpartition("/")[2])


def _facts(run: Run) -> dict[str, Any]:
    return {
        "id": run.id,
        "created_at": run.created_at.isoformat(),
        "expires_at": run.expires_at.isoformat(),
        "source": run.source,
        "locale": run.locale,
        "private": run.private,
        "style": run.style,
        "model": run.model_id,
        "revision": run.revision,
        "question": run.question,
    }
