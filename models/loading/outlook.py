"""What a model would need and be able to do here, told from its config alone: no weights are fetched and none are read.

The model is laid out on torch's meta device, where tensors have a shape and no memory, and is then asked what a loaded one would
be asked: the adapters whether the lens can read it, transformers where its parts would lie. Knows no Discord and no terminal.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate.big_modeling import init_empty_weights
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.pytorch_utils import Conv1D

from models.answering import prompts, templates
from models.errors import ModelError
from models.loading import placing, wheel
from models.loading.explaining import explained
from models.loading.opening import choose_device, choose_dtype, origin, read_config
from models.loading.placing import Needs, Placement, Working
from models.loading.sources import Source, find_source
from models.memory import chunk_bytes
from models.network import adapters
from models.types import DEFAULT_MODEL, ModelConfig, Style

log = logging.getLogger(__name__)

DTYPES: dict[str, tuple[torch.dtype, str]] = {
    "float32": (torch.float32, "none"),
    "bfloat16": (torch.bfloat16, "none"),
    "int8": (torch.bfloat16, "bnb-int8"),
    "int4": (torch.bfloat16, "bnb-int4"),
}
"""How weights may be kept: the dtype of what is not quantized, and the quantization of what is."""

_LINEAR_BYTES = {"bnb-int8": 1.0, "bnb-int4": 0.5 + 4 / 64}
"""Bytes per weight of a quantized linear layer; 4-bit blocks of 64 carry a scale in float32."""

_TOKENS = 1000
_ANSWER = 120
"""Answer tokens that the second pass is reckoned for: the default of `sampling.max_new_tokens`."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is known of a model before it is loaded. Sizes are in bytes."""

    id: str
    name: str
    source: str
    """Where it comes from: the default model, a folder, a GGUF file or the Hugging Face hub."""
    revision: str | None
    architecture: str
    model_type: str
    parameters: int | None
    """None when the architecture cannot be laid out without its weights; so are all sizes then."""
    layers: int | None
    width: int | None
    vocabulary: int | None
    context: int | None
    """Tokens, prompt and answer together; None when no tokenizer can be read."""
    styles: tuple[Style, ...]
    """Prompt styles, the better one first; empty when no tokenizer can be read."""
    chat: str | None
    """None when it has a chat template, else the sentence that says why it cannot chat."""
    inner_voice: str | None
    """None when the lens can read it, else the sentence that says why not."""
    batches: bool
    """Whether several questions may share a forward pass."""
    dtype: str
    quantization: str
    weights: Mapping[str, int]
    """By `DTYPES`."""
    configured: int | None
    """The weights in the configured dtype and quantization."""
    download: int | None
    """Bytes that are fetched: the weights' files, or the wheel of the default model; None when that is not known."""
    on_disk: int | None
    """What the weights' files come to once they are here; of the default model they are larger than what is fetched."""
    cache: int | None
    """Keys and values of the first 1,000 tokens of a conversation, in the configured dtype."""
    second_pass: int | None
    """What the second pass holds beside the weights at most, for an answer of 120 tokens."""
    placement: Placement | None
    notes: tuple[str, ...]


