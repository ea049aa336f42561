"""One device thread for one engine: answers token by token, and between them, by turns, what is read of earlier answers.

Model code blocks for seconds, so it never runs on the event loop: coroutines await here, and everything of the engine (its
loading included) happens in the thread. An engine that can have several answers under way gets all that wait, up to its capacity,
and new ones between two tokens. Inner voices and looks run when no answer is under way; when they are late they get a share of
the device (`models.running.shares`), piece by piece between two tokens, second passes several in one. Samples, which nobody waits
for, get what is left over. Knows asyncio and `models.types`; knows no torch, no Discord and no fairness between users, which is
the bot's queue.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from models.dump import Chosen, LayerDump, What
from models.errors import AnswerCancelledError, ModelLoadingError, UnsupportedArchitectureError
from models.pieces import Pieces
from models.running.shares import Shares
from models.running.waiting import Dues, Waiting
from models.running.work import AnswerWork, LatestText, Priority, Stop, Sweep, Task, TraceWork, Work
from models.trace import Trace
from models.types import Answer, BatchEngine, Dumper, Engine, Job, LensName, Piecewise, Style

T = TypeVar("T")

_PATIENCE = {Priority.LOOK: 2.0, Priority.DUMP: 6.0}
"""Seconds after which a look is late; of an inner voice, see `models.running.waiting.Dues`."""


class Scheduler:
    """Awaitable access to an engine that lives in a thread of its own.

    Args:
        engine: a ready engine; `load` makes one in the thread instead.
        limit: how many answers may wait for the device at once, and how many looks beside them.
        clock: gives seconds.
    """

    def __init__(self, engine: Engine | None = None, *, limit: int = 64, clock: Callable[[], float] = time.monotonic) -> None:
        self._engine = engine
        self._clock = clock
        self._waiting = Waiting(limit)
        self._shares = Shares()
        self._order = itertools.count()
        self._dues = Dues()
        self._wake = threading.Condition()
        self._running: list[Work[Any]] = []
        self._aside: Task[Any] | None = None
        """What is done beside the answers, perhaps half done."""
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
        return len(self._waiting)

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
        first = self._waiting.first
        return any(work.priority < Priority.SAMPLE for work in (*([first] if first else ()), *self._running))

    async def trace(
        self, answer: Answer, *, k: int = 10, lens: LensName | None = None, priority: Priority = Priority.VOICE
    ) -> Trace:
        """The second pass, as `Engine.trace`. It is read in pieces by an engine that can pause.

        Args:
            answer: of this engine's model.
            k: candidates to keep.
            lens: what it is read through; the engine's own lens when None.
            priority: of an inner voice, or of a look that may wait behind those.
        """
        options = {"k": k} if lens is None else {"k": k, "lens": lens}
        due = self._dues.of(answer, self._clock()) if priority is Priority.VOICE else self._clock() + _PATIENCE[priority]
        return await self._await(TraceWork(self._rank(priority), self.engine, answer, options, due=due))

    async def dump(self, answer: Answer, what: What, *, positions: Chosen = None, depths: Chosen = None) -> LayerDump:
        """What `Dumper.dump` gives, after everything that somebody waits to read.

        Raises:
            UnsupportedArchitectureError: this engine gives nothing away; and what `Dumper.dump` raises.
        """

        def work(engine: Engine) -> LayerDump:
            return _dumper(engine).dump(answer, what, positions=positions, depths=depths)

        return await self.call(work, priority=Priority.DUMP)

    async def bare_prompt(self, question: str, style: Style) -> tuple[int, ...]:
        """What `Dumper.bare_prompt` gives. Raises as `dump`."""
        return await self.call(lambda engine: _dumper(engine).bare_prompt(question, style))

    async def voice(self, work: Callable[[Engine], T | Pieces[T]], answer: Answer) -> T:
        """More of an inner voice whose second pass has been read: as `call`, and late when that was."""
        return await self._call(work, Priority.VOICE, self._dues.of(answer, self._clock()))

    async def call(self, work: Callable[[Engine], T | Pieces[T]], *, priority: Priority = Priority.LOOK) -> T:
        """Run ``work`` with the engine in the device thread, when its turn comes; answers go on between the pieces it gives."""
        return await self._call(work, priority, self._clock() + _PATIENCE[priority])

    async def _call(self, work: Callable[[Engine], T | Pieces[T]], priority: Priority, due: float) -> T:
        engine = self.engine
        return await self._await(Work(self._rank(priority), lambda _stop: work(engine), due=due))

    async def aclose(self) -> None:
        """Stop what runs (between two tokens), refuse what waits, and join the thread. May be called twice."""
        self._close()
        if self._thread is not None:
            await _join(self._thread)

    def _close(self) -> None:
        with self._wake:
            self._closed = True
            waiting = self._waiting.clear()
            for work in self._running:
                work.stop.set()
            self._wake.notify_all()
        for work in waiting:
            work.fail(_shutting_down())

    async def _submit(self, priority: Priority, call: Callable[[Stop], T]) -> T:
        return await self._await(Work(self._rank(priority), call))

    def _rank(self, priority: Priority) -> tuple[Priority, int]:
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
                raise _shutting_down()
            self._waiting.add(work)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="forward-pass-device", daemon=True)
                self._thread.start()
            self._wake.notify()

    def _withdraw(self, work: Work[Any]) -> None:
        work.stop.set()
        with self._wake:
            if work in self._waiting:
                self._waiting.remove(work)

    def _work(self) -> None:
        """The device thread."""
        underway: dict[Any, AnswerWork] = {}
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._waiting or self._closed or underway or self._aside)
                if self._closed and self._aside is not None:
                    self._aside.give_up(_shutting_down())
                    self._aside = None
                if self._closed and not underway:
                    return
                begins = self._begins(underway)
                contested = self._contested(underway, begins)
                self._aside = self._aside or self._choose(contested)
                self._running = [*underway.values(), *begins, *(self._aside.works if self._aside else ())]
            self._go_aside(contested)
            for work in begins:
                try:
                    underway[work.begin(self.engine)] = work  # type: ignore[arg-type]
                except BaseException as error:  # noqa: BLE001  it belongs to the awaiter
                    work.fail(error)
            if underway:
                self._timed(lambda: self._step(underway), self._shares.answered)
            self._running = [*underway.values()]  # drops the results too: the awaiters are their only owners

    def _begins(self, underway: dict[Any, AnswerWork]) -> list[AnswerWork]:
        """The answers that begin now beside those under way, with the lock held."""
        begins: list[AnswerWork] = []
        if self._closed or not isinstance(self._engine, BatchEngine) or self._waiting.holds(self._clock()):
            return begins
        while isinstance(first := self._waiting.first, AnswerWork) and len(underway) + len(begins) < self._engine.capacity:
            if first.priority is Priority.SAMPLE and (begins or underway or self._aside):
                break
            begins.append(first)
            self._waiting.remove(first)
        return begins

    def _contested(self, underway: dict[Any, AnswerWork], begins: list[AnswerWork]) -> bool:
        """Whether an answer wants the device now."""
        first = self._waiting.first
        alone = not isinstance(self._engine, BatchEngine) and first is not None and first.priority is Priority.ANSWER
        return bool(underway or begins) or alone

    def _choose(self, contested: bool) -> Task[Any] | None:
        """What to take up beside the answers, with the lock held: what is late, by turns; anything when no answer is there.

        An engine that answers one question at a time has its answers here, too.
        """
        late, first = self._waiting.late(self._clock()), self._waiting.first
        if not contested:
            self._shares.forget()
        chosen = late if late is not None and self._shares.others_may else first
        if chosen is None or (chosen is not late and isinstance(self._engine, BatchEngine) and contested) or self._closed:
            return None
        self._waiting.remove(chosen)
        return self._together(chosen) if isinstance(chosen, TraceWork) and isinstance(self._engine, BatchEngine) else chosen

    def _together(self, work: TraceWork) -> Task[Any]:
        """``work``, and the second passes that can run with it."""
        if not isinstance(self._engine, BatchEngine):
            return work
        works = self._waiting.take_with(work)
        return Sweep(works, self._engine) if len(works) > 1 or isinstance(self._engine, Piecewise) else work

    def _go_aside(self, contested: bool) -> None:
        """A piece of what is done beside the answers, if it is its turn."""
        task = self._aside
        pauses = contested and isinstance(self._engine, BatchEngine) and not self._shares.others_may
        if task is None or pauses:
            return
        paid = self._shares.answered if isinstance(task, AnswerWork) else self._shares.others
        if self._timed(task.advance, paid if contested else lambda _seconds: None):
            self._aside = None

    def _timed(self, work: Callable[[], T], paid: Callable[[float], None]) -> T:
        started = self._clock()
        try:
            return work()
        finally:
            paid(self._clock() - started)

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


def _dumper(engine: Engine) -> Dumper:
    if not isinstance(engine, Dumper):
        raise UnsupportedArchitectureError("This model can be read only through the lens.")
    return engine


def _shutting_down() -> AnswerCancelledError:
    return AnswerCancelledError("The bot is shutting down.")


async def _join(thread: threading.Thread) -> None:
    """Wait for the thread without blocking the loop; a running forward pass or download can take a while."""
    while thread.is_alive():  # noqa: ASYNC110  a thread sets no asyncio event, and its own loop may be gone
        await asyncio.sleep(0.01)
    thread.join()
