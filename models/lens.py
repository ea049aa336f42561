"""The second pass: one forward over prompt and answer that reads every depth at each answer token (the logit lens).

For any Hugging Face causal language model that the caller holds and `models.adapters` knows. The contract: depth L is the model's
own output, normed once by the model itself; a depth below it goes through the same norm and head, called as modules; softmax in
fp32. Every trace checks itself, and one that disagrees with the model is refused. Knows nothing of prompts, Discord or files.

The logit lens is of nostalgebraist, "interpreting GPT: the logit lens" (2020).
"""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
import transformers

from models import adapters
from models.adapters import Parts
from models.decoding import FINAL_TOP, input_device, last_row_only
from models.errors import TraceMismatchError
from models.tokens import pieces, shown_tokens, special_ids
from models.trace import SCHEMA, Trace
from models.types import FinalTop
from models.unembedding import Reading, read

Lens = Callable[[torch.Tensor, int], torch.Tensor]
"""A translator: states (T, D) at depth d < L, and d, to states (T, D). The logit lens is none."""

TOLERANCE = {torch.float32: 5e-4, torch.bfloat16: 1.5, torch.float16: 0.25}
"""How far the second pass's log-probabilities may be from the answer pass's, of the likeliest token and all above `_TELLING`.

A cache and a whole sequence add up in another order: on the default model over 8 answers up to 4.5e-5 nats in float32, 0.55 in
bfloat16, 0.07 in float16. A wrong norm, head or scale is off by far more in every dtype."""

_TELLING = 0.01
_locks: weakref.WeakKeyDictionary[Any, threading.Lock] = weakref.WeakKeyDictionary()
_locks_guard = threading.Lock()


@torch.inference_mode()
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
    meta: Mapping[str, Any] | None = None,
    rows: int | None = None,
) -> Trace:
    """Read what every depth said at each answer token.

    Args:
        model: a causal language model in evaluation mode, on any device or spread over several.
        prompt_ids: (P,), P >= 1.
        answer_ids: (T,), T >= 1.
        k: candidates to keep of each cell.
        tokenizer: for the strings; without one, ids stand for tokens.
        lens: a translator of states; the logit lens when None. Its ``name`` attribute is told in the meta.
        sampled_prob: (T,) probabilities under the sampler; without it, those at temperature 1.
        final_top: what the answer pass saw, to be compared with depth L at every token. The last token's row is always compared
            with the model's own logits.
        meta: told along with what the lens itself knows.
        rows: cells whose logits are held at once; chosen by the size of the vocabulary when None.

    Raises:
        ValueError: no prompt or no answer, or the model is in train mode.
        UnsupportedArchitectureError: the adapters do not know the model.
        TraceMismatchError: depth L is not what the model or the answer pass said.
    """
    started = time.perf_counter()
    if not len(prompt_ids) or not len(answer_ids):
        raise ValueError("a trace needs at least one prompt token and one answer token")
    if any(module.training for module in model.modules()):
        raise ValueError("the lens does not read a model in train mode; call model.eval() first")
    parts = adapters.find(model)
    states, own = _forward(model, parts, [*prompt_ids, *answer_ids], len(answer_ids))
    if lens is not None:
        states = [*(lens(state, depth) for depth, state in enumerate(states[:-1])), states[-1]]
    reading = read(parts, states, answer_ids, k=max(k, FINAL_TOP), rows=rows, check_ids=final_top.ids if final_top else None)
    tolerance = TOLERANCE.get(model.dtype, max(TOLERANCE.values()))
    _check_own(reading, own, tolerance)
    agreement = _check_answer_pass(reading, final_top, tolerance)
    known = {
        "architecture": type(model).__name__,
        "dtype": str(model.dtype).removeprefix("torch."),
        "device": str(own.device),
        "lens": "logit" if lens is None else getattr(lens, "name", "translated"),
        "tied_embeddings": bool(getattr(model.config, "tie_word_embeddings", False)),
        "argmax_agreement": agreement,
        "versions": versions(),
        "schema": SCHEMA,
    }
    return _assemble(
        reading, prompt_ids, answer_ids, min(k, reading.top_ids.shape[-1]), tokenizer, sampled_prob,
        {**known, **(meta or {}), "second_pass_seconds": time.perf_counter() - started},
    )  # fmt: skip


