"""Long work that can pause: a generator whose every step is one piece, and whose end is the result. Loads no torch.

Between two pieces whoever drives it may do something else with the device, so nothing that acts on the whole model (a hook, a
lock, another attention) may stay in place across a ``yield``.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeVar

T = TypeVar("T")

Pieces = Generator[None, None, T]


def whole(pieces: Pieces[T]) -> T:
    """Do all pieces at once, and return the result."""
    while True:
        try:
            next(pieces)
        except StopIteration as end:
            result: T = end.value
            return result
