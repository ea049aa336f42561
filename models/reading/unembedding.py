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

from models.memory import chunk_bytes
from models.network import packing
from models.network.adapters import Parts, device_of
from models.network.likeliest import likeliest
from models.pieces import Pieces, whole
from models.trace import FloatArray, IntArray

_CELLS_THAT_PAY = 300
"""Cells from which on it pays to pack a caller's unembedding for one trace: packing costs what the plain product of 200 costs."""


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
    memory_limit: int | None = None,
    check_ids: Sequence[Sequence[int]] | None = None,
) -> Reading:
    """Every number of the trace: `read_in_pieces` at one go."""
    pieces = read_in_pieces(parts, states, answer_ids, k=k, rows=rows, memory_limit=memory_limit, check_ids=check_ids)
    return whole(pieces)


@torch.inference_mode()
def read_in_pieces(
    parts: Parts,
    states: Sequence[torch.Tensor],
    answer_ids: Sequence[int],
    *,
    k: int,
    rows: int | None = None,
    memory_limit: int | None = None,
    check_ids: Sequence[Sequence[int]] | None = None,
) -> Pieces[Reading]:
    """Every number of the trace, with a pause after each chunk.

    Args:
        parts: norm, head and what the model does to logits.
        states: L+1 tensors (T, D), depths 0 to L; the last is normed already.
        answer_ids: (T,) the emitted tokens.
        k: candidates to keep.
        rows: cells per chunk; by the memory when None.
        memory_limit: bytes that all buffers together may take; by the device and what is free there when None.
        check_ids: (T, m) ids whose log-probabilities at depth L are wanted.
    """
    reader = _Reader(parts, states, answer_ids, k, check_ids)
    length = len(answer_ids)
    budget = rows or reader.rows_in(chunk_bytes(reader.device, memory_limit))
    # Few positions and many depths a chunk, or the other way round, is the same to the head, which wants many rows at once. All
    # positions together let depth L be computed once for all; an eighth of the budget bounds what is kept of it.
    together = max(1, min(length, budget // 8 or 1))
    reader.make_room(max(budget, together), together)
    for start in range(0, length, together):
        at = slice(start, min(start + together, length))
        yield from reader.read_positions(at, depths_at_once=max(1, budget // together))
    return reader.result()


def follow(
    parts: Parts,
    states: Sequence[torch.Tensor],
    ids: Sequence[int],
    *,
    rows: int | None = None,
    memory_limit: int | None = None,
) -> FloatArray:
    """Probabilities of a few tokens in every cell, (T, L+1, W).

    Args:
        parts: norm, head and what the model does to logits.
        states: L+1 tensors (T, D), depths 0 to L; the last is normed already.
        ids: (W,) the tokens.
        rows: cells per chunk; by the memory when None.
        memory_limit: bytes that all buffers together may take; by the device and what is free there when None.
    """
    reader = _Reader(parts, states, [0] * len(states[-1]), 1, None)
    step = rows or reader.rows_in(chunk_bytes(reader.device, memory_limit))
    reader.make_room(step, 0)
    at_depth = [reader.probs_of(state, ids, step, normed=state is states[-1]) for state in states]
    return _numpy(torch.stack(at_depth, dim=1))  # type: ignore[no-any-return]


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
        self.device = device
        self._room: torch.Tensor | None = None  # (r, V) for the logits of a chunk
        self._scratch = torch.empty((2, 0, 0), device=device)  # (2, p, V)
        self._packed = _packed_head(parts.head, device, len(states) * len(answer_ids))
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

    def rows_in(self, size: int) -> int:
        """Cells whose logits and the sweep's own rows, half as much again, take ``size`` bytes; the head's dtype goes extra."""
        own = 0 if self._states[-1].dtype is torch.float32 else 2
        return max(1, size // ((6 + own) * self._vocabulary))

    def make_room(self, rows: int, positions: int) -> None:
        """Buffers for chunks of ``rows`` cells and ``positions`` positions: touched once, used by every chunk."""
        if self._packed is not None and self._packed.dtype is torch.float32:
            self._room = torch.empty((rows, self._vocabulary), device=self.device)
        self._scratch = torch.empty((2, positions, self._vocabulary), device=self.device)

    def read_positions(self, at: slice, *, depths_at_once: int) -> Pieces[None]:
        """Fill in all depths of the positions ``at``, depth L first: the others are compared with it. One chunk a piece."""
        last, count = len(self._states) - 1, at.stop - at.start
        final_probs, scratch = self._scratch[:, :count]  # (p, V) each
        final = self._logprobs(self._states[last][at])  # (p, V)
        if self._check_ids is not None:
            self._checked.append(final.gather(-1, self._check_ids[at]))
        torch.exp(final, out=final_probs)
        final_entropy = -torch.linalg.vecdot(final_probs, final)  # (p,)
        self._sweep(at, last, final, final_probs, final_entropy, scratch)
        self._kl[at, last] = 0.0
        for depths in _slices(last, depths_at_once):
            state = torch.cat([self._normed(s[at]) for s in self._states[depths]])  # (q·p, D)
            logits = self._logits(state).view(-1, count, self._vocabulary)  # (q, p, V)
            for depth, rows in enumerate(logits, start=depths.start):  # (p, V), one depth's rows stay in the cache
                self._sweep(at, depth, torch.log_softmax(rows, -1, out=rows), final_probs, final_entropy, scratch)
            yield

    def _sweep(
        self,
        at: slice,
        depth: int,
        logprobs: torch.Tensor,  # (p, V) fp32
        final_probs: torch.Tensor,  # (p, V)
        final_entropy: torch.Tensor,  # (p,)
        scratch: torch.Tensor,  # (p, V) overwritten
    ) -> None:
        values, indices = likeliest(logprobs, self._top_ids.shape[-1])  # (p, k)
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
        return normed.to(self.device)

    def _logits(self, normed: torch.Tensor) -> torch.Tensor:
        """Head and what the model does after it: normed states (n, D) to fp32 logits (n, V), in the buffer where that can be."""
        normed = normed.to(self.device)
        if self._packed is None or self._room is None:
            logits: torch.Tensor = (self._packed or self._parts.head)(normed)
        else:
            logits = self._room[: normed.shape[0]]
            self._packed.into(normed, logits)
        logits = self._parts.finish(logits)
        return logits.to(self.device).float()

    def _logprobs(self, normed: torch.Tensor) -> torch.Tensor:
        logits = self._logits(normed)
        return torch.log_softmax(logits, -1, out=logits)

    def probs_of(self, state: torch.Tensor, ids: Sequence[int], step: int, *, normed: bool) -> torch.Tensor:
        """Probabilities (T, W) of ``ids`` in the states (T, D) of one depth, ``step`` rows at a time."""
        parts = [part if normed else self._normed(part) for part in torch.split(state, step)]
        return torch.cat([self._logprobs(part)[:, list(ids)].exp() for part in parts])

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


def _packed_head(head: Any, device: torch.device, cells: int) -> packing.PackedLinear | None:
    """The unembedding as a packed layer: the model's own, or for many cells one made of the caller's plain fp32 layer."""
    if isinstance(head, packing.PackedLinear):
        return head
    pays = device.type == "cpu" and cells >= _CELLS_THAT_PAY and packing.packable(head) and head.weight.dtype is torch.float32
    return packing.PackedLinear(head, unembeds=True) if pays else None


def _slices(end: int, step: int) -> Iterator[slice]:
    return (slice(start, min(start + step, end)) for start in range(0, end, step))


def _numpy(tensor: torch.Tensor) -> Any:
    return tensor.cpu().numpy()
