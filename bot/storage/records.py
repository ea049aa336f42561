"""What the repositories take and give: frozen, and free of SQLAlchemy. The words of a question are never in a repr."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from models.types import Finish, Sampling, Style

State = Literal["queued", "answering", "answered", "told", "failed", "cancelled"]
Source = Literal["mention", "reply", "dm", "slash", "cli"]
VoiceState = Literal["none", "open", "thread", "button"]
"""Where the inner voice of a shown answer is: none wanted or possible, still owed, told in a thread, behind a button."""

UNFINISHED: tuple[State, ...] = ("queued", "answering")
ANSWERED: tuple[State, ...] = ("answered", "told")


def new_run_id() -> str:
    """16 characters that are safe in a URL and in a button's custom id; nobody can guess another one."""
    return secrets.token_urlsafe(12)


def utc_now() -> datetime:
    """The clock."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class NewRun:
    """A question as it arrives, to be journaled before it is queued. ``style`` and ``sampling``: None is what the config says."""

    question: str = field(repr=False)
    source: Source
    channel_id: int | None = None
    user_id: int | None = None
    guild_id: int | None = None
    question_message_id: int | None = None
    parent_run_id: str | None = None
    locale: str = "en-US"
    style: Style | None = None
    sampling: Sampling | None = None
    private: bool = False
    """Only the asker sees it."""
    wants_voice: bool = True
    interaction_token: str | None = field(default=None, repr=False)
    """Of a slash command: fills its response within fifteen minutes. Kept until the run is done, and never logged."""
    response_message_id: int | None = None
    """The response of a slash command, "thinking" so far."""
    quoted_message_id: int | None = None
    """Somebody's message whose words stand in the question."""
    origin_run_id: str | None = None
    """The run whose question this one asks again, or stands beside: it is forgotten with that."""
    id: str = field(default_factory=new_run_id)


@dataclass(frozen=True, slots=True)
class RunFailure:
    """Why a run failed: the error's class, and its sentence for the user ("" when it has none)."""

    kind: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Run:
    """A stored run. All below ``question`` is None until it is answered. Ids are Discord's, times UTC, ``seconds`` those of the
    answer pass.
    """

    id: str
    created_at: datetime
    expires_at: datetime
    state: State
    source: Source
    guild_id: int | None
    channel_id: int | None
    user_id: int | None
    question_message_id: int | None
    answer_message_id: int | None
    thread_id: int | None
    parent_run_id: str | None
    locale: str
    style: Style | None
    sampling: Sampling | None
    error: RunFailure | None
    question: str = field(repr=False)
    model_id: str | None
    revision: str | None
    dtype: str | None
    seed: int | None
    answer_text: str | None = field(repr=False)
    finish: Finish | None
    seconds: float | None
    has_trace: bool
    private: bool = False
    attempts: int = 0
    """How many answer passes were begun whose end nobody knows."""
    voice_attempts: int = 0
    """The same for second passes."""
    shown_at: datetime | None = None
    """Since when all that there is to say stands in Discord."""
    voice_state: VoiceState | None = None
    wants_voice: bool = True
    interaction_token: str | None = field(default=None, repr=False)
    response_message_id: int | None = None
    quoted_message_id: int | None = None
    origin_run_id: str | None = None


@dataclass(frozen=True, slots=True)
class Placed:
    """A message that was posted for a run: which part of the answer, and whether its whole text stands there."""

    message_id: int
    part: int
    final: bool
