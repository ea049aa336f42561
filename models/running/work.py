"""Calls that wait for the device thread, and the text that it streams back. Knows asyncio and `models.types`."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Mapping
from enum import IntEnum
from typing import Any, Generic, TypeVar

from models.trace import Trace
from models.types import Answer, BatchEngine, Engine, Job

T = TypeVar("T")
Stop = Callable[[], bool]


class Priority(IntEnum):
    """Smaller goes first."""

    LOAD = 0
    ANSWER = 1
    TRACE = 2
    DUMP = 3
    SAMPLE = 4


class Work(Generic[T]):
    """One call that waits for the device, and the future of who waits for it."""

    def __init__(self, rank: tuple[int, int], call: Callable[[Stop], T]) -> None:
        self.rank = rank
        self.call = call
        self.since = time.monotonic()
        self.stop = threading.Event()
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[T] = self.loop.create_future()

    def __lt__(self, other: Work[Any]) -> bool:
        return self.rank < other.rank

    def run(self) -> None:
        """In the device thread: do the work and hand over what came of it, the exception included."""
        try:
            result = self.call(self.stop.is_set)
        except BaseException as error:  # noqa: BLE001  whatever it is, it belongs to the awaiter
            self.fail(error)
        else:
            self.settle(result)

    def settle(self, result: T | BaseException) -> None:
        """From any thread: the awaiter gets this result, or this error."""
        if isinstance(result, BaseException):
            self.fail(result)
        else:
            self._post(lambda: None if self.future.done() else self.future.set_result(result))

    def fail(self, error: BaseException) -> None:
        """From any thread: the awaiter gets this error."""
        self._post(lambda: None if self.future.done() else self.future.set_exception(error))

    def _post(self, settle: Callable[[], object]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self.loop.call_soon_threadsafe(settle)


class AnswerWork(Work[Answer]):
    """An answer pass, which a `BatchEngine` runs beside others."""

    def __init__(self, rank: tuple[int, int], engine: Engine, job: Job, options: Callable[[Stop], dict[str, Any]]) -> None:
        super().__init__(rank, lambda stop: engine.answer(job, **options(stop)))
        self._job = job
        self._options = options

    def begin(self, engine: BatchEngine) -> Any:
        return engine.begin(self._job, **self._options(self.stop.is_set))


class TraceWork(Work[Trace]):
    """A second pass, which a `BatchEngine` runs together with others of the same ``options``."""

    def __init__(self, rank: tuple[int, int], engine: Engine, answer: Answer, options: Mapping[str, Any]) -> None:
        super().__init__(rank, lambda _stop: engine.trace(answer, **options))
        self.answer = answer
        self.options = options


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
