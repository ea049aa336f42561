"""The model as the services see it: loading in the background, then answering. Knows neither Discord nor the database."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar

from bot.errors import ForwardPassError, ModelError, UnsupportedArchitectureError
from bot.log import log_unexpected
from bot.services.looks import Sharing
from models.dump import Chosen, LayerDump, What
from models.findings import CausalCheck, Findings, Part, SelfReport
from models.pieces import Pieces
from models.running.scheduler import Scheduler
from models.running.work import Priority
from models.sentences import Sentence
from models.trace import Trace
from models.types import Answer, Engine, Job, LensName, ModelInfo, Piecewise, Prober, Style

T = TypeVar("T")

log = logging.getLogger(__name__)

EngineFactory = Callable[[], Engine]

UNLOADED = Sentence("My model could not be loaded. My host's log says why.")
"""What askers read: the reason names files and settings of the host."""


class ModelHost:
    """Loads an engine on its own thread and hands questions to it. One host per process and device."""

    def __init__(self, factory: EngineFactory) -> None:
        self._factory = factory
        self._looks = Sharing()
        self._scheduler: Scheduler | None = None
        self._loading: asyncio.Task[ModelInfo] | None = None

    @property
    def info(self) -> ModelInfo | None:
        """What is loaded; None while it loads or when it failed to."""
        task = self._loading
        if task is None or not task.done() or task.cancelled() or task.exception() is not None:
            return None
        return task.result()

    @property
    def failure(self) -> ForwardPassError | None:
        """Why it could not be loaded; None while it loads or when it is."""
        task = self._loading
        error = task.exception() if task is not None and task.done() and not task.cancelled() else None
        return error if isinstance(error, ForwardPassError) else None

    def start(self) -> asyncio.Task[ModelInfo]:
        """Begin to load, once."""
        if self._loading is None:
            self._loading = asyncio.create_task(self._load(), name="load the model")
        return self._loading

    async def ready(self) -> ModelInfo:
        return await asyncio.shield(self.start())

    async def answer(
        self, job: Job, *, on_text: Callable[[str], None] | None = None, cancelled: Callable[[], bool] | None = None
    ) -> Answer:
        return await self._ready_scheduler().answer(job, on_text=on_text, cancelled=cancelled)

    async def sample(self, job: Job) -> Answer:
        return await self._ready_scheduler().sample(job)

    async def trace(self, answer: Answer, *, k: int = 10, lens: LensName | None = None) -> Trace:
        """The second pass that an inner voice is told from; through a ``lens`` that is named, a look."""
        scheduler = self._ready_scheduler()
        if lens is None:
            return await scheduler.trace(answer, k=k)
        return await self._looks.once(
            ("trace", answer, k, lens), lambda: scheduler.trace(answer, k=k, lens=lens, priority=Priority.LOOK)
        )

    async def findings(self, answer: Answer, trace: Trace, *, question: str | None = None, watch: Sequence[str] = ()) -> Findings:
        def look(engine: Prober) -> Findings | Pieces[Findings]:
            found = engine.findings_in_pieces if isinstance(engine, Piecewise) else engine.findings
            return found(answer, trace, question=question, watch=watch)

        return await self._ready_scheduler().voice(_probing(look), answer)

    async def self_report(self, question: str, answer: Answer) -> SelfReport:
        def look(engine: Prober) -> SelfReport | Pieces[SelfReport]:
            report = engine.self_report_in_pieces if isinstance(engine, Piecewise) else engine.self_report
            return report(question, answer)

        return await self._ready_scheduler().voice(_probing(look), answer)

    async def follow(self, answer: Answer, trace: Trace, words: Sequence[str]) -> Findings:
        def look(engine: Prober) -> Findings | Pieces[Findings]:
            found = engine.follow_in_pieces if isinstance(engine, Piecewise) else engine.follow
            return found(answer, trace, words)

        return await self._look(("follow", answer, trace.lens, tuple(words)), look)

    async def why(self, answer: Answer, t: int, *, parts: Sequence[Part] = ("block",), seed: int = 0) -> CausalCheck:
        def look(engine: Prober) -> CausalCheck | Pieces[CausalCheck]:
            check = engine.why_in_pieces if isinstance(engine, Piecewise) else engine.why
            return check(answer, t, parts=parts, seed=seed)

        return await self._look(("why", answer, t, tuple(parts), seed), look)

    async def dump(self, answer: Answer, what: What, *, positions: Chosen = None, depths: Chosen = None) -> LayerDump:
        at, of = (None if chosen is None else tuple(chosen) for chosen in (positions, depths))
        scheduler = self._ready_scheduler()
        return await self._looks.once(
            ("dump", answer, what, at, of), lambda: scheduler.dump(answer, what, positions=at, depths=of)
        )

    async def bare_prompt(self, question: str, style: Style) -> tuple[int, ...]:
        return await self._ready_scheduler().bare_prompt(question, style)

    async def _look(self, key: Hashable, look: Callable[[Prober], T | Pieces[T]]) -> T:
        """One look that somebody waits for; who wants the same meanwhile gets the same."""
        scheduler = self._ready_scheduler()
        return await self._looks.once(key, lambda: scheduler.call(_probing(look)))

    async def aclose(self) -> None:
        """Stop between two tokens and join the thread."""
        if self._loading is not None and not self._loading.done():
            self._loading.cancel()
        if self._loading is not None:
            await asyncio.gather(self._loading, return_exceptions=True)
        if self._scheduler is not None:
            await self._scheduler.aclose()

    def _ready_scheduler(self) -> Scheduler:
        if self._scheduler is None:
            raise ModelError("The model is not loaded.")
        return self._scheduler

    async def _load(self) -> ModelInfo:
        try:
            self._scheduler = await Scheduler.load(self._factory)
        except ForwardPassError as error:
            log.critical("the model cannot be loaded: %s", error.for_host())
            error.for_askers = UNLOADED
            raise
        except Exception as error:
            error_id = log_unexpected(log, error)
            raise ModelError(
                Sentence("The model cannot be loaded (error {error_id}).", error_id=error_id), hint="The host's log says more."
            ) from error
        info = self._scheduler.engine.info
        log.info("loaded %s on %s as %s in %.1f s", info.name, info.device, info.dtype, info.load_seconds)
        return info


def _probing(look: Callable[[Prober], T | Pieces[T]]) -> Callable[[Engine], T | Pieces[T]]:
    """``look`` with an engine that can.

    Raises:
        UnsupportedArchitectureError: when it runs, this one cannot.
    """

    def work(engine: Engine) -> T | Pieces[T]:
        if not isinstance(engine, Prober):
            raise UnsupportedArchitectureError("This model can be read only through the lens.")
        return look(engine)

    return work
