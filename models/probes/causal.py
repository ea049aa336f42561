"""The causal check: which blocks an answer token hangs on, by taking each one's contribution out of the residual stream.

Everything before the last position is read once; then one batched pass holds every variant of that position, in which the
attention of all rows looks at the same kept keys and values. Beside each removal stands a control: a random vector of the same
norm taken out instead. Knows one loaded model; knows no lens and no words.
"""

from __future__ import annotations

import inspect
import itertools
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from models import tokens
from models.answering.decoding import shared_prefix
from models.answering.kv import SharedCache
from models.errors import OutOfMemoryError, UnsupportedArchitectureError
from models.findings import CausalCheck, Part, Removals
from models.memory import free_bytes, memory_errors
from models.network.adapters import Parts
from models.network.forward import input_device, last_row_only
from models.network.residuals import hooked
from models.pieces import Pieces
from models.reading.passes import prefix
from models.roads import check_token
from models.types import Answer

PARTS: tuple[Part, ...] = ("block", "attention", "mlp")

_MOST = 512 << 20
"""Bytes that the rows of one pass may take: a CPU reads the weights once for all of them, so that more is quicker."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Variant:
    """One row of the batch: what is taken out, and where."""

    part: Part
    block: int  # from 0
    control: bool
    nudged: bool = False
    """What stands before is off by a few units in the last place, see `Removals.jitter`."""


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What is kept of the rows, in order."""

    logprob: list[float]
    top_ids: list[int]
    top_probs: list[float]


def why(
    model: Any,
    parts: Parts,
    tokenizer: Any,
    answer: Answer,
    t: int,
    parts_asked: Sequence[Part] = ("block",),
    *,
    seed: int = 0,
    memory_limit: int | None = None,
) -> Pieces[CausalCheck]:
    """The causal check of answer token ``t``, counted from 0.

    Args:
        model: a causal language model in eval mode.
        parts: of it.
        tokenizer: for the display strings; None shows ids.
        answer: of this model.
        t: the token whose prediction is looked into.
        parts_asked: what is taken out, whole blocks or their attention or MLP alone.
        seed: of the random controls.
        memory_limit: most bytes for the rows of one pass; by what is free when None.

    Raises:
        NoSuchTokenError: the answer has no token ``t``.
        UnsupportedArchitectureError: this model's attention and MLP cannot be told apart.
        OutOfMemoryError: not even one row fits.
    """
    started = time.perf_counter()
    check_token(answer, t)
    emitted, count = int(answer.answer_ids[t]), len(parts.blocks)
    asked = tuple(dict.fromkeys(parts_asked))
    variants = [Variant(part, b, control) for part in asked for control in (False, True) for b in range(count)]
    ids = [*answer.prompt_ids, *answer.answer_ids[:t]]
    exact = model.dtype is torch.float32 and _shares(parts, ids)  # the figures of half precision have no such digits anyway
    again = [replace(v, nudged=True) for v in variants if not v.control] if exact else []
    out = _Outcome([], [], [])
    with memory_errors():
        before = (yield from prefix(model, ids[:-1])) if _shares(parts, ids) else None
    rows = [None, *variants, *again]
    for logits in removed_logits(model, parts, ids, rows, seed=seed, memory_limit=memory_limit, before=before):
        _take(out, logits, emitted)
        yield
    removals = tuple(_removals(part, out, i, count, len(asked) if again else 0) for i, part in enumerate(asked))
    pieces = tokens.pieces(tokenizer, {emitted, *out.top_ids})
    return CausalCheck(t, emitted, out.logprob[0], out.top_ids[0], removals, pieces, seed, time.perf_counter() - started)


def _take(out: _Outcome, logits: torch.Tensor, emitted: int) -> None:
    """Keep what is told of rows (n, V)."""
    logprobs = logits.float().log_softmax(-1)
    best = logprobs.max(-1)
    out.logprob.extend(logprobs[:, emitted].tolist())
    out.top_ids.extend(best.indices.tolist())
    out.top_probs.extend(best.values.exp().tolist())


