"""Direct logit attribution (Elhage et al. 2021, "A Mathematical Framework for Transformer Circuits"): a logit taken apart.

The final norm with its statistics held is a linear map, so the difference of two logits is a sum over what was added to the
residual stream. Any norm that is a scaled direction, centred or not, plus a bias is found out by calling it, and so is a head
whose weights cannot be read. Knows what a pass saw; knows no model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from models.findings import Attribution
from models.memory import chunk_bytes
from models.network.adapters import Parts, device_of
from models.network.packing import PackedLinear
from models.reading.seen import Seen, Unseen
from models.trace import Trace

_CLOSE = {torch.float32: 1e-4, torch.bfloat16: 3e-2, torch.float16: 5e-3}
"""How far the frozen norm may be from the norm, as a share of its output's length: the rounding of the dtype."""


@dataclass(frozen=True, slots=True)
class Frozen:
    """The final norm as the linear map that it was at each answer token: ``center(x) * scale * gain + bias``."""

    gain: torch.Tensor  # (D,)
    bias: torch.Tensor  # (D,)
    scale: torch.Tensor  # (T, 1)
    centred: bool

    def back(self, direction: torch.Tensor) -> torch.Tensor:
        """What of the residual stream counts in ``direction`` (T, D) of the norm's output: (T, D)."""
        seen = direction * self.scale * self.gain
        return _centred(seen) if self.centred else seen


@torch.inference_mode()
def attribution(parts: Parts, seen: Seen, trace: Trace) -> Attribution:
    """The parts of emitted minus strongest considered token, for all T answer tokens; sums in float64.

    Raises:
        Unseen: this model's attention or norm does not come apart, or the trace kept one candidate only.
    """
    if seen.attention is None:
        raise Unseen(
            "This model's blocks (layers) may hold more than attention and MLP, so their parts cannot be measured separately."
        )
    against = strongest_other(trace)
    frozen = freeze(parts.norm, seen.states[-1], seen.normed)
    ids, places = np.unique(np.concatenate([trace.answer_ids, against]), return_inverse=True)
    rows, biases = unembedding_rows(parts.head, ids.tolist(), seen.normed)
    mine, other = places[: trace.length], places[trace.length :]
    direction = rows[mine] - rows[other]  # (T, D)
    counts = frozen.back(direction)
    along = [_dot(state, counts) for state in seen.states]  # L+1 of (T,)
    attention = torch.stack([_dot(added, counts) for added in seen.attention], dim=1)  # (T, L)
    whole = torch.stack(along, dim=1).diff(dim=1)  # (T, L)
    bias = biases[mine] - biases[other]
    return Attribution(
        against=against,
        blocks=_numpy(torch.stack((attention, whole - attention), dim=-1)),
        embedding=_numpy(along[0]),
        constant=_numpy(direction @ frozen.bias + bias),
        difference=_numpy(_dot(seen.normed, direction) + bias),
    )


def strongest_other(trace: Trace) -> Any:
    """The likeliest token at depth L that was not emitted, (T,)."""
    if trace.k < 2:
        raise Unseen("The second pass kept only one candidate at each depth, and attribution needs two.")
    top = trace.top_ids[:, -1]  # (T, k)
    return np.where(top[:, 0] == trace.answer_ids, top[:, 1], top[:, 0])


def freeze(norm: nn.Module, before: torch.Tensor, after: torch.Tensor) -> Frozen:
    """The norm as a linear map at the states ``before`` (T, D), of which it made ``after`` (T, D).

    Raises:
        Unseen: it is something else than a scaled direction plus a bias.
    """
    width = before.shape[-1]
    if after.shape != before.shape or width % 2:
        raise Unseen(
            "This model does more to its last state than scale it, so a token's score (logit) cannot be split among its layers."
        )
    signs = torch.tensor([1.0, -1.0], dtype=torch.float64).repeat(width // 2)  # mean 0, mean square 1
    trials = torch.stack((torch.zeros_like(signs), torch.ones_like(signs), signs))
    zero, ones, gain = _wide(norm(trials.to(device_of(norm) or before.device, before.dtype)))
    gain = (gain - zero) * signs  # up to a factor, which the scale takes
    centred = bool((ones - zero).norm() < 1e-2 * gain.norm())
    x, y = _wide(before), _wide(after) - zero
    straight = (_centred(x) if centred else x) * gain
    scale = (straight * y).sum(-1, keepdim=True) / straight.square().sum(-1, keepdim=True)
    off = (straight * scale - y).norm() / y.norm()
    if not off < _CLOSE.get(before.dtype, max(_CLOSE.values())):
        raise Unseen("This model's final norm does more than scale, so a token's score (logit) cannot be split among its layers.")
    return Frozen(gain, zero, scale, centred)


def unembedding_rows(head: Any, ids: Sequence[int], like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows of the unembedding (n, D) and their biases (n,) in float64, whatever the head is.

    Args:
        head: a plain or packed linear layer; anything else, such as a quantized one, is asked for the logits of unit vectors.
        ids: (n,) tokens.
        like: a state of the head's dtype and width, (…, D).
    """
    if isinstance(head, PackedLinear) or _plain(head):
        bias = torch.zeros(len(ids), dtype=torch.float64) if head.bias is None else _wide(head.bias[ids])
        return _wide(head.weight[ids]), bias
    device, width = device_of(head) or like.device, like.shape[-1]
    nothing = head(torch.zeros(1, width, device=device, dtype=like.dtype))  # (1, V)
    step = max(1, chunk_bytes(device) // (8 * nothing.shape[-1]))
    units = torch.eye(width, dtype=like.dtype)
    columns = [_wide(head(units[at : at + step].to(device))[:, ids]) for at in range(0, width, step)]
    bias = _wide(nothing[0, ids])
    return (torch.cat(columns) - bias).t().contiguous(), bias


def _plain(head: Any) -> bool:
    return type(head) is nn.Linear and type(head.weight) is nn.Parameter and head.weight.device.type != "meta"


def _centred(x: torch.Tensor) -> torch.Tensor:
    return x - x.mean(-1, keepdim=True)


def _wide(x: torch.Tensor) -> torch.Tensor:
    return x.detach().cpu().double()


def _dot(state: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    """(T,) of states (T, D) in any dtype and counts (T, D) in float64."""
    along: torch.Tensor = torch.linalg.vecdot(_wide(state), counts)
    return along


def _numpy(x: torch.Tensor) -> Any:
    return x.float().numpy()
