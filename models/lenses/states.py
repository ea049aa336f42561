"""What the training of a lens reads: the residual stream at every depth, and what the last block put out before the final norm.

Knows models and texts; knows no lens.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from models.memory import free_bytes
from models.network.adapters import Parts
from models.network.forward import input_device, last_row_only
from models.network.residuals import tapped

_SHARE = 2
"""At most this part of the free memory may hold states."""


@dataclass(frozen=True, slots=True)
class Text:
    """Tokens, of which those from ``start`` on are to be predicted."""

    ids: tuple[int, ...] = field(repr=False)
    start: int

    @property
    def positions(self) -> int:
        """How many positions predict a token that counts."""
        return len(self.ids) - self.start


@torch.no_grad()
def states_of(model: Any, parts: Parts, text: Text) -> torch.Tensor:
    """One forward pass. Returns (T, L+1, D): depths 0 to L-1, then the last block's output before the norm, on the CPU."""
    states: dict[int, torch.Tensor] = {}
    at = slice(text.start - 1, len(text.ids) - 1)

    def before_norm(_norm: Any, args: tuple[Any, ...]) -> None:
        states[len(parts.blocks)] = args[0][0, at].cpu()

    def take(depth: int, state: torch.Tensor) -> None:
        if depth < len(parts.blocks):  # depth L comes normed
            states[depth] = state[0, at].cpu()

    handle = parts.norm.register_forward_pre_hook(before_norm)
    try:
        with tapped(model, parts, take):
            model(input_ids=torch.tensor([text.ids], device=input_device(model)), use_cache=False, **last_row_only(model))
    finally:
        handle.remove()
    return torch.stack([states[d] for d in range(len(parts.blocks) + 1)], dim=1)


def collect(model: Any, parts: Parts, texts: Sequence[Text], on_done: Callable[[int], None] = lambda _n: None) -> torch.Tensor:
    """`states_of` all ``texts``, one after the other: (N, L+1, D) in the model's dtype; fewer rows when memory is short.

    Args:
        model: in eval mode.
        parts: of the model.
        texts: at least one.
        on_done: gets the rows so far after each text.
    """
    first = states_of(model, parts, texts[0])
    room = max(len(first), free_bytes(torch.device("cpu")) // _SHARE // (first[0].numel() * first.element_size()))
    kept = torch.empty((min(room, sum(t.positions for t in texts)), *first.shape[1:]), dtype=first.dtype)
    done = 0
    for text in texts:
        states = states_of(model, parts, text)[: len(kept) - done]
        kept[done : done + len(states)] = states
        done += len(states)
        on_done(done)
        if done == len(kept):
            break
    return kept
