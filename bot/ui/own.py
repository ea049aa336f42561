"""The bot's own messages, as the gateway tells of them: what stands in Discord although the reply of its request was lost.

The gateway tells the bot of its ephemeral messages, too, though of no list has them. Knows no answer.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

import discord

Gist = tuple[str, ...]


class OwnMessages:
    """The latest of them."""

    def __init__(self, limit: int = 1000) -> None:
        self._latest: deque[discord.Message] = deque(maxlen=limit)

    def add(self, message: discord.Message) -> None:
        """The gateway told of it."""
        self._latest.append(message)

    def by_nonce(self, nonce: int) -> discord.Message | None:
        """The message that was sent under a nonce."""
        return next((m for m in reversed(self._latest) if str(m.nonce) == str(nonce)), None)

    def of(self, interaction_id: int) -> list[discord.Message]:
        """What came of an interaction, oldest first."""
        return [m for m in self._latest if interaction_of(m) == interaction_id]


def interaction_of(message: discord.Message) -> int | None:
    """The interaction that a message came of."""
    found = message.interaction_metadata
    return None if found is None else found.id


def gist(content: str | None, view: discord.ui.View | discord.ui.LayoutView | None = None) -> Gist:
    """What tells a message that is to be sent from others: its words, and the ids of its controls."""
    return ((content or "").strip(), *_texts([] if view is None else view.to_components()))


def gist_of(message: discord.Message) -> Gist:
    """The same of a message that stands in Discord."""
    return (message.content.strip(), *_texts([component.to_dict() for component in message.components]))


def _texts(found: Any) -> Iterator[str]:
    if isinstance(found, dict):
        own = (found[key].strip() for key in ("content", "custom_id") if isinstance(found.get(key), str))
        yield from own
        yield from _texts(list(found.values()))
    elif isinstance(found, list):
        for each in found:
            yield from _texts(each)
