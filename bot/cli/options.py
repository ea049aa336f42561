"""Options that several commands have, and what they change in the config. Nothing heavy is imported before it is needed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from bot.config import Config

ConfigOption = Annotated[
    Path | None, typer.Option("--config", "-c", help="The config file; ./config.yaml when there is one.", show_default=False)
]
StyleOption = Annotated[
    Literal["chat", "story"] | None, typer.Option("--style", help="How the question becomes a prompt.", show_default=False)
]
SeedOption = Annotated[int | None, typer.Option("--seed", help="Same seed, same answer.", show_default=False)]
TemperatureOption = Annotated[
    float | None, typer.Option("--temperature", min=0.0, max=2.0, help="0 is greedy.", show_default=False)
]
TokensOption = Annotated[
    int | None, typer.Option("--max-new-tokens", min=1, max=4096, help="Longest answer, in tokens.", show_default=False)
]


def read_config(path: Path | None) -> Config:
    """The config of ``--config``, or the usual one. Raises ConfigError."""
    from bot.config import check_layout, load_config

    check_layout()
    return load_config(path)


def sampled(
    config: Config, temperature: float | None = None, seed: int | None = None, max_new_tokens: int | None = None
) -> Config:
    """The config with what was given of the sampler in the place of its own."""
    given = {"temperature": temperature, "seed": seed, "max_new_tokens": max_new_tokens}
    changes = {key: value for key, value in given.items() if value is not None}
    return config.model_copy(update={"sampling": config.sampling.model_copy(update=changes)}) if changes else config
