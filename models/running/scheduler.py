"""One device thread for one engine, fed by a bounded heap: answers before monologues, monologues before dumps.

Model code blocks for seconds, so it never runs on the event loop: coroutines await here, and everything of the engine (its
loading included) happens in the thread. An engine that can have several answers under way gets all that wait, up to its capacity,
and new ones between two tokens; second passes run when no answer is under way, or when they have waited long enough, several in
one. Samples, which nobody waits for, get what is left over. Knows asyncio and `models.types`; knows no torch, no Discord and no
fairness between users, which is the bot's queue.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from models.dump import Chosen, LayerDump, What
from models.errors import AnswerCancelledError, ModelError, ModelLoadingError, UnsupportedArchitectureError
from models.running.work import AnswerWork, LatestText, Priority, Stop, TraceWork, Work
from models.trace import Trace
from models.types import Answer, BatchEngine, Dumper, Engine, Job, LensName

T = TypeVar("T")


_PATIENCE = 3.0
"""Seconds after which a second pass goes between two tokens of the answers under way, so that a busy server still has its
monologues; everyone's text then stands still for that one pass."""

_TOGETHER = 8
"""Second passes read in one sweep at most: more wait longer for each other than they gain."""


class Scheduler:
    """Awaitable access to an engine that lives in a thread of its own.

    Args:
        engine: a ready engine; `load` makes one in the thread instead.
        limit: how many calls may wait for the device at once.
    """

    def __init__(self, engine: Engine | None = None, *, limit: int = 64) -> None:
        self._engine = engine
        self._limit = limit
        self._heap: list[Work[Any]] = []
        self._order = itertools.count()
        self._wake = threading.Condition()
        self._running: list[Work[Any]] = []
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
            scheduler._engine = await scheduler._submit(Priority.LOAD, lambda _stop: factory())
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
        stream = LatestText(on_text) if on_text else None

        def options(stop: Stop) -> dict[str, Any]:
            return {
                "on_text": stream.put if stream else None,
                "cancelled": lambda: stop() or (cancelled is not None and cancelled()),
            }

        try:
            return await self._await(AnswerWork(self._rank(Priority.ANSWER), engine, job, options))
        finally:
            if stream:
                stream.closed = True

    async def sample(self, job: Job) -> Answer:
        """An answer that nobody waits for: begun only when the device has nothing else to do, and given up between two tokens for
        anything that comes, to begin anew later.

        Raises:
            ForwardPassError: as `Engine.answer`; AnswerCancelledError when the scheduler closes.
        """
        engine = self.engine

        def options(stop: Stop) -> dict[str, Any]:
            return {"on_text": None, "cancelled": lambda: stop() or self._is_wanted()}

        while True:
            try:
                return await self._await(AnswerWork(self._rank(Priority.SAMPLE), engine, job, options))
            except AnswerCancelledError:
                if self._closed:
                    raise

    def _is_wanted(self) -> bool:
        """Whether anything better than a sample waits or runs. Asked in the device thread; a moment's error does no harm."""
        return any(work.rank[0] < Priority.SAMPLE for work in (*self._heap[:1], *self._running))

    async def trace(self, answer: Answer, *, k: int = 10, lens: LensName | None = None, for_dump: bool = False) -> Trace:
        """The second pass, as `Engine.trace`. Once running it is not interrupted.

        Args:
            answer: of this engine's model.
            k: candidates to keep.
            lens: what it is read through; the engine's own lens when None.
            for_dump: it may wait behind those that somebody wants to read now.
        """
        rank = self._rank(Priority.DUMP if for_dump else Priority.TRACE)
        options = {"k": k} if lens is None else {"k": k, "lens": lens}
        return await self._await(TraceWork(rank, self.engine, answer, options))

    async def dump(self, answer: Answer, what: What, *, positions: Chosen = None, depths: Chosen = None) -> LayerDump:
        """What `Dumper.dump` gives, after everything that somebody waits to read.

        Raises:
            UnsupportedArchitectureError: this engine gives nothing away; and what `Dumper.dump` raises.
        """

        def work(engine: Engine) -> LayerDump:
            if not isinstance(engine, Dumper):
                raise UnsupportedArchitectureError("This model can be read only through the lens.")
            return engine.dump(answer, what, positions=positions, depths=depths)

        return await self.call(work, priority=Priority.DUMP)

    async def call(self, work: Callable[[Engine], T], *, priority: Priority = Priority.TRACE) -> T:
        """Run ``work`` with the engine in the device thread, when its turn comes. Once running it is not interrupted."""
        engine = self.engine
        return await self._submit(priority, lambda _stop: work(engine))

    async def aclose(self) -> None:
        """Stop what runs (between two tokens), refuse what waits, and join the thread. May be called twice."""
        self._close()
        if self._thread is not None:
            await _join(self._thread)

    def _close(self) -> None:
        with self._wake:
            self._closed = True
            waiting, self._heap = self._heap, []
            for work in self._running:
                work.stop.set()
            self._wake.notify_all()
        for work in waiting:
            work.fail(AnswerCancelledError("The bot is shutting down."))

    async def _submit(self, priority: Priority, call: Callable[[Stop], T]) -> T:
        return await self._await(Work(self._rank(priority), call))

    def _rank(self, priority: Priority) -> tuple[int, int]:
        return (priority, next(self._order))

    async def _await(self, work: Work[T]) -> T:
        self._enqueue(work)
        try:
            return await work.future
        except asyncio.CancelledError:
            self._withdraw(work)
            raise

    def _enqueue(self, work: Work[Any]) -> None:
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

    def _withdraw(self, work: Work[Any]) -> None:
        work.stop.set()
        with self._wake:
            if work in self._heap:
                self._take_out(work)

    def _work(self) -> None:
        """The device thread."""
        underway: dict[Any, AnswerWork] = {}
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._heap or self._closed or underway)
                if self._closed and not underway:
                    return
                begins, blocks = self._next(underway)
                self._running = [*underway.values(), *begins, *blocks]
            if blocks:
                self._run_now(blocks)
            for work in begins:
                try:
                    underway[work.begin(self.engine)] = work  # type: ignore[arg-type]
                except BaseException as error:  # noqa: BLE001  it belongs to the awaiter
                    work.fail(error)
            if underway:
                self._step(underway)
            self._running = [*underway.values()]  # drops the results too: the awaiters are their only owners

    def _next(self, underway: dict[Any, AnswerWork]) -> tuple[list[AnswerWork], list[Work[Any]]]:
        """What to take up now, with the lock held: answers that begin beside those under way, and work that blocks."""
        begins: list[AnswerWork] = []
        engine = self._engine
        if self._closed:
            return begins, []
        if isinstance(engine, BatchEngine):
            while self._heap and len(underway) + len(begins) < engine.capacity:
                first = self._heap[0]
                if not isinstance(first, AnswerWork) or (first.rank[0] == Priority.SAMPLE and (begins or underway)):
                    break
                begins.append(first)
                heapq.heappop(self._heap)
        if not (begins or underway):
            return begins, self._together(heapq.heappop(self._heap)) if self._heap else []
        late = [w for w in self._heap if isinstance(w, TraceWork) and time.monotonic() - w.since > _PATIENCE]
        if not late:
            return begins, []
        longest = min(late)
        self._take_out(longest)
        return begins, self._together(longest)

    def _together(self, work: Work[Any]) -> list[Work[Any]]:
        """``work``, and the second passes that can run with it."""
        if not isinstance(work, TraceWork) or not isinstance(self._engine, BatchEngine):
            return [work]
        others = [
            w for w in sorted(self._heap) if isinstance(w, TraceWork) and (w.options, w.rank[0]) == (work.options, work.rank[0])
        ]
        for other in others[: _TOGETHER - 1]:
            self._take_out(other)
        return [work, *others[: _TOGETHER - 1]]

    def _take_out(self, work: Work[Any]) -> None:
        self._heap.remove(work)
        heapq.heapify(self._heap)

    def _run_now(self, works: Sequence[Work[Any]]) -> None:
        if len(works) == 1:
            works[0].run()
            return
        traces: list[TraceWork] = [work for work in works if isinstance(work, TraceWork)]
        try:
            results = self.engine.traces([work.answer for work in traces], **traces[0].options)  # type: ignore[attr-defined]
        except BaseException as error:  # noqa: BLE001  it belongs to the awaiters
            results = [error] * len(traces)
        for work, result in zip(traces, results, strict=True):
            work.settle(result)

    def _step(self, underway: dict[Any, AnswerWork]) -> None:
        """One token for everyone under way."""
        try:
            ended = self.engine.step()  # type: ignore[attr-defined]
        except BaseException as error:  # noqa: BLE001  a defect of the engine: nobody shall wait for ever
            ended = [(token, error) for token in underway]
            for work in underway.values():
                work.stop.set()  # should the engine go on with them
        for token, result in ended:
            if token in underway:  # not one that was given up
                underway.pop(token).settle(result)


async def _join(thread: threading.Thread) -> None:
    """Wait for the thread without blocking the loop; a running forward pass or download can take a while."""
    while thread.is_alive():  # noqa: ASYNC110  a thread sets no asyncio event, and its own loop may be gone
        await asyncio.sleep(0.01)
    thread.join()
