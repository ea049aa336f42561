"""The composition root: a config goes in, an `App` comes out, everything is closed on the way back. Nothing here is global."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from bot.config import Config
from bot.housekeeping import give_back_memory, purge
from bot.log import log_unexpected
from bot.model_host import EngineFactory, ModelHost
from bot.services.ask import AskService
from bot.services.beyond import BeyondService
from bot.services.compare import Comparer
from bot.services.deleting import Deleting
from bot.services.dumps import DumpService
from bot.services.layers import LayersService
from bot.services.line import WaitingLine
from bot.services.looks import Looks
from bot.services.seen import Seen
from bot.services.voice import VoiceService
from bot.storage.commands import CommandSyncStore
from bot.storage.database import Database
from bot.storage.late import LateWrites
from bot.storage.runs import RunStore
from bot.storage.seen import SeenStore
from bot.storage.votes import VoteStore

log = logging.getLogger(__name__)


class Tasks:
    """The background work of the bot: owned, so that none outlives the app.

    Attributes:
        context: the context that new tasks run in; None is a copy of the caller's. The local Discord sets it, so that the
            simulation's own bookkeeping of who started what does not wait for an answer before it shows anything.
    """

    def __init__(self) -> None:
        self.context: contextvars.Context | None = None
        self._running: set[asyncio.Task[Any]] = set()

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Start work that nobody awaits."""
        context = contextvars.copy_context() if self.context is None else self.context.copy()
        task = context.run(asyncio.create_task, work, name=name)
        self._running.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log_unexpected(log, error)

    async def aclose(self) -> None:
        """Cancel what runs and wait for it."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)


@dataclass(frozen=True, slots=True)
class App:
    """Everything that the Discord side may call."""

    config: Config
    model: ModelHost
    asks: AskService
    voices: VoiceService
    beyond: BeyondService
    comparer: Comparer
    synced_commands: CommandSyncStore
    tasks: Tasks
    layers: LayersService
    votes: VoteStore
    dumps: DumpService
    database: Database
    looks: Looks
    seen: Seen
    deleting: Deleting


@asynccontextmanager
async def open_app(config: Config, *, engine_factory: EngineFactory | None = None) -> AsyncIterator[App]:
    """Open the database and build the services. The model starts to load when `App.model.start` is called.

    Args:
        config: the validated configuration.
        engine_factory: makes the engine on the model's thread; the configured transformers model when None.

    Raises:
        ForwardPassError: the database cannot be opened.
    """
    tasks = Tasks()
    model = ModelHost(engine_factory or _configured_engine(config))
    async with Database.open(config.storage.resolved_url()) as database:
        runs = RunStore(database, keep_days=config.storage.keep_days)
        tasks.spawn(purge(runs), "purge expired runs")
        tasks.spawn(give_back_memory(), "keep memory low")
        seen = Seen(SeenStore(database))
        tasks.spawn(seen.keep(), "keep how far was read")
        line = WaitingLine(max_waiting=config.queue.max_waiting, per_user=config.queue.per_user, running=config.model.max_batch)
        late = LateWrites()
        asks = AskService(
            runs=runs,
            late=late,
            model=model,
            line=line,
            sampling=config.sampling,
            history_turns=config.discord.history_turns,
        )
        voices = VoiceService(
            runs=runs,
            model=model,
            top_k=config.lens.top_k,
            writer=config.monologue.writer,
            evidence=config.lens.evidence,
            self_report=config.lens.self_report,
            evidence_tokens=config.lens.evidence_tokens,
            lens=config.lens.kind,
            agreement=config.lens.agreement,
            history_turns=config.discord.history_turns,
        )
        beyond = BeyondService(runs=runs, model=model, asks=asks, voices=voices, history_turns=config.discord.history_turns)
        layers, votes = LayersService(runs=runs, model=model, voices=voices), VoteStore(database)
        dumps = DumpService(runs=runs, model=model, voices=voices)
        app = App(
            config=config,
            model=model,
            asks=asks,
            voices=voices,
            beyond=beyond,
            comparer=Comparer(asks=asks, voices=voices),
            synced_commands=CommandSyncStore(database),
            tasks=tasks,
            layers=layers,
            votes=votes,
            dumps=dumps,
            database=database,
            looks=Looks(per_user=config.queue.looks_per_user),
            seen=seen,
            deleting=Deleting(runs=runs, late=late, under_way=asks.under_way, voices=voices),
        )
        try:
            yield app
        finally:
            asks.close()
            await tasks.aclose()
            await voices.aclose()
            await model.aclose()
            await late.aclose()


def _configured_engine(config: Config) -> EngineFactory:
    def make() -> Any:
        # Imported on the model's thread: torch takes seconds, and Discord is answered meanwhile.
        from models.running.engine import load

        return load(config.model, prompt=config.prompt, kind=config.lens.kind, lens_file=config.lens.path)

    return make
