"""The plain way, as anybody would write it with transformers: what the engine's two passes are measured against.

Knows transformers models and nothing of the engine.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from models.network import adapters

CHUNK = 64
"""Rows whose logits are held at once."""


@dataclass(frozen=True, slots=True)
class Plain:
    """The likeliest tokens at each depth of each answer token; depth L is the model's own output."""

    ids: torch.Tensor  # (T, L+1, k)
    probs: torch.Tensor  # (T, L+1, k)


@torch.inference_mode()
def second_pass(model: Any, prompt_ids: Sequence[int], answer_ids: Sequence[int], *, k: int, lean: bool = False) -> Plain:
    """One forward with all hidden states, then norm, head, log-softmax and top-k over the (L+1)·T rows, in chunks.

    Args:
        model: a causal language model that `models.network.adapters` knows.
        prompt_ids: (P,).
        answer_ids: (T,).
        k: candidates to keep.
        lean: let the forward pass compute its own logits for the last position alone, where the model can; the plain way computes
            them for all P+T, and they are not used.
    """
    depths, chunks = _chunks(model, prompt_ids, answer_ids, lean)
    tops = [logprobs.topk(min(k, logprobs.shape[-1]), dim=-1) for logprobs in chunks]
    shape = (depths, len(answer_ids), -1)
    ids = torch.cat([top.indices for top in tops]).view(shape)
    values = torch.cat([top.values for top in tops]).view(shape)
    return Plain(ids.transpose(0, 1).cpu(), values.transpose(0, 1).exp().cpu())


@torch.inference_mode()
def probabilities_at(model: Any, prompt_ids: Sequence[int], answer_ids: Sequence[int], ids: torch.Tensor) -> torch.Tensor:
    """The plain way's probabilities of given tokens: ids (T, L+1, k) to (T, L+1, k)."""
    depths, chunks = _chunks(model, prompt_ids, answer_ids, False)
    wanted = torch.split(ids.transpose(0, 1).flatten(0, 1), CHUNK)  # (≤64, k) each
    found = [rows.gather(-1, at.to(rows.device)) for rows, at in zip(chunks, wanted, strict=True)]
    return torch.cat(found).view(depths, len(answer_ids), -1).transpose(0, 1).exp().cpu()


def _chunks(model: Any, prompt_ids: Sequence[int], answer_ids: Sequence[int], lean: bool) -> tuple[int, Iterator[torch.Tensor]]:
    """L+1, and the fp32 log-probabilities of all cells, depth by depth, (≤64, V) at a time."""
    parts = adapters.find(model)
    tokens = torch.tensor([[*prompt_ids, *answer_ids]], device=model.device)  # (1, P+T)
    out = model(
        input_ids=tokens,
        output_hidden_states=True,
        use_cache=False,
        **({"logits_to_keep": 1} if lean and _can_keep(model) else {}),
    )
    states = [state[0, -len(answer_ids) - 1 : -1] for state in out.hidden_states]  # L+1 of (T, D), the last one normed
    del out

    def logprobs() -> Iterator[torch.Tensor]:
        rows = torch.cat(states)  # ((L+1)·T, D)
        below = len(rows) - len(answer_ids)
        for start in range(0, len(rows), CHUNK):
            chunk = rows[start : start + CHUNK]
            split = max(0, min(len(chunk), below - start))
            normed = torch.cat([parts.norm(chunk[:split]), chunk[split:]]) if split else chunk
            yield parts.finish(parts.head(normed)).float().log_softmax(-1)

    return len(states), logprobs()


def _can_keep(model: Any) -> bool:
    return "logits_to_keep" in inspect.signature(model.forward).parameters


@torch.inference_mode()
def generate(model: Any, prompt_ids: Sequence[int], new_tokens: int) -> tuple[int, ...]:
    """The greedy answer, exactly ``new_tokens`` long of transformers; the model's generation config must name no end."""
    tokens = torch.tensor([list(prompt_ids)], device=model.device)
    out = model.generate(tokens, attention_mask=torch.ones_like(tokens), max_new_tokens=new_tokens, do_sample=False)
    return tuple(out[0, len(prompt_ids) :].tolist())
