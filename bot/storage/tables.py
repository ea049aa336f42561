"""The tables, as SQLAlchemy sees them; `migrations/` is how a database gets there, and a test holds the two equal.

Portable types only, so that PostgreSQL works by URL. Rows never leave `bot.storage`: the repositories give frozen dataclasses.
Discord's ids are whole numbers of up to 63 bits.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    DateTime,
    Dialect,
    Double,
    ForeignKey,
    Index,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Text,
    TypeDecorator,
    false,
    true,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from models.types import whole

STATES = ("queued", "answering", "answered", "told", "failed", "cancelled")
SOURCES = ("mention", "reply", "dm", "slash", "cli")


class UtcDateTime(TypeDecorator[datetime]):
    """A moment. SQLite forgets the zone, so everything is put in as UTC and comes back as UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is not None and value.tzinfo is None:
            raise ValueError("a moment without a time zone")
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Words(TypeDecorator[str]):
    """A text of a person or a model. No database takes half a character, and PostgreSQL no NUL."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else whole(value).replace("\0", "\ufffd")


class Base(DeclarativeBase):
    """Holds the metadata; named constraints, so that a later migration can drop them by name."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


def _one_of(column: str, words: tuple[str, ...]) -> CheckConstraint:
    return CheckConstraint(f"{column} IN ({', '.join(repr(word) for word in words)})", name=column)


class RunRow(Base):
    """One question, from the moment it is asked. Columns below `question` are empty until it is answered."""

    __tablename__ = "runs"

    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    state: Mapped[str] = mapped_column(String(16))
    source: Mapped[str] = mapped_column(String(16))
    guild_id: Mapped[int | None] = mapped_column(BigInteger)
    channel_id: Mapped[int | None] = mapped_column(BigInteger)
    user_id: Mapped[int | None] = mapped_column(BigInteger)
    question_message_id: Mapped[int | None] = mapped_column(BigInteger)
    answer_message_id: Mapped[int | None] = mapped_column(BigInteger)
    thread_id: Mapped[int | None] = mapped_column(BigInteger)
    parent_run_id: Mapped[str | None] = mapped_column(String(16), ForeignKey("runs.id", ondelete="SET NULL"))
    locale: Mapped[str] = mapped_column(String(16))
    style: Mapped[str | None] = mapped_column(String(16))
    sampling: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    error_kind: Mapped[str | None] = mapped_column(String(64))
    error_text: Mapped[str | None] = mapped_column(Words)
    question: Mapped[str] = mapped_column(Words)
    private: Mapped[bool] = mapped_column(Boolean, server_default=false())

    attempts: Mapped[int] = mapped_column(server_default="0")
    voice_attempts: Mapped[int] = mapped_column(server_default="0")
    shown_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    voice_state: Mapped[str | None] = mapped_column(String(16))
    wants_voice: Mapped[bool] = mapped_column(Boolean, server_default=true())
    interaction_token: Mapped[str | None] = mapped_column(Text)
    response_message_id: Mapped[int | None] = mapped_column(BigInteger)
    quoted_message_id: Mapped[int | None] = mapped_column(BigInteger)
    """Somebody's message whose words stand in the question."""
    origin_run_id: Mapped[str | None] = mapped_column(String(16))
    """The run whose question this one asks again, or stands beside; without a foreign key, which SQLite cannot add later."""

    model_id: Mapped[str | None] = mapped_column(Text)
    revision: Mapped[str | None] = mapped_column(Text)
    dtype: Mapped[str | None] = mapped_column(String(16))
    seed: Mapped[int | None] = mapped_column(BigInteger)
    answer_text: Mapped[str | None] = mapped_column(Words)
    finish: Mapped[str | None] = mapped_column(String(16))
    dropped_turns: Mapped[int | None]
    thinking: Mapped[int | None]
    """How many of the answer's tokens were reasoning; None in runs of before, which had none."""
    seconds_to_first: Mapped[float | None] = mapped_column(Double)
    seconds: Mapped[float | None] = mapped_column(Double)
    # Read only when the answer itself is wanted; see `bot.storage.packing` for what is inside.
    prompt_ids: Mapped[bytes | None] = mapped_column(LargeBinary, deferred=True)
    answer_ids: Mapped[bytes | None] = mapped_column(LargeBinary, deferred=True)
    sampled_prob: Mapped[bytes | None] = mapped_column(LargeBinary, deferred=True)
    final_top: Mapped[bytes | None] = mapped_column(LargeBinary, deferred=True)
    trace: Mapped[bytes | None] = mapped_column(LargeBinary, deferred=True)

    __table_args__ = (
        _one_of("state", STATES),
        _one_of("source", SOURCES),
        Index("ix_runs_expires_at", "expires_at"),
        Index("ix_runs_state", "state"),
        Index("ix_runs_channel_id_created_at", "channel_id", "created_at"),
        Index("ix_runs_thread_id", "thread_id"),
        Index("ix_runs_question_message_id", "question_message_id"),
        Index("ix_runs_parent_run_id", "parent_run_id"),
        Index("ix_runs_shown_at", "shown_at"),
        Index("ix_runs_voice_state", "voice_state"),
        Index("ix_runs_quoted_message_id", "quoted_message_id"),
        Index("ix_runs_origin_run_id", "origin_run_id"),
    )


class RunMessageRow(Base):
    """One Discord message of an answer, so that any part of a long answer finds its run; also while it is being written."""

    __tablename__ = "run_messages"

    message_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    run_id: Mapped[str] = mapped_column(String(16), ForeignKey("runs.id", ondelete="CASCADE"), index=True)
    part: Mapped[int]
    final: Mapped[bool] = mapped_column(Boolean, server_default=true())


class LineageRow(Base):
    """A message whose words a run holds by a run that it goes on from and that was purged. See `bot.storage.forgetting`."""

    __tablename__ = "run_lineage"

    run_id: Mapped[str] = mapped_column(String(16), ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)
    message_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False, index=True)


class VoteRow(Base):
    """One person's thumb under an answer: 1 is up, -1 is down."""

    __tablename__ = "votes"

    run_id: Mapped[str] = mapped_column(String(16), ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)
    user_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    value: Mapped[int] = mapped_column(SmallInteger)
    cast_at: Mapped[datetime] = mapped_column(UtcDateTime)

    __table_args__ = (CheckConstraint("value IN (-1, 1)", name="value"),)


class SyncedCommandsRow(Base):
    """What was last sent to Discord's command sync, a row for each scope (global, or one guild)."""

    __tablename__ = "synced_commands"

    scope: Mapped[str] = mapped_column(String(64), primary_key=True)
    content_hash: Mapped[str] = mapped_column(String(128))
    synced_at: Mapped[datetime] = mapped_column(UtcDateTime)


class LeaseRow(Base):
    """Who serves: a row for the database itself, one for the bot. See `bot.storage.lease`."""

    __tablename__ = "leases"

    scope: Mapped[str] = mapped_column(String(80), primary_key=True)
    holder: Mapped[str] = mapped_column(String(32))
    beat: Mapped[int] = mapped_column(BigInteger)
    host: Mapped[str] = mapped_column(String(255))
    pid: Mapped[int] = mapped_column(BigInteger)
    mark: Mapped[str] = mapped_column(String(64))


class SeenRow(Base):
    """Up to which message everything was read; one row, `gateway`. See `bot.storage.seen`."""

    __tablename__ = "seen"

    scope: Mapped[str] = mapped_column(String(32), primary_key=True)
    message_id: Mapped[int] = mapped_column(BigInteger)
