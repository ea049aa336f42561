"""From residual states to the numbers of a trace, in chunks: the logits of all depths never exist at once. Knows tensors alone.

Each chunk of cells goes once through norm and head; one sweep over its fp32 log-probabilities gives entropy, KL to the final
distribution, the likeliest tokens, and the emitted token's probability and rank. They are torch's own fp32 softmax, so that plain
code over `output_hidden_states` gives the same numbers (its sum over a large vocabulary is right to about 2e-5).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from models.adapters import Parts, device_of
from models.trace import FloatArray, IntArray

_BYTES = {"cpu": 64 << 20, "cuda": 512 << 20}
"""Budget of one chunk's fp32 logits. The sweep's own buffers hold one depth of a chunk and are made once."""

_BLOCK = 128
"""Tokens per block when the likeliest are looked for on a CPU: see `_likeliest`."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The numbers of every cell; names and shapes as in `models.trace.Trace`."""

    top_ids: IntArray  # (T, L+1, k)
    top_logprobs: FloatArray  # (T, L+1, k)
    emitted_prob: FloatArray  # (T, L+1)
    emitted_rank: IntArray  # (T, L+1)
    entropy: FloatArray  # (T, L+1)
    kl_to_final: FloatArray  # (T, L+1)
    checked_logprobs: FloatArray | None  # (T, m) at depth L, of the ids to check


