"""One device thread for one engine, fed by a bounded heap: answers go before traces, first come first served inside each.

Model code blocks for seconds, so it never runs on the event loop: coroutines await here, and everything of the engine (its
loading included) happens in the thread. Knows asyncio and `models.types`; knows no torch, no Discord and no fairness between
users, which is the bot's queue.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import itertools
import threading
from collections.abc import Callable
from enum import IntEnum
from typing import Any, Generic, TypeVar

from models.errors import AnswerCancelledError, ModelError, ModelLoadingError
from models.trace import Trace
from models.types import Answer, Engine, Job

T = TypeVar("T")
Stop = Callable[[], bool]


class _Priority(IntEnum):
    """Smaller goes first."""

    LOAD = 0
    ANSWER = 1
    TRACE = 2


class _Work(Generic[T]):
    """One call that waits for the device, and the future of who waits for it."""

    def __init__(self, rank: tuple[int, int], call: Callable[[Stop], T]) -> None:
        self.rank = rank
        self.call = call
        self.stop = threading.Event()
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[T] = self.loop.create_future()

    def __lt__(self, other: _Work[Any]) -> bool:
        return self.rank < other.rank

    def run(self) -> None:
        """In the device thread: do the work and hand over what came of it, the exception included."""
        try:
            result = self.call(self.stop.is_set)
        except BaseException as error:  # noqa: BLE001  whatever it is, it belongs to the awaiter
            self.fail(error)
        else:
            self._post(lambda: None if self.future.done() else self.future.set_result(result))

    def fail(self, error: BaseException) -> None:
        """From any thread: the awaiter gets this error."""
        self._post(lambda: None if self.future.done() else self.future.set_exception(error))

    def _post(self, settle: Callable[[], object]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self.loop.call_soon_threadsafe(settle)


class _LatestText:
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


class Scheduler:
    """Awaitable access to an engine that lives in a thread of its own.

    Args:
        engine: a ready engine; `load` makes one in the thread instead.
        limit: how many calls may wait for the device at once.
    """

    def __init__(self, engine: Engine | None = None, *, limit: int = 64) -> None:
        self._engine = engine
        self._limit = limit
        self._heap: list[_Work[Any]] = []
        self._order = itertools.count()
        self._wake = threading.Condition()
        self._running: _Work[Any] | None = None
        self._thread: threading.Thread | None = None
        self._closed = False

    @classmethod
    async def load(cls, factory: Callable[[], Engine], *, limit: int = 64) -> Scheduler:
        """A scheduler whose engine ``factory`` made in the device thread, so that the event loop never waited for it.

        A cancelled load is not waited for: its thread ends by itself when the factory returns.

        Raises:
            ModelError: whatever the factory raised; no thread stays behind.
        """
        scheduler = cls(limit=limit)
        try:
            scheduler._engine = await scheduler._submit(_Priority.LOAD, lambda _stop: factory())
        except asyncio.CancelledError:
            scheduler._close()
            raise
        except BaseException:
            await scheduler.aclose()
            raise
        return scheduler

    @property
    def engine(self) -> Engine:
        """The loaded engine.

        Raises:
            ModelLoadingError: there is none yet.
        """
        if self._engine is None:
            raise ModelLoadingError("The model is still being loaded.")
        return self._engine

    @property
    def waiting(self) -> int:
        """How many calls wait for the device, the running one not counted."""
        return len(self._heap)

    async def answer(
        self,
        job: Job,
        *,
        on_text: Callable[[str], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> Answer:
        """The answer pass, as `Engine.answer`; cancelling the awaiting task stops it between two tokens.

        Args:
            job: the question.
            on_text: called on the event loop with the text so far; when the loop is slower than the model, only with the latest.
            cancelled: asked in the device thread between two tokens, so it must be safe to call there.

        Raises:
            ForwardPassError: as `Engine.answer`; ModelError when too many wait.
        """
        engine = self.engine
        stream = _LatestText(on_text) if on_text else None

        def call(stop: Stop) -> Answer:
            return engine.answer(
                job,
                on_text=stream.put if stream else None,
                cancelled=lambda: stop() or (cancelled is not None and cancelled()),
            )

        try:
            return await self._submit(_Priority.ANSWER, call)
        finally:
            if stream:
                stream.closed = True

    async def trace(self, answer: Answer, *, k: int = 10) -> Trace:
        """The second pass, as `Engine.trace`. It waits behind every answer, and once running it is not interrupted."""
        engine = self.engine
        return await self._submit(_Priority.TRACE, lambda _stop: engine.trace(answer, k=k))

    async def aclose(self) -> None:
        """Stop what runs (between two tokens), refuse what waits, and join the thread. May be called twice."""
        self._close()
        if self._thread is not None:
            await _join(self._thread)

    def _close(self) -> None:
        with self._wake:
            self._closed = True
            waiting, self._heap = self._heap, []
            if self._running:
                self._running.stop.set()
            self._wake.notify_all()
        for work in waiting:
            work.fail(AnswerCancelledError("The bot is shutting down."))

    async def _submit(self, priority: _Priority, call: Callable[[Stop], T]) -> T:
        work = _Work((priority, next(self._order)), call)
        self._enqueue(work)
        try:
            return await work.future
        except asyncio.CancelledError:
            self._withdraw(work)
            raise

    def _enqueue(self, work: _Work[Any]) -> None:
        with self._wake:
            if self._closed:
                raise AnswerCancelledError("The bot is shutting down.")
            if len(self._heap) >= self._limit:
                raise ModelError("Too many questions are waiting for the model.", hint="Ask again in a moment.")
            heapq.heappush(self._heap, work)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="forward-pass-device", daemon=True)
                self._thread.start()
            self._wake.notify()

    def _withdraw(self, work: _Work[Any]) -> None:
        work.stop.set()
        with self._wake:
            if work in self._heap:
                self._heap.remove(work)
                heapq.heapify(self._heap)

    def _work(self) -> None:
        """The device thread."""
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._heap or self._closed)
                if self._closed:
                    return
                self._running = heapq.heappop(self._heap)
            self._running.run()
            self._running = None  # drops the result too: the awaiter is its only owner


async def _join(thread: threading.Thread) -> None:
    """Wait for the thread without blocking the loop; a running forward pass or download can take a while."""
    while thread.is_alive():  # noqa: ASYNC110  a thread sets no asyncio event, and its own loop may be gone
        await asyncio.sleep(0.01)
    thread.join()
