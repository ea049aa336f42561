"""An event loop whose clock jumps to the next timer: minutes of waiting take no time. Knows nothing of the bot."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any


class _Selector(selectors.DefaultSelector):
    """Does not wait, and says how long it would have."""

    skipped = 0.0

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        if not ready and timeout:
            self.skipped += timeout
        return ready


class JumpingLoop(asyncio.SelectorEventLoop):
    """Its time is the time that was skipped."""

    def __init__(self) -> None:
        self._jumps = _Selector()
        super().__init__(self._jumps)

    def time(self) -> float:
        return self._jumps.skipped


def jumping(work: Coroutine[Any, Any, None]) -> None:
    """Run on such a loop."""
    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        runner.run(work)