def read(
    parts: Parts,
    states: Sequence[torch.Tensor],
    answer_ids: Sequence[int],
    *,
    k: int,
    rows: int | None = None,
    check_ids: Sequence[Sequence[int]] | None = None,
) -> Reading:
    """Every number of the trace.

    Args:
        parts: norm, head and what the model does to logits.
        states: L+1 tensors (T, D), depths 0 to L; the last is normed already.
        answer_ids: (T,) the emitted tokens.
        k: candidates to keep.
        rows: cells per chunk; from `_BYTES` when None.
        check_ids: (T, m) ids whose log-probabilities at depth L are wanted.
    """
    reader = _Reader(parts, states, answer_ids, k, check_ids)
    length = len(answer_ids)
    budget = rows or reader.rows_in_budget()
    # Few positions and many depths a chunk, or the other way round, is the same to the head, which wants many rows at once. All
    # positions together let depth L be computed once for all; a quarter of the budget bounds what is kept of it.
    together = max(1, min(length, budget // 4 or 1))
    for start in range(0, length, together):
        reader.read_positions(slice(start, min(start + together, length)), depths_at_once=max(1, budget // together))
    return reader.result()


class _Reader:
    """Holds the growing result while chunks come by."""

    def __init__(
        self,
        parts: Parts,
        states: Sequence[torch.Tensor],
        answer_ids: Sequence[int],
        k: int,
        check_ids: Sequence[Sequence[int]] | None,
    ) -> None:
        self._parts = parts
        self._states = states
        device = device_of(parts.head) or states[-1].device
        self._device = device
        self._emitted = torch.tensor([int(i) for i in answer_ids], device=device)  # (T,)
        self._check_ids = None if check_ids is None else torch.tensor([list(row) for row in check_ids], device=device)  # (T, m)
        self._vocabulary = self._logits(states[-1][:1]).shape[-1]
        shape = (len(answer_ids), len(states))
        k = min(k, self._vocabulary)
        self._top_ids = torch.empty((*shape, k), dtype=torch.long, device=device)
        self._top_logprobs = torch.empty((*shape, k), device=device)
        self._emitted_prob = torch.empty(shape, device=device)
        self._emitted_rank = torch.empty(shape, dtype=torch.long, device=device)
        self._entropy = torch.empty(shape, device=device)
        self._kl = torch.empty(shape, device=device)
        self._checked: list[torch.Tensor] = []  # (p, m) each

    def rows_in_budget(self) -> int:
        return max(1, _BYTES.get(self._device.type, 64 << 20) // (4 * self._vocabulary))

    def read_positions(self, at: slice, *, depths_at_once: int) -> None:
        """Fill in all depths of the positions ``at``, depth L first: the others are compared with it."""
        last, count = len(self._states) - 1, at.stop - at.start
        scratch = torch.empty((2, count, self._vocabulary), device=self._device)  # (2, p, V): one depth's rows stay in the cache
        final = self._logits(self._states[last][at]).log_softmax(-1)  # (p, V)
        if self._check_ids is not None:
            self._checked.append(final.gather(-1, self._check_ids[at]))
        final_probs = final.exp()  # (p, V)
        final_entropy = -torch.linalg.vecdot(final_probs, final)  # (p,)
        self._sweep(at, last, final, final_probs, final_entropy, scratch[1])
        self._kl[at, last] = 0.0
        del final
        for depths in _slices(last, depths_at_once):
            state = torch.cat([self._normed(s[at]) for s in self._states[depths]])  # (q·p, D)
            logits = self._logits(state).view(-1, count, self._vocabulary)  # (q, p, V)
            for depth, rows in enumerate(logits, start=depths.start):  # (p, V)
                logprobs = torch.log_softmax(rows, -1, out=scratch[0])
                self._sweep(at, depth, logprobs, final_probs, final_entropy, scratch[1])

    def _sweep(
        self,
        at: slice,
        depth: int,
        logprobs: torch.Tensor,  # (p, V) fp32
        final_probs: torch.Tensor,  # (p, V)
        final_entropy: torch.Tensor,  # (p,)
        scratch: torch.Tensor,  # (p, V) overwritten
    ) -> None:
        values, indices = _likeliest(logprobs, self._top_ids.shape[-1])  # (p, k)
        own = logprobs.gather(-1, self._emitted[at, None])  # (p, 1)
        self._top_ids[at, depth] = indices
        self._top_logprobs[at, depth] = values
        self._emitted_prob[at, depth] = own[:, 0].exp()
        self._emitted_rank[at, depth] = torch.count_nonzero(logprobs > own, dim=-1)
        self._entropy[at, depth] = -torch.linalg.vecdot(torch.exp(logprobs, out=scratch), logprobs)
        self._kl[at, depth] = (-torch.linalg.vecdot(final_probs, logprobs) - final_entropy).clamp_min(0)

    def _normed(self, state: torch.Tensor) -> torch.Tensor:
        """The final norm over states (p, D), its statistics taken anew."""
        device = device_of(self._parts.norm)
        normed: torch.Tensor = self._parts.norm(state if device is None else state.to(device))
        return normed.to(self._device)

    def _logits(self, normed: torch.Tensor) -> torch.Tensor:
        """Head and what the model does after it: normed states (…, D) to fp32 logits (…, V)."""
        logits: torch.Tensor = self._parts.finish(self._parts.head(normed.to(self._device)))
        return logits.to(self._device).float()

    def result(self) -> Reading:
        return Reading(
            top_ids=_numpy(self._top_ids),
            top_logprobs=_numpy(self._top_logprobs),
            emitted_prob=_numpy(self._emitted_prob),
            emitted_rank=_numpy(self._emitted_rank),
            entropy=_numpy(self._entropy),
            kl_to_final=_numpy(self._kl),
            checked_logprobs=_numpy(torch.cat(self._checked)) if self._checked else None,
        )


def _likeliest(logprobs: torch.Tensor, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The k likeliest of each row: (p, V) to values and ids, both (p, k), likeliest first.

    On a CPU `torch.topk` copies and partly sorts each whole row. The k likeliest tokens lie in the k blocks with the highest
    maxima, so one pass for the maxima and a search in k blocks give the same, equal values aside.
    """
    whole = logprobs.shape[-1] // _BLOCK
    if logprobs.device.type != "cpu" or whole < 4 * k:
        return tuple(logprobs.topk(k, dim=-1))  # type: ignore[return-value]
    blocks = logprobs[:, : whole * _BLOCK].view(-1, whole, _BLOCK)  # (p, n, B)
    best = blocks.amax(-1).topk(k, dim=-1).indices  # (p, k)
    found = blocks.gather(1, best[:, :, None].expand(-1, -1, _BLOCK)).flatten(1)  # (p, k·B)
    rest = logprobs[:, whole * _BLOCK :]  # (p, V mod B)
    values, where = torch.cat([found, rest], dim=-1).topk(k, dim=-1)
    inside = best.gather(-1, (where // _BLOCK).clamp_max(k - 1)) * _BLOCK + where % _BLOCK
    return values, torch.where(where < k * _BLOCK, inside, where - k * _BLOCK + whole * _BLOCK)


def _slices(end: int, step: int) -> Iterator[slice]:
    return (slice(start, min(start + step, end)) for start in range(0, end, step))


def _numpy(tensor: torch.Tensor) -> Any:
    return tensor.cpu().numpy()