def look(config: ModelConfig) -> Outlook:
    """Everything that can be said of the model that ``config`` names without its weights.

    Raises:
        ModelNotPulledError: the default model is not on this machine.
        ModelNotFoundError: there is no such id, folder or file, or no network to ask.
        ModelError: it is not a causal language model, is gated, or needs code from its repository.
    """
    source = find_source(config)
    with explained(config):
        facts = read_config(source, config)
    device, notes = _device(config)
    dtype = choose_dtype(config.dtype, device, str(facts.model_type))
    model = _laid_out(config, facts, dtype, notes)
    text = facts.get_text_config()
    tokenizer, chat = _tokenizer(source)
    notes += _notes_of(tokenizer)
    if getattr(facts, "quantization_config", None):
        notes.append("Its weights are already quantized, so they take less disk and memory than these figures say.")
    on_disk = _weight_bytes(source, notes)
    download = wheel.SIZE if config.id == DEFAULT_MODEL else on_disk
    weights = {name: _weigh(model, *how) for name, how in DTYPES.items()} if model is not None else {}
    if weights and weights["int8"] > 0.75 * weights["bfloat16"]:
        notes.append("bitsandbytes would leave most of these weights as they are: it shrinks only plain linear layers.")
    inner_voice = adapters.reason_against(model) if model is not None else "This cannot be known without the weights."
    needs = Needs.of(model, _Sizes(config.quantization, dtype)) if model is not None else None
    cache = _cache(model, text, dtype)
    second_pass = _second_pass(text, dtype, chunk_bytes(device, config.memory_limit))
    return Outlook(
        id=config.id,
        name=source.name,
        source=_kind(config, source),
        revision=source.known_revision or source.revision,
        architecture=type(model).__name__ if model is not None else (facts.architectures or ["?"])[0],
        model_type=model.config.model_type if model is not None else facts.model_type,
        parameters=int(model.num_parameters()) if model is not None else None,
        layers=_number(text, "num_hidden_layers"),
        width=_number(text, "hidden_size"),
        vocabulary=_number(text, "vocab_size"),
        context=prompts.context_of(text, tokenizer) if tokenizer is not None else None,
        styles=prompts.styles(tokenizer) if tokenizer is not None else (),
        chat=chat,
        inner_voice=inner_voice,
        batches=inner_voice is None and adapters.find(model).batches,
        dtype=str(dtype).removeprefix("torch."),
        quantization=config.quantization,
        weights=weights,
        configured=needs.total if needs is not None else None,
        download=download,
        on_disk=on_disk,
        cache=cache,
        second_pass=second_pass,
        placement=_placed(config, device, model, needs, cache, second_pass),
        notes=tuple(notes),
    )


def _device(config: ModelConfig) -> tuple[torch.device, list[str]]:
    """The configured device, or the CPU and a note when there is no such device here."""
    try:
        return choose_device(config.device), []
    except ModelError as error:
        return torch.device("cpu"), [f"{error.message} The figures are for the CPU."]


def _laid_out(config: ModelConfig, facts: Any, dtype: torch.dtype, notes: list[str]) -> Any | None:
    """The model on the meta device; None and a note for an architecture that wants real numbers when it is made.

    Raises:
        ModelError: transformers has no causal language model for this config.
    """
    try:
        with init_empty_weights(include_buffers=True):
            auto: Any = AutoModelForCausalLM
            return auto.from_config(facts, dtype=dtype).eval()
    except Exception as error:
        log.info("no layout: %s: %s", type(error).__name__, error)
        if "unrecognized configuration class" in str(error).lower():
            with explained(config):
                raise
        notes.append(f"Its sizes cannot be worked out from the config ({type(error).__name__} while laying it out).")
        return None


def _tokenizer(source: Source) -> tuple[Any | None, str | None]:
    """The tokenizer, and why it cannot chat."""
    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(source.place, **origin(source))
    except Exception as error:  # noqa: BLE001 -- tokenizers of other people's making; the figures stand without one
        log.info("no tokenizer: %s: %s", type(error).__name__, error)
        return None, f"Its tokenizer cannot be read ({type(error).__name__})."
    if "chat" in prompts.styles(tokenizer):
        return tokenizer, None
    template = templates.of(tokenizer)
    why = "It has no chat template" if template is None or template.trouble is None else template.trouble.removesuffix(".")
    return tokenizer, f"{why}, but the story style works."


def _notes_of(tokenizer: Any | None) -> list[str]:
    """What was found when the chat template was tried, but for that it cannot be used, which `Outlook.chat` says."""
    template = None if tokenizer is None else templates.of(tokenizer)
    return [] if template is None or template.trouble is not None else [*template.notes]


def _placed(
    config: ModelConfig, device: torch.device, model: Any | None, needs: Needs | None, cache: int | None, second_pass: int | None
) -> Placement | None:
    if model is None or needs is None:
        return None
    return placing.place(config, device, model, needs, Working(cache or 0, second_pass or 0))


