"""The model as the services see it: loading in the background, then answering. Knows neither Discord nor the database."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import TypeVar

from bot.errors import ForwardPassError, ModelError, UnsupportedArchitectureError
from bot.log import log_unexpected
from models.dump import Chosen, LayerDump, What
from models.findings import CausalCheck, Findings, Part, SelfReport
from models.running.scheduler import Scheduler
from models.sentences import Sentence
from models.trace import Trace
from models.types import Answer, Engine, Job, LensName, ModelInfo, Prober

T = TypeVar("T")

log = logging.getLogger(__name__)

EngineFactory = Callable[[], Engine]


class ModelHost:
    """Loads an engine on its own thread and hands questions to it. One host per process and device."""

    def __init__(self, factory: EngineFactory) -> None:
        self._factory = factory
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
        return await self._ready_scheduler().trace(answer, k=k, lens=lens)

    async def findings(self, answer: Answer, trace: Trace, *, question: str | None = None, watch: Sequence[str] = ()) -> Findings:
        return await self._probe(lambda prober: prober.findings(answer, trace, question=question, watch=watch))

    async def why(self, answer: Answer, t: int, *, parts: Sequence[Part] = ("block",), seed: int = 0) -> CausalCheck:
        return await self._probe(lambda prober: prober.why(answer, t, parts=parts, seed=seed))

    async def self_report(self, question: str, answer: Answer) -> SelfReport:
        return await self._probe(lambda prober: prober.self_report(question, answer))

    async def dump(self, answer: Answer, what: What, *, positions: Chosen = None, depths: Chosen = None) -> LayerDump:
        return await self._ready_scheduler().dump(answer, what, positions=positions, depths=depths)

    async def _probe(self, look: Callable[[Prober], T]) -> T:
        def work(engine: Engine) -> T:
            if not isinstance(engine, Prober):
                raise UnsupportedArchitectureError("This model can be read only through the lens.")
            return look(engine)

        return await self._ready_scheduler().call(work)

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
            log.critical("the model cannot be loaded: %s", error.for_user())
            raise
        except Exception as error:
            error_id = log_unexpected(log, error)
            raise ModelError(
                Sentence("The model cannot be loaded (error {error_id}).", error_id=error_id), hint="The host's log says more."
            ) from error
        info = self._scheduler.engine.info
        log.info("loaded %s on %s as %s in %.1f s", info.name, info.device, info.dtype, info.load_seconds)
        return info