def _removals(part: Part, out: _Outcome, place: int, count: int, nudged: int) -> Removals:
    """The ``place``-th part's rows of ``count`` blocks: real, then control; behind all ``nudged`` parts the real ones again."""
    start = 1 + 2 * count * place
    real, control = slice(start, start + count), slice(start + count, start + 2 * count)
    again = out.logprob[1 + 2 * count * nudged + count * place :][:count] if nudged else None
    return Removals(
        part=part,
        logprob=np.asarray(out.logprob[real], dtype=np.float32),
        top_ids=np.asarray(out.top_ids[real], dtype=np.int64),
        top_probs=np.asarray(out.top_probs[real], dtype=np.float32),
        control_logprob=np.asarray(out.logprob[control], dtype=np.float32),
        control_top_ids=np.asarray(out.top_ids[control], dtype=np.int64),
        jitter=None if again is None else np.abs(np.subtract(again, out.logprob[real])).astype(np.float32),
    )


def removed_logits(
    model: Any,
    parts: Parts,
    ids: Sequence[int],
    variants: Sequence[Variant | None],
    *,
    seed: int = 0,
    memory_limit: int | None = None,
    cached: bool = True,
    gone: Callable[[Variant, torch.Tensor], None] | None = None,
    before: SharedCache | None = None,
) -> Iterator[torch.Tensor]:
    """The logits (n, V) after ``ids`` of all variants, a chunk of rows at a time; None is the model as it is.

    Args:
        model: in eval mode.
        parts: of it.
        ids: (S,), of which the last one's position is varied.
        variants: the rows.
        seed: of the random controls.
        memory_limit: most bytes for the rows of one pass.
        cached: False reads all of ``ids`` in each row, as for models whose cache cannot be shared.
        gone: gets what was taken out of each row, (D,).
        before: keys and values of all but the last of ``ids``, where they are there already.
    """
    if before is None and cached and _shares(parts, ids):
        with torch.inference_mode(), memory_errors():
            before = shared_prefix(model, ids[:-1])
    last = ids if before is None else ids[-1:]
    for nudged, group in itertools.groupby(variants, lambda variant: variant is not None and variant.nudged):
        keys = before.nudged() if before is not None and nudged else before
        yield from _in_chunks(_Run(model, parts, last, keys, seed, gone), list(group), memory_limit)


def _shares(parts: Parts, ids: Sequence[int]) -> bool:
    """Whether all rows can look back at the same keys and values."""
    return parts.batches and len(ids) > 1


