"""The second pass through nnterp: its standardized names over nnsight."""

from __future__ import annotations

import torch
from plain import K, compare, load, need

need("nnterp")

from nnterp import StandardizedTransformer  # noqa: E402

work = load()
wrapped = StandardizedTransformer(work.folder, dtype=torch.float32)


@torch.inference_mode()
def read() -> tuple[torch.Tensor, torch.Tensor]:
    """Every depth through its `project_on_vocab` inside the trace."""
    with wrapped.trace(work.ids):
        tops = [].save()  # type: ignore[attr-defined]
        state = wrapped.token_embeddings
        tops.append(wrapped.project_on_vocab(state[0, work.rows]).float().log_softmax(-1).topk(K))
        for depth in range(wrapped.num_layers):
            state = wrapped.layers_output[depth]
            tops.append(wrapped.project_on_vocab(state[0, work.rows]).float().log_softmax(-1).topk(K))
    return torch.stack([top.values for top in tops]).exp(), torch.stack([top.indices for top in tops])


compare("nnterp", work, read)
