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
from typing import Annotated, Any, Literal, NamedTuple

import platformdirs
import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError

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
from models.types import LensName, ModelConfig, PromptConfig, Sampling

logger = logging.getLogger(__name__)

InnerVoice = Literal["thread", "button", "off"]
LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR"]

FILE_NAME = "config.yaml"
FILE_VARIABLE = "FORWARDPASS_CONFIG"
TOKEN_VARIABLE = "FORWARDPASS_TOKEN"  # noqa: S105 (a name, not a token)


def _off(value: object) -> object:
    """YAML reads a bare `off` as false; here it is a word."""
    return "off" if value is False else value


def _channel_modes(value: object) -> object:
    """Channel ids may be written without quotes, and `off` too."""
    if not isinstance(value, Mapping):
        return value
    return {str(k) if type(k) is int else k: _off(v) for k, v in value.items()}


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class LensConfig(_Section):
    """What the second pass reads through, and what it keeps."""

    kind: LensName = Field(
        "logit",
        description="logit: the model's own norm and head, at every depth; tuned: a lens that `forwardpass lens train` made;"
        " jacobian: the pictures show what each depth is disposed to say, and the text still uses the logit lens",
    )
    file: str | None = Field(
        None, min_length=1, description="file of a tuned or jacobian lens; if empty, this model's in the user's cache folder"
    )
    top_k: int = Field(10, ge=1, le=50, description="how many candidates to keep at each depth of each answer token")
    evidence: bool = Field(
        True,
        description="look further into each answer: what each layer added, what was looked at, how far the prompt pulled;"
        " costs about two thirds of a second pass",
    )
    self_report: bool = Field(
        True, description="ask the model whether its answer is right, and show how likely it said yes; costs one short prompt"
    )
    evidence_tokens: int = Field(1000, ge=0, description="longest prompt and answer, in tokens, that get evidence")
    agreement: int = Field(
        0, ge=0, le=20, description="further answers sampled in the background, to show how many mean the same; 0 is none"
    )

    @property
    def path(self) -> Path | None:
        """Where ``file`` is; None when it is empty."""
        return _expanded(self.file) if self.file is not None else None


class MonologueConfig(_Section):
    """Who writes the inner voice."""

    writer: Literal["told", "model"] = Field(
        "told", description="told: made from phrase tables; model: the model writes, and only proved sentences are shown"
    )


class DiscordConfig(_Section):
    """How the bot behaves in Discord."""

    token_file: str | None = Field(
        None, min_length=1, description="file that holds the bot token, relative to this file; FORWARDPASS_TOKEN goes first"
    )
    inner_voice: Annotated[InnerVoice, BeforeValidator(_off)] = Field(
        "thread", description="where the inner voice is told: in a thread, behind a button on the answer, or nowhere"
    )
    locale: Literal["en-US", "zh-CN"] | None = Field(
        None, description="the language for everybody; if empty, each user's own, and for mentions the server's"
    )
    channels: Annotated[
        dict[Annotated[str, StringConstraints(pattern=r"^[0-9]{1,20}$")], InnerVoice], BeforeValidator(_channel_modes)
    ] = Field(
        default_factory=dict,
        description="another inner_voice for single channels, by channel id",
        json_schema_extra={"allowed": "numeric channel ids, each with thread, button or off"},
    )
    listen: tuple[Annotated[str, StringConstraints(min_length=1, max_length=100)], ...] = Field(
        (),
        description="channels (names or ids) where every message is a question, without a mention; needs message_content: true",
        json_schema_extra={"allowed": "a list of channel names, or of channel ids in quotes"},
    )
    button_beside_thread: bool = Field(False, description="show the 💭 button on the answer even if there is a thread")
    votes: bool = Field(True, description="show 👍 and 👎; who pressed which is stored for as long as the answer")
    message_content: bool = Field(
        False, description="ask for the Message Content intent (to read all messages); mentions, replies and DMs need none"
    )
    history_turns: int = Field(
        6, ge=0, le=50, description="how many earlier messages of a reply chain (questions and answers) go into the prompt"
    )
    stream_after_seconds: float = Field(1.5, ge=0, le=60, description="an answer is shown while it is written, after this time")
    edit_interval_seconds: float = Field(1.2, ge=0, le=60, description="seconds between two edits of such an answer")

    def locale_for(self, theirs: object) -> str:
        """The locale to speak in: the one that is fixed here, else ``theirs``, the locale of a user or a server."""
        return self.locale or str(theirs)


class ThreadsConfig(_Section):
    """The inner voice's threads."""

    auto_archive: bool = Field(True, description="collapse the thread once the inner voice is written")
    archive_minutes: Literal[60, 1440, 4320, 10080] = Field(60, description="minutes after which a quiet thread collapses")


class QueueConfig(_Section):
    """Who waits, and how long the line may get."""

    max_waiting: int = Field(16, ge=0, le=10_000, description="how many questions may wait; any more are refused at once")
    per_user: int = Field(1, ge=1, le=5, description="how many unanswered questions one user may have")
    looks_per_user: int = Field(2, ge=1, le=20, description="looks into earlier answers that one user may have in flight")


class StorageConfig(_Section):
    """Where runs are kept, and for how long."""

    url: str | None = Field(
        None,
        pattern=r"^(sqlite(\+aiosqlite)?|postgresql(\+\w+)?)://",
        repr=False,  # may hold a password
        description="SQLAlchemy URL of the database; if empty, an SQLite file in the user's data folder",
        json_schema_extra={"allowed": "sqlite+aiosqlite:///path/of/file or postgresql+asyncpg://user@host/name, or empty"},
    )
    keep_days: int = Field(30, ge=1, le=3650, description="days until a question is deleted, with its answer and trace")

    def resolved_url(self) -> str:
        """The URL that is really used."""
        if self.url is not None:
            return self.url
        return f"sqlite+aiosqlite:///{Path(platformdirs.user_data_dir('forward-pass')) / 'forward-pass.sqlite3'}"


class LogConfig(_Section):
    """What is logged; the text of messages never is."""

    level: LogLevel = Field("INFO", description="the least serious messages that are logged")
    json_lines: bool = Field(False, description="log one JSON object per line instead of readable text")


class Config(_Section):
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
    file = _expanded(path if path is not None else str(named))
    if not file.is_file():
        key = "config file" if path is not None else FILE_VARIABLE
        hint = f"there is no settings file {file}. Copy config.yaml of the repository there, or name another file."
        raise ConfigError(key, str(file), "a YAML file that exists", problems=(hint,))
    return file


def _expanded(path: Path | str) -> Path:
    try:
        return Path(path).expanduser()
    except RuntimeError:  # `~someone` who has no home here: then it is a name like any other
        return Path(path)


def _from_file(file: Path) -> object:
    data = read_yaml(read_text(file), file.name)
    section = data.get("discord") if isinstance(data, dict) else None
    name = section.get("token_file") if isinstance(section, dict) else None
    if isinstance(section, dict) and isinstance(name, str) and name:
        section["token_file"] = str(file.absolute().parent / _expanded(name))
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
    file = _expanded(config.discord.token_file)
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
