"""``forwardpass compare``: two questions and their matched controls in the terminal. Nothing heavy is imported before it runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bot.cli.options import ConfigOption, JsonOption, TokensOption, read_config, sampled

if TYPE_CHECKING:
    from rich.table import Table

    from bot.config import Config
    from bot.services.compare import Contrast, Control, Reading
    from models.types import Answer, Engine

Found = tuple["Answer", "Reading | None"]
ROOMY = 72
"""Columns in which the widest figures hold beside unbroken names."""
NAMES = {
    "final_prob": "final probability",
    "entropy": "entropy, nats",
    "settle": "settle depth",
    "handover": "handover depth",
    "considered": "considered tokens",
}


def compare(
    a: Annotated[str, typer.Argument(metavar="A", help="For example: How many eyes does my foot have?")],
    b: Annotated[str, typer.Argument(metavar="B", help="For example: How many eyes does a giraffe have?")],
    config: ConfigOption = None,
    controls: Annotated[
        str | None,
        typer.Option(
            "--controls",
            metavar="QUESTIONS",
            help="Your own controls: three to six plain questions, such as one;two;three. Without it: the question bank's.",
            show_default=False,
        ),
    ] = None,
    max_new_tokens: TokensOption = None,
    as_json: JsonOption = False,
    plot: Annotated[
        Path | None, typer.Option("--plot", metavar="FILE", help="Draw a picture into this .png file.", show_default=False)
    ] = None,
) -> None:
    """Compare the answers to two questions.

    Plain questions of the same form are the controls. A difference counts only where it is larger than any among the controls.
    """
    settings = sampled(read_config(config), max_new_tokens=max_new_tokens)
    run(settings, (a.strip(), b.strip()), controls, as_json=as_json, plot=plot)


def run(config: Config, questions: tuple[str, str], controls: str | None, *, as_json: bool, plot: Path | None) -> None:
    """Ask, read, print.

    Raises:
        ForwardPassError: the questions, their controls or the picture's name are not fit, or the model fails.
    """
    from bot.cli.pictures import check_plot, write_plot
    from bot.cli.terminal import load_engine
    from bot.errors import EmptyQuestionError, ForwardPassError
    from bot.services.compare import Control, contrasts, drawn
    from bot.services.controls import LEAST, controls_for, given

    if not all(questions):
        raise EmptyQuestionError("One of the questions is empty.", hint="Write two questions, each in quotes.")
    check_plot(plot)
    if plot is not None and plot.suffix.lower() != ".png":
        raise ForwardPassError(f"`{plot}` is no PNG.", hint="Give it a name that ends in .png.")
    plain = given(controls, *questions) if controls else controls_for(*questions)
    plain = plain if len(plain) >= LEAST else ()
    engine = load_engine(config)
    (one, own), (two, theirs), *rest = _asked(engine, config, (*questions, *plain))
    beside = [Control(q, answer.text, row) for q, (answer, row) in zip(plain, rest, strict=True) if row is not None]
    told = contrasts(own, theirs, [control.reading for control in beside])
    if plot is not None:
        picture, _alt = drawn(own, theirs, beside, title=engine.info.name, locale="en-US")
        if picture is None:
            raise ForwardPassError("One of the answers has no pivotal token, so there is nothing to draw.")
        write_plot(plot, picture)
    _print([(questions[0], one, own), (questions[1], two, theirs)], beside, told, as_json=as_json)


def _asked(engine: Engine, config: Config, questions: Sequence[str]) -> list[Found]:
    from bot.cli.screen import Screen
    from bot.services.compare import reading
    from models.types import Job

    found: list[Found] = []
    with Screen(stderr=True).status("") as status:
        for number, question in enumerate(questions, start=1):
            status.update(f"question {number} of {len(questions)}…")
            answer = engine.answer(Job(question, sampling=config.sampling))
            found.append((answer, reading(engine.trace(answer, k=config.lens.top_k)) if answer.answer_ids else None))
    return found


def _print(
    pair: Sequence[tuple[str, Answer, Reading | None]],
    controls: Sequence[Control],
    told: Sequence[Contrast],
    *,
    as_json: bool,
) -> None:
    from rich.text import Text

    from bot.cli.screen import Screen

    if as_json:
        return _print_json(pair, controls, told)
    console = Screen()
    for name, (question, answer, row) in zip("AB", pair, strict=True):
        console.print(Text(f"{name}  {question}", "bold"))
        console.print(Text(f"   {' '.join(answer.text.split()) or '(nothing)'}"))
        console.print(Text(f"   pivotal token {row.token!r}" if row else "   no pivotal token: no word of it was decided", "dim"))
    if not told:
        console.print(
            Text(
                "I have no controls for these questions, so nothing is claimed of their difference. Give some with --controls.",
                "yellow",
            )
        )
        return None
    console.print(
        Text(
            "At the pivotal tokens, which decided the answers. A difference counts if it exceeds the spread of the controls.",
            "dim",
        )
    )
    console.print(_table(told, narrow=console.width < ROOMY))
    console.print(Text(f"{len(controls)} controls: " + " · ".join(control.question for control in controls), "dim"))
    return None


def _table(told: Iterable[Contrast], *, narrow: bool) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("", no_wrap=True)
    for heading in ("A", "B", "apart", "controls", "spread", ""):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in told:
        values = [_written(row.figure, value) for value in (row.a, row.b, row.apart, row.low, row.high, row.spread)]
        a, b, apart, low, high, spread = values
        name, verdict = NAMES[row.figure], "beyond it" if row.told else ""
        if narrow:  # a name may break between its words, a figure nowhere
            name, verdict = name.replace(" ", "\n"), verdict.replace(" ", "\n")
        table.add_row(name, a, b, apart, f"{low}–{high}", spread, Text(verdict, "bold yellow"))
    return table


def _written(figure: str, value: float) -> str:
    return f"{value:.1%}" if figure == "final_prob" else f"{value:.2f}" if figure == "entropy" else f"{value:.0f}"


def _print_json(
    pair: Sequence[tuple[str, Answer, Reading | None]], controls: Sequence[Control], told: Sequence[Contrast]
) -> None:
    from dataclasses import asdict

    from bot.cli.streams import write_json

    def figures(row: Reading | None) -> dict[str, Any] | None:
        if row is None:
            return None
        return {**asdict(row), "probs": row.probs.tolist(), "entropies": row.entropies.tolist()}

    shown = [{"question": q, "answer": answer.text, "figures": figures(row)} for q, answer, row in pair]
    beside = [{"question": c.question, "answer": c.text, "figures": figures(c.reading)} for c in controls]
    differences = [{**asdict(row), "apart": row.apart, "spread": row.spread, "told": row.told} for row in told]
    write_json({"a": shown[0], "b": shown[1], "controls": beside, "differences": differences})
