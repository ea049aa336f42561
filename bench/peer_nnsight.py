"""The second pass through nnsight: each block's output is intervened on inside one traced forward pass."""

from __future__ import annotations

import torch
from plain import K, compare, load, need

need("nnsight")

from nnsight import LanguageModel  # noqa: E402

work = load()
wrapped = LanguageModel(work.model, tokenizer=work.tokenizer)


@torch.inference_mode()
def read() -> tuple[torch.Tensor, torch.Tensor]:
    """Every depth through norm and head inside the trace."""
    tops = []
    with wrapped.trace(work.ids):
        tops = [].save()  # type: ignore[attr-defined]
        state = wrapped.model.embed_tokens.output
        tops.append(wrapped.lm_head(wrapped.model.norm(state[0, work.rows])).float().log_softmax(-1).topk(K))
        for block in wrapped.model.layers:
            out = block.output
            state = out if isinstance(out, torch.Tensor) else out[0]
            tops.append(wrapped.lm_head(wrapped.model.norm(state[0, work.rows])).float().log_softmax(-1).topk(K))
    return torch.stack([top.values for top in tops]).exp(), torch.stack([top.indices for top in tops])


compare("nnsight", work, read)
