"""The settings: what they are called, what is allowed, and where they come from.

Weakest first: the defaults here, config.yaml, environment variables ``FORWARDPASS_<SECTION>__<KEY>`` (such as
``FORWARDPASS_SAMPLING__TOP_K=40``; mappings as YAML), and the overrides of the command line. The bot token is no setting:
`read_token` takes it from ``FORWARDPASS_TOKEN`` or from the file that ``discord.token_file`` names. Knows no Discord, no model.
"""

from __future__ import annotations

import importlib.util
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from pydantic import Field, ValidationError

from bot.config_reading import (
    Problem,
    Settings,
    allowed_words,
    environment_settings,
    read_text,
    read_yaml,
    report,
    sections_of,
    settle,
    value_problems,
)
from bot.errors import ConfigError, ForwardPassError, MissingTokenError
from bot.sections import (
    DiscordConfig,
    LensConfig,
    LogConfig,
    MonologueConfig,
    QueueConfig,
    Section,
    StorageConfig,
    ThreadsConfig,
    expanded,
)
from models.types import ModelConfig, PromptConfig, Sampling

logger = logging.getLogger(__name__)

FILE_NAME = "config.yaml"
FILE_VARIABLE = "FORWARDPASS_CONFIG"
TOKEN_VARIABLE = "FORWARDPASS_TOKEN"  # noqa: S105 (a name, not a token)


class Config(Section):
    """All settings. Frozen: a changed setting takes effect at the next start."""

    model: ModelConfig = Field(default_factory=ModelConfig, description="which model, and where it runs")
    prompt: PromptConfig = Field(default_factory=PromptConfig, description="how a question becomes a prompt")
    sampling: Sampling = Field(default_factory=Sampling, description="how the next token is drawn")
    lens: LensConfig = Field(default_factory=LensConfig, description="what the second pass reads through, and what it keeps")
    monologue: MonologueConfig = Field(default_factory=MonologueConfig, description="who writes the inner voice")
    discord: DiscordConfig = Field(default_factory=DiscordConfig, description="how the bot behaves in Discord")
    threads: ThreadsConfig = Field(default_factory=ThreadsConfig, description="the inner voice's threads")
    queue: QueueConfig = Field(default_factory=QueueConfig, description="who waits, and how long the line may get")
    storage: StorageConfig = Field(default_factory=StorageConfig, description="where runs are kept, and for how long")
    log: LogConfig = Field(default_factory=LogConfig, description="what is logged")


def load_config(
    path: Path | None = None,
    overrides: Mapping[str, object] | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Config:
    """Read the settings.

    Args:
        path: the settings file; without one ``$FORWARDPASS_CONFIG``, then ``./config.yaml`` if there is one, then the defaults.
        overrides: settings of the command line, under dotted keys (``{"model.id": "default"}``) or nested in sections.
        environ: the environment.

    Raises:
        ConfigError: with every problem at once.
    """
    file = settings_file(path, environ)
    from_environment, origins = environment_settings(environ, Config)
    sources: list[tuple[object, str]] = [
        (_from_file(file) if file else None, file.name if file else FILE_NAME),
        (from_environment, "environment"),
        (_nested(overrides or {}), "command line"),
    ]
    merged: Settings = {}
    problems: list[Problem] = []
    for data, name in sources:
        settings, found = settle(data, Config, name)
        problems += found
        for section, values in settings.items():
            merged.setdefault(section, {}).update(values)
    config, found = _validated(merged, origins)
    report(problems + found)
    if config.discord.listen and not config.discord.message_content:
        # Without the intent Discord sends these messages empty, and the channel would look dead.
        raise ConfigError("discord.listen", list(config.discord.listen), "only with `discord.message_content: true`")
    return config


def _validated(settings: Settings, origins: Mapping[str, str]) -> tuple[Config, list[Problem]]:
    try:
        return Config.model_validate(settings), []
    except ValidationError as error:
        return Config(), value_problems(error, settings, Config, origins)


def settings_file(path: Path | None, environ: Mapping[str, str] = os.environ) -> Path | None:
    """The file that `load_config` reads; None when there is none and the defaults apply. Raises ConfigError."""
    named = environ.get(FILE_VARIABLE)
    if path is None and not named:
        default = Path(FILE_NAME)
        return default if default.is_file() else None
    file = expanded(path if path is not None else str(named))
    if not file.is_file():
        key = "config file" if path is not None else FILE_VARIABLE
        hint = f"there is no settings file {file}. Copy config.yaml of the repository there, or name another file."
        raise ConfigError(key, str(file), "a YAML file that exists", problems=(hint,))
    return file


def _from_file(file: Path) -> object:
    data = read_yaml(read_text(file), file.name)
    section = data.get("discord") if isinstance(data, dict) else None
    name = section.get("token_file") if isinstance(section, dict) else None
    if isinstance(section, dict) and isinstance(name, str) and name:
        section["token_file"] = str(file.absolute().parent / expanded(name))
    return data


def _nested(overrides: Mapping[str, object]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for key, value in overrides.items():
        section, dot, name = key.partition(".")
        if dot:
            nested.setdefault(section, {})[name] = value
        elif isinstance(value, Mapping):
            nested.setdefault(section, {}).update(value)
        else:
            nested[section] = value
    return nested


def read_token(config: Config, environ: Mapping[str, str] = os.environ) -> str:
    """The bot token: ``FORWARDPASS_TOKEN``, else the file that ``discord.token_file`` names.

    Raises:
        MissingTokenError: there is neither, or it is empty.
    """
    token = environ.get(TOKEN_VARIABLE, "").strip()
    if token:
        return token
    if config.discord.token_file is None:
        raise MissingTokenError("I have no bot token.")
    file = expanded(config.discord.token_file)
    try:
        token = file.read_text(encoding="utf-8-sig").strip()
        mode = file.stat().st_mode
    except OSError as error:
        raise MissingTokenError(f"The token file {file} cannot be read: {error.strerror}.") from error
    except ValueError:
        # `from None`: that error quotes the bytes.
        raise MissingTokenError(f"The token file {file} is not a text file.") from None
    if not token:
        raise MissingTokenError(f"The token file {file} is empty.")
    if os.name == "posix" and mode & 0o077:
        logger.warning("other accounts of this machine can read the token file %s; run: chmod 600 %s", file, file)
    return token


class Setting(NamedTuple):
    """One line of the settings table."""

    key: str
    default: str
    allowed: str
    description: str


def settings_table() -> list[Setting]:
    """Every setting as text, in the order of config.yaml; the README and `--help` are made from it."""
    return [
        Setting(
            f"{section}.{key}",
            yaml.safe_dump(info.get_default(call_default_factory=True), default_flow_style=True).split("\n")[0],
            allowed_words(info),
            info.description or "",
        )
        for section, fields in sections_of(Config).items()
        for key, info in fields.items()
    ]


def check_layout() -> None:
    """Refuse to start when another package of the same name has come between: the three have very common names.

    Raises:
        ForwardPassError: `bot`, `cogs` and `models` do not lie under one parent.
    """
    parents = {}
    for name in ("bot", "cogs", "models"):
        spec = importlib.util.find_spec(name)
        parents[name] = Path(spec.origin).resolve().parent.parent if spec and spec.origin else None
    if None in parents.values() or len(set(parents.values())) != 1:
        where = ", ".join(f"{name} in {parent or 'no place'}" for name, parent in parents.items())
        raise ForwardPassError(
            f"Another package has taken a name of mine: {where}.",
            hint="Install Forward Pass into a virtual environment of its own.",
        )
