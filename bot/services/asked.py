"""What a question is on its way through the services: as it came in, who hears of it, and what came of it. Knows no Discord."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from bot.storage.records import Run, Source
from models.types import Answer, ModelInfo, Sampling, Style


@dataclass(frozen=True, slots=True)
class AskRequest:
    """One question, as it came in."""

    question: str = field(repr=False)
    user_id: int
    channel_id: int
    source: Source
    guild_id: int | None = None
    question_message_id: int | None = None
    reply_to_message_id: int | None = None
    """The message that the question replies to; when the bot wrote it, the question continues that run's conversation."""
    replied_to_answers: int | None = None
    """The question that that message answers, as it may not be journaled yet."""
    quoted_message_id: int | None = None
    """Somebody's message whose words the question takes along."""
    about: str | None = None
    """The run whose question it asks again, or that it stands beside: it is forgotten with that."""
    locale: str = "en-US"
    style: Style | None = None
    sampling: Sampling | None = None
    private: bool = False
    """Nobody but the asker shall see the answer, or find it later."""
    wants_voice: bool = True
    interaction_token: str | None = field(default=None, repr=False)
    response_message_id: int | None = None
    """Of a slash command: a restart goes on there."""


class Listener(Protocol):
    """Hears how the question fares. Called on the event loop; must return at once."""

    def loading(self) -> None:
        """The model is still being loaded; the question keeps its place."""

    def queued(self, position: int) -> None:
        """``position`` 1 is next."""

    def text(self, so_far: str) -> None:
        """The whole answer so far."""


@dataclass(frozen=True, slots=True)
class Answered:
    """The stored run and its answer."""

    run: Run
    answer: Answer
    info: ModelInfo


class AfterJournal:
    """Keeps the place in the line to itself until the question is journaled: else a stop could leave a notice of no run."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._journaled = False
        self._position: int | None = None

    def queued(self, position: int) -> None:
        self._position = position
        if self._journaled:
            self._listener.queued(position)

    def begin(self) -> None:
        """The question is safe."""
        self._journaled = True
        if self._position is not None:
            self._listener.queued(self._position)
