"""From a `ModelConfig` to weights on a device, through transformers and accelerate. Knows no prompts and no answers.

Safetensors and GGUF only, and no code from a model's repository is ever run. Every failure becomes one of the project's errors,
with a sentence that says what to do.
"""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from models.errors import ModelError, ModelNotFoundError
from models.loading import embedded
from models.loading.explaining import explained
from models.loading.sources import Source, check_weights, commit_of, find_source
from models.network.adapters import device_of
from models.sentences import Sentence
from models.types import ModelConfig

log = logging.getLogger(__name__)

_NOT_CAUSAL = re.compile(r"For(MaskedLM|\w*Classification|QuestionAnswering|PreTraining|MultipleChoice|CTC)$")
OVERFLOWS = frozenset({"gemma2", "gemma3", "gemma3_text"})
"""Model types that are known to leave float16's range (65,504). What is not known is found by a trial when it is loaded."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model in evaluation mode, its tokenizer, and what they are."""

    model: Any
    tokenizer: Any
    source: Source
    revision: str | None


def open_model(config: ModelConfig, on_stage: Callable[[str], None]) -> Loaded:
    """Load tokenizer and weights. ``on_stage`` gets a few words before each step.

    Raises:
        ModelNotPulledError, ModelNotFoundError, ModelError, OutOfMemoryError.
    """
    source = find_source(config)
    with explained(config), contextlib.nullcontext() if source.on_hub else embedded.no_progress_bars():
        on_stage("loading the tokenizer")
        tokenizer = AutoTokenizer.from_pretrained(source.place, **origin(source))
        facts = read_config(source, config)
        check_weights(source, config, facts)
        on_stage("loading the weights")
        model, report = _weights(source, _placing(config, str(facts.model_type)))
        if config.dtype == "auto" and model.dtype == torch.float16 and not _is_finite(model, tokenizer):
            log.warning("`%s` overflows in float16: it is loaded in float32, which takes twice the memory", config.id)
            del model
            model, report = _weights(source, _placing(config.model_copy(update={"dtype": "float32"}), ""))
    if report.get("missing_keys"):
        raise ModelError(
            Sentence("`{id}` lacks weights that a causal language model needs.", id=config.id), hint=ModelNotFoundError.hint
        )
    return Loaded(model.eval(), tokenizer, source, source.known_revision or commit_of(source))


def _weights(source: Source, placing: dict[str, Any]) -> Any:
    """The model, and what transformers says of its weights."""
    return AutoModelForCausalLM.from_pretrained(
        source.place, output_loading_info=True, **origin(source), **format_of(source), **placing
    )


@torch.inference_mode()
def _is_finite(model: Any, tokenizer: Any) -> bool:
    """Whether a short text gives finite logits: some models leave float16's range with any text."""
    ids = tokenizer("How many eyes does a giraffe have?", return_tensors="pt")["input_ids"]
    device = device_of(model.get_input_embeddings()) or torch.device("cpu")
    return bool(torch.isfinite(model(input_ids=ids.to(device), use_cache=False).logits).all())


def choose_device(wanted: str) -> torch.device:
    """The wanted device, or for "auto" the best one here.

    Raises:
        ModelError: there is no such device.
    """
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if wanted == "auto":
        return torch.device("cuda" if cuda else "mps" if mps else "cpu")
    device = torch.device(wanted)
    if device.type == "cuda" and (not cuda or (device.index or 0) >= torch.cuda.device_count()):
        raise ModelError(
            Sentence("This machine has no device `{wanted}`.", wanted=wanted), hint="Set `model.device` to auto or cpu."
        )
    if device.type == "mps" and not mps:
        raise ModelError("This machine has no device `mps`.", hint="Set `model.device` to auto or cpu.")
    return device


def choose_dtype(wanted: str, device: torch.device, model_type: str = "") -> torch.dtype:
    """The wanted dtype; for "auto" bfloat16 on GPUs that have it, float16 on others and on Apple's, float32 on CPU.

    Where float16 is next, a ``model_type`` of `OVERFLOWS` gets bfloat16 on Apple's and float32 on other GPUs.
    """
    if wanted != "auto":
        dtype: torch.dtype = getattr(torch, wanted)
        return dtype
    if device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.bfloat16
    if device.type == "cuda":
        return torch.float32 if model_type in OVERFLOWS else torch.float16
    if device.type == "mps":
        return torch.bfloat16 if model_type in OVERFLOWS else torch.float16
    return torch.float32


def _placing(config: ModelConfig, model_type: str) -> dict[str, Any]:
    """dtype, device map and quantization, as `from_pretrained` wants them."""
    device = choose_device(config.device)
    dtype = choose_dtype(config.dtype, device, model_type)
    placing: dict[str, Any] = {"dtype": dtype}
    if config.device_map is not None or config.max_memory is not None:
        placing["device_map"] = config.device_map or "auto"
        placing["max_memory"] = config.max_memory
    elif device.type != "cpu" or config.quantization != "none":
        placing["device_map"] = {"": device}
    if config.quantization != "none":
        placing["quantization_config"] = _bitsandbytes(config.quantization, dtype)
    return placing


def _bitsandbytes(kind: str, dtype: torch.dtype) -> Any:
    import transformers

    settings: Any = transformers.BitsAndBytesConfig
    if importlib.util.find_spec("bitsandbytes") is None:
        raise ModelError(
            Sentence("`model.quantization: {kind}` needs bitsandbytes, which is not installed.", kind=kind),
            hint="Run `pip install 'forward-pass[quant]'`, or set `model.quantization` to none.",
        )
    if kind == "bnb-int8":
        return settings(load_in_8bit=True)
    return settings(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype)


def origin(source: Source) -> dict[str, Any]:
    """Arguments with which every `from_pretrained` reads this source, and runs none of its code."""
    where: dict[str, Any] = {"trust_remote_code": False}
    if source.revision:
        where["revision"] = source.revision
    if source.gguf:
        where["gguf_file"] = source.gguf
    return where


def format_of(source: Source) -> dict[str, Any]:
    """Arguments with which `from_pretrained` reads the weights in the format that this source has."""
    return embedded.dequantized() if source.gguf else {"use_safetensors": True}


def read_config(source: Source, config: ModelConfig) -> Any:
    """The model's own config, which says what it is without its weights.

    Encoders and classifiers are refused, which transformers would load with a head of random numbers.

    Raises:
        ModelError: it is not a causal language model.
    """
    facts = AutoConfig.from_pretrained(source.place, **origin(source))
    names = facts.architectures or []
    if facts.is_encoder_decoder or (names and all(_NOT_CAUSAL.search(name) for name in names)):
        raise ModelError(Sentence("`{id}` is not a causal language model.", id=config.id), hint=ModelNotFoundError.hint)
    return facts
