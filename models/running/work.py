"""Calls that wait for the device thread, some of them done in pieces, and the text that it streams back.

Knows asyncio and `models.types`.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from enum import IntEnum
from typing import Any, Generic, TypeVar

from models.pieces import Pieces
from models.trace import Trace
from models.types import Answer, BatchEngine, Engine, Job, Piecewise

T = TypeVar("T")
Stop = Callable[[], bool]


class Priority(IntEnum):
    """Smaller goes first."""

    LOAD = 0
    ANSWER = 1
    VOICE = 2
    """What belongs to the inner voice of an answer: its second pass, evidence and self-report."""
    LOOK = 3
    """What somebody waits to see of an earlier answer."""
    DUMP = 4
    SAMPLE = 5


class Task(Generic[T]):
    """What the device does at one go, or piece by piece.

    Args:
        call: gives the result, or pieces whose end is the result.
    """

    def __init__(self, call: Callable[[], T | Pieces[T]]) -> None:
        self._call = call
        self._pieces: Pieces[T] | None = None

    def advance(self) -> bool:
        """In the device thread: do it, or the next piece of it, and hand over what came of it, the exception included.

        Returns:
            Whether that was all.
        """
        try:
            if self._pieces is None:
                result = self._call()
                if not isinstance(result, Generator):
                    self.settle(result)
                    return True
                self._pieces = result
            if self.forsaken:
                self._pieces.close()
                return True
            next(self._pieces)
        except StopIteration as end:
            self.settle(end.value)
        except BaseException as error:  # noqa: BLE001  whatever it is, it belongs to the awaiter
            self.fail(error)
        else:
            return False
        return True

    def give_up(self, error: BaseException) -> None:
        """In the device thread: go no further."""
        if self._pieces is not None:
            self._pieces.close()
        self.fail(error)

    @property
    def works(self) -> Sequence[Work[Any]]:
        """Whose it is."""
        raise NotImplementedError

    @property
    def forsaken(self) -> bool:
        """Whether nobody waits for it any more."""
        return all(work.stop.is_set() for work in self.works)

    def settle(self, result: T | BaseException) -> None:
        """From any thread: who waits gets this result, or this error."""
        raise NotImplementedError

    def fail(self, error: BaseException) -> None:
        """From any thread: who waits gets this error."""
        raise NotImplementedError


class Work(Task[T]):
    """One call that waits for the device, and the future of who waits for it.

    Args:
        rank: its priority and its number.
        call: as of `Task`; asks its argument whether to stop.
        due: on the scheduler's clock, when it is late; never without one.
    """

    def __init__(self, rank: tuple[Priority, int], call: Callable[[Stop], T | Pieces[T]], *, due: float = math.inf) -> None:
        super().__init__(lambda: call(self.stop.is_set))
        self.rank = rank
        self.due = due
        self.stop = threading.Event()
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[T] = self.loop.create_future()

    def __lt__(self, other: Work[Any]) -> bool:
        return self.rank < other.rank

    @property
    def priority(self) -> Priority:
        return self.rank[0]

    @property
    def works(self) -> Sequence[Work[Any]]:
        return (self,)

    def settle(self, result: T | BaseException) -> None:
        if isinstance(result, BaseException):
            self.fail(result)
        else:
            self._post(lambda: None if self.future.done() else self.future.set_result(result))

    def fail(self, error: BaseException) -> None:
        self._post(lambda: None if self.future.done() else self.future.set_exception(error))

    def _post(self, settle: Callable[[], object]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self.loop.call_soon_threadsafe(settle)


class AnswerWork(Work[Answer]):
    """An answer pass, which a `BatchEngine` runs beside others."""

    def __init__(self, rank: tuple[Priority, int], engine: Engine, job: Job, options: Callable[[Stop], dict[str, Any]]) -> None:
        super().__init__(rank, lambda stop: engine.answer(job, **options(stop)))
        self._job = job
        self._options = options

    def begin(self, engine: BatchEngine) -> Any:
        return engine.begin(self._job, **self._options(self.stop.is_set))


class TraceWork(Work[Trace]):
    """A second pass, which a `BatchEngine` runs together with others of the same ``options``."""

    def __init__(
        self, rank: tuple[Priority, int], engine: Engine, answer: Answer, options: Mapping[str, Any], *, due: float
    ) -> None:
        super().__init__(rank, lambda _stop: engine.trace(answer, **options), due=due)
        self.answer = answer
        self.options = options

    def goes_with(self, other: Work[Any]) -> bool:
        """Whether both can be read in one sweep."""
        return isinstance(other, TraceWork) and (other.options, other.priority) == (self.options, self.priority)


class Sweep(Task[Sequence[Trace | BaseException]]):
    """Several second passes in one; each awaiter gets its own result."""

    def __init__(self, works: Sequence[TraceWork], engine: BatchEngine) -> None:
        read = engine.traces_in_pieces if isinstance(engine, Piecewise) else engine.traces
        super().__init__(lambda: read([work.answer for work in works], **works[0].options))
        self._works = works

    @property
    def works(self) -> Sequence[Work[Any]]:
        return self._works

    def settle(self, result: Sequence[Trace | BaseException] | BaseException) -> None:
        results = [result] * len(self._works) if isinstance(result, BaseException) else result
        for work, one in zip(self._works, results, strict=True):
            work.settle(one)

    def fail(self, error: BaseException) -> None:
        self.settle(error)


class LatestText:
    """Carries streamed text to the event loop; the latest wins, and at most one delivery is under way."""

    def __init__(self, deliver: Callable[[str], None]) -> None:
        self._deliver = deliver
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._text: str | None = None
        self.closed = False

    def put(self, text: str) -> None:
        """In the device thread: this is the text now."""
        with self._lock:
            waiting, self._text = self._text is not None, text
        if not waiting:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self._take)

    def _take(self) -> None:
        with self._lock:
            text, self._text = self._text, None
        if text is not None and not self.closed:
            self._deliver(text)