class _Sizes:
    """Bytes per weight, asked for by transformers as it asks a quantizer."""

    def __init__(self, quantization: str, dtype: torch.dtype) -> None:
        self._linear = _LINEAR_BYTES.get(quantization)
        self._plain = float(dtype.itemsize)

    def param_element_size(self, model: Any, name: str, _param: torch.Tensor) -> float:
        """Plain linear layers but the head are quantized: a mixture's experts are tensors of their own, and stay as they are."""
        owner, _, kind = name.rpartition(".")
        if self._linear is None or kind != "weight":
            return self._plain
        module = model.get_submodule(owner)
        is_head = module is model.get_output_embeddings()
        return self._linear if type(module) in {torch.nn.Linear, Conv1D} and not is_head else self._plain


def _weigh(model: Any, dtype: torch.dtype, quantization: str) -> int:
    return Needs.of(model, _Sizes(quantization, dtype)).total


def _cache(model: Any | None, text: Any, dtype: torch.dtype) -> int | None:
    """Run 1,000 tokens without numbers and see what is kept of them; reckon it from the config where that fails."""
    layers, width = _number(text, "num_hidden_layers"), _number(text, "hidden_size")
    heads = _number(text, "num_attention_heads")
    try:
        with torch.no_grad():
            tokens = torch.zeros((1, _TOKENS), dtype=torch.long, device="meta")
            # in bfloat16, which is what the products of mixtures take on the meta device
            run = model.to("meta", torch.bfloat16).base_model  # type: ignore[union-attr]
            kept = run(input_ids=tokens, use_cache=True).past_key_values
        held = [getattr(layer, name, None) for layer in kept.layers for name in ("keys", "values")]
        return dtype.itemsize * sum(int(tensor.numel()) for tensor in held if tensor is not None)
    except Exception as error:  # noqa: BLE001 -- some architectures look at numbers on their way
        log.info("no cache: %s: %s", type(error).__name__, error)
    if not layers or not width or not heads:
        return None
    size = _number(text, "head_dim") or width // heads
    return 2 * layers * (_number(text, "num_key_value_heads") or heads) * size * _TOKENS * dtype.itemsize


def _second_pass(text: Any, dtype: torch.dtype, chunk: int) -> int | None:
    """The buffers of one chunk, and the states of all depths."""
    layers, width = _number(text, "num_hidden_layers"), _number(text, "hidden_size")
    if not layers or not width:
        return None
    return chunk + (layers + 1) * _ANSWER * width * dtype.itemsize


def _weight_bytes(source: Source, notes: list[str]) -> int | None:
    """Bytes of the weights' files, and a note when they are in a format that is not read."""
    files = _hub_files(source) if source.on_hub else _local_files(source)
    if files is None:
        return None
    weights = [size for name, size in files.items() if name.endswith((".safetensors", ".gguf"))]
    if not weights:
        notes.append("It will not load: it has no safetensors weights, and other formats are not read.")
    return sum(weights) or None


def _local_files(source: Source) -> dict[str, int]:
    folder = Path(source.place)
    files = [folder / source.gguf] if source.gguf else [path for path in folder.iterdir() if path.is_file()]
    return {path.name: path.stat().st_size for path in files}


def _hub_files(source: Source) -> dict[str, int] | None:
    """Files at the top of the repository; None when the hub does not answer (the config may come from the local cache)."""
    from huggingface_hub import HfApi

    try:
        found = HfApi().model_info(source.place, revision=source.revision, files_metadata=True).siblings or []
    except Exception as error:  # noqa: BLE001 -- told as "not known"
        log.info("no list of files: %s", type(error).__name__)
        return None
    return {file.rfilename: file.size or 0 for file in found if "/" not in file.rfilename}


def _kind(config: ModelConfig, source: Source) -> str:
    if config.id == DEFAULT_MODEL:
        return "default model"
    return "Hugging Face hub" if source.on_hub else "GGUF file" if source.gguf else "folder"


def _number(text: Any, name: str) -> int | None:
    value = getattr(text, name, None)
    return value if isinstance(value, int) else None
