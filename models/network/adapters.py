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
from models.sentences import Sentence

Finish = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of one model, as modules to be called (so that accelerate's hooks and quantized layers work)."""

    blocks: tuple[nn.Module, ...]
    """L blocks; the input of block d is the residual stream at depth d, (B, S, D)."""
    norm: nn.Module
    """The final norm, or what stands in its place: (…, D) to (…, D'). What it puts out in a forward pass is depth L, ready for
    the head, which is D' wide; D' is D in all but OPT-350m."""
    head: nn.Module
    """The unembedding: (…, D') to (…, V)."""
    finish: Finish
    """What the model does with the head's logits before they are its output."""
    batches: bool = True
    """Whether left-padded sequences of different lengths may share a forward pass and its cache."""
    attends: tuple[nn.Module, ...] | None = None
    """L attention modules, which give their weights away when they compute eagerly; None where a block has another mixer."""
    attention: tuple[nn.Module, ...] | None = None
    """L modules, of which the output (or its first part) times ``residual`` is what attention adds to the stream, (B, S, D).
    The rest of what a block adds is its MLP's. None where that is not so."""
    residual: float = 1.0


@dataclass(frozen=True, slots=True)
class _Layout:
    blocks: str
    """Path from the base model."""
    norms: tuple[str, ...]
    """Paths from the base model, of which a model has exactly one."""
    finish: Callable[[Any], Finish]
    """From the config of the text model."""
    batches: bool
    attends: str | None
    """Path of the attention from a block; None where blocks do not all have one, or add more than attention and MLP."""
    adds: str | None
    """Path from a block of the module whose output attention adds to the stream: a norm after it, or itself."""


def _as_they_are(_config: Any) -> Finish:
    return lambda logits: logits


def _softcap(config: Any) -> Finish:
    cap = config.final_logit_softcapping
    return (lambda logits: torch.tanh(logits / cap) * cap) if cap is not None else _as_they_are(config)


def _divide(config: Any) -> Finish:
    return lambda logits: logits / config.logits_scaling


def _multiply(config: Any) -> Finish:
    return lambda logits: logits * config.logit_scale


def _multiply_head(config: Any) -> Finish:
    return lambda logits: logits * config.lm_head_multiplier


def _layout(
    blocks: str = "layers",
    *norms: str,
    finish: Callable[[Any], Finish] = _as_they_are,
    batches: bool = True,
    attends: str | None = "self_attn",
    adds: str | None = None,
) -> _Layout:
    return _Layout(blocks, norms or ("norm",), finish, batches, attends, adds or attends)


_NORMED = "post_attention_layernorm"  # where it stands behind the attention, and not before the MLP as its name has it elsewhere
_LLAMA = _layout()
_NORMED_LLAMA = _layout(adds=_NORMED)
_GPT2 = _layout("h", "ln_f", attends="attn")
_WRAPPED = ("language_model.layers", "language_model.norm")  # a language model beside a picture encoder
# These keep a running state besides keys and values. It cannot be cut off after a token or padded, so that sequences which begin
# and end at different times do not share a batch.
_HYBRID = _layout(batches=False, attends=None)

_LAYOUTS = {
    "apertus": _LLAMA,
    "arcee": _LLAMA,
    "bloom": _layout("h", "ln_f", attends="self_attention", adds="self_attention.dense"),
    "codegen": _GPT2,
    "cohere": _layout(finish=_multiply),
    "cohere2": _layout(finish=_multiply),
    "deepseek_v2": _LLAMA,
    "deepseek_v3": _LLAMA,
    "ernie4_5": _LLAMA,
    "ernie4_5_moe": _LLAMA,
    "exaone4": _NORMED_LLAMA,
    "falcon": _layout("h", "ln_f", attends="self_attention"),
    "falcon_h1": _layout("layers", "final_layernorm", finish=_multiply_head, batches=False, attends=None),
    "gemma": _LLAMA,
    "gemma2": _layout(finish=_softcap, adds=_NORMED),
    "gemma3": _layout(*_WRAPPED, adds=_NORMED),  # the wrapper of the sizes that see pictures caps no logits
    "gemma3_text": _layout(finish=_softcap, adds=_NORMED),
    "glm": _LLAMA,
    "glm4": _layout(adds="post_self_attn_layernorm"),
    "glm4_moe": _LLAMA,
    "gpt2": _GPT2,
    "gpt_bigcode": _GPT2,
    "gpt_neo": _GPT2,
    "gpt_neox": _layout("layers", "final_layer_norm", attends="attention"),
    "gpt_oss": _LLAMA,
    "gptj": _GPT2,
    "granite": _layout(finish=_divide),
    "granitemoe": _layout(finish=_divide),
    "granitemoehybrid": _layout(finish=_divide, batches=False, attends=None),
    "helium": _LLAMA,
    "hunyuan_v1_dense": _LLAMA,
    "lfm2": _layout("layers", "embedding_norm", batches=False, attends=None),
    "llama": _LLAMA,
    "llama4_text": _layout("model.layers", "model.norm"),  # transformers names no base model here: the path begins at the top
    "mistral": _LLAMA,
    "mixtral": _LLAMA,
    "mpt": _layout("blocks", "norm_f", attends="attn"),
    "nanochat": _layout(finish=_softcap),
    "nemotron": _LLAMA,
    "olmo": _LLAMA,
    "olmo2": _NORMED_LLAMA,
    "olmo3": _NORMED_LLAMA,
    "olmoe": _LLAMA,
    # OPT-350m norms inside its blocks and projects to a narrower head; the others norm at the end. No size does both.
    "opt": _layout("decoder.layers", "decoder.final_layer_norm", "decoder.project_out"),
    "phi": _layout("layers", "final_layernorm"),
    "phi3": _LLAMA,
    "phimoe": _LLAMA,
    "qwen2": _LLAMA,
    "qwen2_moe": _LLAMA,
    "qwen3": _LLAMA,
    "qwen3_5_moe_text": _HYBRID,
    "qwen3_5_text": _HYBRID,
    "qwen3_moe": _LLAMA,
    "qwen3_next": _HYBRID,
    "seed_oss": _LLAMA,
    "smollm3": _LLAMA,
    "stablelm": _LLAMA,
    "starcoder2": _LLAMA,
    "xglm": _layout("layers", "layer_norm"),
}

SUPPORTED = tuple(sorted(_LAYOUTS))
"""Every `model_type` that the lens can read."""


def find(model: Any) -> Parts:
    """The parts of a Hugging Face causal language model.

    Raises:
        UnsupportedArchitectureError: its `model_type` is not in the table, or it does not look as the table says.
    """
    layout, head = _LAYOUTS.get(model.config.model_type), model.get_output_embeddings()
    if layout is not None and head is not None:
        blocks = _at(model.base_model, layout.blocks)
        norms = [norm for path in layout.norms if (norm := _at(model.base_model, path)) is not None]
        if isinstance(blocks, nn.ModuleList) and len(norms) == 1:
            config = model.config.get_text_config()
            return Parts(
                tuple(blocks),
                norms[0],
                head,
                layout.finish(config),
                layout.batches,
                _in_each(blocks, layout.attends),
                None if _norms_the_stream(config) else _in_each(blocks, layout.adds),
                float(getattr(config, "residual_multiplier", 1.0)),
            )
    raise UnsupportedArchitectureError(
        Sentence(
            "Models of the architecture `{kind}` ({name}) have no inner voice yet:"
            " the lens does not know where they keep their blocks (layers), final norm and output head.",
            kind=model.config.model_type,
            name=type(model).__name__,
        )
    )


def _at(module: Any, path: str) -> nn.Module | None:
    for name in path.split("."):
        module = getattr(module, name, None)
    return module if isinstance(module, nn.Module) else None


def _in_each(blocks: nn.ModuleList, path: str | None) -> tuple[nn.Module, ...] | None:
    """The module at ``path`` of every block; None when one has none."""
    found = [_at(block, path) for block in blocks] if path is not None else [None]
    return None if None in found else tuple(module for module in found if module is not None)


def _norms_the_stream(config: Any) -> bool:
    """Whether a block norms the residual stream itself (OPT-350m, an option of BLOOM): what it adds is then no sum of parts."""
    before = getattr(config, "do_layer_norm_before", True)
    return not before or bool(config.model_type == "bloom" and config.apply_residual_connection_post_layernorm)


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
