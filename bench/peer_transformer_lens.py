"""The second pass through TransformerLens: its bridge, a cache of the residual stream, its own norm and unembedding."""

from __future__ import annotations

import torch
from plain import K, compare, load, need

need("transformer_lens")

from transformer_lens.model_bridge import TransformerBridge  # noqa: E402

work = load()
bridge = TransformerBridge.boot_transformers(work.folder, dtype=torch.float32, device="cpu")
depths = bridge.cfg.n_layers


@torch.inference_mode()
def read() -> tuple[torch.Tensor, torch.Tensor]:
    """One run that keeps each block's residual stream, then norm and unembedding depth by depth."""
    names = {"blocks.0.hook_resid_pre", *(f"blocks.{depth}.hook_resid_post" for depth in range(depths))}
    _, cache = bridge.run_with_cache(work.ids, names_filter=lambda name: name in names)
    states = [cache["blocks.0.hook_resid_pre"], *(cache[f"blocks.{depth}.hook_resid_post"] for depth in range(depths))]
    tops = []
    for state in states:
        logits = bridge.unembed(bridge.ln_final(state[:, work.rows]))[0]  # (T, V)
        tops.append(logits.float().log_softmax(-1).topk(K))
    return torch.stack([top.values for top in tops]).exp(), torch.stack([top.indices for top in tops])


compare("transformer-lens", work, read)
