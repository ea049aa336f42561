"""What a causal check says: which blocks the token hangs on, told only where a random removal does not do the same. NumPy only.

Every figure is a function of the check alone, so that the monologue's verifier can recompute it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.findings import CausalCheck, FloatArray, IntArray, Part, Removals
from models.trace import BoolArray


@dataclass(frozen=True, slots=True)
class Flip:
    """A block without which another token would have been the likeliest, while it would not after a random removal there."""

    block: int
    """From 1."""
    token: int
    """The likeliest token without the block."""
    drop: float
    """Nats that the emitted token's log-probability falls by; below 0 when it rises."""
    control_drop: float


STEADY = 3e-5
"""Nats of `Removals.jitter` up to which a removal is told with figures; beyond it their digits would be the rounding's."""


def is_steady(removals: Removals, block: int) -> bool:
    """Whether the figures without ``block``, from 1, are the model's rather than the rounding's."""
    return removals.jitter is None or float(removals.jitter[block - 1]) <= STEADY


def drops(check: CausalCheck, part: Part = "block") -> tuple[FloatArray, FloatArray]:
    """How far the emitted token's log-probability falls at each removal and each control, in nats, shapes (L,) and (L,).

    Raises:
        ValueError: this part was not asked for.
    """
    removals = _of(check, part)
    whole = np.float32(check.logprob)
    return whole - removals.logprob, whole - removals.control_logprob


def flips(check: CausalCheck, part: Part = "block") -> tuple[Flip, ...]:
    """The blocks whose removal changes the likeliest token while the control's does not, in order."""
    removals = _of(check, part)
    real, control = drops(check, part)
    at = np.flatnonzero(_changed(check, removals.top_ids) & ~_changed(check, removals.control_top_ids))
    return tuple(Flip(int(i) + 1, int(removals.top_ids[i]), float(real[i]), float(control[i])) for i in at)


def noisy(check: CausalCheck, part: Part = "block") -> tuple[int, ...]:
    """The blocks, from 1, whose removal changes the likeliest token and whose control does too: no cause is told of them."""
    removals = _of(check, part)
    at = np.flatnonzero(_changed(check, removals.top_ids) & _changed(check, removals.control_top_ids))
    return tuple(int(i) + 1 for i in at)


def _changed(check: CausalCheck, top_ids: IntArray) -> BoolArray:
    """Where the likeliest token (L,) is another than with nothing removed, (L,)."""
    changed: BoolArray = top_ids != check.top_id
    return changed


def matters(check: CausalCheck, part: Part = "block") -> tuple[int, ...]:
    """The blocks, from 1, that may be told as mattering: `flips`, and those whose drop exceeds the largest control's."""
    real, control = drops(check, part)
    over = {int(i) + 1 for i in np.flatnonzero(real > max(0.0, float(control.max())))}
    return tuple(sorted(over | {flip.block for flip in flips(check, part)}))


def strongest(check: CausalCheck, part: Part = "block") -> int | None:
    """Of `matters`, the block with the largest drop, the earlier at a tie; None when no block matters."""
    real, _control = drops(check, part)
    return max(matters(check, part), key=lambda block: (float(real[block - 1]), -block), default=None)


def _of(check: CausalCheck, part: Part) -> Removals:
    removals = check.of(part)
    if removals is None:
        raise ValueError(f"the causal check has no removals of {part}")
    return removals
