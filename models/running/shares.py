"""Device time by turns: how much of it inner voices and looks get while answers are under way. Knows seconds; knows no work."""

from __future__ import annotations

SHARE = 0.5
"""Of the device's time that others get while answers want it too, once the others are late: an answer then takes twice as long
at most, and nothing waits for ever."""


class Shares:
    """An account in seconds: answers pay in, others take out. Others may go on while it is not overdrawn.

    Nothing is saved up: a long time without others earns them no long turn.
    """

    def __init__(self, share: float = SHARE) -> None:
        self._rate = share / (1 - share)
        self._credit = 0.0

    @property
    def others_may(self) -> bool:
        """Whether it is the others' turn."""
        return self._credit >= 0

    def answered(self, seconds: float) -> None:
        """Answers had the device for so long."""
        self._credit = min(0.0, self._credit + seconds * self._rate)

    def others(self, seconds: float) -> None:
        """Others had it for so long while answers waited."""
        self._credit -= seconds

    def forget(self) -> None:
        """No answer waits: nobody owes anything."""
        self._credit = 0.0