def _in_chunks(run: _Run, variants: Sequence[Variant | None], memory_limit: int | None) -> Iterator[torch.Tensor]:
    size, start = min(run.rows(memory_limit), len(variants)), 0
    while start < len(variants):
        try:
            with torch.inference_mode(), memory_errors():
                logits = run(variants[start : start + size])
        except OutOfMemoryError:
            if size == 1:
                raise
            size = max(1, size // 2)
            log.warning("the causal check ran out of memory; again with %d rows at once", size)
            continue
        yield logits
        start += size


class _Run:
    """Passes over variants of the last position."""

    def __init__(
        self,
        model: Any,
        parts: Parts,
        ids: Sequence[int],
        before: SharedCache | None,
        seed: int,
        gone: Callable[[Variant, torch.Tensor], None] | None,
    ) -> None:
        self._model = model
        self._parts = parts
        self._ids = torch.tensor([list(ids)], device=input_device(model))  # (1, S), S is 1 after a prefix
        self._before = before
        self._seed = seed
        self._gone = gone or (lambda _variant, _vector: None)

    def rows(self, memory_limit: int | None) -> int:
        """How many rows one pass may have."""
        config, length = self._model.config.get_text_config(), self._ids.shape[1]
        wide = 4 * max(getattr(config, name, None) or 0 for name in ("hidden_size", "intermediate_size", "ffn_dim", "n_inner"))
        whole = "logits_to_keep" not in inspect.signature(self._model.forward).parameters
        logits = 3 * config.vocab_size * (length if whole else 1)
        of_one = 4 * (logits + length * wide * 2) + (self._before.row_bytes if self._before is not None else 0)
        limit = min(_MOST, free_bytes(self._model.device) // 4) if memory_limit is None else memory_limit
        return max(1, int(limit // of_one))

    def __call__(self, variants: Sequence[Variant | None]) -> torch.Tensor:
        """One pass: logits (n, V)."""
        arguments: dict[str, Any] = {"input_ids": self._ids.expand(len(variants), -1), "use_cache": self._before is not None}
        if self._before is not None:
            arguments["past_key_values"] = self._before
        with hooked(self._model) as handles:
            for block in range(len(self._parts.blocks)):
                rows = [(row, v) for row, v in enumerate(variants) if v is not None and v.block == block]
                if rows:
                    _Removal(self, rows, self._parts.residual).attach(self._parts, block, handles)
            logits: torch.Tensor = self._model(**arguments, **last_row_only(self._model)).logits[:, -1]
        return logits

    def instead(self, variant: Variant, added: torch.Tensor) -> torch.Tensor:
        """What to take out in place of ``added`` (D,), which is what the part put into the stream: itself, or the control."""
        taken = added.float()
        if variant.control:
            random = self._random(variant, taken.shape[-1]).to(taken.device)
            taken = random * (taken.norm() / random.norm())
        self._gone(variant, taken)
        return taken

    def _random(self, variant: Variant, width: int) -> torch.Tensor:
        """A Gaussian direction (D,) of its own for each part and block, whatever rows it shares a pass with."""
        seed = (self._seed * 1_000_003 + PARTS.index(variant.part) * 100_003 + variant.block) % 2**63
        return torch.randn(width, generator=torch.Generator().manual_seed(seed))


class _Removal:
    """The hooks of one block: they act for this thread alone, on the last position of their rows."""

    def __init__(self, run: _Run, rows: list[tuple[int, Variant]], residual: float) -> None:
        self._run = run
        self._rows = rows
        self._residual = residual
        self._owner = threading.get_ident()
        self._came: torch.Tensor | None = None  # (n, D) what came into the block
        self._attended: torch.Tensor | None = None  # (n, D) what attention added

    def attach(self, parts: Parts, block: int, handles: list[Any]) -> None:
        module = parts.blocks[block]
        if any(variant.part != "block" for _, variant in self._rows):
            if parts.attention is None:
                raise UnsupportedArchitectureError(
                    "In this model, attention and MLP cannot be measured separately. Whole blocks (layers) can."
                )
            handles.append(parts.attention[block].register_forward_hook(self._attend))
        handles.append(module.register_forward_pre_hook(self._enter, with_kwargs=True))
        handles.append(module.register_forward_hook(self._leave))

    def _enter(self, _block: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if threading.get_ident() == self._owner:
            self._came = (args[0] if args else kwargs["hidden_states"])[:, -1].clone()

    def _attend(self, _attention: Any, _args: Any, out: Any) -> Any:
        if threading.get_ident() != self._owner:
            return None
        state = _state(out).clone()  # (B, S, D)
        for row, variant in self._rows:
            if variant.part == "attention":
                added = state[row, -1].float() * self._residual
                state[row, -1] = ((added - self._run.instead(variant, added)) / self._residual).to(state.dtype)
        self._attended = state[:, -1] * self._residual
        return _with_state(out, state)

    def _leave(self, _block: Any, _args: Any, out: Any) -> Any:
        if threading.get_ident() != self._owner or self._came is None:
            return None
        state = _state(out).clone()  # (B, S, D)
        for row, variant in self._rows:
            if variant.part == "attention":
                continue
            rest, left = self._came[row], state[row, -1].clone()
            if variant.part == "mlp" and self._attended is not None:
                rest = rest + self._attended[row].to(rest.device)
            taken = self._run.instead(variant, left.float() - rest.float())
            state[row, -1] = left - taken.to(left.dtype) if variant.control else rest
        return _with_state(out, state)


def _state(out: Any) -> torch.Tensor:
    """The residual stream in what a block puts out."""
    state: torch.Tensor = out[0] if isinstance(out, tuple) else out
    return state


def _with_state(out: Any, state: torch.Tensor) -> Any:
    return (state, *out[1:]) if isinstance(out, tuple) else state
