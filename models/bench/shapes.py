"""Named shapes of real models, to be filled with random numbers: speed does not depend on what the weights say.

The numbers are those of each model's published config; a test counts the parameters and finds the published number. Scaling of
rotary positions is left out, as it costs nothing. Knows configs and random weights; knows no files and no network.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import transformers
from transformers import AutoConfig

from models.errors import ModelError


@dataclass(frozen=True, slots=True)
class Shape:
    """One model's shape."""

    like: str
    """The model whose shape it is."""
    model_type: str
    sizes: dict[str, Any]
    """Arguments of the transformers config."""


def _llama(
    like: str, hidden: int, layers: int, heads: int, kv: int, inner: int, vocabulary: int, tied: bool, **more: Any
) -> Shape:
    sizes = {
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv,
        "intermediate_size": inner,
        "vocab_size": vocabulary,
        "tie_word_embeddings": tied,
        "max_position_embeddings": 8192,
    }
    model_type = more.pop("model_type", "llama")
    return Shape(like, model_type, sizes | more)


_GEMMA2 = {
    "model_type": "gemma2",
    "head_dim": 256,
    "query_pre_attn_scalar": 256,
    "sliding_window": 4096,
    "attn_logit_softcapping": 50.0,
    "final_logit_softcapping": 30.0,
}
_GEMMA3 = {"model_type": "gemma3_text", "head_dim": 256, "query_pre_attn_scalar": 256, "sliding_window": 512}
_QWEN3 = {"model_type": "qwen3", "head_dim": 128}
_GPT2 = {"n_embd": 768, "n_layer": 12, "n_head": 12, "n_positions": 1024, "vocab_size": 50257}
_PYTHIA = {
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "vocab_size": 50304,
    "max_position_embeddings": 2048,
    "tie_word_embeddings": False,
}

SHAPES = {
    "gemma2-2b": _llama("google/gemma-2-2b", 2304, 26, 8, 4, 9216, 256000, True, **_GEMMA2),
    "gemma3-1b": _llama("google/gemma-3-1b-pt", 1152, 26, 4, 1, 6912, 262144, True, **_GEMMA3),
    "gpt2": Shape("openai-community/gpt2", "gpt2", _GPT2),
    "llama-1b": _llama("meta-llama/Llama-3.2-1B", 2048, 16, 32, 8, 8192, 128256, True),
    "llama-8b": _llama("meta-llama/Llama-3.1-8B", 4096, 32, 32, 8, 14336, 128256, False),
    "mistral-7b": _llama(
        "mistralai/Mistral-7B-v0.3", 4096, 32, 32, 8, 14336, 32768, False, model_type="mistral", sliding_window=None
    ),
    "phi3-mini": _llama("microsoft/Phi-3-mini-4k-instruct", 3072, 32, 32, 32, 8192, 32064, False, model_type="phi3"),
    "pythia-160m": Shape("EleutherAI/pythia-160m", "gpt_neox", _PYTHIA),
    "qwen2.5-0.5b": _llama("Qwen/Qwen2.5-0.5B", 896, 24, 14, 2, 4864, 151936, True, model_type="qwen2"),
    "qwen3-0.6b": _llama("Qwen/Qwen3-0.6B", 1024, 28, 16, 8, 3072, 151936, True, **_QWEN3),
    "qwen3-1.7b": _llama("Qwen/Qwen3-1.7B", 2048, 28, 16, 8, 6144, 151936, True, **_QWEN3),
    "qwen3-8b": _llama("Qwen/Qwen3-8B", 4096, 36, 32, 8, 12288, 151936, False, **_QWEN3),
    "smollm2-1.7b": _llama("HuggingFaceTB/SmolLM2-1.7B", 2048, 24, 32, 32, 8192, 49152, True),
    "smollm2-135m": _llama("HuggingFaceTB/SmolLM2-135M", 576, 30, 9, 3, 1536, 49152, True),
}

_AUTO: Any = transformers.AutoModelForCausalLM
_DEPTH_KEYS = ("num_hidden_layers", "n_layer")


def shape(name: str) -> Shape:
    """The shape of that name.

    Raises:
        ModelError: there is none.
    """
    if name not in SHAPES:
        raise ModelError(f"There is no shape `{name}`.", hint=f"Choose one of: {', '.join(SHAPES)}.")
    return SHAPES[name]


def config_of(wanted: Shape, *, layers: int | None = None) -> Any:
    """The transformers config of a shape, cut to ``layers`` blocks when given."""
    depth = {key: layers for key in _DEPTH_KEYS if layers is not None and key in wanted.sizes}
    # The control tokens of the real tokenizers mean nothing here; left in place, one drawn by chance would end an answer.
    return AutoConfig.for_model(
        wanted.model_type, **{**wanted.sizes, **depth, "bos_token_id": None, "eos_token_id": None, "pad_token_id": None}
    )


def random_model(config: Any, *, device: torch.device, dtype: torch.dtype, seed: int = 0) -> Any:
    """A model of that config in evaluation mode, drawn on its device and in its dtype; the same seed gives the same weights."""
    torch.manual_seed(seed)
    with torch.device(device):
        model = _AUTO.from_config(config, dtype=dtype)
    return model.to(device).eval()


def parameters(config: Any) -> Any:
    """A model of that config without memory, for counting."""
    with torch.device("meta"):
        return _AUTO.from_config(config, dtype=torch.float32)
