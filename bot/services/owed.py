"""What is owed to askers after a stop, and what stands of it in Discord already. Knows no Discord and no torch."""

from __future__ import annotations

from bot.errors import ModelError
from bot.services.model import Model
from bot.storage.late import LateWrites
from bot.storage.records import Placed, Run, VoiceState
from bot.storage.runs import RunStore
from models.types import Answer, ModelInfo


class Owed:
    """The open work of the journal, for whoever shows it."""

    def __init__(self, runs: RunStore, late: LateWrites, model: Model) -> None:
        self._runs = runs
        self._late = late
        self._model = model

    async def everything(self) -> tuple[Run, ...]:
        """All that a stop cut off: questions, answers not shown, inner voices not told, messages left standing."""
        return await self._runs.open_work.everything()

    async def stored(self, run: Run) -> tuple[Answer, ModelInfo | None]:
        """An answer that was given before, never computed again; and its model, when that is the one that is loaded.

        Raises:
            RunExpiredError, StorageError.
        """
        answer = await self._runs.load_answer(run.id)
        try:
            info = await self._model.ready()
        except ModelError:  # the answer is there all the same
            return answer, None
        return answer, info if (info.id, info.revision) == (run.model_id, run.revision) else None

    async def place(self, run_id: str, part: int, message_id: int, *, final: bool) -> None:
        """Remember a message at once, also one that will be edited: replies to it find the run, and so does the next start.

        Raises:
            RunExpiredError.
        """
        place = self._runs.open_work.place
        await self._late.put(lambda: place(run_id, part, message_id, final=final), f"a message of run {run_id}")

    async def places(self, run_id: str) -> tuple[Placed, ...]:
        """The messages that were posted for a run."""
        return await self._runs.open_work.places(run_id)

    async def whose(self, message_id: int) -> str | None:
        """The run that a message is part of."""
        run = await self._runs.by_message(message_id)
        return None if run is None else run.id

    async def settle(self, run_id: str, *, voice: VoiceState = "none") -> None:
        """Nothing more is owed to the asker of this run, but for a voice that is ``open``."""
        await self._late.put(lambda: self._runs.open_work.settle(run_id, voice), f"that nothing is owed for run {run_id}")
