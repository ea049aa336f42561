"""What `model.id` means: the default model, a folder, a GGUF file or an id on the hub, and whether it can be read at all.

Only safetensors and GGUF are read, and only from the place itself. Each kind that people have and that cannot be read gets a
sentence that says what to do. Loads no weights.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from models.errors import ModelError, ModelNotFoundError
from models.loading import embedded
from models.sentences import Sentence
from models.types import DEFAULT_MODEL, ModelConfig

INDEX = "model.safetensors.index.json"
_GGUF = b"GGUF"
_SPLIT = re.compile(r"-\d{5}-of-(\d{5})(\.gguf)?$", re.IGNORECASE)
_HUB = re.compile(r"^(?:https?://)?(?:www\.)?(?:huggingface\.co|hf\.co)/(?:models/)?([\w.-]+/[\w.-]+)(?:[/?#].*)?$")
_SHARD = re.compile(r"[^/\\]+\.safetensors")
PACKAGES = {
    "gptq": "gptqmodel",
    "awq": "gptqmodel",
    "compressed-tensors": "compressed-tensors",
    "hqq": "hqq",
    "quanto": "optimum-quanto",
    "aqlm": "aqlm",
    "eetq": "eetq",
    "bitsandbytes": "bitsandbytes",
    "torchao": "torchao",
}
"""Which package reads weights of each `quant_method`. https://huggingface.co/docs/transformers/quantization/overview"""


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


def find_source(config: ModelConfig) -> Source:
    """Where the weights of `model.id` lie.

    Raises:
        ModelNotPulledError: the default model is not in the cache.
        ModelNotFoundError: a path that does not exist, or a file or folder of a kind that is not read.
    """
    if config.id == DEFAULT_MODEL:
        folder = embedded.locate(Path(config.cache_dir) if config.cache_dir else None)
        return Source(str(folder), embedded.NAME, known_revision=embedded.REVISION)
    path = Path(config.id).expanduser()
    if path.is_dir():
        _check_folder(path, config.id)
        return Source(str(path), path.resolve().name)
    if path.is_file():
        _check_file(path, config.id)
        return Source(str(path.parent), path.stem, gguf=path.name)
    if page := _HUB.match(config.id):
        raise ModelNotFoundError(
            Sentence("`{id}` is the address of a page, and not a model's id.", id=config.id),
            hint=Sentence("Set `model.id` to {id}.", id=page[1]),
        )
    if path.suffix.lower() == ".gguf" or config.id.startswith(("/", "./", "../", "~")) or config.id.count("/") > 1:
        raise ModelNotFoundError(Sentence("There is no file or folder `{id}`.", id=config.id))
    return Source(config.id, config.id.rpartition("/")[2], revision=config.revision, on_hub=True)


def _check_file(path: Path, name: str) -> None:
    with path.open("rb") as file:
        magic = file.read(len(_GGUF))
    if magic != _GGUF:
        raise ModelNotFoundError(
            Sentence("`{id}` is a file, and no GGUF file.", id=name),
            hint="Name the folder that holds the model's config.json, its tokenizer and its safetensors files.",
        )
    split = _SPLIT.search(path.name)
    if split and int(split[1]) > 1:
        raise ModelNotFoundError(
            Sentence("`{id}` is one of {count} parts of a GGUF file. Only whole ones are read.", id=name, count=int(split[1])),
            hint="Join the parts with `llama-gguf-split --merge FIRST-PART WHOLE.gguf`, and name the whole file.",
        )


def _check_folder(path: Path, name: str) -> None:
    if (path / "adapter_config.json").exists() and not any(path.glob("model*.safetensors")):
        raise ModelNotFoundError(
            Sentence("`{id}` holds an adapter (LoRA) and not a whole model.", id=name),
            hint="Merge it into its base model (`merge_and_unload` of the package peft), save that, and name its folder.",
        )
    if (path / "config.json").exists():
        return
    if files := sorted(path.glob("*.gguf")):
        raise ModelNotFoundError(
            Sentence("The folder `{id}` has no config.json.", id=name),
            hint=Sentence("It holds a GGUF file: set `model.id` to {file}.", file=str(files[0])),
        )
    raise ModelNotFoundError(
        Sentence("The folder `{id}` has no config.json.", id=name),
        hint="Name the folder that holds the model's config.json, its tokenizer and its safetensors files.",
    )


def check_weights(source: Source, config: ModelConfig, facts: Any) -> None:
    """Refuse what would be read by other means than safetensors, or from another place, or with a package that is missing.

    Args:
        source: found by `find_source`.
        config: the same.
        facts: the model's own config.

    Raises:
        ModelError.
    """
    index = None if source.gguf else _index(source)
    if index is not None:
        check_index(index, config.id)
    quantized = getattr(facts, "quantization_config", None) or {}
    told = quantized.get("quant_method") if isinstance(quantized, dict) else getattr(quantized, "quant_method", None)
    method = str(getattr(told, "value", told) or "")
    package = PACKAGES.get(method)
    if package and not source.gguf and not _is_installed(package):
        raise ModelError(
            Sentence(
                "`{id}` is quantized with {method}, which needs the package {package}.",
                id=config.id,
                method=method,
                package=package,
            ),
            hint=Sentence("Install it with `pip install {package}`, or choose weights that are not quantized.", package=package),
        )


def _is_installed(package: str) -> bool:
    try:
        metadata.version(package)
    except metadata.PackageNotFoundError:
        return False
    return True


def check_index(path: Path, name: str) -> set[str]:
    """The files that an index names: safetensors beside it. All else would be unpickled, or read from elsewhere, and is refused.

    Raises:
        ModelError: it names something else, or cannot be read.
    """
    try:
        shards = set(json.loads(path.read_text(encoding="utf-8"))["weight_map"].values())
    except (OSError, ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        raise ModelError(
            Sentence("The index of the weights of `{id}` cannot be read.", id=name), hint="Fetch the model again."
        ) from error
    bad = [shard for shard in shards if not isinstance(shard, str) or not _SHARD.fullmatch(shard)]
    if bad:
        raise ModelError(
            Sentence("The index of the weights of `{id}` names something else than safetensors files beside it.", id=name),
            hint="Such weights are never read. Choose a model whose weights are safetensors.",
        )
    return shards


def _index(source: Source) -> Path | None:
    """The index of weights that lie in several files; from the hub it is fetched first."""
    if not source.on_hub:
        path = Path(source.place) / INDEX
        return path if path.exists() else None
    from transformers.utils.hub import cached_file

    found = cached_file(
        source.place,
        INDEX,
        revision=source.revision,
        _raise_exceptions_for_missing_entries=False,
        _raise_exceptions_for_connection_errors=False,
    )
    return Path(found) if found else None


def commit_of(source: Source) -> str | None:
    """The commit that the hub's cache holds of this revision."""
    if not source.on_hub:
        return None
    from huggingface_hub import try_to_load_from_cache

    file = try_to_load_from_cache(source.place, "config.json", revision=source.revision)
    found = re.search(r"snapshots[/\\]([0-9a-f]+)[/\\]", file) if isinstance(file, str) else None
    return found[1] if found else source.revision
