"""From a `ModelConfig` to weights on a device, through transformers and accelerate. Knows no prompts and no answers.

Safetensors and GGUF only, and no code from a model's repository is ever run. Every failure becomes one of the project's errors,
with a sentence that says what to do.
"""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from models.errors import ForwardPassError, ModelError, ModelNotFoundError
from models.loading import embedded
from models.memory import memory_errors
from models.sentences import Sentence
from models.types import DEFAULT_MODEL, ModelConfig

log = logging.getLogger(__name__)

_NOT_CAUSAL = re.compile(r"For(MaskedLM|\w*Classification|QuestionAnswering|PreTraining|MultipleChoice|CTC)$")
_NO_NETWORK = frozenset(
    {"ConnectError", "ConnectTimeout", "ReadTimeout", "ConnectionError", "OfflineModeIsEnabled", "ProxyError"}
)


@dataclass(frozen=True, slots=True)
class Source:
    """Where the weights come from."""

    place: str
    """A folder, or a Hugging Face id."""
    name: str
    """For people."""
    revision: str | None = None
    """What to ask the hub for."""
    known_revision: str | None = None
    gguf: str | None = None
    """The GGUF file's name in the folder."""
    on_hub: bool = False


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
    placing = _placing(config)
    with explained(config), contextlib.nullcontext() if source.on_hub else embedded.no_progress_bars():
        on_stage("loading the tokenizer")
        tokenizer = AutoTokenizer.from_pretrained(source.place, **origin(source))
        read_config(source, config)
        on_stage("loading the weights")
        found: Any = AutoModelForCausalLM.from_pretrained(
            source.place, output_loading_info=True, **origin(source), **format_of(source), **placing
        )
    model, report = found
    if report.get("missing_keys"):
        raise ModelError(
            Sentence("`{id}` lacks weights that a causal language model needs.", id=config.id), hint=ModelNotFoundError.hint
        )
    return Loaded(model.eval(), tokenizer, source, source.known_revision or _commit(source))


def find_source(config: ModelConfig) -> Source:
    """What `model.id` means: the default model, a folder, a GGUF file or an id on the hub.

    Raises:
        ModelNotPulledError: the default model is not in the cache.
        ModelNotFoundError: a path that does not exist.
    """
    if config.id == DEFAULT_MODEL:
        folder = embedded.locate(Path(config.cache_dir) if config.cache_dir else None)
        return Source(str(folder), embedded.NAME, known_revision=embedded.REVISION)
    path = Path(config.id).expanduser()
    if path.is_dir():
        return Source(str(path), path.resolve().name)
    if path.suffix.lower() == ".gguf" and path.is_file():
        return Source(str(path.parent), path.stem, gguf=path.name)
    if path.suffix.lower() == ".gguf" or config.id.startswith(("/", "./", "../", "~")) or config.id.count("/") > 1:
        raise ModelNotFoundError(Sentence("There is no file or folder `{id}`.", id=config.id))
    return Source(config.id, config.id.rpartition("/")[2], revision=config.revision, on_hub=True)


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


def choose_dtype(wanted: str, device: torch.device) -> torch.dtype:
    """The wanted dtype; for "auto" bfloat16 on GPUs that have it, float16 on others and on Apple's, float32 on CPU."""
    if wanted != "auto":
        dtype: torch.dtype = getattr(torch, wanted)
        return dtype
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    return torch.float16 if device.type == "mps" else torch.float32


def _placing(config: ModelConfig) -> dict[str, Any]:
    """dtype, device map and quantization, as `from_pretrained` wants them."""
    device = choose_device(config.device)
    dtype = choose_dtype(config.dtype, device)
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


def _commit(source: Source) -> str | None:
    """The commit that the hub's cache holds of this revision."""
    if not source.on_hub:
        return None
    from huggingface_hub import try_to_load_from_cache

    file = try_to_load_from_cache(source.place, "config.json", revision=source.revision)
    found = re.search(r"snapshots[/\\]([0-9a-f]+)[/\\]", file) if isinstance(file, str) else None
    return found[1] if found else source.revision


@contextlib.contextmanager
def explained(config: ModelConfig) -> Iterator[None]:
    """Turn what transformers, the hub and torch raise while ``config`` is being read or loaded into the project's errors."""
    from safetensors import SafetensorError

    try:
        with memory_errors():
            yield
    except ForwardPassError:
        raise
    except (OSError, ValueError, KeyError, RuntimeError, ImportError, SafetensorError) as error:
        log.info("loading failed: %s: %s", type(error).__name__, error)
        raise _explain(config, error) from error


def _explain(config: ModelConfig, error: BaseException) -> ModelError:
    """The project's error for what transformers raised, told by the names of its causes and by its words."""
    names, words = _causes(error)
    if "GatedRepoError" in names:
        return ModelError(
            Sentence("`{id}` is gated.", id=config.id),
            hint="Accept its terms on its Hugging Face page and run `hf auth login`, or choose another model.",
        )
    if "RevisionNotFoundError" in names:
        return ModelNotFoundError(
            Sentence("`{id}` has no revision `{revision}`.", id=config.id, revision=config.revision),
            hint="Correct `model.revision`, or leave it empty.",
        )
    if names & {"RepositoryNotFoundError", "HFValidationError"}:
        return ModelNotFoundError(Sentence("The Hugging Face hub has no model `{id}` (or it is private).", id=config.id))
    if names & _NO_NETWORK or "couldn't connect" in words:
        return ModelNotFoundError(
            Sentence("The Hugging Face hub does not answer, and `{id}` is not in its local cache.", id=config.id)
        )
    if "trust_remote_code" in words or "custom code" in words:
        return ModelError(
            Sentence("`{id}` needs code from its own repository, and such code is never run here.", id=config.id),
            hint=ModelNotFoundError.hint,
        )
    if "unrecognized configuration class" in words:
        return ModelError(Sentence("`{id}` is not a causal language model.", id=config.id), hint=ModelNotFoundError.hint)
    if "does not recognize this architecture" in words or "unrecognized model" in words:
        return ModelError(Sentence("The installed transformers does not know the architecture of `{id}`.", id=config.id))
    if "safetensors" in words and "file named" in words:
        return ModelNotFoundError(Sentence("`{id}` has no safetensors weights; other formats are not read.", id=config.id))
    return ModelNotFoundError(Sentence("The model `{id}` cannot be loaded ({why}).", id=config.id, why=type(error).__name__))


def _causes(error: BaseException) -> tuple[frozenset[str], str]:
    """The class names (bases included) and the lower-case words of an error and of everything that caused it."""
    names: set[str] = set()
    words: list[str] = []
    current: BaseException | None = error
    while current is not None:
        names.update(cls.__name__ for cls in type(current).__mro__)
        words.append(str(current).lower())
        current = current.__cause__ or current.__context__
    return frozenset(names), "\n".join(words)
