"""Options that several commands have, and what they change in the config. Nothing heavy is imported before it is needed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from bot.config import Config

QUESTION = "For example: How many eyes does my foot have? Write - to read it from standard input."

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        metavar="FILE",
        help="The settings file. Without it: ./config.yaml, if there is one.",
        show_default=False,
    ),
]
StyleOption = Annotated[
    Literal["chat", "story"] | None,
    typer.Option(
        "--style",
        help="How the question becomes a prompt. chat: in the model's own chat format. story: as the next line of a page of"
        " questions and answers, which any model can continue.",
        show_default=False,
    ),
]
SeedOption = Annotated[
    int | None, typer.Option("--seed", metavar="N", help="The same seed gives the same answer.", show_default=False)
]
TemperatureOption = Annotated[
    float | None,
    typer.Option(
        "--temperature",
        metavar="X",
        min=0.0,
        max=2.0,
        help="How freely words are drawn. 0 always takes the likeliest.",
        show_default=False,
    ),
]
TokensOption = Annotated[
    int | None,
    typer.Option(
        "--max-new-tokens",
        metavar="N",
        min=1,
        max=4096,
        help="The longest answer, in tokens: pieces of words.",
        show_default=False,
    ),
]
LensOption = Annotated[
    Literal["logit", "tuned", "jacobian"] | None,
    typer.Option(
        "--lens",
        help="What turns each depth into words. logit: the model's own output layer. tuned, jacobian: made with"
        " `forwardpass lens train`. jacobian changes only the map; the text still uses the logit lens.",
        show_default=False,
    ),
]
RevisionOption = Annotated[
    str | None,
    typer.Option("--revision", metavar="NAME", help="A branch, tag or commit of the Hugging Face id.", show_default=False),
]
LangOption = Annotated[
    Literal["en", "zh"] | None,
    typer.Option("--lang", help="The language of the inner voice. Without it: the language of the question.", show_default=False),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object instead.")]
PlotOption = Annotated[
    Path | None,
    typer.Option("--plot", metavar="FILE", help="Draw a picture into this file: .png, .svg or .pdf.", show_default=False),
]


def read_config(path: Path | None) -> Config:
    """The config of ``--config``, or the usual one. Raises ConfigError."""
    from bot.config import check_layout, load_config

    check_layout()
    return load_config(path)


def locale_of(lang: Literal["en", "zh"] | None) -> str | None:
    """The locale of ``--lang``; None where it was not given."""
    return {"en": "en-US", "zh": "zh-CN"}[lang] if lang is not None else None


def sampled(
    config: Config, temperature: float | None = None, seed: int | None = None, max_new_tokens: int | None = None
) -> Config:
    """The config with what was given of the sampler in the place of its own."""
    given = {"temperature": temperature, "seed": seed, "max_new_tokens": max_new_tokens}
    changes = {key: value for key, value in given.items() if value is not None}
    return config.model_copy(update={"sampling": config.sampling.model_copy(update=changes)}) if changes else config
