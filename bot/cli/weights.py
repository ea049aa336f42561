"""``forwardpass model …``: fetching and finding the default model's weights."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, Task, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

from bot.config import Config
from models import embedded


def folder(config: Config) -> Path:
    """Where the converted model lies.

    Raises:
        ModelNotPulledError: it has not been pulled.
    """
    return embedded.locate(_cache(config))


def pull(config: Config, *, force: bool = False) -> None:
    """Fetch, check and convert, with progress on stderr.

    Raises:
        DownloadError: offline, or the sums do not match.
    """
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), _Bytes(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        tasks: dict[str, TaskID] = {}

        def show(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = progress.add_task(stage, total=total or None)
            progress.update(tasks[stage], completed=done, total=total or None)

        path = embedded.pull(_cache(config), progress=show, force=force)
    console.print(f"[green]✓[/] The default model is ready in {path}", highlight=False, soft_wrap=True)


class _Bytes(DownloadColumn):
    """Bytes, but for stages that only count steps."""

    def render(self, task: Task) -> Text:
        return super().render(task) if (task.total or 0) > 1 else Text("")


def _cache(config: Config) -> Path | None:
    return Path(config.model.cache_dir).expanduser() if config.model.cache_dir else None
