"""The second pass: one forward over prompt and answer that reads every depth at each answer token (the logit lens).

For any Hugging Face causal language model that the caller holds and `models.network.adapters` knows. The contract: depth L is
the model's own output, normed once by the model itself; a depth below it goes through the same norm and head, called as modules;
softmax in fp32. Every trace checks itself, and one that disagrees with the model is refused. Knows nothing of prompts, Discord or
files.

The logit lens is of nostalgebraist, "interpreting GPT: the logit lens" (2020).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
import torch
import transformers

from models.answering.sampling import FINAL_TOP
from models.errors import TraceMismatchError
from models.network import adapters
from models.network.adapters import Parts
from models.network.edges import Edge, edge_of
from models.network.forward import not_finite
from models.network.residuals import tapped
from models.pieces import Pieces, whole
from models.reading.passes import forward
from models.reading.unembedding import Reading, read_in_pieces
from models.sentences import Sentence
from models.tokens import pieces, shown_tokens, special_ids
from models.trace import SCHEMA, Trace
from models.types import FinalTop

Lens = Callable[[torch.Tensor, int], torch.Tensor]
"""A translator: states (T, D) at depth d < L, and d, to states (T, D). The logit lens is none."""

TOLERANCE = {torch.float32: 5e-4, torch.bfloat16: 1.5, torch.float16: 0.25}
"""How far the second pass's log-probabilities may be from the answer pass's, of the likeliest token and all above `_TELLING`.

