"""Reading what a layer dump holds: the residual stream, or the attention weights of all heads, in one pass over the whole text.

The pass is teacher-forced and computes no logits but the last row's, where the model can; its hooks go whatever happens, and only
chosen depths and positions leave the device. Knows modules and arrays; knows no files.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from models.dump import TIMES, Chosen, LayerDump, What, choose_depths, choose_positions
from models.errors import OutOfMemoryError, UnsupportedArchitectureError
from models.memory import free_bytes, memory_errors
from models.network.adapters import Parts
from models.network.forward import input_device, last_row_only
from models.network.residuals import hooked, tapped
from models.reading.lens import versions
from models.reading.seen import Seen, eager, fits
from models.tokens import pieces, shown_tokens
from models.trace import IntArray
from models.types import Answer

Arrays = dict[str, np.ndarray[Any, Any]]

STREAM = "depth 0: embeddings; depth d: after block d; depth L: after the final norm, as Hugging Face's hidden_states[-1] is"
WEIGHTS = "block b, from 1; a row is the attention of one position over all positions up to it, after the softmax"


def dump(
    model: Any,
    parts: Parts,
    tokenizer: Any,
    answer: Answer,
    what: What,
    *,
    meta: Mapping[str, Any],
    positions: Chosen = None,
    depths: Chosen = None,
) -> LayerDump:
    """``hidden`` or ``attention`` of an answer.

    Raises:
        NoSuchTokenError, NoSuchDepthError: asked for what there is not.
        UnsupportedArchitectureError: not all blocks have an attention whose weights can be read.
        OutOfMemoryError: the pass does not fit.
    """
    ids = [*answer.prompt_ids, *answer.answer_ids]
    at = choose_positions(what, positions, len(answer.prompt_ids), len(answer.answer_ids))
    chosen = choose_depths(what, depths, len(parts.blocks))
    _check_room(model, what, len(at), len(chosen), len(ids))
    with torch.inference_mode(), memory_errors():
        arrays = (hidden if what == "hidden" else attention)(model, parts, ids, at, chosen)
    known = set(chosen.tolist()) - ({len(parts.blocks)} if "output" in arrays else set())
    shown = shown_tokens(tokenizer, ids)
    facts = {
        **{key: value for key, value in meta.items() if key not in TIMES},
        "architecture": type(model).__name__,
        "dtype": str(model.dtype).removeprefix("torch."),
        "layers": len(parts.blocks),
        "states": "recomputed",
        "versions": versions(),
        "reading": STREAM if what == "hidden" else WEIGHTS,
    }
    return LayerDump(
        what=what,
        prompt_ids=np.asarray(answer.prompt_ids, dtype=np.int64),
        answer_ids=np.asarray(answer.answer_ids, dtype=np.int64),
        positions=at,
        depths=np.asarray(sorted(known), dtype=np.int64),
        tokens=tuple(shown[p] for p in at),
        pieces=pieces(tokenizer, ids),
        arrays=arrays,
        meta=facts,
    )


def _check_room(model: Any, what: What, positions: int, depths: int, length: int) -> None:
    """Raises OutOfMemoryError when the arrays would take more than half of what is free."""
    config = model.config.get_text_config()
    each = config.hidden_size if what == "hidden" else config.num_attention_heads * length
    if 2 * 4 * positions * depths * each > free_bytes(torch.device("cpu")):
        raise OutOfMemoryError("There is too little memory for a dump of this size.", hint="Choose fewer positions or depths.")


def hidden(model: Any, parts: Parts, ids: list[int], positions: IntArray, depths: IntArray) -> Arrays:
    """``hidden`` (m, n, D) float32; where the model's output is of another width D', it is apart as ``output`` (n, D')."""
    wanted, states = set(depths.tolist()), dict[int, np.ndarray[Any, Any]]()
    at = torch.from_numpy(positions)

    def keep(depth: int, state: torch.Tensor) -> None:  # (1, S, D)
        if depth in wanted:
            rows = state.reshape(-1, state.shape[-1])
            states[depth] = rows[at.to(state.device)].float().cpu().numpy()

    with tapped(model, parts, keep):
        model(input_ids=_tokens(model, ids), use_cache=False, **last_row_only(model))
    last, arrays = len(parts.blocks), Arrays()
    widths = {state.shape[-1] for state in states.values()}
    if len(widths) > 1 and last in states:
        arrays["output"] = states.pop(last)
    arrays["hidden"] = np.stack([states[d] for d in sorted(states)])
    return arrays


def attention(model: Any, parts: Parts, ids: list[int], positions: IntArray, depths: IntArray) -> Arrays:
    """``attention`` (m, H, n, P+T) float32: each chosen block, from 1, all heads, chosen positions, every position looked at."""
    seen = Seen()
    if parts.attends is None:
        raise UnsupportedArchitectureError(seen.no_weights)
    if not fits(model, len(ids), seen):
        raise OutOfMemoryError(seen.no_weights)
    weights, owner, at = dict[int, np.ndarray[Any, Any]](), threading.get_ident(), torch.from_numpy(positions)

    def reader(block: int) -> Callable[..., None]:
        def hook(_module: Any, _args: Any, out: Any) -> None:
            scores = out[1] if isinstance(out, tuple) and len(out) > 1 else None
            if threading.get_ident() == owner and isinstance(scores, torch.Tensor) and scores.ndim == 4:
                weights[block] = scores[0][:, at.to(scores.device)].float().cpu().numpy()  # (H, n, S)

        return hook

    with hooked(model) as handles, eager(model):
        handles.extend(parts.attends[b - 1].register_forward_hook(reader(b)) for b in depths.tolist())
        model(input_ids=_tokens(model, ids), use_cache=False, **last_row_only(model))
    if len({array.shape for array in weights.values()}) != 1 or len(weights) != len(depths):
        raise UnsupportedArchitectureError(seen.no_weights)
    return {"attention": np.stack([weights[b] for b in depths.tolist()])}


def _tokens(model: Any, ids: list[int]) -> torch.Tensor:
    return torch.tensor([ids], device=input_device(model))  # (1, P+T)
