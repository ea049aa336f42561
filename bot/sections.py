"""The settings by section: names, defaults, bounds, and a sentence for each. Knows neither files nor the environment."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import platformdirs
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from models.types import LensName

InnerVoice = Literal["thread", "button", "off"]
LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR"]


def expanded(path: Path | str) -> Path:
    """With ``~`` as the home; where `~someone` has none here, it is a name like any other."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def _off(value: object) -> object:
    """YAML reads a bare `off` as false; here it is a word."""
    return "off" if value is False else value


def _channel_modes(value: object) -> object:
    """Channel ids may be written without quotes, and `off` too."""
    if not isinstance(value, Mapping):
        return value
    return {str(k) if type(k) is int else k: _off(v) for k, v in value.items()}


class Section(BaseModel):
    """Frozen, and without unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class LensConfig(Section):
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
        return expanded(self.file) if self.file is not None else None


class MonologueConfig(Section):
    """Who writes the inner voice."""

    writer: Literal["told", "model"] = Field(
        "told", description="told: made from phrase tables; model: the model writes, and only proved sentences are shown"
    )


class DiscordConfig(Section):
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
    dump_prompt: bool = Field(
        False, description="give out the whole prompt in layer dumps: the system prompt, and earlier messages of a conversation"
    )
    history_turns: int = Field(
        6, ge=0, le=50, description="how many earlier messages of a reply chain (questions and answers) go into the prompt"
    )
    stream_after_seconds: float = Field(1.5, ge=0, le=60, description="an answer is shown while it is written, after this time")
    edit_interval_seconds: float = Field(1.2, ge=0, le=60, description="seconds between two edits of such an answer")

    def locale_for(self, theirs: object) -> str:
        """The locale to speak in: the one that is fixed here, else ``theirs``, the locale of a user or a server."""
        return self.locale or str(theirs)


class ThreadsConfig(Section):
    """The inner voice's threads."""

    auto_archive: bool = Field(True, description="collapse the thread once the inner voice is written")
    archive_minutes: Literal[60, 1440, 4320, 10080] = Field(60, description="minutes after which a quiet thread collapses")


class QueueConfig(Section):
    """Who waits, and how long the line may get."""

    max_waiting: int = Field(16, ge=0, le=10_000, description="how many questions may wait; any more are refused at once")
    per_user: int = Field(1, ge=1, le=5, description="how many unanswered questions one user may have")
    looks_per_user: int = Field(2, ge=1, le=20, description="looks into earlier answers that one user may have in flight")


class StorageConfig(Section):
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


class LogConfig(Section):
    """What is logged; the text of messages never is."""

    level: LogLevel = Field("INFO", description="the least serious messages that are logged")
    json_lines: bool = Field(False, description="log one JSON object per line instead of readable text")
