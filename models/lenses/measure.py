"""How far a lens is from the model's own output: KL(final || depth) over positions that it was not fitted on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from models.memory import chunk_bytes
from models.network.adapters import Parts, device_of
from models.reading.lens import Lens


@torch.inference_mode()
def kl_by_depth(
    parts: Parts, states: torch.Tensor, lenses: Mapping[str, Lens | None], on_done: Callable[[int], None] = lambda _n: None
) -> dict[str, torch.Tensor]:
    """Mean KL(final || depth) in nats of each lens at depths 0 to L-1: float64 tensors (L,).

    Args:
        parts: norm, head and what the model does to logits; called as modules, in chunks of positions.
        states: (N, L+1, D) of `models.lenses.states`.
        lenses: by name; None is the logit lens.
        on_done: gets the positions so far.
    """
    depths, device = states.shape[1] - 1, device_of(parts.norm) or states.device
    sums = {name: torch.zeros(depths, dtype=torch.float64) for name in lenses}
    rows = max(1, chunk_bytes(device) // (16 * head_rows(parts)))
    for start in range(0, len(states), rows):
        chunk = states[start : start + rows].to(device)
        final = logprobs(parts, chunk[:, -1])  # (n, V)
        probs = final.exp()
        entropy = -torch.linalg.vecdot(probs, final)  # (n,)
        for name, lens in lenses.items():
            for depth in range(depths):
                state = chunk[:, depth] if lens is None else lens(chunk[:, depth], depth)
                kl = -torch.linalg.vecdot(probs, logprobs(parts, state)) - entropy
                sums[name][depth] += kl.clamp_min(0).sum().double().cpu()
        on_done(start + len(chunk))
    return {name: total / len(states) for name, total in sums.items()}


def logprobs(parts: Parts, state: torch.Tensor) -> torch.Tensor:
    """States (n, D) before the final norm to fp32 log-probabilities (n, V), as the model does it."""
    normed: Any = parts.norm(state)
    head = device_of(parts.head)
    logits: torch.Tensor = parts.finish(parts.head(normed if head is None else normed.to(head)))
    return logits.float().log_softmax(-1).to(state.device)


def head_rows(parts: Parts) -> int:
    """V, the size of the vocabulary."""
    return int(parts.head.out_features)  # type: ignore[arg-type]
