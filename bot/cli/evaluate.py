"""``forwardpass eval``: puts the question bank to a model, keeps what came of it in a file, and shows the scores."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from bot import log as logs
from bot.cli.pictures import check_plot, write_plot
from bot.cli.screen import Screen
from bot.cli.streams import write_json
from bot.config import Config
from bot.errors import ForwardPassError
from bot.render.eval_plot import draw
from bot.render.eval_table import tables
from bot.services import bank, evaluation
from models import bounds, typed
from models.types import Engine, LensName

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Wishes:
    """The options of the command, as they were given."""

    model: str | None = None
    lang: str = "en"
    kind: bank.Kind | None = None
    limit: int | None = None
    samples: int = 5
    max_new_tokens: int = 40
    output: Path | None = None


def run_eval(config: Config, wishes: Wishes, *, as_json: bool, plot: Path | None) -> None:
    """Evaluate, and show what was found.

    Raises:
        ForwardPassError: the model cannot be loaded, or the output file is another model's, damaged, or cannot be written.
    """
    check_plot(plot)
    logs.setup(config.log.model_copy(update={"level": "WARNING"}))
    langs: dict[str, tuple[bank.Lang, ...]] = {"en": ("en",), "zh": ("zh",), "all": ("en", "zh")}
    todo = evaluation.items(bank.load_bank(), langs=langs[wishes.lang], kind=wishes.kind, limit=wishes.limit)
    engine = _load(config, wishes)
    settings = settings_of(engine, wishes, config.lens.kind)
    report = evaluation.report_of(settings, list(_records(engine, todo, settings, wishes)))
    if plot is not None:
        write_plot(plot, draw(report, form=plot.suffix[1:].lower()))
    if as_json:
        write_json(report.to_json())
        return
    console = Screen()
    for shown in tables(report, width=console.width):
        console.print(shown)


def settings_of(engine: Engine, wishes: Wishes, lens: LensName = "logit") -> dict[str, Any]:
    """What makes two runs comparable: the first line of an output file."""
    info = engine.info
    return {
        "schema": SCHEMA,
        "model": info.id,
        "revision": info.revision,
        "name": info.name,
        "dtype": info.dtype,
        "quantization": info.quantization,
        "style": info.default_style,
        "max_new_tokens": wishes.max_new_tokens,
        "samples": wishes.samples,
        "lens": lens,
    }


def _records(
    engine: Engine, todo: Sequence[evaluation.Item], settings: dict[str, Any], wishes: Wishes
) -> Iterator[evaluation.Record]:
    """The records of the output file, and then those still to make, which are added to it one by one."""
    known = {record.key: record for record in _known(wishes.output, settings)} if wishes.output else {}
    yield from (known[item.key] for item in todo if item.key in known)
    missing = [item for item in todo if item.key not in known]
    with _bar() as bar:
        task = bar.add_task("questions", total=len(todo), completed=len(todo) - len(missing))
        made = evaluation.evaluate(
            engine, missing, max_new_tokens=wishes.max_new_tokens, samples=wishes.samples, lens=settings["lens"]
        )
        for record in made:
            if wishes.output:
                _append(wishes.output, asdict(record))
            bar.advance(task)
            yield record


def _known(output: Path, settings: dict[str, Any]) -> list[evaluation.Record]:
    """What an earlier run left in the file; begins the file where there is none.

    Raises:
        ForwardPassError: it is of another model or other settings, or no such file.
    """
    try:
        with output.open("rb") as file:
            lines = bounds.read(file, output.stat().st_size).decode("utf-8").splitlines(keepends=True)
    except FileNotFoundError:
        lines = []
    except (OSError, ValueError, MemoryError) as error:
        raise ForwardPassError(f"`{output}` cannot be read.", hint="Name another --output.") from error
    if not lines:
        _append(output, settings)
        return []
    if not lines[-1].endswith("\n"):  # the run ended in the middle of a line
        _cut(output, "".join(lines[:-1]))
        lines = lines[:-1]
    try:
        found, *rows = (bounds.from_json(line) for line in lines)
        found.setdefault("lens", "logit")  # of a version that read no other
        records = [_record(row) for row in rows]
    except (ValueError, TypeError, AttributeError) as error:
        raise ForwardPassError(f"`{output}` holds no evaluation.", hint="Name another --output.") from error
    changed = sorted(key for key in settings.keys() | found.keys() if settings.get(key) != found.get(key))
    if changed:
        told = ", ".join(f"{key} {found.get(key)!r}, now {settings.get(key)!r}" for key in changed)
        raise ForwardPassError(f"`{output}` holds another evaluation: {told}.", hint="Name another --output.")
    return records


def _record(row: Any) -> evaluation.Record:
    """A line of the file. Raises ValueError when it is none of ours."""
    made = typed.build(evaluation.Record, row)
    if made.tokens < 0 or not typed.finite(*(value for value in made.figures.values() if value is not None)):
        raise ValueError("it holds figures that are none")
    return made


def _append(output: Path, row: dict[str, Any]) -> None:
    try:
        with output.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n")
    except OSError as error:
        raise ForwardPassError(f"`{output}` cannot be written: {error.strerror}.", hint="Name another --output.") from error


def _cut(output: Path, whole: str) -> None:
    try:
        output.write_text(whole, encoding="utf-8")
    except OSError as error:
        raise ForwardPassError(f"`{output}` cannot be written: {error.strerror}.", hint="Name another --output.") from error


def _load(config: Config, wishes: Wishes) -> Engine:
    model = config.model
    if wishes.model is not None and wishes.model != model.id:  # another model has no revision of the configured one
        model = model.model_copy(update={"id": wishes.model, "revision": None})
    console = Screen(stderr=True)
    with console.status("waking up…") as status:
        from models.running.engine import load  # torch is imported under the spinner

        return load(
            model,
            prompt=config.prompt,
            kind=config.lens.kind,
            lens_file=config.lens.path if model.id == config.model.id else None,  # a file is one model's
            on_stage=lambda stage: status.update(f"{stage}…"),
        )


def _bar() -> Progress:
    """On stderr, so that a pipe gets the figures alone."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Screen(stderr=True))
