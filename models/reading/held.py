"""What answer passes leave for their second passes: residual states, the latest first, within a bound. Knows tensors alone."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch

from models.memory import free_bytes

_MOST = 512 << 20
_SHARE = 8
"""Of what is free on the device, this part at most may be held."""

States = tuple[torch.Tensor, ...]
Key = tuple[tuple[int, ...], tuple[int, ...]]


class HeldStates:
    """States by their tokens: L+1 tensors (T, D) for each pair of prompt and answer ids."""

    def __init__(self) -> None:
        self._held: OrderedDict[Key, States] = OrderedDict()
        self._bytes = 0

    def put(self, prompt_ids: Sequence[int], answer_ids: Sequence[int], states: States) -> None:
        """Hold ``states``; the oldest go when there are too many, these themselves when they alone are."""
        key = (tuple(prompt_ids), tuple(answer_ids))
        self._drop(key)
        self._held[key] = states
        self._bytes += _size(states)
        room = min(_MOST, free_bytes(states[-1].device) // _SHARE)
        while self._held and self._bytes > room:
            self._drop(next(iter(self._held)))

    def get(self, prompt_ids: Sequence[int], answer_ids: Sequence[int]) -> States | None:
        """What is held of this answer; None when nothing is."""
        return self._held.get((tuple(prompt_ids), tuple(answer_ids)))

    def clear(self) -> None:
        self._held.clear()
        self._bytes = 0

    def _drop(self, key: Key) -> None:
        states = self._held.pop(key, None)
        if states is not None:
            self._bytes -= _size(states)


def _size(states: States) -> int:
    return sum(state.numel() * state.element_size() for state in states)
