"""``forwardpass model …``: fetching a model, finding the default one's weights, and what any model would need."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from rich.progress import BarColumn, DownloadColumn, Progress, Task, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from bot import log as logs
from bot.cli.screen import Screen
from bot.cli.streams import write_json
from bot.config import Config
from models.loading import embedded
from models.types import ModelConfig

if TYPE_CHECKING:
    from models.loading.outlook import Outlook


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
    console = Screen(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), _Bytes(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        tasks: dict[str, TaskID] = {}

        def show(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = progress.add_task(stage, total=total or None)
            progress.update(tasks[stage], completed=done, total=total or None)

        path = embedded.pull(_cache(config), progress=show, force=force)
    console.print(Text.assemble(("✓", "green"), f" The default model is ready in {path}"), soft_wrap=True)


def pull_from_hub(config: Config, model_id: str, *, revision: str | None = None) -> None:
    """Fetch a model of the hub, with progress on stderr, and say where it lies.

    Raises:
        ForwardPassError: the hub has no such model, it is gated, the download broke off, or the disk is too full.
    """
    from models.loading import hub

    logs.setup(config.log.model_copy(update={"level": "ERROR"}))
    screen = Screen(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=screen) as progress:
        task = progress.add_task("asking the hub", total=None)

        def show(step: hub.Step) -> None:
            files = f"{step.files} of {step.of_files} files"
            progress.update(task, description=files, completed=step.done, total=step.total)

        path = hub.pull(_wanted(config, model_id, revision), show)
    screen.print(Text.assemble(("✓", "green"), f" {model_id} lies in {path}"), soft_wrap=True)
    screen.print(Text(f"  To use it, set `model.id: {model_id}` in config.yaml."), soft_wrap=True)


def _wanted(config: Config, model_id: str | None, revision: str | None) -> ModelConfig:
    """The model section with another id, and a revision that belongs to it: the config's is that of the config's model."""
    wanted = config.model
    if model_id is not None and model_id != wanted.id:
        wanted = wanted.model_copy(update={"id": model_id, "revision": None})
    return wanted if revision is None else wanted.model_copy(update={"revision": revision})


def info(config: Config, model_id: str | None = None, *, revision: str | None = None, as_json: bool = False) -> None:
    """Print what a model needs and can do here, from its config alone.

    Raises:
        ForwardPassError: there is no such model, it is not causal, or it needs code of its own.
    """
    from models.loading.outlook import look

    logs.setup(config.log.model_copy(update={"level": "ERROR"}))
    wanted = _wanted(config, model_id, revision)
    with Screen(stderr=True).status("reading the config"):
        found = look(wanted)
    if as_json:
        write_json(dataclasses.asdict(found))
    else:
        _show(found)


def _show(found: Outlook) -> None:
    console = Screen(highlight=False)
    console.print(
        Text.assemble((found.name, "bold"), (f"   {found.source}" + (f" · {found.revision}" if found.revision else ""), "dim"))
    )
    table = Table.grid(padding=(0, 3))
    table.add_column(style="dim", no_wrap=True)
    table.add_column()
    for label, value in (*_what(found), *_memory(found), *_here(found)):
        table.add_row(label, value)
    console.print(table)
    for note in found.notes:
        console.print(Text(f"! {note}", style="yellow"))


def _what(found: Outlook) -> list[tuple[str, Text]]:
    counts = ((found.parameters, "parameters", _count), (found.layers, "layers", _exact), (found.width, "wide", _exact))
    sizes = " · ".join(f"{write(number)} {unit}" for number, unit, write in counts if number is not None)
    reach = ((found.vocabulary, "tokens in the vocabulary"), (found.context, "in the context"))
    return [
        ("architecture", Text(f"{found.architecture} ({found.model_type})")),
        ("size", Text(sizes)),
        ("tokens", Text(" · ".join(f"{number:,} {unit}" for number, unit in reach if number is not None))),
        ("chat", _yes_or(found.chat)),
        ("inner voice", _yes_or(found.inner_voice)),
    ]


def _memory(found: Outlook) -> list[tuple[str, Text]]:
    from models.loading.placing import gigabytes

    rows = []
    for number, (name, size) in enumerate(found.weights.items()):
        rows.append(("weights" if not number else "", Text(f"{gigabytes(size):>7}  {name}")))
    others = (
        ("download", found.download, _fetched(found)),
        ("conversation", found.cache, "for each 1,000 tokens (keys and values)"),
        ("second pass", found.second_pass, "at most, about, while an inner voice is read"),
    )
    return rows + [(label, Text(f"{gigabytes(size):>7}  {words}")) for label, size, words in others if size is not None]


def _fetched(found: Outlook) -> str:
    from models.loading.placing import gigabytes

    if found.on_disk is None or found.on_disk == found.download:
        return "files of weights"
    return f"to fetch; {gigabytes(found.on_disk)} on disk once converted"


def _here(found: Outlook) -> list[tuple[str, Text]]:
    from models.loading.placing import gigabytes

    if found.placement is None or found.configured is None:
        return []
    how = found.dtype if found.quantization == "none" else f"{found.quantization}, the rest in {found.dtype}"
    mark, style = ("✓", "green") if found.placement.fits else ("✗", "red")
    free = ", ".join(f"{p.device} {gigabytes(p.free)}" for p in found.placement.places if p.free is not None)
    return [
        ("here", Text.assemble((mark, style), f" {found.placement.words}")),
        ("", Text(f"{gigabytes(found.configured)} of weights in {how}" + (f"; free: {free}" if free else ""), style="dim")),
    ]


def _yes_or(reason: str | None) -> Text:
    return Text.assemble(("✓", "green"), " yes") if reason is None else Text.assemble(("–", "yellow"), f" {reason}")


def _exact(number: int) -> str:
    return f"{number:,}"


def _count(number: int) -> str:
    """Parameters as models are named: 135 M, 8.2 B."""
    return f"{number / 1e6:.0f} M" if number < 1e9 else f"{number / 1e9:.1f} B"


class _Bytes(DownloadColumn):
    """Bytes, but for stages that only count steps."""

    def render(self, task: Task) -> Text:
        return super().render(task) if (task.total or 0) > 1 else Text("")


def _cache(config: Config) -> Path | None:
    return Path(config.model.cache_dir).expanduser() if config.model.cache_dir else None
