"""Where each architecture keeps what the lens needs: its blocks, its final norm, its unembedding, and what it does to logits.

One row of the table per `model_type`, and a test of each proves that the lens reads it as the model reads itself. A model that is
not in the table answers, and has no inner voice. Knows modules; runs none of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from models.errors import UnsupportedArchitectureError

Finish = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of one model, as modules to be called (so that accelerate's hooks and quantized layers work)."""

    blocks: tuple[nn.Module, ...]
    """L blocks; the input of block d is the residual stream at depth d, (B, S, D)."""
    norm: nn.Module
    """The final norm: (…, D) to (…, D). What it puts out in a forward pass is depth L, ready for the head."""
    head: nn.Module
    """The unembedding: (…, D) to (…, V)."""
    finish: Finish
    """What the model does with the head's logits before they are its output."""


@dataclass(frozen=True, slots=True)
class _Layout:
    blocks: str
    norm: str
    finish: Callable[[Any], Finish]
    """From the model's config."""


def _as_they_are(_config: Any) -> Finish:
    return lambda logits: logits


def _softcap(config: Any) -> Finish:
    cap = config.final_logit_softcapping
    return (lambda logits: torch.tanh(logits / cap) * cap) if cap is not None else _as_they_are(config)


def _divide(config: Any) -> Finish:
    return lambda logits: logits / config.logits_scaling


def _multiply(config: Any) -> Finish:
    return lambda logits: logits * config.logit_scale


_LLAMA = _Layout("layers", "norm", _as_they_are)
_LAYOUTS = {
    "cohere": _Layout("layers", "norm", _multiply),
    "cohere2": _Layout("layers", "norm", _multiply),
    "gemma": _LLAMA,
    "gemma2": _Layout("layers", "norm", _softcap),
    "gemma3_text": _Layout("layers", "norm", _softcap),
    "gpt2": _Layout("h", "ln_f", _as_they_are),
    "gpt_neox": _Layout("layers", "final_layer_norm", _as_they_are),
    "granite": _Layout("layers", "norm", _divide),
    "llama": _LLAMA,
    "mistral": _LLAMA,
    "mixtral": _LLAMA,
    "olmo2": _LLAMA,
    "olmo3": _LLAMA,
    "phi": _Layout("layers", "final_layernorm", _as_they_are),
    "phi3": _LLAMA,
    "qwen2": _LLAMA,
    "qwen3": _LLAMA,
    "qwen3_moe": _LLAMA,
    "smollm3": _LLAMA,
    "stablelm": _LLAMA,
}

SUPPORTED = tuple(sorted(_LAYOUTS))
"""Every `model_type` that the lens can read."""


def find(model: Any) -> Parts:
    """The parts of a Hugging Face causal language model.

    Raises:
        UnsupportedArchitectureError: its `model_type` is not in the table, or it does not look as the table says.
    """
    layout = _LAYOUTS.get(model.config.model_type)
    base, head = model.base_model, model.get_output_embeddings()
    blocks, norm = (getattr(base, layout.blocks, None), getattr(base, layout.norm, None)) if layout else (None, None)
    if layout is None or not isinstance(blocks, nn.ModuleList) or norm is None or head is None:
        raise UnsupportedArchitectureError(
            f"The architecture `{model.config.model_type}` ({type(model).__name__}) has no inner voice yet:"
            " the lens does not know where it keeps its norm, head and blocks."
        )
    return Parts(tuple(blocks), norm, head, layout.finish(model.config))


def reason_against(model: Any) -> str | None:
    """Why the lens cannot read this model, in a sentence; None when it can."""
    try:
        find(model)
    except UnsupportedArchitectureError as error:
        return error.message
    return None


def device_of(module: nn.Module) -> torch.device | None:
    """Where a module computes; None when accelerate brings its weights from elsewhere, and so moves its inputs itself."""
    hook = getattr(module, "_hf_hook", None)
    if hook is not None and getattr(hook, "execution_device", None) is not None:
        return torch.device(hook.execution_device)
    device = next((p.device for p in module.parameters()), None)
    return device if device is not None and device.type != "meta" else None
