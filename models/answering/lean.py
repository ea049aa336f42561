"""One token for every sequence of a batch, without the detours: decoding Llama-shaped models with packed weights on a CPU.

A model's own forward pass spends a third of such a step between its products: seven operators for a norm, twelve for a
rotation, copies of keys for each group of heads. Here the same numbers come from a third of the operators, and the residual
stream lies open for the second pass without hooks. Used only where it was tried against the model's own forward pass, which
stays the reference. Knows the modules of four families; anything else is left to the model.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812  as everywhere

from models.answering.kv import GrowingCache
from models.network.adapters import Parts
from models.network.packing import PackedLinear, PackedPart

log = logging.getLogger(__name__)

_FAMILIES = frozenset({"llama", "mistral", "qwen2", "qwen3"})
_CLOSE = {torch.float32: 1e-3, torch.bfloat16: 0.5}
"""How far a logit may be from the model's own forward pass when it is tried; a mistake is off by far more."""


@dataclass(frozen=True, slots=True)
class _Block:
    first_norm: nn.Module
    qkv: PackedLinear
    q_norm: nn.Module | None
    k_norm: nn.Module | None
    out: PackedLinear
    second_norm: nn.Module
    gate_up: PackedLinear
    down: PackedLinear


class LeanStep:
    """The decode step of one model; `build` makes one where it holds."""

    def __init__(self, model: Any, parts: Parts, blocks: list[_Block]) -> None:
        config = model.config
        self._model = model
        self._parts = parts
        self._blocks = blocks
        self._heads: int = config.num_attention_heads
        self._groups: int = config.num_key_value_heads
        self._width: int = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        self._rotary = model.base_model.rotary_emb
        self._embed = model.get_input_embeddings()

    def __call__(
        self, ids: torch.Tensor, positions: torch.Tensor, cache: GrowingCache, mask: torch.Tensor | None
    ) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Append one token to each sequence.

        Args:
            ids: (B, 1).
            positions: (B, 1) of them in their own sequences.
            cache: holds S positions of B sequences, and one more afterwards.
            mask: (B, S + 1) True where a position is not padding; None when none is.

        Returns:
            The logits (B, V), and L+1 states (B, D), the last one normed.
        """
        size, width, heads, groups = ids.shape[0], self._width, self._heads, self._groups
        x = self._embed(ids)[:, 0]  # (B, D)
        cos, sin = self._rotary(x, positions)  # (B, 1, W)
        turn = torch.cat((-sin[..., : width // 2], sin[..., width // 2 :]), dim=-1)  # the sign of rotate_half put into the sine
        seen = None if mask is None else mask[:, None, None, :]
        states: list[torch.Tensor] = []
        for index, block in enumerate(self._blocks):
            states.append(x)
            qkv = block.qkv.forward(_normed(block.first_norm, x)).view(size, heads + 2 * groups, width)
            turning = qkv[:, : heads + groups]  # (B, Hq + Hk, W)
            if block.q_norm is not None and block.k_norm is not None:
                turning = torch.cat((_normed(block.q_norm, qkv[:, :heads]), _normed(block.k_norm, turning[:, heads:])), dim=1)
            halves = turning.view(size, heads + groups, 2, width // 2).flip(2).view(size, heads + groups, width)
            turned = torch.addcmul(turning * cos, halves, turn)  # (B, Hq + Hk, W)
            keys, values = cache.layers[index].update(
                turned[:, heads:, None], qkv[:, heads + groups :, None]
            )  # (B, Hk, S + 1, W)
            # the heads of one group as the queries of one head: their keys are read once, and never copied
            queries = turned[:, :heads].view(size, groups, heads // groups, width)
            attended = F.scaled_dot_product_attention(queries, keys, values, attn_mask=seen)  # (B, Hk, Hq / Hk, W)
            x = block.out.plus(attended.reshape(size, heads * width), x)
            gate, up = block.gate_up.forward(_normed(block.second_norm, x)).chunk(2, dim=-1)
            x = block.down.plus(F.silu(gate).mul_(up), x)
        x = _normed(self._parts.norm, x)
        states.append(x)
        return self._parts.finish(self._parts.head(x)), states


def build(model: Any, parts: Parts | None) -> LeanStep | None:
    """A lean step for ``model``; None for another family, weights that are not packed, or numbers that are not the model's."""
    config = model.config
    if parts is None or config.model_type not in _FAMILIES or _slides(config) or config.hidden_act != "silu":
        return None
    blocks = [_block(block) for block in parts.blocks]
    if any(block is None for block in blocks):
        return None
    step = LeanStep(model, parts, [block for block in blocks if block is not None])
    if not _holds(model, step):
        log.warning("the lean decode step differs from the forward pass of %s and is not used", type(model).__name__)
        return None
    return step


def _slides(config: Any) -> bool:
    """Whether any block attends to a window alone."""
    kinds = getattr(config, "layer_types", None)
    return any(kind != "full_attention" for kind in kinds) if kinds else bool(getattr(config, "sliding_window", None))


def _block(block: Any) -> _Block | None:
    attention, mlp = getattr(block, "self_attn", None), getattr(block, "mlp", None)
    qkv: list[Any] = [getattr(attention, name, None) for name in ("q_proj", "k_proj", "v_proj")]
    gates: list[Any] = [getattr(mlp, name, None) for name in ("gate_proj", "up_proj")]
    ends: list[Any] = [getattr(attention, "o_proj", None), getattr(mlp, "down_proj", None)]
    if not (all(isinstance(m, PackedPart) for m in (*qkv, *gates)) and all(isinstance(m, PackedLinear) for m in ends)):
        return None
    return _Block(
        block.input_layernorm,
        qkv[0].shared.whole,
        getattr(attention, "q_norm", None),
        getattr(attention, "k_norm", None),
        ends[0],
        block.post_attention_layernorm,
        gates[0].shared.whole,
        ends[1],
    )


def _normed(norm: Any, x: torch.Tensor) -> torch.Tensor:
    """The RMS norm of these families with the fewest operators: statistics in fp32, rounded before the weight, as they do."""
    wide = x.float()
    length = torch.linalg.vector_norm(wide, dim=-1, keepdim=True)
    scale = torch.mul(length, length, out=length).div_(x.shape[-1]).add_(norm.variance_epsilon).rsqrt_()
    return (wide * scale).to(x.dtype).mul_(norm.weight)


@torch.inference_mode()
def _holds(model: Any, step: LeanStep) -> bool:
    """Tried on a few ids, in two sequences of different lengths, against the model's own forward pass."""
    vocabulary = model.config.vocab_size
    ids = torch.arange(1, 15).view(2, 7).mul(7919).remainder(vocabulary)
    mask = torch.ones(2, 7, dtype=torch.long)
    mask[1, :3] = 0
    positions = (mask.cumsum(-1) - 1).clamp_min(0)
    whole = model(input_ids=ids, attention_mask=mask, position_ids=positions, use_cache=False).logits[:, -1]
    cache = GrowingCache()
    model(
        input_ids=ids[:, :-1], attention_mask=mask[:, :-1], position_ids=positions[:, :-1], past_key_values=cache, use_cache=True
    )
    mine, _states = step(ids[:, -1:], positions[:, -1:], cache, mask.bool())
    scale = whole.abs().max().clamp_min(1.0)
    return bool(((mine - whole).abs().max() / scale) < _CLOSE.get(mine.dtype, 0.5))