A cache and a whole sequence add up in another order: on the default model over 8 answers up to 4.5e-5 nats in float32, 0.55 in
bfloat16, 0.07 in float16. A wrong norm, head or scale is off by far more in every dtype."""

_TELLING = 0.01


@dataclass(frozen=True, slots=True)
class Passage:
    """One answer to read, and what is known of its answer pass."""

    prompt_ids: Sequence[int] = field(repr=False)  # (P,)
    answer_ids: Sequence[int] = field(repr=False)  # (T,)
    sampled_prob: Sequence[float] | None = field(default=None, repr=False)  # (T,)
    final_top: FinalTop | None = field(default=None, repr=False)
    states: Sequence[torch.Tensor] | None = field(default=None, repr=False)
    """What the answer pass itself held where it predicted each token: L+1 tensors (T, D), the last normed by the model. With them
    no forward pass is needed, and what is read is what really answered; they need a ``final_top`` to be held against."""
    meta: Mapping[str, Any] = field(default_factory=dict)


def trace(
    model: Any,
    prompt_ids: Sequence[int],
    answer_ids: Sequence[int],
    *,
    k: int = 10,
    tokenizer: Any | None = None,
    lens: Lens | None = None,
    sampled_prob: Sequence[float] | None = None,
    final_top: FinalTop | None = None,
    states: Sequence[torch.Tensor] | None = None,
    meta: Mapping[str, Any] | None = None,
    rows: int | None = None,
    memory_limit: int | None = None,
) -> Trace:
    """Read what every depth said at each answer token.

    Args:
        model: a causal language model in eval mode; it is not changed.
        prompt_ids: (P,) at least one.
        answer_ids: (T,) at least one; teacher-forced.
        k: candidates to keep of each cell.
        tokenizer: for the strings; without it they are numbers in brackets.
        lens: a translator applied below depth L.
        sampled_prob: (T,) what the sampler really used; depth L's probabilities when None.
        final_top: what the answer pass saw at depth L; when given, the trace is held against all of it.
        states: what the answer pass held, see `Passage`.
        meta: further facts for `Trace.meta`.
        rows: cells (position × depth) whose logits are held at once; by the memory when None.
        memory_limit: bytes that these buffers may take; by the device and what is free when None.

    Raises:
        ValueError: no prompt or no answer, or the model is in train mode.
        UnsupportedArchitectureError: the adapters do not know the model.
        TraceMismatchError: depth L is not what the model or the answer pass said.
    """
    passage = Passage(prompt_ids, answer_ids, sampled_prob, final_top, states, meta or {})
    return traces(model, [passage], k=k, tokenizer=tokenizer, lens=lens, rows=rows, memory_limit=memory_limit)[0]


def traces(
    model: Any,
    passages: Sequence[Passage],
    *,
    k: int = 10,
    tokenizer: Any | None = None,
    lens: Lens | None = None,
    rows: int | None = None,
    memory_limit: int | None = None,
) -> list[Trace]:
    """`tracing` at one go."""
    return whole(tracing(model, passages, k=k, tokenizer=tokenizer, lens=lens, rows=rows, memory_limit=memory_limit))


@torch.inference_mode()
def tracing(
    model: Any,
    passages: Sequence[Passage],
    *,
    k: int = 10,
    tokenizer: Any | None = None,
    lens: Lens | None = None,
    rows: int | None = None,
    memory_limit: int | None = None,
) -> Pieces[list[Trace]]:
    """`trace` of several answers in one sweep over their cells, so that short ones fill the unembedding's products together.

    It pauses after each piece of a forward pass over a long text and after each chunk of cells.

    Raises:
        as `trace`; one passage that is refused refuses all.
    """
    started = time.perf_counter()
    if not all(len(p.prompt_ids) and len(p.answer_ids) for p in passages):
        raise ValueError("a trace needs at least one prompt token and one answer token")
    if any(module.training for module in model.modules()):
        raise ValueError("the lens does not read a model in train mode; call model.eval() first")
    parts = adapters.find(model)
    tolerance = TOLERANCE.get(model.dtype, max(TOLERANCE.values()))
    held = []
    for p in passages:
        held += [(yield from _states_of(model, parts, p))]
    states = [torch.cat(at_depth) if len(held) > 1 else at_depth[0] for at_depth in zip(*(s for s, _own in held), strict=True)]
    if lens is not None:
        states = [*(lens(state, depth) for depth, state in enumerate(states[:-1])), states[-1]]
    reading = yield from read_in_pieces(
        parts,
        states,
        [token for p in passages for token in p.answer_ids],
        k=max(k, FINAL_TOP),
        rows=rows,
        memory_limit=memory_limit,
        check_ids=[row for p in passages for row in p.final_top.ids] if all(p.final_top for p in passages) else None,  # type: ignore[union-attr]
    )
    if np.isnan(reading.top_logprobs).any():
        raise not_finite(model)
    made, start = [], 0
    for passage, (_states, own) in zip(passages, held, strict=True):
        part = _part(reading, slice(start, start + len(passage.answer_ids)))
        start += len(passage.answer_ids)
        if own is not None:
            _check_own(part, own, tolerance)
        facts = {
            "architecture": type(model).__name__,
            "dtype": str(model.dtype).removeprefix("torch."),
            "device": str(states[-1].device),
            "lens": "logit" if lens is None else getattr(lens, "name", "translated"),
            "states": "recomputed" if passage.states is None else "captured",
            "tied_embeddings": bool(getattr(model.config, "tie_word_embeddings", False)),
            "argmax_agreement": _check_answer_pass(part, passage.final_top, tolerance),
            "versions": versions(),
            "schema": SCHEMA,
            **passage.meta,
            "second_pass_seconds": time.perf_counter() - started,
        }
        made.append(_assemble(part, passage, min(k, part.top_ids.shape[-1]), tokenizer, facts))
    return made


def _part(reading: Reading, at: slice) -> Reading:
    """The positions ``at`` of a reading of several answers."""
    cut: dict[str, Any] = {f.name: value[at] for f in fields(reading) if (value := getattr(reading, f.name)) is not None}
    return replace(reading, **cut)


def versions() -> dict[str, str]:
    """The libraries that a trace depends on."""
    return {"torch": torch.__version__, "transformers": transformers.__version__}


def _states_of(model: Any, parts: Parts, passage: Passage) -> Pieces[tuple[Sequence[torch.Tensor], torch.Tensor | None]]:
    """L+1 states (T, D), and the model's own logits (V,) of the last position when a forward pass was needed for them."""
    if passage.states is None:
        return (yield from _forward(model, parts, [*passage.prompt_ids, *passage.answer_ids], len(passage.answer_ids)))
    if passage.final_top is None:
        raise ValueError("captured states need the answer pass's final candidates to be held against")
    if len(passage.states) != len(parts.blocks) + 1 or any(len(s) != len(passage.answer_ids) for s in passage.states):
        raise ValueError("captured states must be one of each depth, and a row of each answer token")
    return passage.states, None


_Held = tuple[list[torch.Tensor], torch.Tensor]
"""States by depth, (r, D) each, and logits, fp32 (V,)."""


def _forward(model: Any, parts: Parts, ids: Sequence[int], length: int) -> Pieces[_Held]:
    """A forward pass over ``ids`` (P+T,), and what it held where the last ``length`` (T) of them were predicted.

    Those are the positions P-1 to P+T-2. The very last id predicts nothing that is asked for; it stays, so that every sum is
    taken as in a plain pass over the whole text. A long text is read in pieces, see `models.reading.passes`.

    Returns:
        The states of depths 0 to L, each (T, D), the last one normed by the model; and the model's own logits of position P+T-2,
        fp32 (V,).
    """
    prompt, edge = len(ids) - length, edge_of(model)
    if edge is not None and not edge.beyond(prompt) and edge.beyond(len(ids)):
        return (yield from _across(model, parts, ids, length, edge))
    return (yield from _held(model, parts, ids, length + 1, slice(None, -1)))


