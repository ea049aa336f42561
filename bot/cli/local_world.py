"""Where simcord's Discord is one for tests, and the local Discord should be as the real one is."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from simcord._clock import Clock
from simcord.enums import MessageType


class RealTime(Clock):
    """The time of day. simcord's own stands still on 1 January 2026, and every message would be dated so."""

    def now(self) -> datetime:
        """Now, in UTC."""
        return datetime.now(UTC)


def as_discord(backend: Any) -> None:
    """Let the time pass, and say nothing under a message whose thread is opened: Discord says it only of other threads."""
    backend.clock = RealTime()
    announce = backend.create_system_message

    def create_system_message(channel_id: int, kind: int, *args: Any, **rest: Any) -> Any:
        if kind == MessageType.THREAD_CREATED and rest.get("referenced_message_id") is not None:
            return None
        return announce(channel_id, kind, *args, **rest)

    backend.create_system_message = create_system_message
