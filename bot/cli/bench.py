"""``forwardpass bench``: measures what the options ask for, and shows it as tables, as JSON or as a picture."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bot import log as logs
from bot.cli.pictures import check_plot, write_plot
from bot.cli.screen import Screen
from bot.cli.streams import write_json
from bot.config import Config
from bot.errors import ForwardPassError
from bot.render.bench_plot import draw
from bot.render.bench_table import tables
from models.types import ModelConfig

if TYPE_CHECKING:
    from models.bench.results import Report
    from models.bench.suite import Settings


@dataclass(frozen=True, slots=True)
class Wishes:
    """The options of the command, as they were given."""

    model: str | None = None
    shape: str | None = None
    layers: int | None = None
    dtype: str | None = None
    device: str | None = None
    only: str | None = None
    askers: str | None = None
    repeats: int | None = None
    answer_tokens: int | None = None
    quick: bool = False


def run_bench(config: Config, wishes: Wishes, *, as_json: bool, plot: Path | None) -> None:
    """Measure, and show what was found.

    Raises:
        ForwardPassError: an option names nothing, the model cannot be loaded or does not fit, or the picture cannot be written.
    """
    _check(wishes, plot)
    logs.setup(config.log.model_copy(update={"level": "WARNING"}))
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # the memory account's own warnings; torch reads it when it is imported
    with _progress() as say:
        report = measure(config, wishes, say)
    if plot is not None:
        write_plot(plot, draw(report, form=plot.suffix[1:].lower()))
    if as_json:
        write_json(report.to_json())
        return
    console = Screen()
    for shown in tables(report, width=console.width):
        console.print(shown)


def measure(config: Config, wishes: Wishes, say: Callable[[str], None]) -> Report:
    """The report that the options ask for.

    Raises:
        ForwardPassError: as `run_bench`.
    """
    say("starting")
    from models.bench import subject, suite
    from models.loading import opening  # torch is imported under the spinner

    settings = _settings(wishes)
    model = _model(config, wishes)
    device = opening.choose_device(model.device)
    dtype = opening.choose_dtype(model.dtype, device)

    def opened() -> subject.Subject:
        if wishes.shape is None:
            own = model.id == config.model.id  # a lens file is one model's
            return subject.of_config(model, say, lens=config.lens.kind, lens_file=config.lens.path if own else None)
        twin = bool(suite.NEEDS_TWIN & set(settings.parts))
        return subject.of_shape(wishes.shape, layers=wishes.layers, device=model.device, dtype=model.dtype, say=say, twin=twin)

    return suite.run(opened, settings, device=device, dtype=dtype, say=say)


def _settings(wishes: Wishes) -> Settings:
    from models.bench.suite import Settings, parts_of

    given: dict[str, Any] = {"quick": wishes.quick}
    if wishes.quick:
        given |= {"repeats": 3, "new_tokens": 16, "asker_tokens": 8, "askers": (1, 4)}
    if wishes.only is not None:
        given["parts"] = parts_of(wishes.only)
    if wishes.askers is not None:
        given["askers"] = _counts(wishes.askers)
    given |= {name: value for name in ("repeats", "answer_tokens") if (value := getattr(wishes, name)) is not None}
    return Settings(**given)


def _model(config: Config, wishes: Wishes) -> ModelConfig:
    """The config's model with what the options change; another model has no revision of the configured one."""
    given: dict[str, Any] = {"device": wishes.device, "dtype": wishes.dtype}
    if wishes.model is not None and wishes.model != config.model.id:
        given |= {"id": wishes.model, "revision": None}
        return _checked(config.model.model_copy(update={"revision": None}), {k: v for k, v in given.items() if v is not None})
    return _checked(config.model, {key: value for key, value in given.items() if value is not None})


def _checked(model: ModelConfig, changes: dict[str, Any]) -> ModelConfig:
    from pydantic import ValidationError

    try:
        return ModelConfig.model_validate(model.model_dump() | changes)
    except ValidationError as error:
        field = str(error.errors()[0]["loc"][0])
        raise ForwardPassError(
            f"`--{field} {changes.get(field)}` is not among the choices.",
            hint="Devices: auto, cpu, cuda, cuda:N, mps. Dtypes: auto, float32, bfloat16, float16.",
        ) from error


def _counts(words: str) -> tuple[int, ...]:
    try:
        counts = tuple(int(word) for word in words.split(",") if word.strip())
    except ValueError:
        counts = ()
    if not counts or min(counts) < 1 or max(counts) > 1024:
        raise ForwardPassError(
            f"`--askers {words}` is no list of numbers from 1 to 1024.", hint="For example: --askers 1,4,16,64"
        )
    return counts


def _check(wishes: Wishes, plot: Path | None) -> None:
    """What can be said before torch is imported."""
    if wishes.shape is not None and wishes.model is not None:
        raise ForwardPassError("Give either --model or --shape.", hint="A shape is a model of random weights.")
    if wishes.layers is not None and wishes.shape is None:
        raise ForwardPassError(
            "--layers cuts a --shape. A real model keeps its layers.", hint="For example: --shape gpt2 --layers 2"
        )
    if wishes.askers is not None:
        _counts(wishes.askers)
    check_plot(plot)


@contextlib.contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """A spinner on a terminal, plain lines in a log; on stderr, so that a pipe gets the figures alone."""
    console = Screen(stderr=True)
    if not console.is_terminal:
        yield lambda text: console.print(f"{text}…", highlight=False, markup=False, soft_wrap=True)
        return
    with console.status("") as status:
        yield lambda text: status.update(f"{text}…")
