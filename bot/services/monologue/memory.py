"""Which phrases the inner voice used lately in each place, so that it does not repeat itself. In memory alone: a restart may.

Knows ids of phrases, runs and channels; no trace and no text.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

MONOLOGUES = 10
"""How far back it remembers in one channel."""
CHANNELS = 1_000
"""Places that it remembers; of more, the one that was quiet longest is forgotten."""


class PhraseMemory:
    """The phrases of the last monologues of each channel. Told again, a run meets the memory that it met the first time."""

    def __init__(self, *, monologues: int = MONOLOGUES, channels: int = CHANNELS) -> None:
        self._monologues, self._channels = monologues, channels
        self._used: OrderedDict[int | None, OrderedDict[str, tuple[str, ...]]] = OrderedDict()
        self._met: dict[str, tuple[str, ...]] = {}

    def avoid(self, channel: int | None, run_id: str) -> tuple[str, ...]:
        """Ids of the phrases to avoid in this run's monologue, oldest first."""
        if run_id in self._met:
            return self._met[run_id]
        return tuple(phrase for phrases in self._used.get(channel, {}).values() for phrase in phrases)

    def told(self, channel: int | None, run_id: str, phrases: Iterable[str]) -> None:
        """This run was told with these phrases; a second telling, in another language say, adds its own."""
        self._met.setdefault(run_id, self.avoid(channel, run_id))
        here = self._used.setdefault(channel, OrderedDict())
        self._used.move_to_end(channel)
        here[run_id] = tuple(dict.fromkeys((*here.get(run_id, ()), *phrases)))
        while len(here) > self._monologues:
            self._met.pop(here.popitem(last=False)[0], None)
        while len(self._used) > self._channels:
            for forgotten in self._used.popitem(last=False)[1]:
                self._met.pop(forgotten, None)
