"""What ``forwardpass bench`` and ``eval`` take: their options. The work is done in `bot.cli.bench` and `bot.cli.evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from bot.cli.options import ConfigOption, JsonOption, PlotOption, read_config

ModelOption = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="ID",
        help="Use this model instead of the one in the settings: an id, a folder or a file.",
        show_default=False,
    ),
]


def measure(
    config: ConfigOption = None,
    model: ModelOption = None,
    shape: Annotated[
        str | None,
        typer.Option(
            "--shape",
            metavar="NAME",
            help="Use a model with random weights and the shape of a real one: llama-8b, gpt2 and others.",
            show_default=False,
        ),
    ] = None,
    layers: Annotated[
        int | None,
        typer.Option("--layers", metavar="N", min=1, max=1000, help="With --shape: make only N layers.", show_default=False),
    ] = None,
    dtype: Annotated[
        str | None,
        typer.Option(
            "--dtype", metavar="NAME", help="The number format of the weights: float32, bfloat16 or float16.", show_default=False
        ),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option("--device", metavar="NAME", help="Where to run: cpu, cuda, cuda:N or mps.", show_default=False),
    ] = None,
    only: Annotated[
        str | None,
        typer.Option(
            "--only",
            metavar="LIST",
            help="Measure only these parts, such as answer,lag. The parts are answer, second, askers, lag, scaling, and "
            "starve, which is measured only if you name it.",
            show_default=False,
        ),
    ] = None,
    askers: Annotated[
        str | None,
        typer.Option("--askers", metavar="LIST", help="How many people ask at once: 1,4,16,64.", show_default=False),
    ] = None,
    repeats: Annotated[
        int | None,
        typer.Option(
            "--repeats", metavar="N", min=1, max=1000, help="Measure everything N times. Without it: 9.", show_default=False
        ),
    ] = None,
    answer_tokens: Annotated[
        int | None,
        typer.Option(
            "--answer-tokens",
            metavar="N",
            min=1,
            max=1024,
            help="The second pass reads an answer of N tokens. Without it: 20.",
            show_default=False,
        ),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Measure less, for a first look. The figures are rough.")] = False,
    as_json: JsonOption = False,
    plot: PlotOption = None,
) -> None:
    """Measure how fast the model is here.

    It times the answers, the second pass (which reads the depths of an answer), many people who ask at once, and the event loop
    (which keeps the bot responsive). It measures plain transformers too, for comparison.
    """
    from bot.cli.bench import Wishes, run_bench

    wishes = Wishes(model, shape, layers, dtype, device, only, askers, repeats, answer_tokens, quick)
    run_bench(read_config(config), wishes, as_json=as_json, plot=plot)


def evaluate_bank(
    config: ConfigOption = None,
    model: ModelOption = None,
    lang: Annotated[
        Literal["en", "zh", "all"], typer.Option("--lang", help="Ask the English questions, the Chinese ones, or all.")
    ] = "en",
    kind: Annotated[
        Literal["false_premise", "category_mistake", "pattern_trap", "riddle", "impossible_date"] | None,
        typer.Option(
            "--kind",
            metavar="KIND",
            help="Ask only one kind of trick: false_premise, category_mistake, pattern_trap, riddle or impossible_date.",
            show_default=False,
        ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", metavar="N", min=1, help="Ask at most N tricks.", show_default=False)
    ] = None,
    samples: Annotated[
        int,
        typer.Option(
            "--samples",
            metavar="N",
            min=0,
            max=100,
            help="Draw N more answers to each question, to see how many agree. 0 draws none.",
        ),
    ] = 5,
    max_new_tokens: Annotated[
        int,
        typer.Option("--max-new-tokens", metavar="N", min=1, max=4096, help="The longest answer, in tokens: pieces of words."),
    ] = 40,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            metavar="FILE",
            help="Keep the answers in this JSONL file. Name it again to go on after an interruption.",
            show_default=False,
        ),
    ] = None,
    as_json: JsonOption = False,
    plot: PlotOption = None,
) -> None:
    """Ask the model all trick questions.

    Each trick has a plain twin, a similar question without the trick. You see how many of both it gets right, and which
    confidence measure best flags wrong answers.
    """
    from bot.cli.evaluate import Wishes, run_eval

    wishes = Wishes(model, lang, kind, limit, samples, max_new_tokens, output)
    run_eval(read_config(config), wishes, as_json=as_json, plot=plot)
