"""What is being answered right now, whose words it holds, and whether it is to stop since they were deleted. Knows no Discord."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from bot.errors import AnswerCancelledError, ForwardPassError, WordsDeletedError

RECENT = 200
"""Deleted messages that are remembered: the way into the journal is short, but a pasted file is read on it."""


@dataclass(slots=True, eq=False)
class Pass:
    """One answer under way: of a question, or of a look such as a road not taken.

    Attributes:
        run_id: of a journaled question.
        messages: the messages whose words it holds.
        about: runs whose words it holds.
        begun: whether it has read its history.
    """

    run_id: str | None = None
    messages: frozenset[int] = frozenset()
    about: frozenset[str] = frozenset()
    begun: bool = False
    _error: type[ForwardPassError] | None = field(default=None, repr=False)

    def stop(self, error: type[ForwardPassError]) -> None:
        """End it between two tokens. What stopped it first counts."""
        self._error = self._error or error

    @property
    def stopped(self) -> bool:
        """Whether it is to end."""
        return self._error is not None

    def raise_if_stopped(self) -> None:
        """Raises the reason, when there is one."""
        if self._error is not None:
            raise self.why()

    def why(self) -> ForwardPassError:
        """The reason: a question that was deleted itself is taken back without a word; whoever only went on from it is told."""
        if self._error is WordsDeletedError:
            return WordsDeletedError("What I went on from here was deleted, so I stopped.", request_id=self.run_id)
        return AnswerCancelledError("The question was deleted.", request_id=self.run_id)


class UnderWay:
    """All of them."""

    def __init__(self) -> None:
        self._passes: list[Pass] = []
        self._deleted: deque[int] = deque(maxlen=RECENT)

    @contextmanager
    def watching(self, one: Pass) -> Iterator[Pass]:
        """While it is under way."""
        self._passes.append(one)
        try:
            yield one
        finally:
            self._passes.remove(one)

    def stop_by_messages(self, message_ids: Collection[int]) -> bool:
        """These messages were deleted: stop what was asked in them. Whether there was any."""
        self._deleted.extend(message_ids)
        found = [one for one in self._passes if one.messages & set(message_ids)]
        for one in found:
            one.stop(AnswerCancelledError if one.run_id else WordsDeletedError)
        return bool(found)

    def comes_too_late(self, *message_ids: int | None) -> bool:
        """Whether one of them was deleted just now: while its question was on its way into the journal."""
        return any(one in self._deleted for one in message_ids)

    def stop_about(self, run_ids: Collection[str]) -> None:
        """These runs are forgotten: stop what goes on from them, and themselves."""
        for one in self._passes:
            if one.run_id in run_ids or one.about & set(run_ids):
                one.stop(WordsDeletedError)

    def begun(self) -> frozenset[str]:
        """Journaled questions that have read their history."""
        return frozenset(one.run_id for one in self._passes if one.begun and one.run_id)