def versions() -> dict[str, str]:
    """The libraries that a trace depends on."""
    return {"torch": torch.__version__, "transformers": transformers.__version__}


def _forward(model: Any, parts: Parts, ids: Sequence[int], length: int) -> tuple[list[torch.Tensor], torch.Tensor]:
    """One forward pass over ``ids`` (P+T,), and what it held where the last ``length`` (T) of them were predicted.

    Those are the positions P-1 to P+T-2. The very last id predicts nothing that is asked for; it stays, so that every sum is
    taken as in a plain pass over the whole text. Hooks act for this thread alone, one pass of a model at a time, and go whatever
    happens.

    Returns:
        The states of depths 0 to L, each (T, D), the last one normed by the model; and the model's own logits of position P+T-2,
        fp32 (V,).
    """
    states: dict[int, torch.Tensor] = {}
    owner = threading.get_ident()

    def keep(depth: int, state: torch.Tensor) -> None:
        if threading.get_ident() == owner:
            states[depth] = state[0, -length - 1 : -1].clone()  # (T, D); a view would keep the whole prompt's states alive

    def before(depth: int) -> Callable[..., None]:
        return lambda _block, args, kwargs: keep(depth, args[0] if args else kwargs["hidden_states"])

    with _lock_of(model):
        handles = [b.register_forward_pre_hook(before(d), with_kwargs=True) for d, b in enumerate(parts.blocks)]
        try:
            handles.append(parts.norm.register_forward_hook(lambda _norm, _args, out: keep(len(parts.blocks), out)))
            tokens = torch.tensor([list(ids)], device=input_device(model))  # (1, P+T)
            out = model(input_ids=tokens, use_cache=False, **last_row_only(model, rows=2))
        finally:
            for handle in handles:
                handle.remove()
    return [states[d] for d in range(len(parts.blocks) + 1)], out.logits[0, -2].float()


def _lock_of(model: Any) -> threading.Lock:
    with _locks_guard:
        return _locks.setdefault(model, threading.Lock())


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
            f"The second pass differs from the answer pass by {off:.2g} nats (allowed: {tolerance:g}), so it is not shown."
        )


def _assemble(
    reading: Reading,
    prompt_ids: Sequence[int],
    answer_ids: Sequence[int],
    k: int,
    tokenizer: Any | None,
    sampled_prob: Sequence[float] | None,
    meta: Mapping[str, Any],
) -> Trace:
    answer = np.asarray(answer_ids, dtype=np.int64)
    top_ids = reading.top_ids[:, :, :k]
    control = special_ids(tokenizer) if tokenizer is not None else frozenset()
    shown = shown_tokens(tokenizer, answer_ids) if tokenizer is not None else tuple(f"⟨{i}⟩" for i in answer_ids)
    drawn = reading.emitted_prob[:, -1] if sampled_prob is None else np.asarray(sampled_prob, dtype=np.float32)
    return Trace(
        prompt_ids=np.asarray(prompt_ids, dtype=np.int64),
        answer_ids=answer,
        tokens=shown,
        special=np.asarray([int(i) in control for i in answer_ids], dtype=np.bool_),
        top_ids=top_ids,
        top_probs=np.exp(reading.top_logprobs[:, :, :k]),
        emitted_prob=reading.emitted_prob,
        emitted_rank=reading.emitted_rank,
        entropy=reading.entropy,
        kl_to_final=reading.kl_to_final,
        sampled_prob=drawn,
        pieces=pieces(tokenizer, [*np.unique(top_ids), *answer]),
        meta=meta,
    )
