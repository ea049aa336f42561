"""What is deleted in Discord: whoever answers it stops, and no word of it is kept. Knows no Discord."""

from __future__ import annotations

from collections.abc import Collection

from bot.services.under_way import UnderWay
from bot.services.voice import VoiceService
from bot.storage.forgetting import Forgotten
from bot.storage.late import LateWrites
from bot.storage.runs import RunStore


class Deleting:
    """Forgets messages."""

    def __init__(self, *, runs: RunStore, late: LateWrites, under_way: UnderWay, voices: VoiceService) -> None:
        self._runs = runs
        self._late = late
        self._under_way = under_way
        self._voices = voices

    async def messages(self, message_ids: Collection[int]) -> tuple[Forgotten, ...]:
        """These were deleted. Back when their words are gone, however long the database takes; gives what was forgotten.

        What was asked in them stops at once, what goes on from them as soon as it is known. Forgotten are questions asked in them
        or quoting them, answers that stood in them, what was asked again of these (roads not taken, second thoughts, the other
        side of a comparison), and all that goes on from any of these, since its prompt holds the words.
        """
        self._under_way.stop_by_messages(message_ids)
        found: tuple[Forgotten, ...] = ()

        async def forget() -> None:
            nonlocal found
            begun = self._under_way.begun()
            found = await self._runs.forgetting.messages(message_ids, begun=begun, tell=self._under_way.stop_about)

        await self._late.settle(forget, "what was deleted in Discord")
        self._voices.drop([one.run_id for one in found])
        return found

    async def held(self, run_ids: Collection[str], message_id: int) -> None:
        """The words of these runs stand in that message, which is no answer of one of them; back when that is written.

        Raises:
            RunExpiredError: one of them is gone.
        """
        await self._late.settle(lambda: self._runs.forgetting.note(run_ids, message_id), "whose words a card holds")
