"""What the repositories take and give: frozen, and free of SQLAlchemy. The words of a question are never in a repr."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from models.types import Finish, Sampling, Style

State = Literal["queued", "answering", "answered", "told", "failed", "cancelled"]
Source = Literal["mention", "reply", "dm", "slash", "cli"]

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
