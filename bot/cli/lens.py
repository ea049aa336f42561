"""``forwardpass lens …``: training a learned lens of a model, measuring it, and what a lens file is. Knows no tensors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from bot import log as logs
from bot.cli.pictures import check_plot, write_plot
from bot.cli.screen import Screen
from bot.cli.streams import write_json
from bot.config import Config
from bot.errors import LensTrainingError
from bot.render.lens_plot import draw
from models.types import LearnedLens

if TYPE_CHECKING:
    from models.fitting.evaluating import Measured
    from models.lenses.affine import Card

DISPOSITION = "It shows what each depth is disposed to say. This is not a prediction, so it need not come near the output."
KL = "KL: how far the words of a depth are from those of the output. 0 is no difference."


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the options say."""

    kind: LearnedLens
    text: Path | None
    tokens: int | None
    steps: int
    seed: int
    output: Path | None
    resume: bool


def train(config: Config, wishes: Wishes) -> None:
    """Fit, with progress on stderr, write the file and print its table.

    Raises:
        ForwardPassError: the model or the text is not fit, or there is nothing to go on with.
    """
    words = _read(wishes.text)
    logs.setup(config.log.model_copy(update={"level": "ERROR"}))
    from models.fitting import training
    from models.lenses import store
    from models.lenses.tuned import Recipe

    path = wishes.output or (config.lens.path if config.lens.kind == wishes.kind else None)
    path = path or store.default_file(config.model, wishes.kind)
    recipe = Recipe(steps=wishes.steps, seed=wishes.seed)
    source = training.SELF_WRITTEN if wishes.text is None else wishes.text.name
    wanted = training.Wishes(
        kind=wishes.kind, tokens=wishes.tokens, recipe=recipe, words=words, source=source, resume=wishes.resume
    )
    with _progress() as show:
        made = training.train(config.model, wanted, path, prompt=config.prompt, on_done=show)
    _show(made.card)
    Screen(stderr=True).print(Text(f"✓ The lens is ready in {path}. To use it, set `lens.kind: {wishes.kind}`."), soft_wrap=True)


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int], None]]:
    """A bar for each stage, on stderr."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Screen(stderr=True)) as progress:
        tasks: dict[str, TaskID] = {}

        def show(stage: str, done: int, of: int) -> None:
            if stage not in tasks:
                tasks[stage] = progress.add_task(stage, total=of)
            progress.update(tasks[stage], completed=min(done, of), total=of)

        yield show


@dataclass(frozen=True, slots=True)
class Measure:
    """What the options of ``lens eval`` say."""

    file: Path | None
    kind: LearnedLens | None
    text: Path | None
    tokens: int
    seed: int | None


def evaluate(config: Config, wishes: Measure, *, as_json: bool, plot: Path | None) -> None:
    """Measure a lens on text that it was not fitted on, and show it beside the logit lens.

    Raises:
        ForwardPassError: there is no such lens, it is another model's, or the text is not fit.
    """
    check_plot(plot)
    words = _read(wishes.text)
    kind = wishes.kind or ("jacobian" if config.lens.kind == "jacobian" else "tuned")
    logs.setup(config.log.model_copy(update={"level": "ERROR"}))
    from models.fitting import evaluating
    from models.fitting.training import SELF_WRITTEN
    from models.lenses import store

    own = config.lens.path if config.lens.kind == kind else None
    path = wishes.file.expanduser() if wishes.file else own or store.default_file(config.model, kind)
    with _progress() as show:
        found = evaluating.measure(
            config.model,
            path,
            prompt=config.prompt,
            tokens=wishes.tokens,
            seed=wishes.seed,
            words=words,
            source=SELF_WRITTEN if wishes.text is None else wishes.text.name,
            on_done=show,
        )
    if plot is not None:
        write_plot(plot, draw(found, form=plot.suffix[1:].lower()))
    if as_json:
        write_json(found.to_json())
        return
    _show_measured(found)


def _show_measured(found: Measured) -> None:
    console, card = Screen(highlight=False), found.card
    logit, learned = found.means
    console.print(
        Text.assemble((f"{card.kind} lens", "bold"), f" of {card.model}, on {found.positions:,} positions: {found.source}")
    )
    table = Table(title="KL(final || depth) in nats", title_justify="left", caption=KL, caption_justify="left")
    for name in ("depth", "logit", card.kind):
        table.add_column(name, justify="right")
    for depth, row in enumerate(zip(found.logit, found.learned, strict=True)):
        table.add_row(str(depth), *(f"{kl:.3f}" for kl in row))
    table.add_section()
    table.add_row("mean", f"{logit:.3f}", f"{learned:.3f}")
    console.print(table)
    console.print(Text(f"Nearer to the output than the logit lens at {found.nearer} of {len(found.logit)} depths."))
    if card.kind == "jacobian":
        console.print(Text(DISPOSITION, "dim"))


def info(path: Path, *, as_json: bool = False) -> None:
    """Print what a lens file was made for, and how well it does.

    Raises:
        LensNotFoundError, LensFileError.
    """
    from models.lenses import store

    card = store.read_card(path.expanduser())
    if as_json:
        write_json(asdict(card))
    else:
        _show(card)


def _read(path: Path | None) -> str | None:
    if path is None:
        return None
    try:
        return path.expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        raise LensTrainingError(f"The text {path} cannot be read.", hint="Name a text file in UTF-8.") from error


def _show(card: Card) -> None:
    console = Screen(highlight=False)
    counts = ", ".join(f"{number:,} {name.replace('_', ' ')}" for name, number in card.tokens.items())
    made = f"{card.steps} steps" if card.kind == "tuned" else f"{card.method.get('texts', 0)} texts"
    console.print(Text.assemble((f"{card.kind} lens", "bold"), f" of {card.model} ({card.architecture}, {card.layers} blocks)"))
    console.print(Text(f"{card.source} · {counts} · {made} · {card.seconds:.0f} s · seed {card.seed}", "dim"))
    console.print(_table(card))
    if card.kind == "jacobian":
        console.print(Text(DISPOSITION, "dim"))


def _table(card: Card) -> Table:
    """A row for each depth: KL of each lens, then which map was kept, or how well the mean is known."""
    title = "KL(final || depth) in nats, on text that it was not trained on"
    table = Table(title=title, title_justify="left", caption=KL, caption_justify="left")
    errors = card.method.get("relative_error") or ()
    last = "map" if card.kind == "tuned" else "standard error of J"
    for name in ("depth", *card.held_out_kl, last):
        table.add_column(name, justify="left" if name == "map" else "right")
    for depth, row in enumerate(zip(*card.held_out_kl.values(), strict=True)):
        chosen = card.chosen[depth] if depth < len(card.chosen) else ""
        told: str = "logit lens" if chosen == "identity" else chosen
        if depth < len(errors):
            told = f"{errors[depth]:.0%}"
        table.add_row(str(depth), *(f"{kl:.3f}" for kl in row), told)
    return table