def _across(model: Any, parts: Parts, ids: Sequence[int], length: int, edge: Edge) -> Pieces[_Held]:
    """The same where the text crosses the edge of `models.network.edges`: each token as it was predicted, on its side of it."""
    short = min(length, edge.at - (len(ids) - length) + 1)  # tokens that were predicted from a text up to the edge
    before, own = yield from _held(model, parts, ids[: edge.at], short, slice(None), row=-1)
    if short == length:
        return before, own
    if edge.reads_again:
        after, own = yield from _held(model, parts, ids, length - short + 1, slice(None, -1))
    else:
        after, own = yield from _held(model, parts, ids, length - short + 1, slice(None, -1), begun=edge.at)
    return [torch.cat(pair) for pair in zip(before, after, strict=True)], own


def _held(
    model: Any, parts: Parts, ids: Sequence[int], tail: int, wanted: slice, *, row: int = -2, begun: int = 0
) -> Pieces[_Held]:
    """What a pass over ``ids`` held at the ``wanted`` of its last ``tail`` positions, and its logits at one of them.

    ``begun``: so many tokens are read before, into the cache that the others go on from.
    """
    seen: list[dict[int, torch.Tensor]] = []  # of each pass that holds them, by depth (r, D)

    def watch(rows: int) -> AbstractContextManager[None]:
        states: dict[int, torch.Tensor] = {}  # the last call counts: some norm their embeddings with the final norm too
        seen.append(states)
        # a view would keep the whole prompt's states alive
        return tapped(model, parts, lambda depth, state: states.update({depth: state[0, -rows:].clone()}))

    out = yield from forward(model, parts, ids, tail, watch, rows=-row, begun=begun)
    depths = range(len(parts.blocks) + 1)
    joined = [seen[0][d] if len(seen) == 1 else torch.cat([states[d] for states in seen]) for d in depths]
    return [state[wanted] for state in joined], out.logits[0, row].float()


def _check_own(reading: Reading, own: torch.Tensor, tolerance: float) -> None:
    """Row T-1 at depth L against the model's own logits (V,) of that position."""
    logprobs = own.log_softmax(-1).cpu().numpy()
    ids, mine = reading.top_ids[-1, -1], reading.top_logprobs[-1, -1]
    _refuse_beyond(tolerance, mine, logprobs[ids])


def _check_answer_pass(reading: Reading, final_top: FinalTop | None, tolerance: float) -> float | None:
    """Depth L against the answer pass; returns the share of tokens whose argmax agrees, None without an answer pass."""
    if final_top is None or reading.checked_logprobs is None:
        return None
    _refuse_beyond(tolerance, reading.checked_logprobs, np.asarray(final_top.logprobs, dtype=np.float32))
    tops = np.asarray(final_top.ids)[:, 0]  # (T,)
    return float((reading.top_ids[:, -1, 0] == tops).mean())


def _refuse_beyond(tolerance: float, mine: Any, theirs: Any) -> None:
    telling = np.maximum(mine, theirs) > np.log(_TELLING)
    telling[..., 0] = True  # the likeliest always tells
    off = float(np.abs(mine - theirs)[telling].max(initial=0.0))
    if not off <= tolerance:  # NaN is refused too
        raise TraceMismatchError(
            Sentence(
                "The second pass differs from the answer pass by {off:.2g} nats (allowed: {tolerance:g}), so it is not shown.",
                off=off,
                tolerance=tolerance,
            )
        )


def _assemble(reading: Reading, passage: Passage, k: int, tokenizer: Any | None, meta: Mapping[str, Any]) -> Trace:
    answer = np.asarray(passage.answer_ids, dtype=np.int64)
    top_ids = reading.top_ids[:, :, :k]
    control = special_ids(tokenizer) if tokenizer is not None else frozenset()
    shown = shown_tokens(tokenizer, passage.answer_ids) if tokenizer is not None else tuple(f"⟨{i}⟩" for i in answer)
    sampled = passage.sampled_prob
    return Trace(
        prompt_ids=np.asarray(passage.prompt_ids, dtype=np.int64),
        answer_ids=answer,
        tokens=shown,
        special=np.asarray([int(i) in control for i in answer], dtype=np.bool_),
        top_ids=top_ids,
        top_probs=np.exp(reading.top_logprobs[:, :, :k]),
        emitted_prob=reading.emitted_prob,
        emitted_rank=reading.emitted_rank,
        entropy=reading.entropy,
        kl_to_final=reading.kl_to_final,
        sampled_prob=reading.emitted_prob[:, -1] if sampled is None else np.asarray(sampled, dtype=np.float32),
        pieces=pieces(tokenizer, [*np.unique(top_ids), *answer, *passage.prompt_ids]),
        meta=meta,
    )
