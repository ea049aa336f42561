"""What ``forwardpass model …`` and ``lens …`` take: their options. The work is done in `bot.cli.weights` and `bot.cli.lens`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from bot.cli.options import ConfigOption, JsonOption, PlotOption, RevisionOption, read_config

model_cli = typer.Typer(
    help="Fetch the model, or see what it needs.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
lens_cli = typer.Typer(
    help="Train a lens, and measure it. A lens turns what the model holds at each depth into words. The logit lens, which is the"
    " model's own output layer, needs no training; a trained lens may read the early depths better.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@model_cli.command("pull")
def model_pull(
    model_id: Annotated[
        str | None,
        typer.Argument(
            metavar="ID",
            help="A Hugging Face id, such as Qwen/Qwen3-0.6B. Without it, or with the word default: the default model.",
            show_default=False,
        ),
    ] = None,
    config: ConfigOption = None,
    revision: RevisionOption = None,
    force: Annotated[bool, typer.Option("--force", help="Download and convert the default model again.")] = False,
) -> None:
    """Download a model beforehand. You see how far it is.

    A download that was interrupted goes on where it stopped. The default model comes in about 93 MB and is converted here, so
    that later starts are fast. HF_TOKEN opens gated models.
    """
    from bot.cli.weights import pull, pull_from_hub
    from models.types import DEFAULT_MODEL

    settings = read_config(config)
    if model_id is not None and model_id != DEFAULT_MODEL:
        pull_from_hub(settings, model_id, revision=revision)
    else:
        pull(settings, force=force)


@model_cli.command("path")
def model_path(config: ConfigOption = None) -> None:
    """Print the default model's folder."""
    from bot.cli.weights import folder

    typer.echo(folder(read_config(config)))


@model_cli.command("info")
def model_info(
    model_id: Annotated[
        str | None,
        typer.Argument(
            metavar="ID",
            help="A Hugging Face id, a folder, a .gguf file, or the word default. Without it: the model of the settings.",
            show_default=False,
        ),
    ] = None,
    config: ConfigOption = None,
    revision: RevisionOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what a model needs and can do here. It reads the model's config alone; it neither downloads nor loads weights."""
    from bot.cli.weights import info

    info(read_config(config), model_id, revision=revision, as_json=as_json)


@lens_cli.command("train")
def lens_train(
    config: ConfigOption = None,
    kind: Annotated[
        Literal["tuned", "jacobian"],
        typer.Option(
            "--kind",
            help="tuned: learns to predict the output from each depth. jacobian: shows which words each depth makes likelier"
            " later on; this is no prediction.",
        ),
    ] = "tuned",
    text: Annotated[
        Path | None,
        typer.Option(
            "--text",
            metavar="FILE",
            help="Train on this text file. Without it the model writes the text itself.",
            show_default=False,
        ),
    ] = None,
    tokens: Annotated[
        int | None,
        typer.Option(
            "--tokens",
            metavar="N",
            min=64,
            max=10_000_000,
            help="Train on N tokens of text. Without it: 20000 for tuned, 384 for jacobian.",
            show_default=False,
        ),
    ] = None,
    steps: Annotated[
        int,
        typer.Option(
            "--steps",
            metavar="N",
            min=0,
            max=1_000_000,
            help="With tuned: refine the first fit in N gradient steps.",
        ),
    ] = 250,
    seed: Annotated[
        int, typer.Option("--seed", metavar="N", min=0, help="The same seed gives the same text and the same lens.")
    ] = 0,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            metavar="FILE",
            help="Write the lens here. Without it: `lens.file` of the settings, or the cache folder.",
            show_default=False,
        ),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a training that was interrupted.")] = False,
) -> None:
    """Train a lens for the model. Afterwards you see how close it comes to the model's output at each depth."""
    from bot.cli.lens import Wishes, train

    train(read_config(config), Wishes(kind, text, tokens, steps, seed, output, resume))


@lens_cli.command("eval")
def lens_eval(
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="FILE", help="A lens file. Without it: the lens of the model in the settings.", show_default=False
        ),
    ] = None,
    config: ConfigOption = None,
    kind: Annotated[
        Literal["tuned", "jacobian"] | None,
        typer.Option("--kind", help="Which lens of the model. Without it: `lens.kind` of the settings.", show_default=False),
    ] = None,
    text: Annotated[
        Path | None,
        typer.Option(
            "--text",
            metavar="FILE",
            help="Measure on this text file. Without it the model writes the text itself.",
            show_default=False,
        ),
    ] = None,
    tokens: Annotated[
        int, typer.Option("--tokens", metavar="N", min=64, max=1_000_000, help="Measure on N tokens of text.")
    ] = 1_000,
    seed: Annotated[
        int | None,
        typer.Option(
            "--seed",
            metavar="N",
            min=0,
            help="The seed of the text that the model writes. Without it: another one than in the training.",
            show_default=False,
        ),
    ] = None,
    as_json: JsonOption = False,
    plot: PlotOption = None,
) -> None:
    """Measure a lens on new text. You see how far each depth is from the output, through this lens and the logit lens."""
    from bot.cli.lens import Measure, evaluate

    evaluate(read_config(config), Measure(file, kind, text, tokens, seed), as_json=as_json, plot=plot)


@lens_cli.command("info")
def lens_info(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A lens file.")],
    as_json: JsonOption = False,
) -> None:
    """Show what is in a lens file. You see its model, and how close it comes to the model's output at each depth."""
    from bot.cli.lens import info

    info(file, as_json=as_json)
